import numpy as np
import pytest
from numpy.testing import assert_allclose

from dynamics.vertical import SigmaLevels, apply_levels, vertical_advection

UNEVEN = SigmaLevels(np.array([0.0, 0.05, 0.2, 0.45, 0.7, 0.9, 1.0]))
ALL = [SigmaLevels.equidistant(8), UNEVEN, SigmaLevels(UNEVEN.boundaries, scheme="midpoint")]


def test_layers_fill_the_column_and_centers_lie_inside():
    assert UNEVEN.thickness.sum() == pytest.approx(1.0, abs=1e-15)
    assert len(UNEVEN) == len(UNEVEN.centers) == 6
    assert (UNEVEN.centers > UNEVEN.boundaries[:-1]).all()
    assert (UNEVEN.centers < UNEVEN.boundaries[1:]).all()


def test_geopotential_of_an_isothermal_atmosphere_is_its_layer_mean():
    # the mean of -ln σ from a to b is 1 - (b ln b - a ln a) / (b - a)
    half = UNEVEN.boundaries
    integral = half * np.log(np.where(half > 0, half, 1.0))
    expected = 1.0 - np.diff(integral) / UNEVEN.thickness
    assert_allclose(UNEVEN.hydrostatic.sum(axis=1), expected, rtol=1e-13)


def test_midpoint_geopotential_of_an_isothermal_atmosphere_is_exact_at_the_centers():
    levels = ALL[2]
    assert_allclose(levels.hydrostatic.sum(axis=1), -np.log(levels.centers), rtol=1e-13)


@pytest.mark.parametrize("scheme", ["simmons_burridge", "midpoint"])
def test_geopotential_converges_to_the_hydrostatic_integral(scheme):
    # T = σ^b, hence Φ / R = (1 - σ^b) / b, compared where one level stays: at σ = 1/2
    errors = []
    for num_levels in (15, 45, 135):
        levels = SigmaLevels(np.linspace(0, 1, num_levels + 1), scheme=scheme)
        geopotential = levels.hydrostatic @ levels.centers**0.3
        errors.append(abs(geopotential[num_levels // 2] - (1 - 0.5**0.3) / 0.3))
    orders = np.log(np.array(errors[:-1]) / errors[1:]) / np.log(3)
    assert (orders > 1.8).all()


def test_mountain_torque_identity_of_layer_means():
    # Σ Δσ (Φ - R T) = Φ_s for every T: a column of Δσ H sums to Δσ
    assert_allclose(UNEVEN.thickness @ UNEVEN.hydrostatic, UNEVEN.thickness, rtol=1e-13)


@pytest.mark.parametrize("levels", ALL)
def test_pressure_work_equals_energy_conversion(levels):
    rng = np.random.default_rng(0)
    temperature, g = rng.normal(size=(2, len(levels)))
    work = np.sum(levels.thickness * g * (levels.hydrostatic @ temperature))
    conversion = np.sum(levels.thickness * temperature * (levels.conversion @ g))
    assert work == pytest.approx(conversion, rel=1e-13)


@pytest.mark.parametrize("levels", ALL)
def test_vertical_velocity_satisfies_continuity_with_none_through_top_and_ground(levels):
    g = np.random.default_rng(1).normal(size=len(levels))
    velocity = np.concatenate([[0.0], levels.vertical_velocity @ g, [0.0]])
    pressure_tendency = -(levels.thickness @ g)
    # ∂ ln p_s/∂t + G + ∂σ̇/∂σ = 0 in each layer
    assert_allclose(pressure_tendency + g + np.diff(velocity) / levels.thickness, 0, atol=1e-13)


def test_advection_matrix_is_the_advection_of_a_profile():
    rng = np.random.default_rng(2)
    g, profile = rng.normal(size=(2, 6))
    velocity = (UNEVEN.vertical_velocity @ g)[:, None, None]
    direct = vertical_advection(
        velocity, profile[:, None, None], 1 / UNEVEN.thickness[:, None, None]
    )
    assert_allclose(-UNEVEN.advection_of(profile) @ g, np.asarray(direct)[:, 0, 0], atol=1e-13)


def test_vertical_advection_conserves_mass_weighted_sum_and_square():
    rng = np.random.default_rng(3)
    g, values = rng.normal(size=(2, 6))
    tendency = np.asarray(
        vertical_advection(
            (UNEVEN.vertical_velocity @ g)[:, None, None],
            values[:, None, None],
            1 / UNEVEN.thickness[:, None, None],
        )
    )[:, 0, 0]
    # the mass p_s Δσ of a layer grows by -(∂σ̇/∂σ) p_s Δσ; X m and X² m have no source
    growth = -np.diff(np.concatenate([[0.0], UNEVEN.vertical_velocity @ g, [0.0]]))
    assert np.sum(UNEVEN.thickness * tendency + growth * values) == pytest.approx(0, abs=1e-13)
    square = 2 * UNEVEN.thickness * values * tendency + growth * values**2
    assert square.sum() == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize(("shape", "num_axes"), [((3, 6, 4, 5), 2), ((6, 2, 3, 4), 3)])
def test_apply_levels_acts_on_the_axis_of_levels_alone(shape, num_axes):
    rng = np.random.default_rng(4)
    values, matrix = rng.normal(size=shape), rng.normal(size=(2, 6))
    axis = len(shape) - num_axes - 1
    expected = np.moveaxis(np.tensordot(matrix, values, (1, axis)), 0, axis)
    assert_allclose(np.asarray(apply_levels(matrix, values, num_axes)), expected, atol=1e-13)


@pytest.mark.parametrize("boundaries", [[0.1, 1.0], [0.0, 0.5, 0.4, 1.0], [0.0], [0.0, 0.9]])
def test_boundaries_must_increase_from_zero_to_one(boundaries):
    with pytest.raises(ValueError, match="`boundaries` must increase from 0"):
        SigmaLevels(np.array(boundaries))


def test_unknown_scheme_and_empty_column_are_refused():
    with pytest.raises(ValueError, match="`scheme` must be"):
        SigmaLevels(np.array([0.0, 1.0]), scheme="leapfrog")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`num_levels` must be positive"):
        SigmaLevels.equidistant(0)
