"""The band of equivalent hours that holds for other weeks than those of the calibration.

The quantiles of the pairs of a few days say how pairs of these days scatter. Whether the
atmosphere of another week is livelier they do not say: all distances of a day rise and fall
together, and those of the next day with them. So the pairs are parted by the time of their first
field into blocks of a day, or of the largest lag if that is longer, and with the log distance
x = log d of a pair, at each lag,

    o_b = mean of x over block b, less its mean over blocks
    σ_b² = Σ o_b² / (n - n / n_eff),        n_eff = n (1 - ρ) / (1 + ρ),

with ρ the correlation of the offsets o of neighbouring blocks, corrected for its bias in short
series (Kendall 1954: ρ + (1 + 3ρ)/n): n blocks of which neighbours are alike are worth n_eff
blocks, and scatter less about their own mean than about the true one. The band of log d about the
median is then

    -√(l² + w²) ... +√(u² + w²),        w = t σ_b √(1 + 1/n_eff),

with l and u from the median to the 16 % and 84 % quantiles of pairs within blocks (x - o_b), and
t the 84 % quantile of Student's distribution with n_eff - 1 degrees of freedom: σ_b is itself
uncertain. What no block of the period shows, such as another season, remains unknown.
"""

from dataclasses import dataclass, replace

import numpy as np

from atmodist.metric.lag_curve import LagCurve

DAY = 24.0  # hours
MIN_BLOCKS = 3  # fewer say nothing of how blocks differ
SHARE = 0.84  # of pairs below the upper end of the band


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Pairs parted by the time of their first field.

    Attributes:
        block: Number of the block of each pair, from 0 in time; shape (pair,). None where pairs
            have no times.
        days: From the first pair to the last, rounded up; None if unknown.
    """

    block: np.ndarray | None
    days: int | None

    @classmethod
    def of(cls, step: np.ndarray | None, step_hours: float, largest_lag_hours: float) -> "Blocks":
        """Blocks of a day, or of the largest lag where that is longer.

        Args:
            step: Time step of the first field of each pair; shape (pair,). None if unknown.
            step_hours: Length of a time step.
            largest_lag_hours: Largest lag of the pairs.
        """
        if step is None:
            return cls(block=None, days=None)
        hours = (step - step.min()) * step_hours
        span = float(hours.max()) + step_hours
        length = max(DAY, largest_lag_hours)
        # A last block that is not whole joins the one before it.
        last = max(int((span + 1e-9) // length) - 1, 0)
        block = np.minimum((hours / length + 1e-9).astype(np.int64), last)
        return cls(block=block, days=int(np.ceil(span / DAY - 1e-9)))

    @property
    def num_blocks(self) -> int:
        """Blocks that hold pairs."""
        return 0 if self.block is None else len(np.unique(self.block))


def for_other_weeks(
    curve: LagCurve, distance: np.ndarray, hours: np.ndarray, blocks: Blocks
) -> LagCurve:
    """Adds the band that holds for other weeks to the curve of some pairs.

    Args:
        curve: `LagCurve.of(distance, hours)`.
        distance: Of each pair; shape (pair,).
        hours: True lag of each pair; shape (pair,).
        blocks: Of the pairs.

    Returns:
        The curve with `low` and `high`; as it was where there are fewer than three blocks, a lag
        is missing in so many that fewer are left, or distances are zero.
    """
    if blocks.block is None or blocks.num_blocks < MIN_BLOCKS or not (distance > 0).all():
        return curve
    x = np.log(distance)
    offsets, within = _parted(x, hours, blocks.block, curve.lag_hours)
    if (np.isfinite(offsets).sum(axis=0) < MIN_BLOCKS).any():
        return curve
    widening = _widening(offsets)
    low, high = np.empty((2, len(curve.lag_hours)))
    for i, lag in enumerate(curve.lag_hours):
        below, middle, above = np.quantile(within[hours == lag], (1 - SHARE, 0.5, SHARE))
        low[i] = curve.median[i] * np.exp(-np.hypot(middle - below, widening[i]))
        high[i] = curve.median[i] * np.exp(np.hypot(above - middle, widening[i]))
    return replace(
        curve, low=np.minimum(low, curve.quantile16), high=np.maximum(high, curve.quantile84)
    )


def _parted(
    x: np.ndarray, hours: np.ndarray, block: np.ndarray, lags: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (block, lag), NaN where there is no pair, with mean zero; and x less its offset."""
    row, column = block, np.searchsorted(lags, hours)
    shape = (int(block.max()) + 1, len(lags))
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (row, column), x)
    np.add.at(counts, (row, column), 1.0)
    means = np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0)
    offsets = means - np.nanmean(means, axis=0)
    return offsets, x - offsets[row, column]


def _widening(offsets: np.ndarray) -> np.ndarray:
    """The widening w of the module, for each lag, from offsets (block, lag), in log distance."""
    from scipy.stats import t as student

    count = np.isfinite(offsets).sum(axis=0)
    squares = np.nansum(offsets**2, axis=0)
    correlation = _correlation(offsets)
    effective = np.maximum(count * (1 - correlation) / (1 + correlation), 2.0)
    variance = squares / (count - count / effective)
    factor = student.ppf(SHARE, effective - 1)
    return np.asarray(factor * np.sqrt(variance * (1 + 1 / effective)))


def _correlation(offsets: np.ndarray) -> float:
    """ρ of neighbouring blocks over all lags, corrected for short series; from 0 to below 1."""
    neighbours = offsets[:-1] * offsets[1:]
    both = np.isfinite(neighbours)
    scale = np.nanmean(offsets**2)
    if not both.any() or scale == 0:
        return 0.0
    found = float(neighbours[both].mean() / scale)
    corrected = found + (1 + 3 * found) / len(offsets)
    return min(max(corrected, 0.0), 0.99)
