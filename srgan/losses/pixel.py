"""Pixel losses: how far the generated field is from the true one, point by point.

Fields are (batch, latitude, longitude, channel), normalised; a loss is the mean over all of it, in
float32 whatever the precision of the network.
"""

from typing import Any

from keras import ops


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """Mean of (y_pred - y_true)²."""
    return ops.mean(ops.square(_difference(y_true, y_pred)))


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """Mean of |y_pred - y_true|."""
    return ops.mean(ops.abs(_difference(y_true, y_pred)))


def _difference(y_true: Any, y_pred: Any) -> Any:
    return ops.subtract(ops.cast(y_pred, "float32"), ops.cast(y_true, "float32"))
