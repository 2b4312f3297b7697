"""Reference behaviour of Williamson's cases 2, 5 and 6."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from dynamics.cases import CASES
from dynamics.cases._williamson import CONSTANTS
from dynamics.cases.rossby_haurwitz import angular_speed
from dynamics.cases.steady_flow import steady_flow
from dynamics.integrators import imex_rk_sil3
from dynamics.spectral.core import equation_of, start_of
from dynamics.spectral.spherical_harmonics import SphericalHarmonics

DAY = 86400.0
RADIUS = CONSTANTS.radius


def made(case, sphere):
    equation = equation_of(case, sphere)
    return equation, start_of(case, equation)


def run(equation, state, days, step):
    advance = tf.function(lambda state: imex_rk_sil3(equation, state, step))
    for _ in range(round(days * DAY / step)):
        state = advance(state)
    return state


@pytest.mark.parametrize("tilt", [0.0, 0.05, np.pi / 2])
def test_solid_body_rotation_stays_for_five_days(tilt):
    """The flow has degrees 0 to 2, so that no truncation error is left, only rounding."""
    sphere = SphericalHarmonics(15, radius=RADIUS, dtype="float64")
    equation, state = made(steady_flow(tilt), sphere)
    before, after = equation.fields(state), equation.fields(run(equation, state, 5, 1800.0))
    for name, unit in (("eastward_wind", 40.0), ("northward_wind", 40.0), ("height", 3000.0)):
        assert_allclose(after[name], before[name], rtol=0, atol=1e-12 * unit, err_msg=name)
    assert np.asarray(before["eastward_wind"]).max() == pytest.approx(38.6, abs=0.5)
    assert np.asarray(before["height"]).max() == pytest.approx(2.94e4 / 9.80616, rel=0.01)
    assert abs(state["geopotential"][0, 0, 0]) < 1e-9  # the mean is known in closed form


def test_solid_body_rotation_stays_in_single_precision():
    sphere = SphericalHarmonics(21, radius=RADIUS)
    equation, state = made(steady_flow(0.4), sphere)
    before, after = equation.fields(state), equation.fields(run(equation, state, 2, 1800.0))
    error = np.abs(after["height"] - before["height"])
    assert error.max() < 0.05  # m, of 3000
    assert np.abs(after["eastward_wind"] - before["eastward_wind"]).max() < 2e-3  # m s⁻¹


@pytest.mark.parametrize("name", ["mountain", "rossby-haurwitz"])
def test_the_mean_depth_is_that_of_the_start(name):
    _, state = made(CASES[name], SphericalHarmonics(21, radius=RADIUS, dtype="float64"))
    assert abs(float(state["geopotential"][0, 0, 0])) < 1e-9  # m² s⁻², what departs from it


def check_rossby_haurwitz(truncation, step):
    sphere = SphericalHarmonics(truncation, radius=RADIUS, dtype="float64")
    equation, state = made(CASES["rossby-haurwitz"], sphere)
    end = run(equation, state, 5, step)
    first, last = state["vorticity"].numpy(), end["vorticity"].numpy()
    power = (last**2).sum(axis=(0, 2))
    others = np.arange(truncation + 1) % 4 > 0
    assert power[others].sum() < 1e-20 * power.sum()  # multiples of 4 alone, to rounding
    assert power[4] > 0.8 * power.sum()
    # f = C cos 4λ + S sin 4λ has its crest at atan2(S, C) / 4
    crest = [np.arctan2(x[1, 4, 5], x[0, 4, 5]) / 4 for x in (first, last)]
    turned = (crest[1] - crest[0]) % (np.pi / 2)
    theory = angular_speed() * 5 * DAY
    assert np.degrees(theory) == pytest.approx(60.98, abs=0.01)  # 12.2° a day eastward
    # divergence slows the wave by some percent
    assert 0.88 * theory < turned < theory
    assert equation.mass(end).numpy() == equation.mass(state).numpy()
    assert_allclose(equation.energy(end), equation.energy(state), rtol=2e-5)
    assert_allclose(
        equation.potential_enstrophy(end), equation.potential_enstrophy(state), rtol=2e-4
    )


def test_rossby_haurwitz_wave_keeps_its_shape_and_travels():
    check_rossby_haurwitz(21, 1800.0)


@pytest.mark.slow
def test_rossby_haurwitz_wave_at_t42():
    check_rossby_haurwitz(42, 900.0)


@pytest.mark.slow
def test_flow_over_the_mountain_conserves_mass_and_energy():
    sphere = SphericalHarmonics(42, radius=RADIUS, dtype="float64")
    equation, state = made(CASES["mountain"], sphere)
    end = run(equation, state, 5, 1200.0)
    assert equation.mass(end).numpy() == equation.mass(state).numpy()
    assert_allclose(equation.energy(end), equation.energy(state), rtol=1e-6)
    height = np.asarray(equation.fields(end)["height"])
    assert 4900 < height.min() < 5150  # m; as in the published maps of day 5
    assert 5900 < height.max() < 6000
