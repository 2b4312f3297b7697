"""How sure a mean is, of values that follow each other in time and remember.

Steps of weather are no independent draws: n of them may be worth few. How few is not known either,
and that is what makes intervals from short series too narrow, whether blocks are drawn with
replacement or not: blocks long enough for the memory are too few to show their spread, and
an estimate of the memory from the series itself is too short when the series is. So nothing is
drawn here, and the memory is not estimated but averaged over what the series allows.

Model. The series is its mean μ plus a red noise, of correlation ρ^k over k steps, of which a share
λ of the variance σ² is white (what sampling adds, and what hides memory from its neighbour):
    S(ω) = σ² g(ω),   g(ω) = (1 - λ) (1 - ρ²) / (1 - 2 ρ cos ω + ρ²) + λ,
    var(mean) = σ² v,   v = [(1 - λ) ((1 + ρ) / (1 - ρ) - 2 ρ (1 - ρ^n) / (n (1 - ρ)²)) + λ] / n.

Likelihood. The cosine transform (DCT-II, orthonormal) of the series but for its mean has
coefficients z_j at ω_j = π j / n, nearly independent and of variance S(ω_j). Only the first
J = min(n - 1, max(40, 3 √n)) of them count: the mean is the lowest frequency, and what the series
does at high ones, as in a cycle of the day, should not pretend to say anything about it. With
s² = Σ_j z_j² / g(ω_j) / J and the prior 1/σ, μ is at given ρ and λ distributed as mean + s √v t,
with Student's t of J degrees of freedom, and the weight of (ρ, λ) is
    p(ρ) p(λ) Π_j g(ω_j)^-½ (s²)^(-J/2).
The prior of ρ, p(ρ) ∝ (1 - ρ)^-a with a = 10/n within ¼ and ½, expects more memory of short
series, which cannot show it: of fewer than 40 values none is ruled out, of more 1 - ρ ≥ 1 / (2 n).
λ is 0, ½ or 0.8 with 0.6, 0.3 and 0.1. All are fixed by simulation (`tools/coverage.py`; the table
is in docs/intervals.md).

The interval holds the central 95 % of that mixture of t distributions, and the p-value is twice
what lies beyond zero: p < 0.05 if, and only if, the interval leaves out zero. Both are exact
functions of the series, without draws or seeds. The *effective number* is how many independent
values would be as sure: the mean of var(x) / (s² v) over the weights. There is no interval for
fewer than 16 values, and none where the effective number is below 1.5. Intervals of few effective
values are told, and wide: to refuse more would leave those whose memory is underestimated.

Sources: Lazarus, Lewis, Stock and Watson (2018) on cosine transforms with Student's t for means of
series; Whittle's likelihood; Müller (2014) on averaging over persistence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LEVEL = 0.95
LEAST_VALUES = 16
LEAST_EFFECTIVE = 1.5
MOST_LEFT_OUT = 128  # times that a statistic is computed anew, at most
_WHITE_SHARES, _WHITE_PRIOR = (0.0, 0.5, 0.8), (0.6, 0.3, 0.1)
_NUM_MEMORIES = 40
_SHORT = 40  # values; fewer rule out no memory
_ROUNDING = 1e-12  # relative; variation below it is none


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number, and how sure it is.

    Attributes:
        value: The number, such as the mean of a series.
        low, high: Ends of its confidence interval; None where there is none.
        p_value: Of zero, two-sided; None where there is no interval.
        effective: How many independent values would be as sure; None if too few values tell it.
        num: Values in the series.
        reason: Why there is no interval, in words; None where there is one.
    """

    value: float
    low: float | None
    high: float | None
    p_value: float | None
    effective: float | None
    num: int
    reason: str | None = None


def mean_interval(
    series: np.ndarray, *, value: float | None = None, level: float = LEVEL
) -> Interval:
    """The mean of a series with its confidence interval; see the module.

    Args:
        series: Values in the order of time, at nearly equal distances, finite. Shape (time,).
        value: Centre of the interval where it is not the mean of `series`, as for pseudo-values.
        level: Share of intervals that hold the truth.
    """
    series = np.asarray(series, dtype=np.float64)
    if series.ndim != 1 or not np.isfinite(series).all():
        raise ValueError(f"`series` must be finite, of shape (time,); got shape {series.shape}")
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie between 0 and 1; got {level}")
    num = len(series)
    if value is None:
        value = float(series.mean()) if num else float("nan")
    if num < LEAST_VALUES:
        reason = f"{num} values in time cannot show their memory; at least {LEAST_VALUES} can"
        return _without(value, None, num, reason)
    spread = series - series.mean()
    if np.abs(spread).max() <= _ROUNDING * np.abs(series).max():
        p_value = 1.0 if value == 0 else 0.0
        return Interval(
            value=value, low=value, high=value, p_value=p_value, effective=float(num), num=num
        )
    weight, error, effective, freedom = _mixture(spread)
    if effective < LEAST_EFFECTIVE:
        reason = f"the memory is too long: {num} values are worth {effective:.1f} independent ones"
        return _without(value, effective, num, reason)
    half = _half_width(weight, error, freedom, level)
    return Interval(
        value=value, low=value - half, high=value + half,
        p_value=_beyond(abs(value), weight, error, freedom), effective=effective, num=num,
    )  # fmt: skip


