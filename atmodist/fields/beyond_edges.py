"""Where a field goes on beyond its first and last rows and columns.

On a circle of latitude the last column is the neighbour of the first. Beyond a pole a meridian goes
on southwards on the other side: rows are mirrored and shifted by 180 degrees (with an odd number of
columns, by half a column less). A row on the pole is not repeated.

Values keep their sign. That is right for scalars, and for vorticity and divergence, which are
scalars under rotations of the sphere: crossing a pole turns the local axes by 180 degrees, a
rotation and no reflection. It would be wrong for components of a vector such as eastward and
northward wind, both of which change sign there.
"""

import numpy as np

from atmodist.fields.grid import ROUNDING, Grid


def reaches_poles(grid: Grid) -> tuple[bool, bool]:
    """Whether rows can go on beyond the first and the last one.

    They can on full circles of latitude, where the next row would be the pole or lie beyond it.
    """
    if grid.is_global or not grid.is_periodic:
        return grid.is_global, grid.is_global
    latitude = np.abs(grid.latitude)
    spacing = np.abs(np.diff(grid.latitude))
    north = 90.0 - latitude[0] <= (1 + ROUNDING) * spacing[0]
    south = 90.0 - latitude[-1] <= (1 + ROUNDING) * spacing[-1]
    return bool(north and grid.latitude[0] > 0), bool(south and grid.latitude[-1] < 0)


def over_the_poles(rows: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Where the rows of a grid go on beyond its first and last one.

    A meridian and the one opposite make a circle, on which rows repeat.

    Args:
        rows: Row numbers, of any sign and size.
        grid: A grid that `reaches_poles`, or one pole, beyond which alone rows then lie.

    Returns:
        The row of the grid at each, and whether it lies on the opposite meridian.
    """
    height = grid.shape[0]
    spacing = 180.0 / height
    north, south = (
        abs(abs(latitude) - 90.0) < ROUNDING * spacing for latitude in grid.latitude[[0, -1]]
    )
    on_circle = rows % (2 * height - int(north) - int(south))
    crossed = on_circle >= height
    last = 2 * height - 1 - int(south)
    return np.where(crossed, last - on_circle, on_circle), crossed


def places(rows: np.ndarray, columns: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The points of a grid that stand for any rows and columns, within or beyond it.

    Args:
        rows: Row numbers; beyond the first or last one only over a pole that the grid reaches.
        columns: Column numbers; beyond the first or last one only if the grid is periodic.
        grid: The grid.

    Returns:
        Row and column of each point, both (row, column), for `field[..., rows, columns]`.
    """
    height, width = grid.shape
    north, south = reaches_poles(grid)
    if (rows.min() < 0 and not north) or (rows.max() >= height and not south):
        raise ValueError(f"{grid} does not go on from row {rows.min()} to {rows.max()}")
    if not grid.is_periodic and (columns.min() < 0 or columns.max() >= width):
        raise ValueError(f"{grid} does not go on from column {columns.min()} to {columns.max()}")
    source, crossed = over_the_poles(rows, grid) if north or south else (rows, np.zeros_like(rows))
    turned = (columns + np.where(crossed, width // 2, 0)[:, None]) % width
    return np.broadcast_to(source[:, None], turned.shape), turned
