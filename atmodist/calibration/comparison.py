"""Does the learned distance rank lags better than l1, l2, PSNR and SSIM do?

Every measure is put as a dissimilarity, which grows with the difference: √(α c) of each stage, l1,
l2, minus PSNR, and 1 - SSIM. Two views of the same pairs:

- over lag: mean and spread of each measure at each true lag;
- ranks: the correlation of each measure with the true lag over all pairs (see `ranking`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.calibration.calibrate import combined_distance
from atmodist.calibration.pair_measures import PairMeasures
from atmodist.calibration.ranking import (
    BASELINE,
    RankRow,
    RankStatistic,
    rank_correlations,
)
from atmodist.files.outputs import write_csv
from atmodist.metric.calibration import Calibration, weights_text


@dataclass(frozen=True, kw_only=True)
class LagRow:
    """One measure at one lag; a line of the table over lag.

    Attributes:
        measure: Name of the measure.
        lag_hours: True lag.
        num_pairs: Pairs with this lag.
        mean: Mean dissimilarity, in the units of the measure.
        std: Standard deviation over pairs.
        quantile16: 16 % of pairs are below.
        median: Median.
        quantile84: 16 % of pairs are above.
        scaled_mean: (mean - mean at the smallest lag) / (mean at the largest - at the smallest).
    """

    measure: str
    lag_hours: float
    num_pairs: int
    mean: float
    std: float
    quantile16: float
    median: float
    quantile84: float
    scaled_mean: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Learned and classical measures of the same pairs.

    Attributes:
        over_lag: By measure and lag.
        ranks: By measure and statistic.
    """

    over_lag: tuple[LagRow, ...]
    ranks: tuple[RankRow, ...]

    @property
    def measures(self) -> tuple[str, ...]:
        """Names, in the order of the tables."""
        return tuple(dict.fromkeys(row.measure for row in self.over_lag))

    def save(self, folder: str | Path) -> list[Path]:
        """Writes `comparison.csv` and `rank_correlation.csv` into a folder."""
        paths = [Path(folder) / name for name in ("comparison.csv", "rank_correlation.csv")]
        for path, rows in zip(paths, (self.over_lag, self.ranks), strict=True):
            _write_table(path, rows)
        return paths

    def summary(self) -> str:
        """The rank correlations as text, one line for each measure and statistic."""
        lines = [f"{'measure':<24} {'statistic':<9} correlation [95 %]        minus l2 [95 %]"]
        for row in self.ranks:
            text = f"{row.correlation:.3f} {_interval_text(row.low, row.high)}"
            interval = _interval_text(row.difference_low, row.difference_high, sign="+")
            difference = f"{row.difference:+.3f} {interval}"
            lines.append(f"{row.measure:<24} {row.statistic:<9} {text:<25} {difference}".rstrip())
        bare = next((row for row in self.ranks if row.low is None), None)
        if bare is not None:
            lines.append(f"No intervals: {bare.reason} ({bare.num_base_times} base times).")
        return "\n".join(lines)


def compare(
    measures: PairMeasures,
    calibration: Calibration,
    *,
    statistics: tuple[RankStatistic, ...] = ("spearman", "kendall"),
) -> Comparison:
    """Compares all measures of a set of pairs.

    Args:
        measures: Of the pairs, l2 among the pixel measures.
        calibration: Gives the α of the stages, and combinations to look at.
        statistics: Which rank correlations.
    """
    dissimilarities = oriented(measures, calibration)
    ranks = []
    for statistic in statistics:
        ranks += rank_correlations(
            dissimilarities,
            measures.label,
            measures.step,
            statistic=statistic,
        )
    return Comparison(
        over_lag=tuple(lag_table(dissimilarities, measures.hours)), ranks=tuple(ranks)
    )


def oriented(measures: PairMeasures, calibration: Calibration) -> dict[str, np.ndarray]:
    """All measures as dissimilarities (pair,), learned ones first."""
    alphas = {stage: calibration.alpha(stage) for stage in measures.stages}
    result = {stage: np.sqrt(alphas[stage] * loss) for stage, loss in measures.content.items()}
    for combination in calibration.combinations:
        result[weights_text(combination.weights)] = combined_distance(
            measures.content, alphas, combination.weights
        )
    orientation: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
        "l1": ("l1", lambda x: x),
        "l2": (BASELINE, lambda x: x),
        "l2_normalized": ("l2 with logarithm", lambda x: x),
        "psnr": ("-psnr (dB)", lambda x: -x),
        "ssim": ("1 - ssim", lambda x: 1 - x),
    }
    for name, values in measures.pixel.items():
        label, orient = orientation[name]
        result[label] = orient(values)
    return result


