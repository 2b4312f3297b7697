"""Means over the area of regions, exact to rounding, in blocks that stay in the cache.

Every mean is Σ w f with the area weights w of the grid (`Grid.area_weights`), scaled to sum to one
over the window. Sums are in float64, whatever the fields are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evaluation.numerics.setting import Setting

BLOCK = 1 << 15  # values for each channel; a handful of float64 temporaries fit a core's cache


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """The points of a region.

    Attributes:
        name: Of the region.
        rows, columns: Index arrays, north to south and west to east.
        weights: Share of the region's area for each point of a row; summed over all points they
            give one. Shape (row, 1), float64.
    """

    name: str
    rows: np.ndarray
    columns: np.ndarray
    weights: np.ndarray

    def of(self, field: np.ndarray) -> np.ndarray:
        """The region's part of (..., latitude, longitude); a view where that is possible."""
        rows = field[..., self.rows[0] : self.rows[-1] + 1, :]
        first, last = self.columns[0], self.columns[-1]
        if last - first == len(self.columns) - 1:
            return rows[..., first : last + 1]
        return np.concatenate([rows[..., first:], rows[..., : last + 1]], axis=-1)


def windows(setting: Setting) -> tuple[Window, ...]:
    """The windows of all regions, in order.

    Raises:
        ValueError: If a region holds fewer than 2 x 2 points of the grid.
    """
    parts = []
    for name in setting.regions:
        rows, columns = setting.window(name)
        if len(rows) < 2 or len(columns) < 2:
            raise ValueError(
                f"region {name!r} holds {len(rows)} x {len(columns)} points of the grid "
                f"({setting.grid}); expected at least 2 x 2"
            )
        weights = setting.grid.area_weights[rows]
        weights = weights / (weights.sum() * len(columns))
        parts.append(Window(name=name, rows=rows, columns=columns, weights=weights))
    return tuple(parts)


def row_blocks(num_rows: int, num_columns: int, num_points: int = BLOCK) -> Iterator[slice]:
    """Slices of rows that hold about `num_points` points each."""
    step = max(1, num_points // num_columns)
    for first in range(0, num_rows, step):
        yield slice(first, min(first + step, num_rows))


def area_mean(field: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over the last two axes; `weights` (row, 1) sum to one over all points."""
    return field.sum(axis=-1, dtype=np.float64) @ weights[:, 0]
