import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.signed_log import signed_expm1, signed_log1p
from tests.backends import needs, run_under

POINTS = [0.0, 1e-36, -1e-36, 1e-12, -1e-12, 1e-4, -1e-4, 0.5, -0.5, 12.0, -12.0]
LARGE = [1e6, -1e6, 1e30, -1e30]

SLOPES = """
import json
import sys
import keras
import numpy as np
from keras import ops
from atmodist.fields.signed_log import signed_expm1, signed_log1p

backend, points, large, output = sys.argv[1:]
assert keras.backend.backend() == backend


def derivatives(function, x):
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = function(x)
            first = inner.gradient(y, x)
        second = outer.gradient(first, x)
    elif backend == "jax":
        import jax

        first = jax.vmap(jax.grad(function))(x)
        second = jax.vmap(jax.grad(jax.grad(function)))(x)
        y = function(jax.numpy.asarray(x))
    else:
        import torch

        x = torch.tensor(x, requires_grad=True)
        y = function(x)
        (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
    return [ops.convert_to_numpy(z).astype(float).tolist() for z in (y, first, second)]


found = {
    function.__name__: derivatives(lambda x: function(x, ops), np.array(where, np.float32))
    for function, where in (
        (signed_log1p, json.loads(points) + json.loads(large)),
        (signed_expm1, json.loads(points)),
    )
}
with open(output, "w") as file:
    json.dump(found, file)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_derivatives_are_right_under_every_backend(backend, tmp_path):
    needs(backend)
    output = tmp_path / "found.json"
    run_under(backend, SLOPES, backend, json.dumps(POINTS), json.dumps(LARGE), output)
    found = json.loads(output.read_text())

    z = np.array(POINTS + LARGE)
    sign = np.where(z >= 0, 1.0, -1.0)
    value, first, second = found["signed_log1p"]
    assert_allclose(value, np.sign(z) * np.log1p(np.abs(z)), rtol=1e-6, atol=1e-37)
    assert_allclose(first, 1 / (1 + np.abs(z)), rtol=1e-6)
    assert_allclose(second, -sign / (1 + np.abs(z)) ** 2, rtol=1e-6, atol=1e-37)

    y = np.array(POINTS)
    value, first, second = found["signed_expm1"]
    assert_allclose(value, np.sign(y) * np.expm1(np.abs(y)), rtol=2e-6, atol=1e-37)
    assert_allclose(first, np.exp(np.abs(y)), rtol=2e-6)
    assert_allclose(second, sign[: len(y)] * np.exp(np.abs(y)), rtol=2e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_are_those_of_the_product_with_the_sign(dtype):
    z = np.array([*POINTS, *LARGE, -0.0], dtype)
    assert signed_log1p(z, np).dtype == dtype
    assert_array_equal(signed_log1p(z, np), np.sign(z) * np.log1p(np.abs(z)))
    assert_array_equal(signed_expm1(z[:11], np), np.sign(z[:11]) * np.expm1(np.abs(z[:11])))
    assert np.isnan(signed_log1p(np.array([np.nan], dtype), np)).all()
