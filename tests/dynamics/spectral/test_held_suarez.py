from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose

from dynamics.integrators import Sum
from dynamics.spectral.held_suarez import CONSTANTS, HeldSuarez, HeldSuarezParameters
from dynamics.spectral.primitive_equations import PrimitiveEquations
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels
from tests.dynamics.primitive_states import largest, random_state

DAY = 86400.0

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "jax" and not __import__("jax").config.jax_enable_x64,
    reason="float64 under JAX needs JAX_ENABLE_X64=1",
)


@pytest.fixture(scope="module")
def sphere():
    return SphericalHarmonics(10, radius=CONSTANTS.radius, dtype="float64")


LEVELS = SigmaLevels.equidistant(10)


def published_equilibrium(latitude, pressure):
    """Held & Suarez (1994), p. 1826, with latitude in degrees and pressure in hPa."""
    phi, ratio = np.radians(latitude), pressure / 1000.0
    warm = 315 - 60 * np.sin(phi) ** 2 - 10 * np.log(ratio) * np.cos(phi) ** 2
    return np.maximum(200.0, warm * ratio ** (2 / 7))


def test_equilibrium_temperature_is_the_published_formula(sphere):
    forcing = HeldSuarez(sphere, LEVELS)
    pressure = np.random.default_rng(0).uniform(700, 1040, sphere.nodal_shape)
    actual = forcing.equilibrium_temperature(sphere.constant(np.log(pressure / 1000))[None])
    expected = published_equilibrium(
        sphere.latitude[:, None], LEVELS.centers[:, None, None] * pressure
    )
    assert_allclose(ops.convert_to_numpy(actual), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("latitude", "pressure", "expected"),
    [(0.0, 1000.0, 315.0), (90.0, 1000.0, 255.0), (45.0, 10.0, 200.0), (-90.0, 500.0, 209.19)],
)
def test_equilibrium_temperature_at_points(latitude, pressure, expected):
    # worked by hand; -90°, 500 hPa: 255 K * 0.5^(2/7) = 255 K * 0.82034
    points = SimpleNamespace(
        sin_latitude=np.array([np.sin(np.radians(latitude))]), constant=ops.convert_to_tensor
    )
    forcing = HeldSuarez(points, SigmaLevels(np.array([0.0, 1.0])))
    # one layer, at σ = 1/2
    logarithm = ops.convert_to_tensor(np.log(pressure / 1000 / 0.5).reshape(1, 1, 1))
    found = ops.convert_to_numpy(forcing.equilibrium_temperature(logarithm))
    assert found.item() == pytest.approx(expected, abs=0.01)


def test_rates_at_the_corners(sphere):
    # equidistant in 1000 layers, so that a level lies at nearly every σ
    fine = HeldSuarez(sphere, SigmaLevels.equidistant(1000))
    friction, relaxation = fine.friction_rates * DAY, fine.relaxation_rates[..., 0] * DAY
    cos4 = np.cos(np.radians(sphere.latitude)) ** 4
    assert_allclose(friction[:700], 0.0, atol=1e-15)
    assert friction[-1] == pytest.approx(1.0, abs=2e-3)  # at the ground, one day
    assert friction[849] == pytest.approx(0.5, abs=2e-3)  # halfway up the boundary layer
    assert_allclose(relaxation[:700], 1 / 40)
    assert_allclose(relaxation[-1], 1 / 40 + (1 / 4 - 1 / 40) * cos4, atol=1e-3)
    assert_allclose(relaxation[849], 1 / 40 + 0.5 * (1 / 4 - 1 / 40) * cos4, atol=1e-3)


def test_published_constants():
    assert CONSTANTS.kappa == pytest.approx(2 / 7, rel=1e-15)
    assert CONSTANTS.gas_constant == pytest.approx(286.857, abs=1e-3)
    assert (
        CONSTANTS.radius,
        CONSTANTS.rotation_rate,
        CONSTANTS.gravity,
        CONSTANTS.heat_capacity,
    ) == (
        6.371e6,
        7.292e-5,
        9.8,
        1004.0,
    )


