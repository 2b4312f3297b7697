"""How well measures rank the true lag of pairs, and how sure that is.

The correlation of each measure with the true lag over all pairs: Spearman's ρ or Kendall's τ-b.
Ranks do not care for scales, so that root or square of a measure give the same number.

Pairs from one base time share the weather, and base times near each other share fields, so that
pairs are far from independent. Confidence intervals come from a moving-block bootstrap over base
times: blocks of consecutive base times are drawn with replacement, with all their pairs. The
difference of a measure to l2 is taken in each replicate, from the same pairs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

RankStatistic = Literal["spearman", "kendall"]
BASELINE = "l2"
CONFIDENCE = 0.95
NUM_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class RankRow:
    """How well one measure ranks lags; a line of the table of rank correlations.

    Attributes:
        measure: Name of the measure.
        statistic: "spearman" or "kendall".
        correlation: With the true lag, over all pairs.
        low: Lower end of the confidence interval; None where data are too few for one.
        high: Upper end, or None.
        difference: Correlation minus that of l2.
        difference_low: Lower end of its confidence interval, or None.
        difference_high: Upper end, or None.
        num_pairs: Pairs.
        num_base_times: Base times, the units that are resampled.
        block_length: Base times in a block.
        num_resamples: Replicates of the bootstrap.
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
    block_length: int
    num_resamples: int


def rank_correlations(
    dissimilarities: Mapping[str, np.ndarray],
    label: np.ndarray,
    step: np.ndarray,
    *,
    statistic: RankStatistic = "spearman",
    num_resamples: int = NUM_RESAMPLES,
    block_length: int | None = None,
    seed: int = 0,
) -> list[RankRow]:
    """Rank correlation of each measure with the true lag, with bootstrap intervals.

    Args:
        dissimilarities: Measures by name, (pair,), l2 among them.
        label: True lag of each pair.
        step: Base time of each pair, in archive time steps.
        statistic: Which correlation.
        num_resamples: Replicates of the bootstrap.
        block_length: Consecutive base times in a block; see `default_block_length`.
        seed: Of the bootstrap.

    Returns:
        A row for each measure. There are no intervals with fewer than two blocks, where nothing
        can be said.
    """
    if statistic not in _STATISTICS:
        raise ValueError(f"`statistic` must be one of {', '.join(_STATISTICS)}; got {statistic!r}")
    if BASELINE not in dissimilarities:
        raise ValueError(f"the measures must include {BASELINE!r}; got {list(dissimilarities)}")
    if len(np.unique(label)) < 2:
        raise ValueError("a rank correlation with the lag needs two different lags at least")
    base_times = np.unique(step)
    if block_length is None:
        block_length = default_block_length(len(base_times), int(label.max()))
    if not 1 <= block_length <= len(base_times):
        raise ValueError(
            f"`block_length` must lie in 1..{len(base_times)}, the number of base times; "
            f"got {block_length}"
        )
    correlate = _STATISTICS[statistic]
    values = {name: correlate(v, label) for name, v in dissimilarities.items()}
    names = list(dissimilarities)
    replicates = np.full((num_resamples, len(names)), np.nan)
    if len(base_times) >= 2 * block_length:
        rng = np.random.default_rng(seed)
        members = [np.flatnonzero(step == time) for time in base_times]
        for i in range(num_resamples):
            chosen = block_resample(len(base_times), block_length, rng)
            pairs = np.concatenate([members[k] for k in chosen])
            if len(np.unique(label[pairs])) > 1:
                replicates[i] = [correlate(dissimilarities[n][pairs], label[pairs]) for n in names]
    differences = replicates - replicates[:, [names.index(BASELINE)]]
    rows = []
    for k, name in enumerate(names):
        low, high = _interval(replicates[:, k])
        difference_low, difference_high = _interval(differences[:, k])
        rows.append(
            RankRow(
                measure=name,
                statistic=statistic,
                correlation=values[name],
                low=low,
                high=high,
                difference=values[name] - values[BASELINE],
                difference_low=difference_low,
                difference_high=difference_high,
                num_pairs=len(label),
                num_base_times=len(base_times),
                block_length=block_length,
                num_resamples=num_resamples,
            )
        )
    return rows


def default_block_length(num_base_times: int, max_label: int) -> int:
    """Base times in a block: the largest lag, over which fields are shared, if data allow.

    At least four blocks must fit into the data, or replicates would hardly differ.
    """
    return max(1, min(max_label, num_base_times // 4))


def block_resample(num: int, block_length: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers 0 ... num - 1 of a moving-block bootstrap replicate; shape (num,).

    Blocks wrap around from the end to the start (the circular variant), so that every base time
    is drawn equally often.
    """
    starts = rng.integers(0, num, -(-num // block_length))
    return np.asarray(((starts[:, None] + np.arange(block_length)) % num).ravel()[:num])


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's ρ: the correlation of ranks, ties sharing their mean rank; NaN if one is constant.

    Without the p-value that `scipy.stats.spearmanr` computes, which a bootstrap does not need.
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


def _interval(replicates: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """Percentile interval; none without replicates."""
    kept = replicates[np.isfinite(replicates)]
    if not len(kept):
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(kept, (tail, 1 - tail))
    return float(low), float(high)
