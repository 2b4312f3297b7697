"""How good guesses of a temporal distance are: plain scores, arrays in, numbers out.

Labels are zero-based (0 is a distance of one step). The loss is the cross-entropy against the true
label, without smoothing or weight penalties, so that runs can be compared.
"""

from typing import Any

import numpy as np


def classification_scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Scores logits (sample, class) against labels (sample,).

    Returns:
        `loss` (nats), `accuracy`, `within_one` (guess at most one class off), `top3`, `count`,
        `recall` (accuracy per label; None where a label does not occur) and `confusion`, whose row
        is the true label and column the guess, in counts.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(
            "expected logits (sample, class) and labels (sample,), at least one sample; "
            f"got shapes {logits.shape} and {labels.shape}."
        )
    logits = logits.astype(np.float64)
    num_classes = logits.shape[1]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    of_truth = log_probability[np.arange(len(labels)), labels]
    guesses = logits.argmax(axis=1)
    confusion = np.bincount(labels * num_classes + guesses, minlength=num_classes**2)
    confusion = confusion.reshape(num_classes, num_classes)
    occurrences = confusion.sum(axis=1)
    ranked = np.argsort(-logits, axis=1, kind="stable")  # as argmax, the first of equals leads
    return {
        "loss": float(-of_truth.mean()),
        "accuracy": float((guesses == labels).mean()),
        "within_one": float((np.abs(guesses - labels) <= 1).mean()),
        "top3": float((ranked[:, :3] == labels[:, None]).any(axis=1).mean()),
        "count": len(labels),
        "recall": [
            float(confusion[k, k] / occurrences[k]) if occurrences[k] else None
            for k in range(num_classes)
        ],
        "confusion": confusion.tolist(),
    }


def mean_scores(evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    """Averages evaluations of one set of samples: every number, and recall per label."""
    scalars = ("loss", "accuracy", "within_one", "top3")
    means: dict[str, Any] = {
        name: float(np.mean([scores[name] for scores in evaluations])) for name in scalars
    }
    recalls = zip(*(scores["recall"] for scores in evaluations), strict=True)
    means["recall"] = [None if None in values else float(np.mean(values)) for values in recalls]
    return means
