"""Which pairs of patches are drawn from an archive: the plan, before any field is read.

A pair is (patch at step t, patch at step t + label) at the same place. The label is uniform in
1..max_temporal_distance, and t is a step from which *every* label can be reached without leaving
its segment and its split, so that the label says nothing about t. Places are drawn as
`patch_places.py` says.
"""

from dataclasses import dataclass

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.fields.time_axis import TimeAxis
from atmodist.pairs.configuration import PairSamplerConfig
from atmodist.records.patch_places import PatchPlan, PatchPositions, shuffled_positions


@dataclass(frozen=True)
class PairPlan(PatchPlan):
    """Pairs of one split; step, row and column are those of the first patch.

    Attributes:
        label: Steps from the first patch to the second, from 1. Shape (pair,).
    """

    label: np.ndarray


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


def plan_pairs(
    time: TimeAxis, grid: Grid, steps: range, *, split: str, config: PairSamplerConfig
) -> PairPlan:
    """Draws all pairs of one split; the number of patches of a step must be given.

    Raises:
        ValueError: If patches do not fit the grid, or the split is too short.
    """
    positions = PatchPositions(
        grid, config.patch_shape, config.latitude_range, config.position_sampling
    )
    count, lag = int(config.patches_per_step or 0), config.max_temporal_distance
    bases = base_steps(time, steps, lag, split)
    label, row, column = (np.empty((len(bases), count), np.int64) for _ in range(3))
    for i, base in enumerate(bases):
        rng = np.random.default_rng([config.seed, int(base)])
        label[i] = rng.integers(1, lag + 1, count)
        row[i], column[i] = positions.draw(rng, count)
    return PairPlan(
        step=np.repeat(bases, count),
        label=label.ravel(),
        row=row.ravel(),
        column=column.ravel(),
        position=shuffled_positions(config.seed, split, len(bases) * count),
    )
