"""Vorticity and divergence against closed forms, identities and convergence orders."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from atmodist.fields.grid import Grid, make_grid
from atmodist.fields.winds import vorticity_divergence
from atmodist.files.constants import EARTH_RADIUS

GLOBAL_GRIDS = {
    "regular 181x360": make_grid("regular", 181),
    "regular odd columns": make_grid("regular", 46, 91),
    "regular even rows": make_grid("regular", 40, 81),
    "regular 73x144": make_grid("regular", 73, 144),
    "cell-centred": make_grid("cell-centred", 45),
    "cell-centred even": make_grid("cell-centred", 64, 96),
    "driscoll-healy": make_grid("driscoll-healy", 64),
    "gauss even": make_grid("gauss", 94, 192),
    "gauss odd": make_grid("gauss", 33, 65),
    "shifted": Grid(make_grid("gauss", 32).latitude, 2.8125 + 5.625 * np.arange(64)),
    "from the date line": Grid(make_grid("regular", 37).latitude, -180 + 5.0 * np.arange(72)),
}


@pytest.fixture(params=GLOBAL_GRIDS.values(), ids=GLOBAL_GRIDS.keys())
def grid(request):
    return request.param


def radians(grid):
    return np.radians(grid.latitude)[:, None], np.radians(grid.longitude)[None, :]


def solid_body_rotation(grid, tilt, speed=20.0):
    """Wind, m s⁻¹, and vorticity, s⁻¹, of a rotation about an axis tilted by `tilt` radians."""
    phi, lam = radians(grid)
    u = speed * (np.cos(phi) * np.cos(tilt) + np.sin(phi) * np.cos(lam) * np.sin(tilt))
    v = -speed * np.sin(lam) * np.sin(tilt) * np.ones_like(phi)
    scale = 2 * speed / EARTH_RADIUS
    vorticity = scale * (np.sin(phi) * np.cos(tilt) - np.cos(phi) * np.cos(lam) * np.sin(tilt))
    return u, v, vorticity


def gradient_flow(grid, speed=20.0):
    """Wind ∇χ of χ = aU cos²φ sinφ sin2λ, a harmonic of degree 3, so that δ = -12 χ/a²."""
    phi, lam = radians(grid)
    cos, sin = np.cos(phi), np.sin(phi)
    u = 2 * speed * cos * sin * np.cos(2 * lam)
    v = speed * (cos**3 - 2 * cos * sin**2) * np.sin(2 * lam)
    return u, v, -12 * speed / EARTH_RADIUS * cos**2 * sin * np.sin(2 * lam)


@pytest.mark.parametrize("tilt", [0.0, 0.4, np.pi / 2])  # a tilted axis reaches the poles and m = 1
def test_solid_body_rotation_has_known_vorticity_and_no_divergence(grid, tilt):
    u, v, expected = solid_body_rotation(grid, tilt)
    vorticity, divergence = vorticity_divergence(u, v, grid)
    # rounding of u, v (2e-16 relative) grows by l = 180 at most, and by sums along 360 columns
    atol = 1e-10 * np.abs(expected).max()
    assert_allclose(vorticity, expected, rtol=0, atol=atol)
    assert_allclose(divergence, 0 * u, rtol=0, atol=atol)


def test_wind_of_one_harmonic_has_known_divergence_and_no_vorticity(grid):
    u, v, expected = gradient_flow(grid)
    vorticity, divergence = vorticity_divergence(u, v, grid)
    atol = 1e-11 * np.abs(expected).max()
    assert_allclose(divergence, expected, rtol=0, atol=atol)
    assert_allclose(vorticity, 0 * u, rtol=0, atol=atol)  # the curl of a gradient


def test_turning_a_gradient_by_a_right_angle_makes_its_divergence_vorticity(grid):
    u, v, expected = gradient_flow(grid)
    vorticity, divergence = vorticity_divergence(-v, u, grid)  # r̂ × ∇χ
    atol = 1e-11 * np.abs(expected).max()
    assert_allclose(vorticity, expected, rtol=0, atol=atol)
    assert_allclose(divergence, 0 * u, rtol=0, atol=atol)


def test_truncation_removes_higher_degrees_and_keeps_lower_ones():
    grid = make_grid("regular", 37)
    rotation_u, rotation_v, rotation = solid_body_rotation(grid, 0.4)  # degree 1
    u, v, _ = gradient_flow(grid)  # degree 3
    vorticity, divergence = vorticity_divergence(u + rotation_u, v + rotation_v, grid, truncation=2)
    atol = 1e-11 * np.abs(rotation).max()
    assert_allclose(vorticity, rotation, rtol=0, atol=atol)
    assert_allclose(divergence, 0 * u, rtol=0, atol=atol)


def test_highest_degree_that_the_grid_resolves_is_exact(grid):
    # the sectoral harmonic ψ = aU cos^l φ cos(lλ), degree l = order m, has ζ = -l(l+1) ψ / a²
    l = grid.max_truncation  # noqa: E741
    phi, lam = radians(grid)
    cos, sin = np.cos(phi), np.sin(phi)
    u = 20.0 * l * cos ** (l - 1) * sin * np.cos(l * lam)  # -∂ψ/∂φ / a
    v = -20.0 * l * cos ** (l - 1) * np.sin(l * lam)  # ∂ψ/∂λ / (a cosφ)
    expected = -20.0 * l * (l + 1) / EARTH_RADIUS * cos**l * np.cos(l * lam)
    vorticity, divergence = vorticity_divergence(u, v, grid)
    atol = 1e-10 * np.abs(expected).max()
    assert_allclose(vorticity, expected, rtol=0, atol=atol)
    assert_allclose(divergence, 0 * u, rtol=0, atol=atol)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_integrals_of_vorticity_and_divergence_over_the_sphere_vanish(seed):
    grid = make_grid("gauss", 24, 48)
    u, v = np.random.default_rng(seed).normal(0, 10, (2, *grid.shape))
    for field in vorticity_divergence(u, v, grid):
        mean = (field * grid.area_weights).sum()
        assert abs(mean) < 1e-13 * np.abs(field).max()


def test_result_scales_with_the_inverse_radius():
    grid = make_grid("cell-centred", 24)
    u, v, _ = solid_body_rotation(grid, 0.4)
    big, small = (vorticity_divergence(u, v, grid, radius=r)[0] for r in (2e6, 1e6))
    assert_allclose(2 * big, small, rtol=1e-12)


@pytest.mark.parametrize("method", ["harmonics", "differences"])
def test_floating_type_and_arguments_stay_as_they_came(method):
    grid = make_grid("regular", 37)
    u, v, _ = (field.astype(np.float32) for field in solid_body_rotation(grid, 0.4))
    before = u.copy()
    vorticity, divergence = vorticity_divergence(u, v, grid, method=method)
    assert vorticity.dtype == divergence.dtype == np.float32
    assert_allclose(u, before, rtol=0, atol=0)


def test_threads_change_no_bit():
    grid = make_grid("regular", 91)
    u, v = np.random.default_rng(1).normal(0, 10, (2, *grid.shape))
    one, four = (vorticity_divergence(u, v, grid, nthreads=n) for n in (1, 4))
    np.testing.assert_array_equal(one, four)


def region(num, kind="uniform"):
    steps = np.linspace(0, 1, num)
    if kind == "stretched":  # smoothly, so that differences keep their order
        steps = steps + 0.05 * np.sin(2 * np.pi * steps)
    return Grid(65 - 40 * steps, -30 + 60 * steps)


@pytest.mark.parametrize("kind", ["uniform", "stretched"])
@pytest.mark.parametrize("flow", ["rotation", "gradient"])
def test_finite_differences_converge_to_second_order_up_to_the_edges(kind, flow):
    errors = []
    for num in (33, 65, 129):
        grid = region(num, kind)
        if flow == "rotation":
            u, v, expected = solid_body_rotation(grid, 0.4)
            result = vorticity_divergence(u, v, grid)
            truth = (expected, 0 * u)
        else:
            u, v, expected = gradient_flow(grid)
            result = vorticity_divergence(u, v, grid)
            truth = (0 * u, expected)
        errors.append(max(np.abs(a - b).max() for a, b in zip(result, truth, strict=True)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders > 1.8).all(), orders


def test_periodic_belt_has_no_edge_in_longitude():
    grid = Grid(np.linspace(40, -40, 161), 0.5 * np.arange(720))
    assert grid.is_periodic
    assert not grid.is_global
    u, v, expected = solid_body_rotation(grid, 0.4)
    vorticity, _ = vorticity_divergence(u, v, grid)
    error = np.abs(vorticity - expected)
    # the first and last columns are as good as those between
    assert error[:, [0, -1]].max() <= error.max() < 1e-4 * np.abs(expected).max()


def test_differences_on_a_global_grid_agree_with_harmonics_poles_included():
    grid = make_grid("regular", 181)
    rotation_u, rotation_v, _ = solid_body_rotation(grid, 0.4)
    u, v, _ = gradient_flow(grid)
    u, v = u + rotation_u, v + rotation_v
    exact = vorticity_divergence(u, v, grid)
    near = vorticity_divergence(u, v, grid, method="differences")
    for a, b in zip(exact, near, strict=True):
        assert_allclose(b, a, rtol=0, atol=4e-3 * np.abs(a).max())  # Δφ² / cosφ near the pole


def test_grid_that_does_not_match_is_refused():
    grid = make_grid("regular", 37)
    with pytest.raises(ValueError, match=r"shape of the grid, \(37, 72\).*\(36, 72\)"):
        vorticity_divergence(np.zeros((36, 72)), np.zeros((37, 72)), grid)


@pytest.mark.parametrize("truncation", [0, 36, 400])
def test_truncation_beyond_the_grid_is_refused(truncation):
    grid = make_grid("regular", 37)
    with pytest.raises(ValueError, match=rf"must lie in 1..35 .*got {truncation}"):
        vorticity_divergence(*np.zeros((2, 37, 72)), grid, truncation=truncation)


def test_regional_grids_refuse_harmonics_truncation_and_poles():
    grid = region(9)
    zeros = np.zeros((2, 9, 9))
    with pytest.raises(ValueError, match="need a global grid; this one is 9 x 9 regional"):
        vorticity_divergence(*zeros, grid, method="harmonics")
    with pytest.raises(ValueError, match="`truncation` needs spherical harmonics"):
        vorticity_divergence(*zeros, grid, truncation=3)
    with pytest.raises(ValueError, match="`method` must be"):
        vorticity_divergence(*zeros, grid, method="spectral")
    polar = Grid(np.linspace(90, 60, 9), np.linspace(0, 40, 9))
    with pytest.raises(ValueError, match="leave its row out"):
        vorticity_divergence(*zeros, polar)
    with pytest.raises(ValueError, match="at least 3 x 3 points"):
        vorticity_divergence(*np.zeros((2, 2, 9)), Grid(grid.latitude[:2], grid.longitude))


def test_missing_ducc0_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ducc0", None)
    with pytest.raises(ImportError, match=r"pip install 'atmodist\[fast\]'"):
        vorticity_divergence(*np.zeros((2, 37, 72)), make_grid("regular", 37))
