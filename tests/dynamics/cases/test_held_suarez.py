import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose

from dynamics.cases import CASES, held_suarez
from dynamics.spectral.core import equation_of, start_of
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels
from tests.dynamics.primitive_states import Runner, largest

CASE = CASES["held-suarez"]


@pytest.fixture(scope="module")
def equations():
    sphere = SphericalHarmonics(15, radius=CASE.constants.radius)
    return equation_of(CASE, sphere, SigmaLevels.equidistant(5))


def test_start_is_at_rest_and_isothermal(equations):
    state = start_of(CASE, equations)
    for name in ("vorticity", "divergence", "log_surface_pressure"):
        assert largest(state[name]) == 0.0
    temperature = equations.total_temperature(equations.sphere.to_nodal(state["temperature"]))
    assert_allclose(temperature, held_suarez.START_TEMPERATURE, rtol=1e-6)


def test_tropics_warm_and_poles_cool_in_the_first_days(equations):
    state = start_of(CASE, equations)
    later = Runner(equations)(state, 1800.0, 96)
    change = ops.convert_to_numpy(
        equations.sphere.to_nodal(later["temperature"] - state["temperature"])
    ).mean(axis=-1)
    latitude = np.abs(equations.sphere.latitude)
    assert change[-1, latitude < 15].min() > 1.0  # lowest layer, K
    assert change[1, latitude > 70].max() < 0.0
    assert np.isfinite(change).all()