def test_equilibrium_at_rest_is_not_heated(sphere):
    forcing = HeldSuarez(sphere, LEVELS, reference_temperature=250.0)
    zero = sphere.constant(np.zeros((10, *sphere.nodal_shape)))
    fields = {
        "eastward_wind": zero,
        "northward_wind": zero,
        "log_surface_pressure": zero[:1],
        "temperature": forcing.equilibrium_temperature(zero[:1]) - 250.0,
    }
    for name, value in forcing(fields).items():
        assert largest(value) < 1e-17, name


def test_what_is_too_warm_is_cooled_and_winds_are_braked_near_the_ground(sphere):
    forcing = HeldSuarez(sphere, LEVELS, reference_temperature=250.0)
    zero = sphere.constant(np.zeros((10, *sphere.nodal_shape)))
    equilibrium = forcing.equilibrium_temperature(zero[:1]) - 250.0
    # too warm by 3 K in the north, too cold by 3 K in the south; westerlies, northerlies
    excess = 3.0 * np.sign(sphere.latitude)[:, None] * np.ones((10, *sphere.nodal_shape))
    fields = {
        "eastward_wind": zero + 20.0,
        "northward_wind": zero - 5.0,
        "log_surface_pressure": zero[:1],
        "temperature": equilibrium + sphere.constant(excess),
    }
    tendency = {name: ops.convert_to_numpy(value) for name, value in forcing(fields).items()}
    assert (tendency["temperature"] * excess < 0).all()
    assert_allclose(tendency["temperature"], -excess * forcing.relaxation_rates, rtol=1e-9)
    low = LEVELS.centers > 0.7
    assert (tendency["eastward_wind"][low] < 0).all()  # against the wind
    assert (tendency["northward_wind"][low] > 0).all()
    assert_allclose(tendency["eastward_wind"][~low], 0.0)
    # an e-folding in a day at the ground: half of it where σ = 0.85
    assert_allclose(tendency["eastward_wind"][8], -20.0 * 0.5 / DAY)
    heated = forcing.explicit(
        {name: sphere.to_modal(fields[name]) for name in ("temperature", "log_surface_pressure")}
        | {"vorticity": sphere.to_modal(fields["eastward_wind"]) * 1e-6}
        | {"divergence": sphere.to_modal(zero)}
    )
    assert heated["vorticity"][8, 0, 0, 0] < 0
    mean = ops.convert_to_numpy(sphere.to_nodal(heated["temperature"])).mean(axis=(0, 2))
    assert mean[sphere.latitude > 30].max() < 0 < mean[sphere.latitude < -30].min()


def test_as_physics_and_as_forcing_are_the_same(sphere):
    forcing = HeldSuarez(sphere, LEVELS, reference_temperature=260.0)
    settings = {"reference_temperature": 260.0, "constants": CONSTANTS}
    plain = PrimitiveEquations(sphere, LEVELS, **settings)
    state = random_state(plain)
    apart = Sum(plain, forcing).explicit(state)
    together = PrimitiveEquations(sphere, LEVELS, physics=(forcing,), **settings).explicit(state)
    for name in state:
        assert largest(apart[name] - together[name]) < 1e-12 * largest(apart[name]), name


def test_forcing_alone_gives_zeros_for_what_it_does_not_touch(sphere):
    state = random_state(PrimitiveEquations(sphere, LEVELS, constants=CONSTANTS))
    state["tracers"] = {"q": state["temperature"]}
    tendency = HeldSuarez(sphere, LEVELS).explicit(state)
    assert largest(tendency["log_surface_pressure"]) == 0.0
    assert largest(tendency["tracers"]["q"]) == 0.0


def test_parameters_may_be_changed(sphere):
    dry = HeldSuarez(sphere, LEVELS, parameters=HeldSuarezParameters(minimum_temperature=150.0))
    zero = sphere.constant(np.zeros((1, *sphere.nodal_shape)))
    coldest = ops.convert_to_numpy(dry.equilibrium_temperature(zero)).min()
    assert 150.0 <= coldest < 200.0
