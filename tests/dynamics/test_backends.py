"""Transforms, steps and their derivatives are the same under each backend of Keras."""

import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.backends import needs, run_under

BACKENDS = ("tensorflow", "jax", "torch")

CHECKS = """
import sys
import keras
import numpy as np
from keras import ops
from dynamics.cases import CASES
from dynamics.spectral.core import equation_of, start_of
from dynamics.spectral.filters import hyperdiffusion
from dynamics.integrators import SIL3, with_filters
from dynamics.spectral.primitive_equations import MassFixer
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels

path, backend = sys.argv[1:]
assert keras.backend.backend() == backend


def sphere(truncation, case):
    return SphericalHarmonics(truncation, radius=case.constants.radius, dtype="float64")


def shallow_water(truncation):
    case = CASES["mountain"]
    equation = equation_of(case, sphere(truncation, case))
    state = start_of(case, equation)
    smooth = hyperdiffusion(equation.sphere, 900.0, time_scale=3600.0)
    step = with_filters(lambda state: SIL3(equation, state, 900.0), smooth)

    def cost(end):
        return ops.sum(end["geopotential"] ** 2) * 1e-6 + ops.sum(end["vorticity"] ** 2) * 1e10

    return state, step, cost, equation.fields


def climate(truncation):
    levels = SigmaLevels.equidistant(5)
    case = CASES["held-suarez"]
    equation = equation_of(case, sphere(truncation, case), levels)
    modal = equation.sphere.modal_shape
    rng = np.random.default_rng(0)
    state = {}
    for name, size in (("vorticity", 3e-5), ("divergence", 3e-6), ("temperature", 5.0)):
        drawn = rng.standard_normal((5, *modal)) * equation.sphere.mask
        drawn[..., 0, 0, 0] = 0.0
        state[name] = equation.sphere.constant(size * drawn / np.sqrt((drawn[0] ** 2).sum()))
    state["temperature"] = state["temperature"] - 40.0 * equation.sphere.constant(
        (np.arange(np.prod(modal)) == 0).reshape(modal)
    )
    state["log_surface_pressure"] = state["temperature"][:1] * 1e-3
    fixer = MassFixer(equation.sphere, 1e5)
    step = with_filters(lambda state: SIL3(equation, state, 900.0), fixer)

    def cost(end):
        return ops.sum(end["temperature"] ** 2) + ops.sum(end["vorticity"] ** 2) * 1e10

    return state, step, cost, lambda end: {
        "temperature": equation.nodal_fields(end)["temperature"],
        "surface pressure": equation.surface_pressure(end),
        "energy": equation.energy(end),
        "equilibrium": equation.physics[0].equilibrium_temperature(
            equation.nodal_fields(end)["log_surface_pressure"]
        ),
    }


def differentiated(step, cost, state):
    names = list(state)
    if backend == "tensorflow":
        import tensorflow as tf
        with tf.GradientTape() as tape:
            tape.watch(state)
            value = cost(step(state))
        return tape.gradient(value, state), tf.function(step, jit_compile=True)(state)
    if backend == "jax":
        import jax
        return jax.jit(jax.grad(lambda x: cost(step(x))))(state), jax.jit(step)(state)
    watched = {name: value.clone().requires_grad_() for name, value in state.items()}
    cost(step(watched)).backward()
    return {name: value.grad for name, value in watched.items()}, step(state)


results = {}
cases = ((shallow_water, 21), (shallow_water, 64), (climate, 21))  # 64: fast Fourier transforms
for make, truncation in cases:
    state, step, cost, look = make(truncation)
    gradients, end = differentiated(step, cost, state)
    found = end | {f"gradient of {name}": x for name, x in gradients.items()}
    found |= {f"field {name}": x for name, x in look(end).items()}
    for name, value in found.items():
        assert "float64" in str(value.dtype), name
        results[f"{make.__name__} {truncation} {name}"] = ops.convert_to_numpy(value)
np.savez(path, **results)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A function of the backend's name; each runs once."""
    found = {}

    def under(backend):
        if backend not in found:
            path = tmp_path_factory.mktemp(backend) / "results.npz"
            run_under(backend, CHECKS, path, backend, JAX_ENABLE_X64="1")
            with np.load(path) as file:
                found[backend] = dict(file)
        return found[backend]

    return under


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_steps_and_gradients_are_the_same_under_every_backend(backend, results):
    needs(backend)
    expected, found = results("tensorflow"), results(backend)
    assert set(found) == set(expected)  # JAX sorts them
    assert len(expected) == 2 * (3 + 3 + 5) + 4 + 4 + 4
    for name, values in expected.items():
        scale = np.abs(values).max()
        assert scale > 0
        # rounding; of a divergence, little is left of large terms that cancel. A single operation
        # in float32 shows as 1e-8.
        tolerance = 1e-10 if "divergence" in name else 1e-11
        assert_allclose(found[name], values, rtol=0, atol=tolerance * scale, err_msg=name)


