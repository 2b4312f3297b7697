"""Whether candidates really differ: over time by bootstrap, over stations by paired tests.

Time. Steps follow each other and are no independent draws, so blocks of them are drawn: the moving
block bootstrap (Künsch 1989; Liu and Singh 1992). The n values of a series x fall into n - b + 1
overlapping blocks of b steps; ⌈n/b⌉ of them are drawn with replacement, joined and cut to n values
with mean m*. The interval is
    mean(x) - c q,   with q the quantiles of m* - E* m*  and  c = √(n / (n - b)) t / z,
which is widened by c since blocks, drawn from as few as n/b, vary too little around their mean: t
and z are the quantiles of Student's distribution with n/b - 1 degrees of freedom, and of the normal
one. The p-value is the share of draws whose |m* - E* m*| c reaches |mean(x)|. The difference of two
candidates is a series x = a - b of its own: what is common to both goes out, and both see the same
draws.

Block length. By default as Politis and White (2004; corrected by Patton, Politis and White 2009)
derive it from the autocovariances R(k):
    b = (2 G² / D)^(1/3) n^(1/3),   G = Σ_k λ(k/M) |k| R(k),   D = 4/3 (Σ_k λ(k/M) R(k))²,
with the flat-top window λ(t) = 1 to |t| = ½, falling linearly to 0 at 1, and M = 2m, where m is the
last lag before five (or √log10 n, if more) lags with |ρ| < 2 √(log10 n / n). At most min(3√n, n/3),
so that there are three blocks at least; but no fewer than four steps, or half of a shorter series:
a few steps cannot show the memory that the weather has, and would pass for independent ones.

Stations. They are paired: each gives one difference of two distances. Wilcoxon's signed rank test
asks whether they are centred on zero, a sign-flip permutation test whether their mean is; neither
supposes a distribution, both that stations are independent (ours lie 900 km apart at least). Where
many pairs, channels and boxes are tested, p-values are adjusted as Benjamini and Hochberg (1995)
do, which controls the share of false discoveries.

Beside it stands the rule of the reference implementation of AtmoDist: at a station a candidate is
better (worse) than another if its distance is at least 10 % lower (higher), and else equal.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from evaluation.statistic import REFERENCE

if TYPE_CHECKING:
    import xarray as xr

Better = Literal["lower", "higher", "reference"]
NUM_RESAMPLES = 2000
FLIPS = 4000
SHORTEST_BLOCK = 4
LEVEL = 0.95
TEN_PERCENT = 0.1


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The mean of a series of differences, and how sure it is.

    Attributes:
        mean: Over time.
        low, high: Ends of the confidence interval of the mean.
        p_value: Of a mean of zero, two-sided.
        block_length: In steps.
        num_steps: That were used; those with a value that is not finite were not.
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
    return np.abs(np.subtract(values, reference, dtype=np.float64))


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
        NaN for what fewer than four steps cannot tell.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"`a` and `b` must be series of one length; got {a.shape} and {b.shape}")
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie between 0 and 1; got {level}")
    x = a - b
    x = x[np.isfinite(x)]
    num = len(x)
    mean = float(x.mean()) if num else np.nan
    if num < 4:
        return Difference(
            mean=mean, low=np.nan, high=np.nan, p_value=np.nan, block_length=1, num_steps=num
        )
    block = block_length or automatic_block_length(x)
    if not 1 <= block < num:
        raise ValueError(f"`block_length` must lie in 1..{num - 1}; got {block}")
    spread = (block_means(x, block, num_resamples, seed) - _expected(x, block)) * _widening(
        num, block, level
    )
    tail = (1 - level) / 2
    below, above = np.quantile(spread, [tail, 1 - tail])
    reached = np.abs(spread) >= abs(mean) - 1e-12 * np.abs(x).max()
    return Difference(
        mean=mean,
        low=mean - float(above),
        high=mean - float(below),
        p_value=(1 + int(reached.sum())) / (num_resamples + 1),
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


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Two candidates over stations.

    Attributes:
        mean: Of a - b over stations; below zero if the first is better.
        median: The same.
        wilcoxon: p-value of the signed rank test, two-sided.
        permutation: p-value of the sign-flip test of the mean, two-sided.
        better, equal, worse: Number of stations at which the first is so, by the 10 % rule.
        num_stations: That were used.
    """

    mean: float
    median: float
    wilcoxon: float
    permutation: float
    better: int
    equal: int
    worse: int
    num_stations: int


