"""How well measures rank the true lag of pairs, and how sure that is.

The correlation of each measure with the true lag over all pairs: Spearman's ρ or Kendall's τ-b.
Ranks do not care for scales, so that root or square of a measure give the same number.

Pairs from one base time share the weather, and base times near each other share fields, so that
pairs are far from independent. What each base time adds to a correlation is found by leaving out
its pairs (the jackknife), and the series of these contributions has an interval that knows of its
memory (`atmodist.fields.intervals`). Those of a measure minus those of l2 give the interval of the
difference, from the same pairs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from atmodist.fields.intervals import (
    LEAST_VALUES,
    Interval,
    mean_interval,
    pseudo_values,
    without_each,
)

RankStatistic = Literal["spearman", "kendall"]
BASELINE = "l2"


@dataclass(frozen=True, kw_only=True)
class RankRow:
    """How well one measure ranks lags; a line of the table of rank correlations.

    Attributes:
        measure: Name of the measure.
        statistic: "spearman" or "kendall".
        correlation: With the true lag, over all pairs.
        low: Lower end of the 95 % confidence interval; None where data are too few for one.
        high: Upper end, or None.
        difference: Correlation minus that of l2.
        difference_low: Lower end of its confidence interval, or None.
        difference_high: Upper end, or None.
        num_pairs: Pairs.
        num_base_times: Base times, by which pairs are left out.
        effective_base_times: How many independent ones would be as sure of the correlation; None
            if too few tell it.
        reason: Why there are no intervals, or None.
    """

    measure: str
    statistic: RankStatistic
    correlation: float
    low: float | None
    high: float | None
    difference: float
    difference_low: float | None
    difference_high: float | None
    num_pairs: int
    num_base_times: int
    effective_base_times: float | None
    reason: str | None


def rank_correlations(
    dissimilarities: Mapping[str, np.ndarray],
    label: np.ndarray,
    step: np.ndarray,
    *,
    statistic: RankStatistic = "spearman",
) -> list[RankRow]:
    """Rank correlation of each measure with the true lag, with 95 % intervals.

    Args:
        dissimilarities: Measures by name, (pair,), l2 among them.
        label: True lag of each pair.
        step: Base time of each pair, in archive time steps.
        statistic: Which correlation.

    Returns:
        A row for each measure. There are no intervals where base times are too few for their
        memory, or where one of them holds all pairs of all lags but one.
    """
    if statistic not in _STATISTICS:
        raise ValueError(f"`statistic` must be one of {', '.join(_STATISTICS)}; got {statistic!r}")
    if BASELINE not in dissimilarities:
        raise ValueError(f"the measures must include {BASELINE!r}; got {list(dissimilarities)}")
    if len(np.unique(label)) < 2:
        raise ValueError("a rank correlation with the lag needs two different lags at least")
    correlate = _STATISTICS[statistic]
    names = list(dissimilarities)

    def all_of(mask: np.ndarray) -> np.ndarray:
        return np.array([correlate(dissimilarities[name][mask], label[mask]) for name in names])

    values = dict(zip(names, all_of(np.ones(len(label), bool)), strict=True))
    num = len(np.unique(step))
    if num < LEAST_VALUES:
        series = dict.fromkeys(names, np.zeros(num))  # too few to tell anything, whatever they hold
    else:
        left_out = dict(zip(names, without_each(all_of, step).T, strict=True))
        series = {name: pseudo_values(left_out[name], values[name]) for name in names}
    rows = []
    for name in names:
        own = _interval(series[name], values[name])
        apart = values[name] - values[BASELINE]
        difference = _interval(series[name] - series[BASELINE], apart)
        rows.append(
            RankRow(
                measure=name,
                statistic=statistic,
                correlation=float(values[name]),
                low=own.low,
                high=own.high,
                difference=float(apart),
                difference_low=difference.low,
                difference_high=difference.high,
                num_pairs=len(label),
                num_base_times=num,
                effective_base_times=own.effective and own.effective * num / own.num,
                reason=own.reason,
            )
        )
    return rows


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's ρ: the correlation of ranks, ties sharing their mean rank; NaN if one is constant.

    Without the p-value that `scipy.stats.spearmanr` computes, which is not needed here.
    """
    from scipy.stats import rankdata

    a, b = (rankdata(v) - (len(v) + 1) / 2 for v in (x, y))
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's τ-b, which corrects for ties (lags have many)."""
    from scipy.stats import kendalltau

    return float(kendalltau(x, y, variant="b", method="asymptotic").statistic)


_STATISTICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "spearman": spearman,
    "kendall": kendall,
}


def _interval(series: np.ndarray, value: float) -> Interval:
    """The interval of a correlation, or a difference of two, from its pseudo-values."""
    if np.isfinite(series).all():
        return mean_interval(series, value=float(value))
    reason = "without one of the base times, all pairs have one lag, or one value"
    return Interval(
        value=float(value), low=None, high=None, p_value=None,
        effective=None, num=len(series), reason=reason,
    )  # fmt: skip
