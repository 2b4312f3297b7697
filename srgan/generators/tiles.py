"""Tiles: windows of equal shape whose middles make up a field.

A tile is computed from a window that reaches as far beyond it as the network sees, or to an edge of
the field. So no point of the output depends on where the tiles were cut, and memory is that of one
window, however large the field is. Windows all have one shape, so that a network is compiled once:
near an edge they are moved inwards, and the last tiles, which are smaller, get more around them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from srgan.restoration.geometry import Refinement

MOST_CUTS = 256  # along an axis, when a shape is looked for


@dataclass(frozen=True)
class Tile:
    """A part of the output, and what it is computed from; all in coarse cells.

    Attributes:
        rows: Rows of the output.
        columns: Columns of the output.
        window_rows: Rows of the input; may lie beyond the grid where it goes on.
        window_columns: Columns of the input.
    """

    rows: range
    columns: range
    window_rows: range
    window_columns: range


def tiles(refinement: Refinement, radius: int, shape: tuple[int, int]) -> Iterator[Tile]:
    """Cuts a field into tiles.

    Args:
        refinement: The grids.
        radius: How far the network sees, in coarse cells.
        shape: Rows and columns of a tile, in coarse cells; larger than the field for one tile.
    """
    extents = refinement.low.shape
    domains = refinement.domain(radius)
    axes = [
        list(_along(extent, domain, radius, size))
        for extent, domain, size in zip(extents, domains, shape, strict=True)
    ]
    for rows, window_rows in axes[0]:
        for columns, window_columns in axes[1]:
            yield Tile(rows, columns, window_rows, window_columns)


def window_shape(refinement: Refinement, radius: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the windows of tiles of a shape."""
    rows, columns = (
        _window(extent, domain, radius, size)
        for extent, domain, size in zip(
            refinement.low.shape, refinement.domain(radius), shape, strict=True
        )
    )
    return rows, columns


def tile_shape(refinement: Refinement, radius: int, max_cells: float) -> tuple[int, int]:
    """The shape of tiles with which the least is computed twice.

    Args:
        refinement: The grids.
        radius: How far the network sees, in coarse cells.
        max_cells: Cells that a window may have. Where even windows around single cells have more,
            tiles are as wide as the network sees: smaller ones would mostly repeat work.

    Returns:
        Rows and columns, in coarse cells.
    """
    candidates = []
    rows, columns = refinement.low.shape
    for down in _cuts(rows, radius):
        for across in _cuts(columns, radius):
            shape = (-(-rows // down), -(-columns // across))
            height, width = window_shape(refinement, radius, shape)
            cells = height * width
            number = -(-rows // shape[0]) * -(-columns // shape[1])
            candidates.append((cells > max_cells, number * cells, cells, shape))
    fitting = [candidate for candidate in candidates if not candidate[0]]
    if fitting:
        return min(fitting)[-1]
    return min(candidates, key=lambda candidate: candidate[2])[-1]


def _cuts(extent: int, radius: int) -> range:
    return range(1, min(max(extent // max(radius, 1), 1), MOST_CUTS) + 1)


def _window(extent: int, domain: tuple[int, int], radius: int, size: int) -> int:
    return min(min(size, extent) + 2 * radius, domain[1] - domain[0])


def _along(
    extent: int, domain: tuple[int, int], radius: int, size: int
) -> Iterator[tuple[range, range]]:
    """Tiles along one axis, and the window of each."""
    window = _window(extent, domain, radius, size)
    for first in range(0, extent, size):
        start = max(domain[0], min(first - radius, domain[1] - window))
        yield range(first, min(first + size, extent)), range(start, start + window)
