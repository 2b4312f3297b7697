"""One value at a pole: a row of a fine grid that lies there is a single place, not a circle.

A network computes the points of that row each for itself, and so does an interpolation, so that
they differ. A scalar has one value there: the row gets its mean over longitude. Vorticity and
divergence are scalars under rotations of the sphere; components of the wind are not, and stay.

Where block means are the coarse field (`projection`), they stay so. What a block of the row gains
or loses is taken from its other rows, as a constant: with w the share of the row in its block, and
d what it is changed by in the mean over the block's columns, they are changed by -w d / (1 - w).
A block that is nothing but the row (as the last one of 721 rows, by any factor of 720) takes the
coarse value, so that the row has one value if the coarse field has one there.
"""

from collections.abc import Sequence

import numpy as np

from atmodist.fields.grid import ROUNDING, Grid
from srgan.restoration.degradation import coarsen

VECTORS = frozenset({"eastward_wind", "northward_wind"})  # by how they are called in archives


def polar_rows(grid: Grid) -> list[int]:
    """Numbers of the rows that lie on a pole, of a grid on full circles of latitude."""
    if not grid.is_periodic:
        return []
    spacing = np.abs(np.diff(grid.latitude)).min()
    ends = (0, grid.shape[0] - 1)
    return [row for row in ends if 90.0 - abs(grid.latitude[row]) < ROUNDING * spacing]


def scalars(channels: Sequence[str] | None, count: int) -> list[int]:
    """Numbers of the channels that have one value at a pole; all where their names are unknown."""
    names = channels if channels is not None else [""] * count
    return [number for number, name in enumerate(names) if name not in VECTORS]


def with_one_value(
    block: np.ndarray, row: int, weights: np.ndarray, coarse: np.ndarray | None, factor: int
) -> np.ndarray:
    """Gives a row one value, within the blocks that it belongs to.

    Args:
        block: (channel, row of the blocks, longitude), at most `factor` rows, in what block means
            are taken in.
        row: Number of the row within the blocks.
        weights: Areas of the rows up to a constant, or ones. Shape (row of the blocks,).
        coarse: What the means of the blocks must be, (channel, block); None if they are free.
        factor: Columns of a block.

    Returns:
        The same shape, float64.
    """
    made = block.astype(np.float64)
    others = np.arange(len(weights)) != row
    made[:, row] = made[:, row].mean(axis=-1, keepdims=True)
    if coarse is None:
        return made
    missing = np.repeat(coarse - coarsen(made, factor, weights)[:, 0], factor, axis=-1)
    missing = missing[:, np.newaxis, : made.shape[-1]]
    if not others.any():
        return made + missing
    made[:, others] += missing * (weights.sum() / weights[others].sum())
    return made
