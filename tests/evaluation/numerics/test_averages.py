import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.fields.grid import make_grid
from evaluation.numerics.averages import area_mean, row_blocks, windows
from evaluation.numerics.setting import Region
from tests.evaluation.fields import setting

GRID = make_grid("regular", 37)  # five degrees
AROUND = Region(south=-20, north=20, west=-20, east=20)  # of the first meridian


def test_weights_of_a_window_are_shares_of_its_area():
    for window in windows(setting(GRID, {"globe": None, "around": AROUND})):
        assert_allclose(window.weights.sum() * len(window.columns), 1, rtol=1e-14)
        cosine = np.cos(np.radians(GRID.latitude[window.rows]))
        inner = slice(1, -1)  # rows at poles have areas of their own
        ratio = window.weights[inner, 0] / cosine[inner]
        assert_allclose(ratio, ratio.mean(), rtol=0.03)


def test_a_mean_over_a_window_is_that_of_its_points():
    field = np.random.default_rng(0).normal(size=(2, *GRID.shape))
    _, around = windows(setting(GRID, {"globe": None, "around": AROUND}))
    part = around.of(field)
    assert part.shape == (2, 9, 9)  # across the seam, from west to east
    longitude = around.of(np.broadcast_to(GRID.longitude, GRID.shape))[0]
    assert longitude.tolist() == [340, 345, 350, 355, 0, 5, 10, 15, 20]
    expected = (part * around.weights).sum(axis=(1, 2))
    assert_allclose(area_mean(part, around.weights), expected)
    assert_allclose(area_mean(np.ones((9, 9), np.float32), around.weights), 1, rtol=1e-14)


def test_a_region_of_two_points_each_way_is_the_smallest():
    smallest = Region(south=-1, north=6, west=-1, east=6)
    (window,) = windows(setting(GRID, {"smallest": smallest}))
    assert window.of(np.zeros(GRID.shape)).shape == (2, 2)
    smaller = Region(south=-1, north=6, west=-1, east=4)
    with pytest.raises(ValueError, match=r"holds 2 x 1 points of the grid .* at least 2 x 2"):
        windows(setting(GRID, {"smaller": smaller}))


@pytest.mark.parametrize(("columns", "points", "rows"), [(4, 8, 2), (4, 11, 2), (4, 3, 1)])
def test_blocks_of_rows_hold_all_of_them_once(columns, points, rows):
    blocks = list(row_blocks(7, columns, points))
    assert [i for block in blocks for i in range(7)[block]] == list(range(7))
    assert all(block.stop - block.start == rows for block in blocks[:-1])
    assert blocks[-1].stop == 7
