"""Whether probabilities mean what they say: reliability, its error, and one temperature.

The confidence of an answer is the probability of its guess. In bin b of confidences, with a share
n_b / n of the pairs, mean confidence c_b and accuracy a_b, the expected calibration error is
ECE = Σ_b n_b / n |c_b - a_b|; it is 0 for calibrated probabilities, up to sampling noise, which
makes it positive. Temperature scaling divides the logits by one T > 0; T > 1 says that the
network was too sure of itself (Guo et al., 2017).
"""

from typing import Any

import numpy as np

from atmodist.assessment.base_times import BaseTimes
from atmodist.assessment.predictions import Predictions, log_probabilities

TEMPERATURES = (0.02, 50.0)  # searched between these
PLATEAU = 1e-9  # nats; differences of the loss below this are none


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of largest likelihood; the loss has one minimum along 1/T.

    Where the likelihood does not fall up to an end of `TEMPERATURES`, it is that end.
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        log_probability = log_probabilities(logits, float(np.exp(log_temperature)))
        return -float(log_probability[rows, labels].mean())

    bounds = tuple(np.log(TEMPERATURES))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    for temperature in reversed(TEMPERATURES):  # the search stops a little before, or on a plateau
        if loss(np.log(temperature)) <= found.fun + PLATEAU:
            return temperature
    return float(np.exp(found.x))


def at_bound(temperature: float) -> bool:
    """Whether a fitted temperature is an end of the search, and so none of its own."""
    return temperature in TEMPERATURES


def temperature_text(temperature: float) -> str:
    """A fitted temperature in words, such as "T = 0.93"; "T <= 0.02" at the end of the search."""
    if not at_bound(temperature):
        return f"T = {temperature:.2f}"
    return f"T {'<=' if temperature < 1 else '>='} {temperature:g}"


def bound_note(temperature: float) -> str | None:
    """What a temperature at the end of the search means; None for any other."""
    if not at_bound(temperature):
        return None
    how = (
        "sharper, as where every guess of them is right"
        if temperature < 1
        else "flatter, as where the answers say nothing about the label"
    )
    return (
        f"{temperature_text(temperature)} is where the search ended and no finding: the pairs it "
        f"is fitted on would have the probabilities ever {how}."
    )


def reliability_table(
    logits: np.ndarray, labels: np.ndarray, *, temperature: float = 1.0, bins: int = 15
) -> list[dict[str, Any]]:
    """One row per bin of confidence: low, high, count, confidence, accuracy (None if empty)."""
    confidence, correct, place = _binned(logits, labels, temperature, bins)
    rows = []
    for k in range(bins):
        inside = place == k
        count = int(inside.sum())
        rows.append(
            {
                "low": k / bins,
                "high": (k + 1) / bins,
                "count": count,
                "confidence": float(confidence[inside].mean()) if count else None,
                "accuracy": float(correct[inside].mean()) if count else None,
            }
        )
    return rows


def calibration_error(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    temperature: float = 1.0,
    bins: int = 15,
    base_times: BaseTimes | None = None,
) -> dict[str, Any]:
    """The expected calibration error, as `value`, with `low` and `high` if base times are told."""
    confidence, correct, place = _binned(logits, labels, temperature, bins)
    excess = np.zeros((len(labels), bins))
    excess[np.arange(len(labels)), place] = confidence - correct
    if base_times is None:
        return {"value": float(np.abs(excess.sum(axis=0)).sum() / len(labels))}
    counted = np.concatenate([np.ones((len(labels), 1)), excess], axis=1)
    row = base_times.of_sums(lambda sums: np.abs(sums[:, 1:]).sum(axis=1) / sums[:, 0], counted)
    if row["low"] is not None:
        row["low"] = max(row["low"], 0.0)
    return row


def halves(groups: np.ndarray) -> np.ndarray:
    """Mask of the pairs in the earlier half of the base times; by number if there is but one."""
    distinct = np.unique(groups)
    if len(distinct) < 2:
        return np.arange(len(groups)) < len(groups) // 2
    return np.asarray(groups < distinct[len(distinct) // 2])


def judge_calibration(predictions: Predictions, *, bins: int) -> dict[str, Any]:
    """Fits the temperature on the earlier half of the base times, judges it on the later half.

    Returns:
        `temperature` (of the first half), `temperature_at_bound` (whether the search ended at its
        limit, so that it has no meaning), `temperature_all` (of all pairs, for use), and, on the
        later half, `before` and `after` with the expected calibration error, loss and diagram.
    """
    first = halves(predictions.pairs.step)
    logits, labels = predictions.logits, predictions.pairs.label
    temperature = fit_temperature(logits[first], labels[first])
    later, truth = logits[~first], labels[~first]
    base_times = BaseTimes(predictions.pairs.step[~first])
    result: dict[str, Any] = {
        "temperature": temperature,
        "temperature_at_bound": at_bound(temperature),
        "temperature_all": fit_temperature(logits, labels),
        "num_fitted": int(first.sum()),
        "num_judged": int((~first).sum()),
    }
    for name, value in (("before", 1.0), ("after", temperature)):
        log_probability = log_probabilities(later, value)
        result[name] = {
            "expected_calibration_error": calibration_error(
                later, truth, temperature=value, bins=bins, base_times=base_times
            ),
            "loss": base_times.mean(-log_probability[np.arange(len(truth)), truth]),
            "diagram": reliability_table(later, truth, temperature=value, bins=bins),
        }
    return result


def _binned(
    logits: np.ndarray, labels: np.ndarray, temperature: float, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    log_probability = log_probabilities(logits, temperature)
    confidence = np.exp(log_probability.max(axis=1))
    correct = (log_probability.argmax(axis=1) == labels).astype(np.float64)
    return confidence, correct, np.minimum((confidence * bins).astype(int), bins - 1)
