import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.fields.beyond_edges import over_the_poles, places, reaches_poles
from atmodist.fields.grid import Grid, make_grid


@pytest.mark.parametrize(
    ("kind", "num", "north", "south"),
    [
        ("regular", 5, [2, 1], [3, 2]),
        ("cell-centred", 4, [1, 0], [3, 2]),
        ("driscoll-healy", 4, [2, 1], [3, 2]),
        ("gauss", 4, [1, 0], [3, 2]),
    ],
)
def test_rows_go_on_over_the_poles_without_a_pole_twice(kind, num, north, south):
    rows = np.array([-2, -1, *range(num), num, num + 1])
    source, crossed = over_the_poles(rows, make_grid(kind, num))
    assert source.tolist() == [*north, *range(num), *south]
    assert crossed.tolist() == [True, True, *[False] * num, True, True]


def test_a_circle_through_both_poles_closes():
    grid = make_grid("regular", 5)
    source, crossed = over_the_poles(np.arange(8), grid)
    again = over_the_poles(np.arange(8) - 16, grid)
    assert_array_equal(again, (source, crossed))


@pytest.mark.parametrize("kind", ["regular", "cell-centred", "driscoll-healy", "gauss"])
def test_global_grids_reach_both_poles(kind):
    grid = make_grid(kind, 8)
    assert reaches_poles(grid) == (True, True)
    blocks = Grid(grid.latitude[:8].reshape(4, 2).mean(1), grid.longitude)
    assert reaches_poles(blocks) == (True, True)  # means over blocks, with a pole or without
    assert reaches_poles(Grid(grid.latitude[:4], grid.longitude)) == (True, False)
    assert reaches_poles(Grid(grid.latitude[3:], grid.longitude)) == (False, True)
    assert reaches_poles(Grid(grid.latitude, grid.longitude[:-1])) == (False, False)


def test_a_smooth_field_goes_on_smoothly():
    # x, y and z of points on the sphere, sampled beyond the poles along meridians that go on
    grid = make_grid("regular", 13, 24)

    def position(latitude, longitude):
        phi, lam = np.radians(latitude)[:, None], np.radians(longitude)[None, :]
        return np.stack(
            [np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi) + 0 * lam]
        )

    rows, columns = np.arange(-5, 18), np.arange(-7, 30)
    row, column = places(rows, columns, grid)
    found = position(grid.latitude, grid.longitude)[:, row, column]
    expected = position(90.0 - 15.0 * rows, 15.0 * columns)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_a_field_with_edges_does_not_go_on():
    grid = Grid(np.arange(50.0, 45, -1), np.arange(6.0))
    row, column = places(np.arange(2, 5), np.arange(1, 6), grid)
    assert_array_equal(row, np.arange(2, 5)[:, None] + np.zeros(5, int))
    assert_array_equal(column, np.arange(1, 6) + np.zeros((3, 1), int))
    with pytest.raises(ValueError, match="does not go on from row -1 to 4"):
        places(np.arange(-1, 5), np.arange(6), grid)
    with pytest.raises(ValueError, match="does not go on from column 0 to 6"):
        places(np.arange(5), np.arange(7), grid)
