"""A coarse grid and the fine one that belongs to it, and how coarse fields go on at their edges.

A field on a full circle of latitude has no edge in longitude, and one that reaches a pole none
there (`atmodist.fields.beyond_edges`): a generator sees it go on for as far as it sees at all, so
that nothing of the output knows where the array began. At the edges of a regional field nothing
goes on; there the generator sees zeros after normalisation, in each of its layers, as around a
patch in training.

Where the rows nearest to a pole are block means, and the first block does not begin half a row
from the pole, the mirrored rows are off by up to half a coarse row, which only the rows next to a
pole can notice.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from atmodist.fields.beyond_edges import over_the_poles, places, reaches_poles
from atmodist.fields.grid import Grid
from srgan.restoration.degradation import Alignment, alignment_of, block_weights, fine_grid


@dataclass(frozen=True)
class Refinement:
    """Two grids of which one is `factor` times finer.

    Attributes:
        low: The coarse grid.
        high: The fine grid.
        factor: Fine points per coarse cell, along each axis.
        alignment: How one lies to the other, see `srgan.restoration.degradation`.
    """

    low: Grid
    high: Grid
    factor: int
    alignment: Alignment

    @classmethod
    def of(
        cls, low: Grid, factor: int, alignment: Alignment | None = None, high: Grid | None = None
    ) -> "Refinement":
        """Finds the fine grid, or checks the one that is wanted.

        Args:
            low: The coarse grid.
            factor: How much finer the other one is.
            alignment: What the generator was trained for; by default that of `high`, or "centred".
            high: The fine grid that is wanted, where there is one.

        Raises:
            ValueError: If the two grids do not fit to each other or to the alignment.
        """
        if high is None:
            alignment = alignment or "centred"
            return cls(low, fine_grid(low, factor, alignment), factor, alignment)
        found = alignment_of(low, high, factor)
        if alignment not in (None, found):
            raise ValueError(
                f"the low resolution lies to the high one {found}; the generator was trained for "
                f"{alignment} grids"
            )
        return cls(low, high, factor, found)

    def domain(self, radius: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last + 1 of the rows, and of the columns, that a tile may read.

        Beyond the grid they are `radius` more where it goes on.
        """
        (rows, columns), (north, south) = self.low.shape, reaches_poles(self.low)
        around = radius if self.low.is_periodic else 0
        # With one pole only, rows go on to the other edge and no further.
        beyond = radius if north and south else min(radius, rows)
        return (
            (-beyond if north else 0, rows + (beyond if south else 0)),
            (-around, columns + around),
        )

    def low_window(self, field: np.ndarray, rows: range, columns: range) -> np.ndarray:
        """Part of a coarse field (latitude, longitude, ...), within the grid or beyond it."""
        row, column = places(np.array(rows), np.array(columns), self.low)
        return field[row, column]

    def high_window(self, field: np.ndarray, rows: range, columns: range) -> np.ndarray:
        """The fine points of coarse rows and columns.

        Args:
            field: (latitude, longitude, ...) on the fine grid.
            rows: Coarse rows.
            columns: Coarse columns.

        Returns:
            (f * rows, f * columns, ...). Where the last block is partial, its last fine row or
            column is repeated.
        """
        row, column = places(np.array(rows), np.array(columns), self.low)
        f = self.factor
        within, mirrored = np.arange(f), np.arange(f)[::-1]
        crossed = self._crossed(rows)
        down = np.where(crossed[:, None], mirrored, within)  # of each row of blocks
        fine_row = np.repeat(row * f, f, axis=0) + down.reshape(-1, 1)
        fine_row = np.repeat(fine_row, f, axis=1)
        fine_column = np.repeat(column * f, f, axis=0)
        fine_column = np.repeat(fine_column, f, axis=1) + np.tile(within, len(columns))
        height, width = self.high.shape
        return field[np.minimum(fine_row, height - 1), np.minimum(fine_column, width - 1)]

    def row_weights(self, rows: range, *, by_area: bool = True) -> np.ndarray:
        """Weights of the fine rows of coarse rows, with mean one over each block.

        Args:
            rows: Coarse rows, within the grid or beyond it.
            by_area: Whether they are areas; else all fine rows that there are weigh the same.

        Returns:
            (f * rows,) float32; zero for fine rows that a partial last block lacks.
        """
        f = self.factor
        blocks = self._area_weights if by_area else self._equal_weights
        source = places(np.array(rows), np.array([0]), self.low)[0][:, 0]
        crossed = self._crossed(rows)
        found = np.where(crossed[:, None], blocks[source][:, ::-1], blocks[source])
        return found.reshape(len(rows) * f).astype(np.float32)

    @cached_property
    def _area_weights(self) -> np.ndarray:
        return self._block_weights(self.high.band_areas)

    @cached_property
    def _equal_weights(self) -> np.ndarray:
        return self._block_weights(np.ones(self.high.shape[0]))

    def _block_weights(self, fine: np.ndarray) -> np.ndarray:
        """Weights by coarse row, of those of fine rows; shape (latitude, f)."""
        height, f = self.high.shape[0], self.factor
        weights = np.zeros(f * self.low.shape[0])
        weights[:height] = block_weights(fine, f)
        blocks = weights.reshape(-1, f)
        return blocks * f / blocks.sum(axis=1, keepdims=True)

    def _crossed(self, rows: range) -> np.ndarray:
        """Which rows lie beyond a pole, where the order of rows is the other way round."""
        number = np.array(rows)
        if not any(reaches_poles(self.low)):
            return np.zeros(len(number), bool)
        return over_the_poles(number, self.low)[1]
