"""Whether candidates really differ over time: the moving-block bootstrap.

Steps follow each other and are no independent draws, so blocks of them are drawn (Künsch 1989; Liu
and Singh 1992). The n values of a series x fall into n - b + 1 overlapping blocks of b steps; ⌈n/b⌉
of them are drawn with replacement, joined and cut to n values with mean m*. N draws give
    s = c (m* - E* m*),   with  c = √(n / (n - b)) t / z,
which is widened by c since blocks, drawn from as few as n/b, vary too little around their mean: t
and z are the quantiles of Student's distribution with n/b - 1 degrees of freedom, and of the normal
one. What mean(x) - s says of the true mean is told in two ways that always agree:
    p = 2 min(1 + #{s ≥ mean(x)}, 1 + #{s ≤ mean(x)}) / (N + 1),  at most 1,
    interval = mean(x) - [s_(N+1-r), s_(r)],   with  r = ⌈(1 - level)/2 (N + 1)⌉ - 1
and s_(1) ≤ ... ≤ s_(N): p < 1 - level if, and only if, the interval leaves out zero. (The data
count as a draw that went as far, so p is never zero.) The difference of two candidates is a series
x = a - b of its own: what is common to both goes out, and both see the same draws.

Block length. By default as Politis and White (2004; corrected by Patton, Politis and White 2009)
derive it from the autocovariances R(k):
    b = (2 G² / D)^(1/3) n^(1/3),   G = Σ_k λ(k/M) |k| R(k),   D = 4/3 (Σ_k λ(k/M) R(k))²,
with the flat-top window λ(t) = 1 to |t| = ½, falling linearly to 0 at 1, and M = 2m, where m is the
last lag before five (or √log10 n, if more) lags with |ρ| < 2 √(log10 n / n). At most min(3√n, n/3),
so that there are three blocks at least; but no fewer than four steps, or half of a shorter series:
a few steps cannot show the memory that the weather has, and would pass for independent ones.

Infinite values. The PSNR of a perfect candidate is infinite. Two that are the same infinity do not
differ; a mean over time is infinite if one of its values is; a difference that is the same infinity
at all times is beyond doubt, and one that is infinite at some of them has no interval.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Better = Literal["lower", "higher", "reference"]
NUM_RESAMPLES = 2000
SHORTEST_BLOCK = 4
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The mean of a series of differences, and how sure it is.

    Attributes:
        mean: Over time.
        low, high: Ends of the confidence interval of the mean.
        p_value: Of a mean of zero, two-sided.
        block_length: In steps.
        num_steps: That were used; those with a value that is missing (NaN) were not.
    """

    mean: float
    low: float
    high: float
    p_value: float
    block_length: int
    num_steps: int


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


