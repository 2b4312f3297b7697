"""What the answers of a network say about the label, whatever their bias: a refitted read-out.

A network that finds two fields unrelated may say "the longest lag" throughout and hide what it
knows. A multinomial logistic regression from its logits to the labels, fitted on one half of the
base times and judged on the other, finds what little the answers say.
"""

import numpy as np

from atmodist.assessment.predictions import log_probabilities
from atmodist.assessment.reliability import halves

RIDGE = 1e-3  # on squared weights of standardised inputs, beside the mean loss in nats


def refit_read_out(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Log-probabilities from a logistic regression on logits, out of sample.

    The regression is fitted on one half of the base times and applied to the other, in turn.

    Args:
        logits: (pair, class).
        labels: (pair,), from 0.
        groups: Base time of each pair.
    """
    inputs = logits.astype(np.float64)
    inputs = inputs - inputs.mean(axis=1, keepdims=True)  # all that probabilities depend on
    first = halves(groups)
    result = np.empty(inputs.shape)
    for fitted in (first, ~first):
        mean = inputs[fitted].mean(axis=0)
        scale = inputs[fitted].std(axis=0) + 1e-6
        weights = _fit_regression((inputs[fitted] - mean) / scale, labels[fitted], logits.shape[1])
        standard = (inputs[~fitted] - mean) / scale
        result[~fitted] = log_probabilities(standard @ weights[:-1] + weights[-1])
    return result


def parity_is_right(log_probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the likelier of odd and even labels is the true one. Shape (pair,)."""
    probability = np.exp(log_probability)
    odd = probability[:, 1::2].sum(axis=1) > probability[:, ::2].sum(axis=1)
    return np.asarray(odd == (labels % 2 == 1))


def information(log_probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What each answer adds to the mere frequencies of the labels, in nats. Shape (pair,)."""
    shares = np.bincount(labels, minlength=log_probability.shape[1]) / len(labels)
    of_truth = log_probability[np.arange(len(labels)), labels]
    return np.asarray(of_truth - np.log(shares[labels]))


def _fit_regression(inputs: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Weights (input + 1, class) of a multinomial logistic regression; the last row is the bias."""
    from scipy.optimize import minimize

    extended = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    truth = np.eye(num_classes)[labels]
    shape = (extended.shape[1], num_classes)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        log_probability = log_probabilities(extended @ weights)
        penalized = weights.copy()
        penalized[-1] = 0.0
        value = -(truth * log_probability).sum() / len(labels) + RIDGE * (penalized**2).sum()
        slope = extended.T @ (np.exp(log_probability) - truth) / len(labels)
        return float(value), (slope + 2 * RIDGE * penalized).ravel()

    start = np.zeros(shape).ravel()
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return np.asarray(found.x.reshape(shape))
