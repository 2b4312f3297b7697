import importlib
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation.numerics import spherical
from evaluation.numerics.spherical import (
    analysis,
    power_per_degree,
    random_modal,
    synthesis,
    wavelength,
)

GRIDS = {
    "n x 2n": make_grid("driscoll-healy", 32),
    "n x other": make_grid("driscoll-healy", 32, 50),
    "both poles": make_grid("regular", 33),
    "both poles, odd": make_grid("regular", 34, 67),
    "cell-centred": make_grid("cell-centred", 24),
    "cell-centred, odd": make_grid("cell-centred", 25, 51),
    "gauss": make_grid("gauss", 24),
    "gauss, odd": make_grid("gauss", 25, 51),
    "gauss, few columns": make_grid("gauss", 25, 40),
}


@pytest.fixture(params=GRIDS)
def grid(request):
    return GRIDS[request.param]


@pytest.fixture
def without_ducc0(monkeypatch):
    monkeypatch.setattr(spherical, "_ducc0", lambda: None)


def random_field(grid, seed=0):
    modal = random_modal(np.ones(grid.max_truncation + 1), np.random.default_rng(seed))
    return modal, synthesis(modal, grid)


def test_analysis_inverts_synthesis_to_the_largest_degree(grid):
    modal, field = random_field(grid)
    assert_allclose(analysis(field, grid), modal, rtol=0, atol=1e-12 * np.abs(modal).max())


@pytest.mark.parametrize("name", ["gauss", "gauss, odd", "gauss, few columns", "n x 2n"])
def test_power_sums_to_the_area_mean_of_the_square(name):
    # Only these grids integrate squares of fields exactly by their own weights.
    grid = GRIDS[name]
    _, field = random_field(grid)
    power = power_per_degree(analysis(field, grid))
    assert_allclose(power.sum(), (field**2 * grid.area_weights).sum(), rtol=1e-12)


def test_power_does_not_depend_on_the_grid():
    power = np.exp(-np.arange(12) / 4)
    modal = random_modal(power, np.random.default_rng(1))
    for grid in GRIDS.values():
        found = power_per_degree(analysis(synthesis(modal, grid), grid))
        assert_allclose(found[:12], power, rtol=1e-12)
        assert found[12:].max() < 1e-25


def test_known_harmonics_have_one_line_of_known_power(grid):
    phi, lam = np.radians(grid.latitude)[:, None], np.radians(grid.longitude)[None]
    harmonics = {  # degree: a function whose square has a mean that one can do by hand
        0: (2.0 + 0 * phi * lam, 4.0),
        1: (np.sin(phi) + 0 * lam, 1 / 3),
        2: (np.cos(phi) ** 2 * np.cos(2 * lam - 0.3), 4 / 15),
        3: (np.cos(phi) ** 3 * np.sin(3 * lam), 8 / 35),
    }
    for degree, (field, mean_square) in harmonics.items():
        power = power_per_degree(analysis(field, grid))
        assert_allclose(power[degree], mean_square, rtol=1e-12)
        assert np.delete(power, degree).max() < 1e-28


def test_coefficients_are_those_of_orthonormal_harmonics_with_condon_shortley_phase(grid):
    # Y_11 = -√(3/8π) cosφ e^iλ, hence f = Re Y_11 has a_11 = 1/2
    phi, lam = np.radians(grid.latitude)[:, None], np.radians(grid.longitude)[None]
    modal = analysis(-np.sqrt(3 / (8 * np.pi)) * np.cos(phi) * np.cos(lam), grid)
    line = (spherical.degrees(grid.max_truncation) == 1) & (
        spherical.orders(grid.max_truncation) == 1
    )
    assert_allclose(modal[line], 0.5, atol=1e-13)
    assert np.abs(modal[~line]).max() < 1e-13


def test_turning_the_field_in_longitude_changes_no_power(grid):
    _, field = random_field(grid)
    power = power_per_degree(analysis(np.stack([field, np.roll(field, 7, axis=-1)]), grid))
    assert_allclose(power[1], power[0], rtol=1e-11)


