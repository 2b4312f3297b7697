import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import Grid, make_grid
from srgan.restoration.degradation import coarse_grid, coarsen
from srgan.restoration.interpolation import METHODS, Interpolation
from srgan.restoration.poles import polar_rows, with_one_value
from tests.metric.encoders import made_fields
from tests.srgan.generators.examples import made_generator

SCALE = 3e-5  # s⁻¹, of the fields


@pytest.mark.parametrize(
    ("grid", "rows"),
    [
        (make_grid("regular", 25), [0, 24]),
        (make_grid("driscoll-healy", 24), [0]),
        (make_grid("cell-centred", 24), []),
        (make_grid("gauss", 24), []),
        (Grid(np.linspace(90, 60, 7), np.arange(0, 180, 5.0)), []),  # no full circles
        (Grid(np.linspace(90, 60, 7), np.arange(0, 360, 5.0)), [0]),
        (Grid(np.linspace(40, -40, 9), np.arange(0, 360, 5.0)), []),
    ],
    ids=str,
)
def test_only_rows_on_a_pole_of_full_circles_are_single_places(grid, rows):
    assert polar_rows(grid) == rows


def test_the_other_rows_give_what_the_row_takes_from_the_mean():
    # Rows of areas 1 and 3; the row is 0, 8 in two blocks of two columns, so that its mean is 4.
    block = np.array([[[0.0, 0.0, 8.0, 8.0], [1.0, 2.0, 3.0, 4.0]]])
    weights = np.array([1.0, 3.0])
    free = with_one_value(block, 0, weights, None, 2)
    assert_array_equal(free, [[[4, 4, 4, 4], [1, 2, 3, 4]]])
    coarse = coarsen(block, 2, weights)[:, 0]
    kept = with_one_value(block, 0, weights, coarse, 2)
    # The row changes by d = ±4, a quarter of the area: the others by -(1/4)(±4)/(3/4).
    expected = [[[4, 4, 4, 4], [1 - 4 / 3, 2 - 4 / 3, 3 + 4 / 3, 4 + 4 / 3]]]
    assert_allclose(kept, expected, rtol=1e-12)
    assert_allclose(coarsen(kept, 2, weights)[:, 0], coarse, rtol=1e-12)


def test_a_row_alone_in_its_blocks_takes_the_coarse_values():
    block = np.array([[[0.0, 2.0, 8.0, 9.0]]])
    for coarse in ([[5.0, 5.0]], [[5.0, 6.0]]):
        made = with_one_value(block, 0, np.ones(1), np.array(coarse), 2)
        assert_array_equal(made[:, 0], np.repeat(coarse, 2, axis=1))


def low_of(generator, high_grid, single):
    """Block means of noise, whose polar rows have one value if it is to be possible."""
    field = made_fields(high_grid)[0]
    if single:
        field[:, polar_rows(high_grid)] = [[[1e-5]], [[-2e-5]]]
    return generator.degraded(field, high_grid)


KINDS = [("regular", 49, 2), ("regular", 48, 2), ("driscoll-healy", 48, 2), ("regular", 49, 6)]


@pytest.mark.parametrize("degradation", ["physical", "normalized"])
@pytest.mark.parametrize(("kind", "num", "factor"), KINDS)
@pytest.mark.parametrize("projection", [True, False])
def test_a_generator_makes_one_value_at_a_pole_and_keeps_block_means(
    kind, num, factor, degradation, projection
):
    grid = make_grid(kind, num, 96)
    factors = (2,) if factor == 2 else (2, 3)
    options = {"projection": projection, "degradation": degradation}
    made = {tile: made_generator(factors, tile=tile, **options) for tile in (None, (5, 9))}
    low_grid = coarse_grid(grid, factor)
    low = low_of(made[None], grid, single=True)
    fields = {tile: g(low, grid=low_grid, high_grid=grid) for tile, g in made.items()}
    for high in fields.values():
        rows = high[:, polar_rows(grid)]
        assert np.ptp(rows, axis=-1).max() < 1e-4 * SCALE
        assert np.ptp(high[:, 1], axis=-1).min() > 0.1 * SCALE  # other rows vary
        if projection:
            means = made[None].degraded(high, grid)
            assert_allclose(means, low, rtol=1e-4, atol=1e-4 * SCALE)
    assert_allclose(*fields.values(), rtol=1e-5, atol=1e-5 * SCALE)
    turned = made[None](np.roll(low, 5, axis=-1), grid=low_grid, high_grid=grid)
    rolled = np.roll(fields[None], 5 * factor, axis=-1)
    assert_allclose(turned, rolled, rtol=1e-5, atol=1e-5 * SCALE)


def test_without_block_means_only_the_polar_rows_change(monkeypatch):
    grid = make_grid("regular", 49, 96)
    generator = made_generator()
    low = low_of(generator, grid, single=False)
    given = {"grid": coarse_grid(grid, 2), "high_grid": grid}
    found = generator(low, **given)
    monkeypatch.setattr("srgan.restoration.restoration.polar_rows", lambda _: [])
    bare = generator(low, **given)
    assert_array_equal(found[:, 1:-1], bare[:, 1:-1])
    mean = bare[:, [0, -1]].mean(axis=-1, dtype=np.float64)
    assert_allclose(found[:, [0, -1]], mean[..., None] * np.ones(96), rtol=1e-6)
    assert np.ptp(bare[:, 0], axis=-1).min() > 0.1 * SCALE  # there was something to do


@pytest.mark.parametrize("alignment", ["centred", "shared"])
@pytest.mark.parametrize("method", METHODS)
def test_interpolations_make_one_value_at_a_pole_of_scalars_alone(method, alignment):
    grid = make_grid("regular", 49, 96)
    low_grid = coarse_grid(grid, 2)
    if alignment == "shared":
        low_grid = Grid(grid.latitude[::2], grid.longitude[::2])
    low = made_fields(low_grid)[0]
    channels = ("vorticity", "eastward_wind")
    high = Interpolation(method, 2, channels=channels)(low, grid=low_grid, high_grid=grid)
    scalar, wind = np.ptp(high[:, [0, -1]], axis=-1)
    assert_array_equal(scalar, 0)
    assert wind.min() > 0.1 * SCALE
    if alignment == "shared" and method != "bicubic":
        assert_allclose(high[0, -1, 0], low[0, -1].mean(), atol=1e-6 * SCALE)


def test_regions_are_left_as_they_are():
    low_grid = Grid(np.linspace(89, 61, 8), np.arange(2, 142, 4.0))
    generator = made_generator()
    high = generator(made_fields(low_grid)[0], grid=low_grid)
    assert generator.refinement(low_grid).high.latitude[0] == 90.0
    assert np.ptp(high[:, 0], axis=-1).min() > 0.1 * SCALE
