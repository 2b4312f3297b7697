"""Transforms, steps and their derivatives are the same under each backend of Keras."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytestmark = pytest.mark.slow

RUN = """
import sys
import keras
import numpy as np
from keras import ops
from dynamics.cases import williamson
from dynamics.filters import hyperdiffusion
from dynamics.integrators import imex_rk_sil3, with_filters
from dynamics.spherical_harmonics import SphericalHarmonics

path, backend = sys.argv[1:]
assert keras.backend.backend() == backend
results = {}
for truncation in (21, 64):  # by matrices and by fast Fourier transforms
    sphere = SphericalHarmonics(truncation, radius=williamson.CONSTANTS.radius, dtype="float64")
    equation, state = williamson.flow_over_mountain(sphere)
    smooth = hyperdiffusion(sphere, 900.0, time_scale=3600.0)
    step = with_filters(lambda state: imex_rk_sil3(equation, state, 900.0), smooth)
    names = sorted(state)

    def cost(*leaves):
        end = step(dict(zip(names, leaves)))
        return ops.sum(end["geopotential"] ** 2) * 1e-6 + ops.sum(end["vorticity"] ** 2) * 1e10

    leaves = [state[name] for name in names]
    if backend == "tensorflow":
        import tensorflow as tf
        compiled = tf.function(step, jit_compile=True)
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            value = cost(*leaves)
        gradients = tape.gradient(value, leaves)
    elif backend == "jax":
        import jax
        compiled = jax.jit(step)
        value, gradients = jax.jit(jax.value_and_grad(cost, argnums=(0, 1, 2)))(*leaves)
    else:
        compiled = step
        leaves = [leaf.clone().requires_grad_() for leaf in leaves]
        value = cost(*leaves)
        value.backward()
        gradients = [leaf.grad for leaf in leaves]
    end = compiled(state)
    for name, gradient in zip(names, gradients):
        results[f"{truncation} {name}"] = ops.convert_to_numpy(end[name])
        results[f"{truncation} gradient of {name}"] = ops.convert_to_numpy(gradient)
    fields = equation.fields(end)
    results |= {f"{truncation} field {name}": ops.convert_to_numpy(x) for name, x in fields.items()}
np.savez(path, **results)
"""


def results_under(backend, folder):
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "JAX_ENABLE_X64": "1"}
    path = folder / f"{backend}.npz"
    result = subprocess.run(
        [sys.executable, "-c", RUN, str(path), backend],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    with np.load(path) as results:
        return dict(results)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_steps_and_gradients_are_the_same_under_every_backend(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install 'atmodist[{backend}]'")
    expected = results_under("tensorflow", tmp_path)
    found = results_under(backend, tmp_path)
    assert list(found) == list(expected)
    assert len(expected) == 2 * (3 + 3 + 5)
    for name, values in expected.items():
        scale = np.abs(values).max()
        assert scale > 0
        # of a divergence, little is left of large terms that cancel
        tolerance = 1e-7 if "divergence" in name else 1e-9
        assert_allclose(found[name], values, rtol=0, atol=tolerance * scale, err_msg=name)