def paired_test(a: np.ndarray, b: np.ndarray, *, seed: int, num_flips: int = FLIPS) -> PairedTest:
    """Compares distances of two candidates, lower is better, station by station.

    Args:
        a: Of a candidate. Shape (station,); stations where one is not finite are left out.
        b: Of another one.
        seed: Of the sign flips.
        num_flips: Number of random flips of all signs.

    Returns:
        NaN for p-values of fewer than two stations; 1 if there is no difference at all.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"`a` and `b` must have one shape (station,); got {a.shape} and {b.shape}")
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    d = a - b
    num = len(d)
    verdicts = ten_percent_rule(a, b)
    ranks = flips = np.nan
    if num >= 2:
        ranks, flips = _signed_rank(d), _sign_flips(d, seed, num_flips)
    return PairedTest(
        mean=float(d.mean()) if num else np.nan,
        median=float(np.median(d)) if num else np.nan,
        wilcoxon=ranks,
        permutation=flips,
        better=int((verdicts < 0).sum()),
        equal=int((verdicts == 0).sum()),
        worse=int((verdicts > 0).sum()),
        num_stations=num,
    )


def _signed_rank(d: np.ndarray) -> float:
    from scipy.stats import wilcoxon

    if not d.any():
        return 1.0
    # Pratt's way keeps the ranks of stations without a difference
    return float(wilcoxon(d, zero_method="pratt", method="auto").pvalue)


def _sign_flips(d: np.ndarray, seed: int, num_flips: int) -> float:
    scale = np.abs(d).max()
    if scale == 0:
        return 1.0
    rng = np.random.default_rng([seed, len(d)])
    signs = 2.0 * rng.integers(0, 2, size=(num_flips, len(d))) - 1.0
    reached = np.abs(signs @ (d / scale)) >= abs((d / scale).sum()) - 1e-9
    return (1 + int(reached.sum())) / (num_flips + 1)


def ten_percent_rule(a: np.ndarray, b: np.ndarray, threshold: float = TEN_PERCENT) -> np.ndarray:
    """-1 where a ≤ (1 - threshold) b: a is better; 1 where a ≥ (1 + threshold) b; else 0.

    Where both are zero they are equal.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    verdict = np.where(a <= (1 - threshold) * b, -1, np.where(a >= (1 + threshold) * b, 1, 0))
    return np.where(a == b, 0, verdict)


def adjusted(p_values: np.ndarray) -> np.ndarray:
    """p-values adjusted for the false discovery rate (Benjamini and Hochberg); NaN stay.

    Args:
        p_values: Of one family of tests, any shape.

    Returns:
        The same shape: reject those below 0.05, and of the rejected 5 % are expected to be false.
    """
    from scipy.stats import false_discovery_control

    p_values = np.asarray(p_values, dtype=np.float64)
    result = np.full(p_values.shape, np.nan)
    known = np.isfinite(p_values)
    if known.any():
        result[known] = false_discovery_control(p_values[known], method="bh")
    return result


def station_tests(result: "xr.Dataset", *, seed: int = 0) -> list[dict[str, Any]]:
    """Paired tests of all pairs of candidates, for each channel and size of box.

    Args:
        result: Of the statistic `stations`, of all candidates along "candidate".
        seed: Of the sign flips.

    Returns:
        One row for each test: channel, box, the candidates a and b, all of `PairedTest`, and its
        p-values adjusted over all rows ("wilcoxon_adjusted", "permutation_adjusted").
    """
    distances = result["station_wasserstein"]
    names = [str(name) for name in distances.candidate.values if str(name) != REFERENCE]
    rows: list[dict[str, Any]] = []
    for channel in distances.channel.values:
        for a, b in pairs(names):
            for box in distances.box.values:
                of = distances.sel(channel=channel, box=box)
                test = paired_test(
                    of.sel(candidate=a).values, of.sel(candidate=b).values, seed=seed
                )
                labels = {"channel": str(channel), "box": str(box), "a": a, "b": b}
                rows.append(labels | asdict(test))
    for name in ("wilcoxon", "permutation"):
        p_values = adjusted(np.array([row[name] for row in rows], dtype=np.float64))
        for row, p_value in zip(rows, p_values, strict=True):
            row[f"{name}_adjusted"] = float(p_value)
    return rows


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """All pairs of candidates, each once, in order."""
    ordered = list(names)
    return [(a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 :]]
