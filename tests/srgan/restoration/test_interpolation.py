import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import Grid, make_grid
from srgan.restoration.degradation import coarse_grid, coarsen
from srgan.restoration.geometry import Refinement
from srgan.restoration.interpolation import METHODS, Interpolation, interpolate

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


# (kind and size of the fine grid, factor, alignment), with all ways to end at a pole
GRIDS = [
    ("cell-centred", 48, 4, "centred"),
    ("cell-centred", 45, 3, "centred"),
    ("driscoll-healy", 48, 4, "centred"),
    ("driscoll-healy", 48, 4, "shared"),
    ("regular", 49, 4, "shared"),
    ("regular", 46, 3, "shared"),
    ("gauss", 48, 2, "centred"),
]


def refinement(kind, num_rows, factor, alignment):
    high = make_grid(kind, num_rows)
    if alignment == "centred":
        low = coarse_grid(high, factor)
    else:
        low = Grid(high.latitude[::factor], high.longitude[::factor])
    return Refinement.of(low, factor, alignment, high)


def regional(factor=4, rows=8, columns=10, alignment="centred"):
    low = Grid(50.0 - 2.0 * np.arange(rows), 10.0 + 2.0 * np.arange(columns))
    return Refinement.of(low, factor, alignment)


def smooth(grid):
    """A quartic polynomial in Cartesian coordinates: smooth on the sphere, poles and all."""
    phi, lam = np.radians(grid.latitude)[:, None], np.radians(grid.longitude)[None, :]
    x, y, z = np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi) + 0 * lam
    return x + 0.5 * y * z - 0.3 * x * y + 0.2 * z**3 + 0.4 * y**3 * x


def error(kind, num_rows, factor, alignment, method):
    r = refinement(kind, num_rows, factor, alignment)
    return np.abs(interpolate(smooth(r.low), r, method) - smooth(r.high)).max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", GRIDS)
def test_constants_stay_as_they_are(case, method):
    r = refinement(*case)
    fine = interpolate(np.full((2, *r.low.shape), 3.5, np.float32), r, method)
    assert fine.dtype == np.float32
    assert fine.shape == (2, *r.high.shape)
    assert_allclose(fine, 3.5, rtol=1e-6)


@pytest.mark.parametrize("case", [case for case in GRIDS if case[3] == "centred"])
def test_nearest_neighbours_of_block_centres_are_blocks(case):
    r = refinement(*case)
    coarse = np.random.default_rng(0).normal(size=r.low.shape)
    fine = interpolate(coarse, r, "nearest")
    assert_array_equal(fine, coarse.repeat(r.factor, 0).repeat(r.factor, 1))
    assert_allclose(coarsen(fine, r.factor, r.high.band_areas), coarse, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", GRIDS)
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_fields_linear_in_latitude_are_kept_away_from_the_poles(case, method):
    r = refinement(*case)
    fine = interpolate(r.low.latitude[:, None] * np.ones(r.low.shape), r, method)
    inner = np.abs(r.high.latitude) < np.abs(r.low.latitude[[2, -3]]).min()
    expected = np.broadcast_to(r.high.latitude[:, None], r.high.shape)
    atol = 1e-10 if case[0] != "gauss" or method == "bilinear" else 1e-2  # rows not quite uniform
    assert_allclose(fine[inner], expected[inner], rtol=0, atol=atol)


def test_bicubic_keeps_quadratic_functions():
    r = regional()
    fine = interpolate(r.low.latitude[:, None] ** 2 * np.ones(r.low.shape), r, "bicubic")
    inner = slice(8, -8)
    expected = r.high.latitude[:, None] ** 2 * np.ones(r.high.shape)
    assert_allclose(fine[inner], expected[inner], rtol=1e-12)


@pytest.mark.parametrize(("method", "order"), [("nearest", 1), ("bilinear", 2), ("bicubic", 3)])
@pytest.mark.parametrize(
    ("kind", "alignment"), [("cell-centred", "centred"), ("regular", "shared")]
)
def test_errors_fall_by_the_order_of_the_method_poles_included(kind, alignment, method, order):
    plus = 1 if kind == "regular" else 0
    coarse, fine = (error(kind, n + plus, 4, alignment, method) for n in (96, 192))
    assert np.log2(coarse / fine) > order - 0.15


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("kind", "alignment"),  # the coarse rows of a Gauss grid are no Gauss grid
    [("driscoll-healy", "centred"), ("driscoll-healy", "shared"), ("gauss", "centred")],
)
def test_poles_that_lie_elsewhere_between_rows_cost_no_order(kind, alignment, method):
    coarse, fine = (error(kind, n, 4, alignment, method) for n in (96, 192))
    assert np.log2(coarse / fine) > 1.8


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", GRIDS)
def test_there_is_no_seam(case, method):
    r = refinement(*case)
    coarse = np.random.default_rng(0).normal(size=r.low.shape)
    fine = interpolate(coarse, r, method)
    turned = interpolate(np.roll(coarse, 5, axis=1), r, method)
    assert_allclose(turned, np.roll(fine, 5 * r.factor, axis=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_turning_the_sphere_upside_down_commutes(method):
    r = refinement("cell-centred", 45, 3, "centred")  # no ties between neighbours
    coarse = np.random.default_rng(0).normal(size=r.low.shape)
    fine = interpolate(coarse, r, method)
    assert_allclose(interpolate(coarse[::-1], r, method), fine[::-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("alignment", ["centred", "shared"])
def test_regional_fields_stay_within_their_values_at_the_edges(method, alignment):
    r = regional(alignment=alignment)
    coarse = np.random.default_rng(0).normal(size=r.low.shape)
    fine = interpolate(coarse, r, method)
    overshoot = 0.5 if method == "bicubic" else 1e-12
    assert coarse.min() - overshoot < fine.min()
    assert fine.max() < coarse.max() + overshoot
