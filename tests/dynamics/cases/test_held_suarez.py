import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose

from dynamics.cases import held_suarez as case
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels
from tests.dynamics.primitive_states import Runner, largest


@pytest.fixture(scope="module")
def equations():
    sphere = SphericalHarmonics(15, radius=case.CONSTANTS.radius)
    return case.equation(sphere, SigmaLevels.equidistant(5))


def test_start_is_at_rest_with_the_noise_asked_for(equations):
    state = case.initial_state(equations, seed=1, amplitude=0.5)
    for name in ("vorticity", "divergence", "log_surface_pressure"):
        assert largest(state[name]) == 0.0
    temperature = equations.total_temperature(equations.sphere.to_nodal(state["temperature"]))
    mean = ops.convert_to_numpy(equations.sphere.mean(temperature))
    assert_allclose(mean, case.START_TEMPERATURE, rtol=1e-5)
    spread = ops.convert_to_numpy(equations.sphere.mean((temperature - 264.0) ** 2)) ** 0.5
    assert_allclose(spread, 0.5, rtol=1e-3)


def test_members_depend_on_seed_and_number_alone(equations):
    many = case.initial_state(equations, seed=3, num_members=3)
    two = case.initial_state(equations, seed=3, num_members=2)
    one, other = case.initial_state(equations, seed=3), case.initial_state(equations, seed=4)
    first = ops.convert_to_numpy(many["temperature"])
    assert first.shape == (3, 5, *equations.sphere.modal_shape)
    assert_allclose(first[:2], two["temperature"])
    assert_allclose(first[0], one["temperature"])
    assert not np.allclose(first[0], first[1])
    assert not np.allclose(first[0], other["temperature"])


def test_tropics_warm_and_poles_cool_in_the_first_days(equations):
    state = case.initial_state(equations)
    later = Runner(equations)(state, 1800.0, 96)
    change = ops.convert_to_numpy(
        equations.sphere.to_nodal(later["temperature"] - state["temperature"])
    ).mean(axis=-1)
    latitude = np.abs(equations.sphere.latitude)
    assert change[-1, latitude < 15].min() > 1.0  # lowest layer, K
    assert change[1, latitude > 70].max() < 0.0
    assert np.isfinite(change).all()
