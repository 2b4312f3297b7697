"""Which pairs of patches are drawn from an archive: the plan, before any field is read.

A pair is (patch at step t, patch at step t + label) at the same place. The label is uniform in
1..max_temporal_distance, and t is a step from which *every* label can be reached without leaving
its segment and its split, so that the label says nothing about t. Patches wrap around in longitude
on periodic grids. Their positions are uniform in area: the row of a patch is drawn with the area
of the band at its centre, since a uniform row would crowd patches towards the poles.

The plan is a pure function of the seed and the configuration. Draws of step t come from
`default_rng([seed, t])`, so that they depend neither on the other steps nor on who does the work.
"""

from dataclasses import dataclass

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.fields.time_axis import TimeAxis
from atmodist.samples.configuration import PairSamplerConfig, PositionSampling

SPLITS = ("train", "evaluation")

# Second word of the seed of what is not drawn per step; steps use their own (small) number.
_SHUFFLE_STREAM = 2**32 - 1


@dataclass(frozen=True)
class PairPlan:
    """Pairs of one split, in the order in which they are drawn (by step of the first patch).

    Attributes:
        step: Archive step of the first patch. Shape (pair,).
        label: Steps from the first patch to the second, from 1. Shape (pair,).
        row: First row of the patches. Shape (pair,).
        column: First column of the patches; they may wrap around. Shape (pair,).
        position: Where the pair stands in the shuffled split. Shape (pair,).
    """

    step: np.ndarray
    label: np.ndarray
    row: np.ndarray
    column: np.ndarray
    position: np.ndarray

    def __len__(self) -> int:
        return len(self.step)


def split_steps(time: TimeAxis, *, evaluation_fraction: float, gap: int) -> dict[str, range]:
    """Splits the time span in two, training first, with a gap between.

    Args:
        time: Times of the archive.
        evaluation_fraction: Share of the time span that is kept from training, in [0, 1); the
            gap is taken from it. With 0 there is no evaluation split.
        gap: Least distance, in time steps, between the last step of training and the first one of
            evaluation; at least the largest label.

    Returns:
        Ranges of steps, "train" and (unless the fraction is 0) "evaluation".
    """
    seconds = time.seconds
    if evaluation_fraction == 0:
        return {"train": range(len(seconds))}
    span = seconds[-1] - seconds[0]
    boundary = seconds[0] + (1 - evaluation_fraction) * span
    num_train = int(np.searchsorted(seconds, boundary, side="right"))
    start = np.searchsorted(seconds, seconds[num_train - 1] + gap * max(time.step, 1), side="left")
    return {"train": range(num_train), "evaluation": range(int(start), len(seconds))}


def base_steps(time: TimeAxis, steps: range, max_temporal_distance: int, split: str) -> np.ndarray:
    """Steps of a split from which every label stays in the same segment and in the split.

    Raises:
        ValueError: If there is none; says how long the longest run without a hole is.
    """
    runs = [
        range(max(segment.start, steps.start), min(segment.stop, steps.stop))
        for segment in time.segments()
    ]
    bases = [np.arange(run.start, run.stop - max_temporal_distance) for run in runs]
    result = np.concatenate(bases) if bases else np.empty(0, np.int64)
    if not len(result):
        longest = max((len(run) for run in runs), default=0)
        raise ValueError(
            f"the {split} split has no pairs: its longest run of steps without a hole has "
            f"{longest} steps, and labels up to {max_temporal_distance} need at least "
            f"{max_temporal_distance + 1}; lower max_temporal_distance, change "
            "evaluation_fraction, or use a longer archive"
        )
    return result


def row_probabilities(
    grid: Grid,
    num_rows: int,
    latitude_range: tuple[float, float],
    sampling: PositionSampling,
) -> np.ndarray:
    """Probability of each first row of a patch of `num_rows` rows.

    Args:
        grid: The grid.
        num_rows: Rows of a patch.
        latitude_range: South and north in degrees north; patches lie wholly between them.
        sampling: "area" draws the centre uniformly in area, "row" draws rows alike (as the
            reference implementation does).

    Returns:
        Shape (latitude - num_rows + 1,); sums to one.

    Raises:
        ValueError: If the patch does not fit.
    """
    south, north = latitude_range
    starts = np.arange(grid.shape[0] - num_rows + 1)
    if not len(starts):
        raise ValueError(f"patches of {num_rows} rows do not fit a grid of {grid.shape[0]} rows")
    tolerance = 1e-5  # degrees; coordinates are often rounded to float32
    allowed = (grid.latitude[starts] <= north + tolerance) & (
        grid.latitude[starts + num_rows - 1] >= south - tolerance
    )
    if not allowed.any():
        extent = abs(np.diff(grid.latitude)).mean() * (num_rows - 1)
        raise ValueError(
            f"latitude_range {south:g}..{north:g} leaves no room for patches of {num_rows} rows "
            f"({extent:.4g} degrees) on a grid from {grid.latitude[0]:g} to {grid.latitude[-1]:g}"
        )
    weights = _centre_band_area(grid, num_rows) if sampling == "area" else np.ones(len(starts))
    weights = np.where(allowed, weights, 0.0)
    return np.asarray(weights / weights.sum())


def plan_pairs(
    time: TimeAxis, grid: Grid, steps: range, *, split: str, config: PairSamplerConfig
) -> PairPlan:
    """Draws all pairs of one split.

    Raises:
        ValueError: If patches do not fit the grid, or the split is too short.
    """
    patch_shape, count = config.patch_shape, config.patches_per_step
    if patch_shape[1] > grid.shape[1]:
        raise ValueError(
            f"patches of {patch_shape[1]} columns do not fit a grid of {grid.shape[1]} columns"
        )
    rows = row_probabilities(grid, patch_shape[0], config.latitude_range, config.position_sampling)
    row_edges = np.cumsum(rows)
    num_columns = grid.shape[1] if grid.is_periodic else grid.shape[1] - patch_shape[1] + 1
    lag = config.max_temporal_distance
    bases = base_steps(time, steps, lag, split)
    label, row, column = (np.empty((len(bases), count), np.int64) for _ in range(3))
    for i, base in enumerate(bases):
        rng = np.random.default_rng([config.seed, int(base)])
        label[i] = rng.integers(1, lag + 1, count)
        row[i] = np.searchsorted(row_edges, rng.random(count) * row_edges[-1], side="right")
        column[i] = rng.integers(0, num_columns, count)
    shuffle = np.random.default_rng([config.seed, _SHUFFLE_STREAM, SPLITS.index(split)])
    return PairPlan(
        step=np.repeat(bases, count),
        label=label.ravel(),
        row=row.ravel(),
        column=column.ravel(),
        position=shuffle.permutation(len(bases) * count),
    )


def _centre_band_area(grid: Grid, num_rows: int) -> np.ndarray:
    """Area of the band at the centre of a patch, for each first row.

    For an odd number of rows it is the band of the middle row; for an even number, the band
    between the two middle rows' centres.
    """
    starts = np.arange(grid.shape[0] - num_rows + 1)
    middle = starts + (num_rows - 1) // 2
    if num_rows % 2:
        return np.asarray(grid.band_areas[middle])
    sines = np.sin(np.radians(grid.latitude))
    return np.asarray((sines[middle] - sines[middle + 1]) / 2)
