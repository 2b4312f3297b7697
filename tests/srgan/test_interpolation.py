import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import Grid, make_grid
from srgan.degradation import coarse_grid, coarsen
from srgan.inference.geometry import Refinement
from srgan.interpolation import METHODS, Interpolation, interpolate

REGION = Grid(np.linspace(60, 37, 24), np.linspace(5, 40, 36))


def centred(kind, rows, columns, factor):
    high = make_grid(kind, rows, columns)
    return Refinement.of(coarse_grid(high, factor), factor, high=high)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_nearest_repeats_blocks(factor):
    refinement = centred("cell-centred", 12 * factor, 24 * factor, factor)
    low = np.random.default_rng(0).normal(size=(2, 12, 24))
    found = interpolate(low, refinement, "nearest")
    assert_array_equal(found, low.repeat(factor, axis=1).repeat(factor, axis=2))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [2, 3])
def test_shared_points_keep_their_values(method, factor):
    low = make_grid("regular", 13, 24)
    refinement = Refinement.of(low, factor, "shared")
    field = np.random.default_rng(0).normal(size=low.shape)
    found = interpolate(field, refinement, method)
    assert found.shape == (12 * factor + 1, 24 * factor)
    assert_allclose(found[::factor, ::factor], field, rtol=1e-12)


@pytest.mark.parametrize(("method", "degree"), [("nearest", 0), ("bilinear", 1), ("bicubic", 2)])
def test_polynomials_are_reproduced_away_from_edges(method, degree):
    refinement = Refinement.of(REGION, 3, "centred")

    def polynomial(grid):
        x, y = grid.longitude / 40.0, grid.latitude[:, None] / 60.0
        return (1.0 + x + y) ** degree

    found = interpolate(polynomial(REGION), refinement, method)
    inner = np.s_[6:-6, 6:-6]
    expected = polynomial(refinement.high)
    assert_allclose(found[inner], expected[inner], rtol=1e-12)
    assert np.abs(found - expected).max() < 0.2  # values at the edges are repeated, not wild


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["regular", "cell-centred", "driscoll-healy", "gauss"])
def test_there_is_no_seam_and_no_pole(method, kind):
    # A function that is smooth on the sphere, and strongest across poles and the date line.
    refinement = centred(kind, 65 if kind == "regular" else 64, 128, 4)

    def smooth(grid):
        phi, lam = np.radians(grid.latitude)[:, None], np.radians(grid.longitude)
        x, y, z = np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)
        return np.sin(3 * x + 1) + np.cos(2 * y - x) + z**2

    high = smooth(refinement.high)
    low = coarsen(high, 4, refinement.high.band_areas)
    error = np.abs(interpolate(low, refinement, method) - high)
    inner = error[8:-8, 8:-8].max()
    assert inner < {"nearest": 0.45, "bilinear": 0.08, "bicubic": 0.04}[method]
    assert error[8:-8, [0, 1, -2, -1]].max() < 1.2 * inner
    # Next to a pole the mean of a block lies nearer to its outer edge, whatever the method.
    assert error[[*range(8), *range(-8, 0)]].max() < max(inner, 0.15)


@pytest.mark.parametrize("method", METHODS)
def test_rolling_the_field_rolls_the_result(method):
    refinement = centred("cell-centred", 24, 48, 2)
    low = np.random.default_rng(0).normal(size=(12, 24)).astype(np.float32)
    rolled = interpolate(np.roll(low, 5, axis=-1), refinement, method)
    assert_allclose(rolled, np.roll(interpolate(low, refinement, method), 10, axis=-1), atol=1e-6)


def test_better_methods_are_better_on_smooth_fields():
    refinement = centred("cell-centred", 48, 96, 2)
    low, high = (
        np.sin(np.radians(3 * g.longitude)) * np.cos(np.radians(g.latitude))[:, None] ** 3
        for g in (refinement.low, refinement.high)
    )
    errors = [np.std(interpolate(low, refinement, method) - high) for method in METHODS]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_an_interpolation_stands_where_a_generator_does():
    low_grid = make_grid("cell-centred", 12, 24)
    low = np.random.default_rng(0).normal(size=(3, 2, *low_grid.shape))
    high = Interpolation("bilinear", 4)(low, grid=low_grid)
    assert high.shape == (3, 2, 48, 96)
    assert high.dtype == np.float32
    with pytest.raises(ValueError, match="`method` must be one of nearest, bilinear, bicubic"):
        Interpolation("linear", 4)
    with pytest.raises(ValueError, match="`factor` must be a whole number from 2"):
        Interpolation("nearest", 1)
