import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.fields.grid import Grid, make_grid
from evaluation.numerics.averages import area_mean, windows
from evaluation.numerics.gradients import cell_window, gradient_magnitude
from evaluation.numerics.setting import Region
from tests.evaluation.fields import setting

RADIUS = 6.0e6
KINDS = ["regular", "cell-centred", "driscoll-healy", "gauss"]


def tilted(grid, tilt):
    """sin of the latitude about a tilted axis, and the size of its gradient, per m of radius 1."""
    phi, lam = np.radians(grid.latitude)[:, None], np.radians(grid.longitude)[None]
    sine = np.sin(phi) * np.cos(tilt) - np.cos(phi) * np.cos(lam) * np.sin(tilt)
    return sine, np.sqrt(np.maximum(1 - sine**2, 0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tilt", [0.0, 0.4, np.pi / 2])
def test_mean_gradient_of_a_tilted_sine_is_pi_over_4(kind, tilt):
    grid = make_grid(kind, 90)
    field, _ = tilted(grid, tilt)
    slopes = gradient_magnitude(field, grid, RADIUS)
    cells = cell_window(windows(setting(grid, {"globe": None}))[0], grid)
    # ∫ cosφ cosφ dφ / 2 = π/4, over the radius in km; second order in 2 degrees
    assert_allclose(area_mean(cells.of(slopes), cells.weights), np.pi / 4 / 6000, rtol=2e-3)


def test_gradient_converges_to_second_order_pole_and_seam_included():
    errors = []
    for rows in (46, 91):
        grid = make_grid("regular", rows)
        field, _ = tilted(grid, 0.7)
        slopes = gradient_magnitude(field, grid, RADIUS) * 6000
        latitude = (grid.latitude[1:] + grid.latitude[:-1]) / 2
        longitude = grid.longitude + grid.longitude[1] / 2
        _, expected = tilted(Grid(latitude, longitude), 0.7)
        errors.append(np.sqrt(((slopes - expected) ** 2).mean()))
    assert errors[1] < errors[0] / 3  # 4 in theory


def test_turning_the_globe_moves_the_gradient_and_changes_no_mean():
    grid = make_grid("regular", 19)
    field = np.random.default_rng(1).normal(size=grid.shape)
    slopes = gradient_magnitude(field, grid, RADIUS)
    turned = gradient_magnitude(np.roll(field, 7, -1), grid, RADIUS)
    assert_allclose(turned, np.roll(slopes, 7, -1), rtol=1e-12)


def test_waves_of_two_points_are_seen_and_regional_grids_have_no_seam():
    grid = Grid(np.linspace(10, -10, 21), np.linspace(0, 20, 21))
    assert gradient_magnitude(np.zeros(grid.shape), grid, RADIUS).shape == (20, 20)
    zigzag = np.zeros(grid.shape) + (-1.0) ** np.arange(21)[:, None]
    slope = 2 / (np.radians(1) * RADIUS / 1000)
    assert_allclose(gradient_magnitude(zigzag, grid, RADIUS), slope, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-25, 1e-5, 1e20])
def test_float32_neither_under_nor_overflows(scale):
    grid = make_grid("regular", 19)
    field = np.random.default_rng(1).normal(size=grid.shape)
    expected = gradient_magnitude(field, grid, RADIUS) * scale
    single = gradient_magnitude((scale * field).astype(np.float32), grid, RADIUS)
    assert single.dtype == np.float32
    assert_allclose(single, expected, rtol=1e-4)


def test_cells_of_a_region_over_the_date_line_cross_it():
    common = setting()
    cells = cell_window(windows(common)[1], common.grid)
    assert_allclose(common.grid.longitude[cells.columns], np.arange(150, 240, 10))
    assert_allclose(cells.weights.sum() * len(cells.columns), 1)
    around = cell_window(windows(common)[2], common.grid)
    assert len(around.columns) == common.grid.shape[1]
    assert around.of(np.zeros((18, 36))).shape == (4, 36)


def test_region_that_is_too_small_is_named():
    from evaluation.numerics.setting import Region

    with pytest.raises(ValueError, match="region 'dot' holds 1 x 1 points"):
        windows(setting(regions={"dot": Region(south=-1, north=1, west=-1, east=1)}))


def test_each_field_of_a_batch_has_the_gradient_it_has_alone():
    grid = make_grid("regular", 19)
    field = np.random.default_rng(1).normal(size=(2, 3, *grid.shape))
    slopes = gradient_magnitude(field, grid, RADIUS)
    assert slopes.shape == (2, 3, 18, 36)
    scale = np.abs(field).max()  # of all, which changes roundings
    alone = gradient_magnitude(field[1, 2], grid, RADIUS)
    assert_allclose(slopes[1, 2], alone, rtol=1e-9, atol=1e-12 * scale)


def test_cells_of_a_box_lie_between_its_points():
    box = Grid(np.linspace(40.0, 30.0, 6), np.linspace(10.0, 18.0, 5))
    (whole,) = windows(setting(box, {"box": Region(south=30, north=40, west=10, east=18)}))
    cells = cell_window(whole, box)
    assert cells.rows.tolist() == [0, 1, 2, 3, 4]
    assert cells.columns.tolist() == [0, 1, 2, 3]
    assert_allclose(cells.weights.sum() * 4, 1)
    (part,) = windows(setting(box, {"part": Region(south=30, north=40, west=12, east=16)}))
    assert cell_window(part, box).columns.tolist() == [1, 2]
    assert cells.of(gradient_magnitude(np.zeros(box.shape), box, RADIUS)).shape == (5, 4)
