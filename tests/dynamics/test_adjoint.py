"""Derivatives of a whole step of the Held-Suarez climate: forcing, diffusion and mass fixer too."""

import keras
import pytest

from dynamics.cases import CASES
from dynamics.integrators import SIL3, combination, with_filters
from dynamics.spectral.core import equation_of
from dynamics.spectral.filters import hyperdiffusion
from dynamics.spectral.primitive_equations import MassFixer
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels
from tests.dynamics.primitive_states import compiled, random_state

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="written with TensorFlow's tape"
)

STEP = 1800.0


@pytest.fixture(scope="module")
def equation():
    sphere = SphericalHarmonics(10, radius=CASES["held-suarez"].constants.radius, dtype="float64")
    return equation_of(
        CASES["held-suarez"], sphere, SigmaLevels.equidistant(5), reference_temperature=270.0
    )


@pytest.fixture(scope="module")
def two_steps(equation):
    step = with_filters(
        lambda state: SIL3(equation, state, STEP),
        hyperdiffusion(equation.sphere, STEP, time_scale=8640.0, order=8),
        MassFixer(equation.sphere, 1e5),
    )
    return compiled(lambda state: step(step(state)))


@pytest.fixture(scope="module")
def scaled(equation):
    """A state, a direction v, and weights w whose product with a state is of the size of one."""
    state, direction, weights = (random_state(equation, seed=seed) for seed in (0, 1, 2))
    weights = {name: x / (x.numpy() ** 2).sum() for name, x in weights.items()}
    return state, direction, weights


def product(a, b):
    return sum(float((a[name].numpy() * b[name].numpy()).sum()) for name in a)


def transposed(advance, state, weights):
    """Jᵀ w, with J the derivative of the state after the steps with respect to that before."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(state)
        value = sum(tf.reduce_sum(x * weights[name]) for name, x in advance(state).items())
    return tape.gradient(value, state)


@pytest.mark.slow
def test_the_adjoint_passes_the_dot_product_test(two_steps, scaled):
    """<J v, w> = <v, Jᵀ w> to rounding."""
    import tensorflow as tf

    state, direction, weights = scaled
    with tf.autodiff.ForwardAccumulator(state, direction) as accumulator:
        end = two_steps(state)
    tangent = {name: accumulator.jvp(x) for name, x in end.items()}
    backward = product(direction, transposed(two_steps, state, weights))
    assert backward == pytest.approx(product(tangent, weights), rel=1e-11)


def test_the_gradient_is_that_of_differences(two_steps, scaled):
    state, direction, weights = scaled
    epsilon = 1e-4
    ahead, behind = (
        product(two_steps(combination([1.0, sign * epsilon], [state, direction])), weights)
        for sign in (1.0, -1.0)
    )
    along = product(direction, transposed(two_steps, state, weights))
    # the equilibrium temperature has a kink at 200 K, where differences see either side
    assert along == pytest.approx((ahead - behind) / (2 * epsilon), rel=1e-6)