def pseudo_values(left_out: np.ndarray, value: float) -> np.ndarray:
    """What each time adds to a statistic: its jackknife pseudo-values n θ - (n - 1) θ_(t).

    Their mean is the statistic, but for a bias of order 1/n, and `mean_interval` of them tells how
    sure it is, as long as the statistic changes smoothly when pairs of one time are left out.

    Args:
        left_out: θ_(t), the statistic without what belongs to a time. Shape (time,).
        value: θ, of everything.
    """
    num = len(left_out)
    return np.asarray(num * value - (num - 1) * np.asarray(left_out, dtype=np.float64))


def without_each(
    statistic: Callable[[np.ndarray], np.ndarray], time: np.ndarray, *, most: int = MOST_LEFT_OUT
) -> np.ndarray:
    """A statistic computed anew without the pairs of each time, or run of times if they are many.

    Args:
        statistic: Takes a mask of the pairs that are used (pair,), returns any shape (...).
        time: Of each pair, numbers in the order of time. Shape (pair,).
        most: Runs of consecutive times, as equally long as can be, are left out together where
            there are more times than this.

    Returns:
        Shape (time or run, ...).
    """
    distinct, index = np.unique(time, return_inverse=True)
    num = min(len(distinct), most)
    run = index * num // len(distinct)
    return np.array([statistic(run != k) for k in range(num)])


def _without(value: float, effective: float | None, num: int, reason: str) -> Interval:
    return Interval(
        value=value, low=None, high=None, p_value=None, effective=effective, num=num, reason=reason
    )


def _mixture(spread: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Weights and standard errors s √v by (ρ, λ), the mean effective number, and J."""
    from scipy.fft import dct

    num = len(spread)
    inverse, log_volume, prior, v = _model(num)
    freedom = inverse.shape[1]
    scale = np.abs(spread).max()
    power = dct(spread / scale, norm="ortho")[1 : freedom + 1] ** 2
    s2 = np.maximum(inverse @ power / freedom, 1e-300)
    log_weight = prior - log_volume / 2 - freedom / 2 * np.log(s2)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    error2 = s2 * v
    effective = float(weight @ (np.mean((spread / scale) ** 2) / error2))
    return weight, scale * np.sqrt(error2), effective, freedom


@lru_cache(maxsize=32)
def _model(num: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """1 / g (model, j), Σ_j log g, log prior and v (model,) of all (ρ, λ)."""
    count = min(num - 1, max(40, int(3 * np.sqrt(num))))
    exponent = min(0.5, max(0.25, 10 / num))
    shortest = 0.0 if num < _SHORT else 0.5 / num
    mass = 1 - shortest ** (1 - exponent)
    middle = mass * (np.arange(_NUM_MEMORIES) + 0.5) / _NUM_MEMORIES
    lack = (1 - middle) ** (1 / (1 - exponent))  # 1 - ρ, at equal steps of the prior's mass
    rho = 1 - lack
    angle = np.pi * np.arange(1, count + 1) / num
    red = (lack * (1 + rho))[:, None] / (1 - 2 * rho[:, None] * np.cos(angle) + rho[:, None] ** 2)
    red_mean = (1 + rho) / lack - 2 * rho * (1 - rho**num) / (num * lack**2)
    shares = np.array(_WHITE_SHARES)[:, None]
    g = ((1 - shares[..., None]) * red + shares[..., None]).reshape(-1, count)
    v = ((1 - shares) * red_mean + shares).ravel() / num
    prior = np.repeat(np.log(_WHITE_PRIOR), _NUM_MEMORIES)
    return 1 / g, np.log(g).sum(axis=1), prior, v


def _beyond(distance: float, weight: np.ndarray, error: np.ndarray, freedom: int) -> float:
    """Probability to lie further than a distance from the centre, on either side."""
    from scipy.special import stdtr

    return float(min(1.0, 2 * weight @ stdtr(freedom, -distance / error)))


def _half_width(weight: np.ndarray, error: np.ndarray, freedom: int, level: float) -> float:
    from scipy.optimize import brentq
    from scipy.special import stdtrit

    quantile = stdtrit(freedom, (1 + level) / 2)
    least, most = quantile * error.min() * (1 - 1e-9), quantile * error.max() * (1 + 1e-9)
    return float(
        brentq(
            lambda half: _beyond(half, weight, error, freedom) - (1 - level),
            least, most, xtol=1e-12 * most, rtol=1e-10,
        )
    )  # fmt: skip
