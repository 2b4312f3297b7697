"""Whether candidates really differ over stations: paired tests.

Each station gives one difference of two distances. Wilcoxon's signed rank test asks whether they
are centred on zero, a sign-flip permutation test whether their mean is; neither supposes a
distribution, both that stations are independent (ours lie 900 km apart at least). Where many pairs,
channels and boxes are tested, p-values are adjusted as Benjamini and Hochberg (1995) do, which
controls the share of false discoveries.

Beside it stands the rule of the reference implementation of AtmoDist: at a station a candidate is
better (worse) than another if its distance is at least 10 % lower (higher), and else equal.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.numerics.setting import REFERENCE

if TYPE_CHECKING:
    import xarray as xr

FLIPS = 4000
TEN_PERCENT = 0.1


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