def lag_table(dissimilarities: Mapping[str, np.ndarray], hours: np.ndarray) -> list[LagRow]:
    """Mean and spread of each measure (pair,) at each true lag (pair,)."""
    lags = np.unique(hours)
    rows = []
    for name, values in dissimilarities.items():
        groups = [values[hours == lag] for lag in lags]
        means = np.array([group.mean() for group in groups])
        # One lag alone has no scale, and PSNR is infinite where both fields are equal.
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = (means - means[0]) / (means[-1] - means[0])
            spreads = [group.std() for group in groups]
            quantiles = [np.quantile(group, (0.16, 0.5, 0.84)) for group in groups]
        for i, (lag, (low, median, high)) in enumerate(zip(lags, quantiles, strict=True)):
            rows.append(
                LagRow(
                    measure=name,
                    lag_hours=float(lag),
                    num_pairs=len(groups[i]),
                    mean=float(means[i]),
                    std=float(spreads[i]),
                    quantile16=float(low),
                    median=float(median),
                    quantile84=float(high),
                    scaled_mean=float(scaled[i]),
                )
            )
    return rows


def draw_comparison(comparison: Comparison, path: str | Path) -> list[Path]:
    """Draws each measure over lag, scaled to compare, and the rank correlations.

    In a panel, all numbers of a measure are divided by its mean at the largest lag after its mean
    at the smallest has been taken away, so that means run from 0 to 1 and overlap can be seen.

    Args:
        comparison: What to draw.
        path: Where, without a suffix; `.png` and `.pdf` are written.
    """
    from atmodist.calibration.figures import new_figure
    from atmodist.files.figures import save_figure

    names = comparison.measures
    statistics = tuple(dict.fromkeys(row.statistic for row in comparison.ranks))
    figure, axes = new_figure(len(names), num_wide=len(statistics))
    for axis, name in zip(axes, names, strict=False):
        _draw_over_lag(axis, [row for row in comparison.over_lag if row.measure == name])
    _share_limits(axes[: len(names)])
    for axis, statistic in zip(axes[len(names) :], statistics, strict=True):
        _draw_ranks(axis, [row for row in comparison.ranks if row.statistic == statistic])
    axes[0].legend(loc="upper left", fontsize="x-small")
    return save_figure(figure, path)


def _draw_over_lag(axis: Any, rows: list[LagRow]) -> None:
    lag = [row.lag_hours for row in rows]
    finite = [row.mean for row in rows if np.isfinite(row.mean)] or [0.0]
    first, scale = finite[0], finite[-1] - finite[0] or 1.0

    def scaled(name: str) -> np.ndarray:
        values = np.array([getattr(row, name) for row in rows])
        return (np.where(np.isfinite(values), values, np.nan) - first) / scale

    axis.fill_between(
        lag,
        scaled("quantile16"),
        scaled("quantile84"),
        alpha=0.25,
        linewidth=0,
        label="16 % to 84 % of pairs",
    )
    axis.plot(lag, scaled("mean"), "o-", markersize=3, label="mean")
    axis.set(title=rows[0].measure, xlabel="true lag (h)", ylabel="scaled (0 to 1)")


def _share_limits(panels: Sequence[Any]) -> None:
    """The same heights for all, to compare spreads; a wild one does not flatten the others."""
    ends = [end for axis in panels for end in axis.dataLim.intervaly if np.isfinite(end)]
    low, high = np.clip([min(ends, default=0.0), max(ends, default=1.0)], -1.0, 2.0)
    for axis in panels:
        axis.set_ylim(low - 0.05, high + 0.05)


def _draw_ranks(axis: Any, rows: list[RankRow]) -> None:
    for place, row in enumerate(reversed(rows)):
        if row.low is not None:
            axis.plot([row.low, row.high], [place, place], color="C0", linewidth=2)
        axis.plot(row.correlation, place, "o", color="C0", markersize=5)
    axis.set_yticks(range(len(rows)), [row.measure for row in reversed(rows)], fontsize="small")
    symbol = {"spearman": "Spearman ρ", "kendall": "Kendall τ-b"}[rows[0].statistic]
    axis.set(title="ranking of lags", xlabel=f"{symbol} with the lag, 95 % interval")


def _interval_text(low: float | None, high: float | None, sign: str = "") -> str:
    return "[—]" if low is None or high is None else f"[{low:{sign}.3f}, {high:{sign}.3f}]"


def _write_table(path: Path, rows: tuple[Any, ...]) -> None:
    write_csv(path, [asdict(row) for row in rows])
