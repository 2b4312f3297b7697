"""Made-up pairs and answers, whose scores are known."""

import numpy as np

from atmodist.assessment.predictions import JudgedPairs, Predictions

STEP = 10_800  # seconds


def made_pairs(label, *, step=None, latitude=None, longitude=None):
    """Pairs of 10 x 10 degree patches, every three hours."""
    count = len(label)
    step = np.arange(count) % 16 if step is None else np.asarray(step)
    latitude = np.linspace(-60, 60, count) if latitude is None else np.asarray(latitude, float)
    longitude = np.linspace(0, 359, count) if longitude is None else np.asarray(longitude, float)
    return JudgedPairs(
        label=np.asarray(label),
        step=step,
        time=step * STEP,
        north=latitude + 5,
        south=latitude - 5,
        west=np.mod(longitude - 5, 360),
        east=np.mod(longitude + 5, 360),
    )


def calibrated_answers(count, num_classes=5, *, temperature=1.0, seed=0):
    """Answers whose labels are drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5 * temperature, (count, num_classes))
    probability = np.exp(logits / temperature)
    probability /= probability.sum(axis=1, keepdims=True)
    draw = rng.random((count, 1))
    label = (draw > probability.cumsum(axis=1)).sum(axis=1).clip(max=num_classes - 1)
    return Predictions(logits=logits, pairs=made_pairs(label))
