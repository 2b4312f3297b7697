"""Magnitude of the gradient on the sphere, in the cells between the points of a grid.

A cell has four points as corners. Its squared gradient is the mean over its two meridional edges of
(Δf / (R Δφ))² plus that over its two zonal edges of (Δf / (R cosφ Δλ))². Differences along edges
see waves of two grid points, which centred ones do not; and cells need no values at the poles,
where an edge of no length is left out. The formula is of second order in the spacing.
"""

import numpy as np

from atmodist.fields.grid import Grid
from evaluation.numerics.averages import Window, row_blocks

METERS = 1000.0  # in a km: gradients are in units per km


def gradient_magnitude(field: np.ndarray, grid: Grid, radius: float) -> np.ndarray:
    """|∇f| in the cells of a grid.

    Args:
        field: (..., latitude, longitude), in units u.
        grid: Of the field; where it is periodic, there are cells across the seam as well.
        radius: Of the sphere, m.

    Returns:
        (..., latitude - 1, longitude), or longitude - 1 columns where the grid is not periodic, in
        u per km. The cell (i, j) lies between rows i and i + 1, and columns j and j + 1.
    """
    rows, columns = grid.shape
    scale = METERS / radius
    north_south = scale / -np.diff(np.radians(grid.latitude))
    longitude = grid.longitude
    if grid.is_periodic:
        longitude = np.append(longitude, longitude[0] + 360.0)
    west_east = scale / np.diff(np.radians(longitude))
    cosine = np.cos(np.radians(grid.latitude))
    per_cosine = np.where(cosine > 1e-6, 1.0 / np.maximum(cosine, 1e-6), 0.0)
    # Of the two zonal edges of a cell, each counts half, and the only one of a polar cell wholly
    has_length = (cosine > 1e-6).astype(np.float64)
    share = 1.0 / np.maximum(has_length[:-1] + has_length[1:], 1.0)

    kind = np.promote_types(field.dtype, np.float32)
    result = np.empty((*field.shape[:-2], rows - 1, len(west_east)), dtype=kind)
    # Units cancel: SI values of vorticity would come near the smallest squares of float32
    factor = float(np.abs(field).max()) if field.size else 1.0
    factor = factor if np.isfinite(factor) and factor > 0 else 1.0
    meridional = (north_south / north_south.max()).astype(kind)[:, None]
    zonal = (west_east / north_south.max()).astype(kind)
    for index in np.ndindex(*field.shape[:-2]):
        for cells in row_blocks(rows - 1, columns):
            f = field[index][cells.start : cells.stop + 1].astype(kind) / kind.type(factor)
            if grid.is_periodic:
                f = np.concatenate([f, f[:, :1]], axis=1)
            y = np.diff(f, axis=0)
            y *= meridional[cells]
            y *= y
            x = np.diff(f, axis=1)
            x *= zonal
            x *= per_cosine[cells.start : cells.stop + 1, None].astype(kind)
            x *= x
            square = (x[:-1] + x[1:]) * share[cells, None].astype(kind)
            square += kind.type(0.5) * (y[:, :-1] + y[:, 1:])
            np.sqrt(square, out=square)
            result[index][cells] = square
    result *= kind.type(factor * north_south.max())
    return result


def cell_window(window: Window, grid: Grid) -> Window:
    """The cells whose four corners lie in a window, with their areas as weights."""
    rows, columns = window.rows[:-1], window.columns
    if not grid.is_periodic:  # the last column is no cell's western edge
        columns = columns[:-1][columns[:-1] < grid.shape[1] - 1]
    elif len(columns) < grid.shape[1]:
        columns = columns[:-1]
    sine = np.sin(np.radians(grid.latitude))
    areas = (sine[rows] - sine[rows + 1])[:, None]
    weights = areas / (areas.sum() * len(columns))
    return Window(name=window.name, rows=rows, columns=columns, weights=weights)
