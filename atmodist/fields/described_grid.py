"""Grids as plain content of JSON files, and how far apart their points are."""

from typing import Any

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.files.constants import EARTH_RADIUS


def spacing_degrees(grid: Grid) -> tuple[float, float]:
    """Mean degrees from row to row, and from column to column."""
    latitude, longitude = (
        float(np.abs(np.diff(x)).mean()) for x in (grid.latitude, grid.longitude)
    )
    return latitude, longitude


def spacing_km(degrees: float) -> float:
    """Length of so many degrees along a meridian, in km."""
    return float(np.radians(degrees) * EARTH_RADIUS / 1000)


def described_grid(grid: Grid) -> dict[str, Any]:
    """A grid as manifests of packages and of records hold it; `grid_of` reads it."""
    rows, columns = spacing_degrees(grid)
    return {
        "kind": grid.kind,
        "spacing_degrees": [rows, columns],
        "spacing_km": spacing_km(rows),
        "latitude": grid.latitude,
        "longitude": grid.longitude,
    }


def grid_of(content: Any, where: str) -> Grid | None:
    """The grid that a manifest holds; `where` it stands, for errors."""
    if content is None:
        return None
    try:
        axes = [np.asarray(content[name], np.float64) for name in ("latitude", "longitude")]
        return Grid(*axes)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where} is none ({error})") from None
