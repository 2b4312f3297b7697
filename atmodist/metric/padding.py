"""How whole fields are padded before they are encoded: around the circle and over the poles.

Rows and columns are counted from the first of the field, so that features keep their places
whatever lies around it; only their number in the padded field differs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from atmodist.fields.beyond_edges import over_the_poles
from atmodist.fields.grid import Grid
from atmodist.metric.receptive_field import Adapted

# Components of a vector along local axes, which a pole turns by 180 degrees, so that they change
# sign there. Names of channels as `atmodist.pretext.augmentation` knows them.
WINDS = frozenset(
    {"eastward_wind", "u_component_of_wind", "u", "northward_wind", "v_component_of_wind", "v"}
)


@dataclass(frozen=True)
class PaddedLayout:
    """How the rows and columns of a field are padded. Cells are steps of the largest stride.

    Attributes:
        grid: Its grid.
        margin: Rows continued over the north pole; a multiple of the stride.
        left: Columns copied in front; a multiple of the stride.
        right: Columns copied behind, or zeros where the grid is not periodic.
        num_cells: Of the field itself, north to south.
        margin_cells: Of the margin in the north.
        padded_cells: Of the field and the margins.
        cells_before: Seen north of a cell.
        cells_after: Seen south of a cell.
    """

    grid: Grid
    margin: int
    left: int
    right: int
    num_cells: int
    margin_cells: int
    padded_cells: int
    cells_before: int
    cells_after: int

    @classmethod
    def of(cls, network: Adapted, grid: Grid, margins: tuple[int, int]) -> "PaddedLayout":
        """The layout of fields on a grid.

        Args:
            network: That will encode the padded field.
            grid: The grid.
            margins: Rows continued over the north pole, a multiple of the stride of the network,
                and the fewest over the south pole.
        """
        stride = network.stride
        (rows, columns), (north, south) = grid.shape, margins
        if grid.is_periodic:
            # A circle shorter than its halo goes round until it is not.
            turns = network.turns * max(-(-network.halo // (network.turns * columns)), 1)
            right = (turns - 1) * columns + network.halo
        else:
            right = multiple_of(columns, stride) - columns
        return cls(
            grid=grid,
            margin=north,
            left=network.halo,
            right=right,
            num_cells=-(-rows // stride),
            margin_cells=north // stride,
            padded_cells=multiple_of(north + rows + south, stride) // stride,
            cells_before=-(-max(extent.before for extent in network.extents.values()) // stride),
            cells_after=-(-max(extent.after for extent in network.extents.values()) // stride),
        )

    def padded(
        self, x: np.ndarray, rows: np.ndarray, across: np.ndarray | None = None
    ) -> np.ndarray:
        """Rows of the padded field.

        Args:
            x: The field, (latitude, longitude, channel).
            rows: Counted from the first row of the field.
            across: The field as it goes on beyond the poles, before it is shifted; `x` by default.
        """
        height, width = self.grid.shape
        inside = (rows >= 0) & (rows < height)
        if self.grid.is_global:
            source, crossed = over_the_poles(rows, self.grid)
        else:
            source, crossed = np.where(inside, rows, 0), np.zeros(len(rows), bool)
        out = np.zeros((len(rows), self.left + width + self.right, x.shape[-1]), x.dtype)
        out[:, self.left : self.left + width] = x[source]
        half = width // 2
        beyond = (x if across is None else across)[source[crossed]]
        out[crossed, self.left : self.left + width] = np.roll(beyond, -half, axis=1)
        if self.grid.is_periodic:
            columns = np.arange(-self.left, width + self.right)
            outer = np.flatnonzero((columns < 0) | (columns >= width))
            out[:, outer] = out[:, self.left + columns[outer] % width]
        if not self.grid.is_global:
            out[~inside] = 0.0
        return out


def multiple_of(number: int, stride: int) -> int:
    """The smallest multiple of `stride` that is not less than `number`."""
    return -(-number // stride) * stride


def bands(num_cells: int, size: int) -> Iterator[tuple[int, int]]:
    """First and last + 1 of the cells of each band, at most `size` each."""
    for first in range(0, num_cells, size):
        yield first, min(first + size, num_cells)
