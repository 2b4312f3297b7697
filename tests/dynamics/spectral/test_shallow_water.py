"""Conservation, order of convergence, adjoint and compilation of the shallow-water model."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from dynamics.cases import CASES
from dynamics.integrators import ARS233, SIL3, SemiImplicitLeapfrog, rk4, with_filters
from dynamics.spectral.core import equation_of, start_of
from dynamics.spectral.filters import hyperdiffusion
from dynamics.spectral.shallow_water import ShallowWater
from dynamics.spectral.spherical_harmonics import SphericalHarmonics

HOUR = 3600.0


@pytest.fixture(scope="module")
def sphere():
    return SphericalHarmonics(15, radius=CASES["mountain"].constants.radius, dtype="float64")


@pytest.fixture(scope="module")
def wave(sphere):
    """A Rossby-Haurwitz wave without its symmetries: over a mountain."""
    equation = equation_of(CASES["mountain"], sphere)
    wave = CASES["rossby-haurwitz"]
    state = start_of(wave, equation_of(wave, sphere))
    return equation, state


def random_state(sphere, seed, *lead):
    rng = np.random.default_rng(seed)
    scales = {"vorticity": 1e-5, "divergence": 1e-6, "geopotential": 1e3}
    decay = (sphere.degrees > 0) / (1 + sphere.degrees) ** 2  # no flow has a mean vorticity
    return {
        name: tf.constant(
            scale * decay * rng.standard_normal((*lead, *sphere.modal_shape)) * sphere.mask
        )
        for name, scale in scales.items()
    }


def product(a, b):
    return sum(tf.reduce_sum(a[name] * b[name]) for name in a)


def run(integrator, equation, state, num_steps, time):
    step = tf.constant(time / num_steps, tf.float64)
    if isinstance(integrator, SemiImplicitLeapfrog):
        levels = integrator.start(equation, state, step)
        advance = tf.function(lambda levels, step: integrator(equation, levels, step))
        for _ in range(num_steps - 1):
            levels = advance(levels, step)
        return levels[1]
    advance = tf.function(lambda state, step: integrator(equation, state, step))
    for _ in range(num_steps):
        state = advance(state, step)
    return state


def test_implicit_solve_inverts_the_implicit_terms(wave):
    equation, _ = wave
    state = random_state(equation.sphere, 0, 2)
    solved = equation.solve_implicit(state, 1800.0)
    tendency = equation.implicit(solved)
    for name, expected in state.items():
        found = solved[name] - 1800.0 * tendency[name]
        scale = np.abs(solved[name]).max()
        assert_allclose(found, expected, rtol=0, atol=1e-12 * scale)


def test_mass_is_conserved_to_the_last_bit_and_energy_nearly(wave):
    equation, state = wave
    end = run(SIL3, equation, state, 144, 24 * HOUR)
    assert equation.mass(end).numpy() == equation.mass(state).numpy()
    # what the step loses of gravity waves, and aliases of cubic terms
    assert_allclose(equation.energy(end), equation.energy(state), rtol=2e-6)
    assert_allclose(
        equation.potential_enstrophy(end), equation.potential_enstrophy(state), rtol=1e-3
    )


def test_tendencies_conserve_energy_whatever_the_step(sphere):
    """dE/dt of the tendencies, by automatic differentiation."""
    fine = SphericalHarmonics(15, num_latitudes=48, radius=sphere.radius, dtype="float64")
    ground = 5e3 * np.cos(np.radians(fine.latitude))[:, None] * np.ones(fine.num_longitudes)
    equation = ShallowWater(fine, mean_geopotential=6e4, orography=ground)
    state = random_state(fine, 1)
    for name, size in (("vorticity", 3.0), ("divergence", 3.0)):
        state[name] = state[name] * size
    with tf.GradientTape() as tape:
        tape.watch(state)
        energy = equation.energy(state)
    gradient = tape.gradient(energy, state)
    explicit, implicit = equation.explicit(state), equation.implicit(state)
    change = product(gradient, {name: explicit[name] + implicit[name] for name in state})
    parts = sum(np.abs(product({n: gradient[n]}, {n: implicit[n]})) for n in state)
    assert np.abs(change) < 1e-5 * parts


@pytest.mark.parametrize(
    ("integrator", "order"), [(SIL3, 2), (ARS233, 3), (SemiImplicitLeapfrog(), 2)]
)
def test_integrators_converge_with_their_order(wave, integrator, order):
    equation, state = wave
    exact = run(rk4, equation, state, 96, 2 * HOUR)["vorticity"].numpy()
    errors = [
        np.abs(run(integrator, equation, state, n, 2 * HOUR)["vorticity"] - exact).max()
        for n in (24, 48)
    ]
    assert_allclose(np.log2(errors[0] / errors[1]), order, rtol=0, atol=0.25)


def test_members_do_not_mix(wave):
    equation, _ = wave
    members = random_state(equation.sphere, 2, 3)
    together = SIL3(equation, members, 600.0)
    alone = SIL3(equation, {name: x[1] for name, x in members.items()}, 600.0)
    for name, expected in alone.items():
        assert_allclose(together[name][1], expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_fields_are_those_the_state_was_made_of(wave):
    equation, _ = wave
    fields = equation.fields(random_state(equation.sphere, 3))
    state = equation.state(fields["eastward_wind"], fields["northward_wind"], fields["height"])
    for name, found in equation.fields(state).items():
        scale = np.abs(fields[name]).max()
        assert_allclose(found, fields[name], rtol=0, atol=1e-12 * scale, err_msg=name)


def test_balanced_states_have_no_tendency_of_divergence(wave):
    equation, state = wave
    balanced = equation.balanced(state["vorticity"])
    explicit, implicit = equation.explicit(balanced), equation.implicit(balanced)
    found = explicit["divergence"] + implicit["divergence"]
    assert np.abs(found).max() < 1e-12 * np.abs(implicit["divergence"]).max()
    assert_allclose(equation.mass(balanced), equation.mean_geopotential / 9.80616)


def three_steps(equation):
    smooth = hyperdiffusion(equation.sphere, 900.0, time_scale=6 * HOUR)
    step = tf.function(with_filters(lambda state: SIL3(equation, state, 900.0), smooth))
    return lambda state: step(step(step(state)))


def derivative(advance, state, direction, weights):
    """d/dx <advance(x), weights> along the direction, by reverse differentiation."""
    with tf.GradientTape() as tape:
        tape.watch(state)
        value = product(advance(state), weights)
    return product(tape.gradient(value, state), direction)


def test_gradient_agrees_with_finite_differences(wave):
    equation, state = wave
    advance = three_steps(equation)
    direction, weights = random_state(equation.sphere, 4), random_state(equation.sphere, 5)
    found = derivative(advance, state, direction, weights)
    epsilon = 1e-4
    moved = [
        product(advance({n: x + sign * epsilon * direction[n] for n, x in state.items()}), weights)
        for sign in (1, -1)
    ]
    assert_allclose(found, (moved[0] - moved[1]) / (2 * epsilon), rtol=1e-6)


@pytest.mark.slow
def test_gradient_is_the_adjoint_of_the_tangent(wave):
    """The dot-product test: <M'x, y> = <x, M'ᵀy> to rounding."""
    equation, state = wave
    advance = three_steps(equation)
    direction, weights = random_state(equation.sphere, 4), random_state(equation.sphere, 5)
    with tf.autodiff.ForwardAccumulator(state, direction) as accumulator:
        end = advance(state)
    tangent = product({name: accumulator.jvp(x) for name, x in end.items()}, weights)
    assert_allclose(derivative(advance, state, direction, weights), tangent, rtol=1e-11)


@pytest.mark.parametrize("xla", [False, True])
def test_steps_compile_and_stay_the_same(xla):
    sphere = SphericalHarmonics(15)
    wave = CASES["rossby-haurwitz"]
    equation = equation_of(wave, sphere)
    state = start_of(wave, equation)
    expected = SIL3(equation, state, 900.0)
    found = tf.function(lambda state: SIL3(equation, state, 900.0), jit_compile=xla)(state)
    for name, values in expected.items():
        scale = np.abs(expected["geopotential" if name == "geopotential" else "vorticity"]).max()
        assert_allclose(found[name], values, rtol=0, atol=1e-6 * scale)


def test_an_empty_ocean_is_refused(sphere):
    with pytest.raises(ValueError, match="`mean_geopotential` must be positive"):
        ShallowWater(sphere, mean_geopotential=0.0)
