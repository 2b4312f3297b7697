import keras
import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose

from dynamics.cases import CASES
from dynamics.cases import _jablonowski_williamson as case
from dynamics.spectral.core import equation_of, start_of
from dynamics.spectral.filters import hyperdiffusion
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels
from tests.dynamics.primitive_states import Runner, largest

WAVE, JETS = CASES["baroclinic-wave"], CASES["steady-jets"]

float64_works = pytest.mark.skipif(
    keras.backend.backend() == "jax" and not __import__("jax").config.jax_enable_x64,
    reason="float64 under JAX needs JAX_ENABLE_X64=1",
)


def test_wind_and_temperature_at_points():
    # the jets: 35 m/s at 45° and η = η_0; none at the pole and the equator
    assert case.eastward_wind(np.pi / 4, 0.252) == pytest.approx(35.0)
    assert case.eastward_wind(-np.pi / 4, 0.252) == pytest.approx(35.0)
    assert case.eastward_wind(0.0, 0.5) == pytest.approx(0.0)
    # at the ground 35 m/s (cos 67.32°)^1.5
    assert case.eastward_wind(np.pi / 4, 1.0) == pytest.approx(8.38, abs=0.005)
    # at η_0 the horizontal part vanishes: <T> = 288 K η^0.14635
    assert case.temperature(0.3, 0.252) == pytest.approx(288 * 0.252 ** (287 * 0.005 / 9.80616))
    assert case.temperature(0.3, 0.1) > 288 * 0.1 ** (287 * 0.005 / 9.80616)  # + 4.8 K aloft


def test_bump_is_one_metre_per_second_at_its_centre_and_an_e_th_at_its_radius():
    assert case.wind_bump(np.pi / 9, 2 * np.pi / 9) == pytest.approx(1.0)
    assert case.wind_bump(np.pi / 9, 2 * np.pi / 9 + 0.1) == pytest.approx(np.exp(-1))


def test_wind_is_in_gradient_balance_with_geopotential():
    # u (2 Ω sin φ + u tan φ / a) = -(1/a) ∂Φ/∂φ at the ground, where Φ = Φ_s and p_s is constant
    latitude = np.linspace(-1.5, 1.5, 301)
    step = 1e-4
    slope = (
        case.surface_geopotential(latitude + step) - case.surface_geopotential(latitude - step)
    ) / (2 * step)
    u = case.eastward_wind(latitude, np.asarray(1.0))
    air = case.CONSTANTS
    coriolis = 2 * air.rotation_rate * np.sin(latitude) + u * np.tan(latitude) / air.radius
    assert_allclose(u * coriolis, -slope / air.radius, atol=1e-9)


@float64_works
@pytest.mark.parametrize(("truncation", "bound"), [(15, 3e-10), (31, 1e-14)])
def test_steady_state_has_small_tendencies_that_vanish_with_truncation(truncation, bound):
    sphere = SphericalHarmonics(truncation, dtype="float64")
    equations = equation_of(WAVE, sphere, SigmaLevels.equidistant(10))
    state = start_of(JETS, equations)
    explicit, implicit = equations.explicit(state), equations.implicit(state)
    # 2e-9 s⁻² is the size of f ζ, which is balanced
    assert largest(explicit["divergence"] + implicit["divergence"]) < 1e-3 * 2e-9 + bound
    for name in ("vorticity", "temperature", "log_surface_pressure"):
        assert largest(explicit[name] + implicit[name]) < 1e-15, name


@float64_works
def test_energy_of_the_inviscid_case_is_kept():
    sphere = SphericalHarmonics(21, dtype="float64")
    equations = equation_of(WAVE, sphere, SigmaLevels.equidistant(6))
    state = start_of(WAVE, equations)
    later = Runner(equations)(state, 1800.0, 96)
    # two days; the kinetic energy is 1e-4 of the whole
    assert abs(float(equations.energy(later) / equations.energy(state)) - 1) < 2e-8


def test_perturbation_is_the_bump_alone():
    sphere = SphericalHarmonics(42)
    equations = equation_of(WAVE, sphere, SigmaLevels.equidistant(4))
    start = start_of(WAVE, equations)
    steady = start_of(JETS, equations)
    bump = sphere.winds(*(start[name] - steady[name] for name in ("vorticity", "divergence")))
    expected = case.wind_bump(np.radians(sphere.longitude), np.radians(sphere.latitude)[:, None])
    # 0.1 radii are about two grid lengths of T42, so the bump is slightly cut
    assert_allclose(ops.convert_to_numpy(bump[0])[2], expected, atol=0.02)
    assert_allclose(ops.convert_to_numpy(bump[1])[2], 0.0, atol=0.02)


@pytest.mark.slow
def test_steady_state_stays_steady_for_five_days():
    sphere = SphericalHarmonics(42, radius=case.CONSTANTS.radius)
    equations = equation_of(WAVE, sphere, SigmaLevels.equidistant(20))
    state = start_of(JETS, equations)
    run = Runner(equations)
    wind = sphere.winds(state["vorticity"], state["divergence"])[0]
    later = run(state, 1200.0, 360)
    change = sphere.winds(later["vorticity"], later["divergence"])[0] - wind
    layers = sphere.mean(change**2)
    error = np.sqrt(np.sum(equations.levels.thickness * ops.convert_to_numpy(layers)))
    assert error < 0.1  # m/s, in the norm of Jablonowski & Williamson, eq. 14
    pressure = ops.convert_to_numpy(equations.surface_pressure(later)) / 100
    assert_allclose(pressure, 1000.0, atol=0.5)


@pytest.mark.slow
def test_baroclinic_wave_deepens_as_published():
    # Jablonowski & Williamson (2006), figs. 5-7: slow until day 6, about 980 hPa on day 8 and
    # 940 to 950 hPa on day 9 where it is resolved
    sphere = SphericalHarmonics(42, radius=case.CONSTANTS.radius)
    equations = equation_of(WAVE, sphere, SigmaLevels.equidistant(15))
    step = 1200.0
    names = ("vorticity", "divergence", "temperature")
    run = Runner(equations, hyperdiffusion(sphere, step, time_scale=8 * 3600.0, names=names))
    state = start_of(WAVE, equations)
    lowest = {}
    for day in (4, 8, 9):
        state = run(state, step, int((day - max(lowest, default=0)) * 86400 / step))
        lowest[day] = float(ops.min(equations.surface_pressure(state))) / 100
    assert 996 < lowest[4] < 1000
    assert 960 < lowest[8] < 985
    assert 935 < lowest[9] < 962
    pressure = ops.convert_to_numpy(equations.surface_pressure(state)) / 100
    row = np.unravel_index(pressure.argmin(), pressure.shape)[0]
    assert 45 < sphere.latitude[row] < 70
    # the perturbation has not reached the southern hemisphere
    assert_allclose(pressure[sphere.latitude < -20], 1000.0, atol=3.0)
