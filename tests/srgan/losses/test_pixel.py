import keras
import numpy as np
from numpy.testing import assert_allclose

from srgan.losses.pixel import mean_absolute_error, mean_squared_error


def test_pixel_losses_are_means_over_everything():
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)).astype(np.float32)
    assert_allclose(mean_squared_error(a, b), ((b - a) ** 2).mean(), rtol=1e-6)
    assert_allclose(mean_absolute_error(a, b), np.abs(b - a).mean(), rtol=1e-6)
    assert float(mean_squared_error(a, a)) == float(mean_absolute_error(b, b)) == 0


def test_pixel_losses_are_float32():
    a = keras.ops.ones((1, 2, 2, 1), dtype="bfloat16")
    for loss in (mean_squared_error, mean_absolute_error):
        assert keras.backend.standardize_dtype(loss(a, a).dtype) == "float32"