def test_where_the_first_column_lies_changes_no_coefficient():
    grid = GRIDS["gauss"]
    shifted = Grid(grid.latitude, grid.longitude - 180 + 3.75)
    modal, field = random_field(grid)
    assert_allclose(analysis(synthesis(modal, shifted), shifted), modal, atol=1e-12)
    turned = synthesis(modal, Grid(grid.latitude, grid.longitude + grid.longitude[3]))
    assert_allclose(turned, np.roll(field, -3, axis=-1), atol=1e-12)


def test_both_libraries_give_the_same(grid, without_ducc0):
    pytest.importorskip("ducc0")
    modal = random_modal(np.ones(grid.max_truncation + 1), np.random.default_rng(2))
    field = synthesis(modal, grid)
    through_pyshtools = analysis(field, grid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spherical, "_ducc0", lambda: importlib.import_module("ducc0"))
        assert_allclose(synthesis(modal, grid), field, atol=1e-12)
        assert_allclose(analysis(field, grid), through_pyshtools, atol=1e-12)


def test_low_degrees_alone_come_back_through_pyshtools(grid, without_ducc0):
    modal = random_modal(np.ones(6), np.random.default_rng(3))
    found = analysis(synthesis(modal, grid), grid)
    low = spherical.degrees(grid.max_truncation) <= 5
    assert np.abs(found[~low]).max() < 1e-13
    assert_allclose(power_per_degree(found)[:6], 1.0, rtol=1e-12)


def test_single_precision_is_kept_and_good_to_rounding():
    grid = GRIDS["both poles"]
    modal, field = random_field(grid)
    found = analysis(field.astype(np.float32), grid)
    assert found.dtype == np.complex64
    assert_allclose(found, modal, atol=1e-6 * np.abs(modal).max())
    assert synthesis(found, grid).dtype == np.float32


def test_leading_axes_are_kept():
    grid = GRIDS["gauss"]
    fields = np.random.default_rng(4).normal(size=(2, 3, *grid.shape))
    modal = analysis(fields, grid)
    assert modal.shape == (2, 3, 25 * 24 // 2)
    assert_allclose(modal[1, 2], analysis(fields[1, 2], grid))
    assert synthesis(modal, grid).shape == fields.shape
    assert power_per_degree(modal).shape == (2, 3, 24)


def test_random_coefficients_have_the_power_asked_for():
    power = np.array([0.0, 1.0, 4.0, 2.0])
    assert_allclose(power_per_degree(random_modal(power, np.random.default_rng(5))), power)


def test_random_fields_are_isotropic_so_that_all_orders_have_the_same_share():
    rng = np.random.default_rng(5)
    modal = np.array([random_modal(np.array([0.0, 3.0]), rng) for _ in range(4000)])
    along, around = np.mean(np.abs(modal[:, 1]) ** 2), np.mean(np.abs(modal[:, 2]) ** 2)
    assert_allclose(around / along, 1, rtol=0.06)  # standard error 0.02


def test_wavelength_of_degree_is_near_circumference_over_degree():
    assert_allclose(wavelength(100), 2 * np.pi * EARTH_RADIUS / 100.5, rtol=1e-4)
    assert wavelength(0) == np.inf


def test_mistakes_are_told():
    regional = Grid(np.linspace(60, 30, 16), np.linspace(0, 30, 16))
    with pytest.raises(ValueError, match="need a global grid; this one is 16 x 16 regional"):
        analysis(np.zeros((16, 16)), regional)
    with pytest.raises(ValueError, match=r"must end in \(24, 48\); got shape \(3, 24\)"):
        analysis(np.zeros((3, 24)), GRIDS["gauss"])
    with pytest.raises(ValueError, match="resolves degrees to 15; the coefficients reach 19"):
        synthesis(np.zeros(20 * 21 // 2), GRIDS["n x 2n"])
    with pytest.raises(ValueError, match="got 5"):
        power_per_degree(np.zeros(5))


def test_importing_loads_neither_library():
    names = {"ducc0", "pyshtools", "scipy"}
    code = f"import sys, evaluation.numerics.spherical; print({names} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
