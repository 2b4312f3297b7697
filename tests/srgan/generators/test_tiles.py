import numpy as np
import pytest

from atmodist.fields.grid import Grid, make_grid
from srgan.generators.tiles import tile_shape, tiles, window_shape
from srgan.restoration.geometry import Refinement

GLOBAL = Refinement.of(make_grid("cell-centred", 32, 64), 2)
REGIONAL = Refinement.of(Grid(np.linspace(60, 30, 31), np.linspace(5, 50, 46)), 2)


@pytest.mark.parametrize("refinement", [GLOBAL, REGIONAL], ids=["global", "regional"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (31, 20), (100, 100)])
@pytest.mark.parametrize("radius", [0, 3, 40])
def test_tiles_cover_the_field_once_and_windows_what_it_needs(refinement, shape, radius):
    rows, columns = refinement.low.shape
    (top, bottom), (left, right) = refinement.domain(radius)
    counts = np.zeros((rows, columns), int)
    shapes = set()
    for tile in tiles(refinement, radius, shape):
        counts[tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop] += 1
        for inner, window, first, last in (
            (tile.rows, tile.window_rows, top, bottom),
            (tile.columns, tile.window_columns, left, right),
        ):
            assert first <= window.start <= max(inner.start - radius, first)
            assert min(inner.stop + radius, last) <= window.stop <= last
        shapes.add((len(tile.window_rows), len(tile.window_columns)))
    assert (counts == 1).all()
    assert shapes == {window_shape(refinement, radius, shape)}


@pytest.mark.parametrize("refinement", [GLOBAL, REGIONAL], ids=["global", "regional"])
@pytest.mark.parametrize("max_cells", [10, 400, 1500, 1e9])
def test_tiles_are_as_large_as_memory_allows(refinement, max_cells):
    shape = tile_shape(refinement, 4, max_cells)
    cells = np.prod(window_shape(refinement, 4, shape))
    if max_cells > 300:
        assert cells <= max_cells
    if max_cells == 1e9:
        assert shape == refinement.low.shape
    assert min(shape) >= 4  # windows around less would mostly be overlap
