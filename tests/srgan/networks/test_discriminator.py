from itertools import pairwise

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.training.saving import load_network, save_network
from srgan.networks.discriminator import STRIDE, discriminator


def patches(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_the_numbers_of_parameters_follow_from_the_widths():
    widths = (2, 32, 32, 64, 64, 128, 128, 256, 256)
    convolutions = sum(9 * a * b + b for a, b in pairwise(widths))
    pooled, flat = discriminator(), discriminator(2, (96, 96), head="flatten")
    assert pooled.count_params() == convolutions + 257 * 1024 + 1025 == 1_436_161
    assert flat.count_params() == convolutions + (6 * 6 * 256 + 1) * 1024 + 1025 == 10_611_201


def test_by_default_patches_of_any_size_are_judged():
    network = discriminator(3)
    for shape in ((16, 16), (17, 40), (64, 48), (5, 7)):
        assert network(patches(2, *shape, 3)).shape == (2, 1)


def test_the_size_of_a_patch_does_not_change_the_network():
    free, fixed = discriminator(2), discriminator(2, (32, 32))
    fixed.set_weights(free.get_weights())
    x = patches(2, 32, 32, 2)
    assert_array_equal(fixed(x), free(x))


def test_every_second_convolution_halves_the_grid():
    network = discriminator(2, (96, 96))
    extents = [network.get_layer(f"conv{n}").output.shape[1] for n in range(1, 9)]
    assert extents == [96, 48, 48, 24, 24, 12, 12, 6]
    assert 96 // extents[-1] == STRIDE


def test_saved_discriminators_load_in_safe_mode(tmp_path):
    made = discriminator(2, (16, 16), head="flatten")
    save_network(made, tmp_path / "discriminator.keras")
    x = patches(2, 16, 16, 2)
    assert_allclose(load_network(tmp_path / "discriminator.keras")(x), made(x), rtol=1e-6)


def test_logits_are_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        logits = discriminator()(patches(1, 16, 16, 2))
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="needs patches of one size"):
        discriminator(2, head="flatten")
    with pytest.raises(ValueError, match="must be 'pooled' or 'flatten'; got 'dense'"):
        discriminator(2, head="dense")