TORCH_STEP = """
import warnings
import numpy as np
import torch
from dynamics import compilation
from dynamics.simulation.simulation import Simulation

slow = Simulation("held-suarez", truncation=10, num_levels=3, step=3600.0)
state = slow.start(spun_up=True)
tensors = {name: slow.core.sphere.constant(value) for name, value in state.items()}
compiled, steps = compilation.compiled, []
compilation.compiled = lambda function: steps.append(function) or function
slow = Simulation("held-suarez", truncation=10, num_levels=3, step=3600.0)
compilation.compiled = compiled
"""

ONE_GRAPH = (
    TORCH_STEP
    + """
with torch.no_grad():
    found = torch._dynamo.explain(steps[0])(tensors)
assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons
torch._dynamo.reset()
torch._dynamo.config.error_on_recompile = True  # the same graph for each step
torch._dynamo.config.fail_on_recompile_limit_hit = True
fast = Simulation("held-suarez", truncation=10, num_levels=3, step=3600.0)
expected, actual = slow.advance(state, 6), fast.advance(state, 6)
for name, value in expected.items():
    assert np.abs(actual[name] - value).max() < 1e-4 * np.abs(value).max(), name
"""
)

NO_COMPILER = (
    TORCH_STEP
    + """
torch._inductor.config.cpp.cxx = (None, "/nowhere/c++")
fast = Simulation("held-suarez", truncation=10, num_levels=3, step=3600.0)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    actual = fast.advance(state, 2)
ours = [str(warning.message) for warning in told if "could not compile" in str(warning.message)]
assert len(ours) == 1 and "/nowhere/c++" in ours[0], ours
np.testing.assert_array_equal(actual["vorticity"], slow.advance(state, 2)["vorticity"])
"""
)


@pytest.mark.slow
def test_pytorch_compiles_a_step_once_and_as_one_graph():
    needs("torch")
    if shutil.which("g++") is None:
        pytest.skip("PyTorch needs a C++ compiler to compile")
    run_under("torch", ONE_GRAPH)


@pytest.mark.slow
def test_pytorch_without_a_compiler_says_so_and_steps_slowly(tmp_path):
    needs("torch")
    run_under("torch", NO_COMPILER, TORCHINDUCTOR_CACHE_DIR=str(tmp_path))


LEAKS = """
import numpy as np
from keras import ops
from dynamics.spectral.held_suarez import HeldSuarez
from dynamics.spectral.primitive_equations import MassFixer
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels

sphere = SphericalHarmonics(5, dtype="float64")
drawn = np.random.default_rng(0).normal(size=sphere.nodal_shape)
mean = sphere.mean(sphere.constant(drawn))
assert "float64" in str(mean.dtype)
expected = (drawn.mean(axis=1) * sphere.weights / 2).sum()
assert abs(float(mean) - expected) < 1e-15, float(mean) - expected
forcing = HeldSuarez(sphere, SigmaLevels.equidistant(5))
temperature = forcing.equilibrium_temperature(sphere.constant(drawn[None] / 100))
assert "float64" in str(temperature.dtype)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_means_and_equilibrium_temperatures_keep_float64(backend):
    needs(backend)
    run_under(backend, LEAKS, JAX_ENABLE_X64="1")
