"""Whether candidates really differ over time.

The difference of two candidates is a series x = a - b of its own, so that what is common to both
goes out. Its mean has an interval and a p-value that know how much a series remembers
(`atmodist.fields.intervals`): p < 0.05 if, and only if, the interval leaves out zero. Series that
are too short for their memory have neither.

Infinite values. The PSNR of a perfect candidate is infinite. Two that are the same infinity do not
differ; a mean over time is infinite if one of its values is; a difference that is the same infinity
at all times is beyond doubt, and one that is infinite at some of them has no interval.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from atmodist.fields.intervals import LEAST_VALUES, LEVEL, mean_interval

Better = Literal["lower", "higher", "reference"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The mean of a series of differences, and how sure it is.

    Attributes:
        mean: Over time.
        low, high: Ends of the confidence interval of the mean; NaN where there is none.
        p_value: Of a mean of zero, two-sided; NaN where there is no interval.
        num_steps: That were used; those with a value that is missing (NaN) were not.
        effective: How many independent steps would be as sure; NaN if too few tell it.
        reason: Why there is no interval, in words; None where there is one.
    """

    mean: float
    low: float
    high: float
    p_value: float
    num_steps: int
    effective: float
    reason: str | None


def loss(values: np.ndarray, better: Better, reference: np.ndarray | None = None) -> np.ndarray:
    """Numbers of which the lower is the better, so that differences say who is.

    Args:
        values: Of a candidate, any shape.
        better: What the statistic says of itself. For "reference" the loss is |x - reference|.
        reference: The reference's own values; needed for "reference".
    """
    if better == "lower":
        return np.asarray(values, dtype=np.float64)
    if better == "higher":
        return -np.asarray(values, dtype=np.float64)
    if better != "reference":
        raise ValueError(f"`better` must be lower, higher or reference; got {better!r}")
    if reference is None:
        raise ValueError("`better` is reference; the reference's own values are needed")
    return np.abs(apart(values, reference))


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns a - b in float64; zero where both are the same infinity."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    shape = np.broadcast_shapes(a.shape, b.shape)
    return np.subtract(a, b, out=np.zeros(shape), where=a != b)


def mean_of_known(values: np.ndarray) -> float:
    """The mean of values that are no NaN; NaN if there are none, or infinities of both signs."""
    known = values[~np.isnan(values)]
    if not len(known) or (np.isneginf(known).any() and np.isposinf(known).any()):
        return math.nan
    return float(known.mean())


def difference(a: np.ndarray, b: np.ndarray, *, level: float = LEVEL) -> Difference:
    """Mean of a - b over time, with its interval and p-value.

    Args:
        a: Numbers of a candidate at each step. Shape (time,).
        b: Those of another one at the same steps.
        level: Of the confidence interval.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"`a` and `b` must be series of one length; got {a.shape} and {b.shape}")
    x = apart(a, b)
    x = x[~np.isnan(x)]
    if np.isinf(x).any():
        return _infinite(x)
    found = mean_interval(x, level=level)
    return Difference(
        mean=found.value,
        low=_or_nan(found.low),
        high=_or_nan(found.high),
        p_value=_or_nan(found.p_value),
        num_steps=found.num,
        effective=_or_nan(found.effective),
        reason=found.reason,
    )


def _infinite(x: np.ndarray) -> Difference:
    """A difference that is infinite at some steps, or at all of them."""
    mean, num = mean_of_known(x), len(x)
    is_sure = num >= LEAST_VALUES and bool((x == mean).all())
    return Difference(
        mean=mean,
        low=mean if is_sure else math.nan,
        high=mean if is_sure else math.nan,
        p_value=0.0 if is_sure else math.nan,
        num_steps=num,
        effective=float(num) if is_sure else math.nan,
        reason=None if is_sure else f"infinite at {int(np.isinf(x).sum())} of {num} steps",
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
