"""How a distance grows with the true lag, and the lag read from a distance.

The *equivalent hours* of a distance are the lag at which the median distance has that value. The
spread comes from the 16 % and 84 % quantiles: a distance d is usual from the lag at which its upper
quantile reaches d until the lag at which its lower quantile does. Curves are made monotone by
isotonic regression, start at (0 h, 0), where both fields are equal, and end at the largest lag that
was measured: beyond it hours are infinite, never extrapolated.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

STATISTICS = ("median", "quantile16", "quantile84", "mean")
HOURS = {  # what is in `Hours`, in words
    "hours": "equivalent hours",
    "low": "equivalent hours, below which lies one pair in six",
    "high": "equivalent hours, above which lies one pair in six",
}


class Hours(NamedTuple):
    """Equivalent hours of a distance, of which one pair in six lies below `low`, above `high`."""

    hours: Any
    low: Any
    high: Any


@dataclass(frozen=True, kw_only=True, eq=False)
class LagCurve:
    """Statistics of a distance at each true lag. All arrays have the shape (lag,).

    Attributes:
        lag_hours: Hours, positive, increasing.
        median: Of the distance, dimensionless, like the following.
        quantile16: 16 % of pairs are nearer.
        quantile84: 16 % of pairs are farther.
        mean: Mean distance.
        low: Of pairs of other weeks, 16 % are expected to be nearer; None if that is unknown.
        high: Of pairs of other weeks, 16 % are expected to be farther; None with `low`.
    """

    lag_hours: np.ndarray
    median: np.ndarray
    quantile16: np.ndarray
    quantile84: np.ndarray
    mean: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    def __post_init__(self) -> None:
        lags = _numbers("lag_hours", self.lag_hours)
        if len(lags) < 1 or lags[0] <= 0 or (np.diff(lags) <= 0).any():
            raise ValueError(f"`lag_hours` must be positive and increase; got {lags.tolist()}")
        object.__setattr__(self, "lag_hours", lags)
        if (self.low is None) != (self.high is None):
            raise ValueError("give `low` and `high`, or neither")
        for name in self._names:
            values = _numbers(name, getattr(self, name))
            if values.shape != lags.shape or (values < 0).any():
                raise ValueError(
                    f"`{name}` must be {len(lags)} distances, not negative, one for each lag; "
                    f"got {values.tolist()}"
                )
            object.__setattr__(self, name, values)
        if (self.quantile16 > self.median).any() or (self.median > self.quantile84).any():
            raise ValueError("`quantile16` <= `median` <= `quantile84` must hold at each lag")
        low, high = self.band
        if (low > self.quantile16).any() or (self.quantile84 > high).any():
            raise ValueError(
                "`low` <= `quantile16` and `quantile84` <= `high` must hold at each lag"
            )

    @classmethod
    def of(cls, distance: np.ndarray, hours: np.ndarray) -> "LagCurve":
        """Statistics of `distance` (pair,) at each of the lags in `hours` (pair,)."""
        lags = np.unique(hours)
        groups = [distance[hours == lag] for lag in lags]
        q16, median, q84 = np.array([np.quantile(g, (0.16, 0.5, 0.84)) for g in groups]).T
        means = np.array([g.mean() for g in groups])
        return cls(lag_hours=lags, median=median, quantile16=q16, quantile84=q84, mean=means)

    @property
    def band(self) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the band: for other weeks if known, else of the pairs measured."""
        if self.low is None or self.high is None:
            return self.quantile16, self.quantile84
        return self.low, self.high

    @property
    def _names(self) -> tuple[str, ...]:
        return STATISTICS if self.low is None else (*STATISTICS, "low", "high")

    def hours(self, distance: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reads distances as lags.

        Args:
            distance: Any shape; not negative; NaN gives NaN.

        Returns:
            (hours, low, high), each of the shape of `distance`. `hours` is +∞ where the distance is
            larger than the largest calibrated median, `high` where even the lower end of the band
            at the largest lag is nearer than it; `low` is then at most the largest lag.
        """
        distance = np.asarray(distance, np.float64)
        if (distance < 0).any():
            raise ValueError(f"distances are not negative; got {distance.min()}")
        middle = self._inverse(self.median, distance, side="both")
        nearest, farthest = self.band
        high = self._inverse(nearest, distance, side="right")
        low = self._inverse(farthest, distance, side="left")
        low = np.where(np.isinf(low), self.lag_hours[-1], low)
        return middle, np.minimum(low, middle), np.maximum(high, middle)

    def _inverse(self, values: np.ndarray, distance: np.ndarray, side: str) -> np.ndarray:
        """The lag at which the monotone curve through (0, 0) has the value `distance`.

        Where the curve is level, its left end, its right end, or the middle of "both".
        """
        level = np.concatenate([[0.0], monotone(values)])
        lag = np.concatenate([[0.0], self.lag_hours])
        if side == "both":
            ends = [self._inverse(values, distance, end) for end in ("left", "right")]
            return np.asarray((ends[0] + ends[1]) / 2)
        distinct, first, counts = np.unique(level, return_index=True, return_counts=True)
        chosen = first if side == "left" else first + counts - 1
        # Between two levels, the line leaves the right end of the lower one and reaches the left
        # end of the upper one; at a level itself, the chosen end holds.
        upper = np.searchsorted(distinct, distance, "left").clip(1, max(len(distinct) - 1, 1))
        if len(distinct) == 1:
            return np.where(distance > 0, np.inf, distance)
        start, stop = lag[(first + counts - 1)[upper - 1]], lag[first[upper]]
        share = (distance - distinct[upper - 1]) / (distinct[upper] - distinct[upper - 1])
        result = start + share * (stop - start)
        for index in np.flatnonzero(counts > 1):
            result = np.where(distance == distinct[index], lag[chosen[index]], result)
        return np.where(distance > distinct[-1], np.inf, result)

    def as_dict(self) -> dict[str, list[float]]:
        """Plain lists; `low` and `high` only where they are known."""
        return {name: getattr(self, name).tolist() for name in ("lag_hours", *self._names)}


def monotone(values: np.ndarray) -> np.ndarray:
    """The nearest sequence, in least squares, that does not decrease (isotonic regression)."""
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(values).x)


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` must be numbers; got {values!r}") from None
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise ValueError(f"`{name}` must be a list of finite numbers; got {values!r}")
    numbers.flags.writeable = False
    return numbers