def difference(
    a: np.ndarray,
    b: np.ndarray,
    *,
    seed: int,
    block_length: int | None = None,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
) -> Difference:
    """Mean of a - b over time, with its interval and p-value by moving blocks.

    Args:
        a: Numbers of a candidate at each step. Shape (time,).
        b: Those of another one at the same steps.
        seed: Of the draws; with the same seed all differences see the same blocks.
        block_length: In steps; see the module for the default.
        num_resamples: Number of draws.
        level: Of the confidence interval.

    Returns:
        NaN for what fewer than four steps, or steps of which some are infinite, cannot tell.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"`a` and `b` must be series of one length; got {a.shape} and {b.shape}")
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie between 0 and 1; got {level}")
    tail = round((1 - level) / 2, 12)  # 0.025, not what rounding leaves of 1 - 0.95
    rank = math.ceil(tail * (num_resamples + 1)) - 1
    if rank < 1:
        raise ValueError(
            f"`num_resamples` must be at least {math.ceil(1 / tail)} for the level {level}; "
            f"got {num_resamples}"
        )
    x = apart(a, b)
    x = x[~np.isnan(x)]
    num, mean = len(x), mean_of_known(x)
    if num < 4 or np.isinf(x).any():
        is_sure = num >= 4 and np.isinf(mean) and (x == mean).all()
        end = mean if is_sure else math.nan
        p_value = 2 / (num_resamples + 1) if is_sure else math.nan
        return Difference(
            mean=mean, low=end, high=end, p_value=p_value, block_length=1, num_steps=num
        )
    block = block_length or automatic_block_length(x)
    if not 1 <= block < num:
        raise ValueError(f"`block_length` must lie in 1..{num - 1}; got {block}")
    spread = (block_means(x, block, num_resamples, seed) - _expected(x, block)) * _widening(
        num, block, level
    )
    spread.sort()
    above = num_resamples - int(np.searchsorted(spread, mean, side="left"))
    below = int(np.searchsorted(spread, mean, side="right"))
    return Difference(
        mean=mean,
        low=mean - float(spread[num_resamples - rank]),
        high=mean - float(spread[rank - 1]),
        p_value=min(1.0, 2 * (1 + min(above, below)) / (num_resamples + 1)),
        block_length=block,
        num_steps=num,
    )


def block_means(x: np.ndarray, block: int, num_resamples: int, seed: int) -> np.ndarray:
    """Means m* of resampled series; see the module.

    Args:
        x: (time,).
        block: Its length b.
        num_resamples: Number of draws.
        seed: Of the draws, which depend on it, on the length of x and on b alone.

    Returns:
        (num_resamples,).
    """
    num = len(x)
    full, rest = divmod(num, block)
    rng = np.random.default_rng([seed, num, block])
    starts = rng.integers(0, num - block + 1, size=(num_resamples, full + (rest > 0)))
    origin = x.mean()  # sums of what is left are not lost beside a large mean
    sums = np.concatenate([[0.0], np.cumsum(x - origin)])
    total = (sums[starts[:, :full] + block] - sums[starts[:, :full]]).sum(axis=1)
    if rest:
        total += sums[starts[:, -1] + rest] - sums[starts[:, -1]]
    result: np.ndarray = origin + total / num
    return result


def _expected(x: np.ndarray, block: int) -> float:
    """E* m*: all blocks alike, so that the ends of the series count less than its middle."""
    num = len(x)
    full, rest = divmod(num, block)
    sums = np.concatenate([[0.0], np.cumsum(x - x.mean())])
    starts = np.arange(num - block + 1)
    total = full * (sums[starts + block] - sums[starts]).mean()
    if rest:
        total += (sums[starts + rest] - sums[starts]).mean()
    return float(x.mean() + total / num)


def _widening(num: int, block: int, level: float) -> float:
    from scipy.stats import norm, t

    tail = (1 + level) / 2
    freedom = max(num / block - 1, 1.0)
    return float(np.sqrt(num / (num - block)) * t.ppf(tail, freedom) / norm.ppf(tail))


def automatic_block_length(x: np.ndarray) -> int:
    """Block length of Politis and White, from the autocovariances; see the module.

    Args:
        x: (time,), finite.

    Returns:
        At least min(4, n / 2), at most min(3 √n, n / 3) if that is more.
    """
    num = len(x)
    least = max(1, min(SHORTEST_BLOCK, num // 2))
    most = max(least, int(min(np.ceil(3 * np.sqrt(num)), num / 3)))
    centred = x - x.mean()
    variance = centred @ centred / num
    if num < 6 or variance <= (1e-12 * np.abs(x).max()) ** 2:
        return least
    run = max(5, int(np.sqrt(np.log10(num))))
    longest = min(num - 1, int(np.ceil(np.sqrt(num))) + run)
    size = 1 << (2 * num - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    covariance = np.fft.irfft(power, size)[: longest + 1] / num
    small = np.abs(covariance[1:] / covariance[0]) < 2 * np.sqrt(np.log10(num) / num)
    last = _lag_before_run(small, run)
    width = min(2 * max(last, 1), longest)
    k = np.arange(1, width + 1)
    window = np.clip(2 * (1 - k / width), 0, 1)
    # Sums over k and -k
    moment = 2 * (window * k * covariance[1 : width + 1]).sum()
    spectrum = covariance[0] + 2 * (window * covariance[1 : width + 1]).sum()
    if last == 0 or spectrum <= 0:
        return least if last == 0 else most
    length = (2 * moment**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * num ** (1 / 3)
    return int(np.clip(np.ceil(length), least, most))


def _lag_before_run(small: np.ndarray, run: int) -> int:
    """The lag before the first `run` lags in a row that are small; else the last one that is not.

    `small[k]` is about lag k + 1.
    """
    for lag in range(len(small) - run + 1):
        if small[lag : lag + run].all():
            return lag
    large = np.flatnonzero(~small)
    return int(large[-1]) + 1 if len(large) else 0
