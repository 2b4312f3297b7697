"""Scores of predictions with confidence intervals: in all, per lag, per band of latitude."""

import numpy as np

from atmodist.assessment.base_times import BaseTimes, Row
from atmodist.assessment.predictions import Predictions, log_probabilities


def pair_scores(predictions: Predictions) -> dict[str, np.ndarray]:
    """Scores of each pair, whose means are the usual scores.

    Returns:
        `loss` (nats), `accuracy`, `top3`, `within_one` (guess at most one class off) and
        `mean_error` (guess minus truth, steps). Shape (pair,) each.
    """
    label, guess = predictions.pairs.label, predictions.guess
    log_probability = log_probabilities(predictions.logits)
    of_truth = log_probability[np.arange(len(label)), label]
    better = (log_probability > of_truth[:, None]).sum(axis=1)
    return {
        "loss": -of_truth,
        "accuracy": (guess == label).astype(np.float64),
        "top3": (better < 3).astype(np.float64),
        "within_one": (np.abs(guess - label) <= 1).astype(np.float64),
        "mean_error": (guess - label).astype(np.float64),
    }


def score_table(predictions: Predictions, base_times: BaseTimes) -> list[Row]:
    """One row per score: score, value, low, high."""
    scores = pair_scores(predictions)
    return [{"score": name, **base_times.mean(values)} for name, values in scores.items()]


def lag_table(
    predictions: Predictions, base_times: BaseTimes, step_seconds: int | None
) -> list[Row]:
    """One row per true lag and score: lag_steps, lag_hours, count, score, value, low, high."""
    label, rows = predictions.pairs.label, []
    for k in range(predictions.logits.shape[1]):
        hours = (k + 1) * step_seconds / 3600 if step_seconds else None
        rows += _masked(
            predictions, base_times, label == k, {"lag_steps": k + 1, "lag_hours": hours}
        )
    return rows


def latitude_table(
    predictions: Predictions, base_times: BaseTimes, band_degrees: float
) -> list[Row]:
    """One row per band of the patch centres and score: south, north, count, score, value, ..."""
    band, edges = latitude_bands(predictions.pairs.latitude, band_degrees)
    rows = []
    for k in np.unique(band):
        place = {"south": float(edges[k]), "north": float(edges[k + 1])}
        rows += _masked(predictions, base_times, band == k, place)
    return rows


def latitude_bands(latitude: np.ndarray, band_degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the bands of latitudes, and the edges of all bands, from south to north.

    Bands are symmetric about the equator; the outermost ones may be narrower.
    """
    count = int(np.ceil(90 / band_degrees - 1e-9))
    half = np.minimum(band_degrees * np.arange(count + 1), 90.0)
    edges = np.concatenate([-half[:0:-1], half])
    band = np.clip(np.searchsorted(edges, latitude, side="right") - 1, 0, len(edges) - 2)
    return band, edges


def confusion_matrix(label: np.ndarray, guess: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts (true, guessed)."""
    flat = np.bincount(label * num_classes + guess, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def _masked(
    predictions: Predictions, base_times: BaseTimes, mask: np.ndarray, place: Row
) -> list[Row]:
    count = int(mask.sum())
    return [
        {**place, "count": count, "score": name, **base_times.mean(values, mask)}
        for name, values in pair_scores(predictions).items()
    ]
