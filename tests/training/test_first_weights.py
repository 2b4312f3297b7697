"""First weights come from the distributions that the initialisers name, and from the seed alone."""

import keras
import numpy as np
import pytest

from atmodist.pretext.pair_model import pretext_model
from atmodist.training.first_weights import draw_first_weights
from srgan.networks.discriminator import discriminator
from srgan.networks.generator import generator

NETWORKS = {
    "pretext": lambda: pretext_model("resnet-tiny", (32, 32, 2), 4),
    "generator": lambda: generator(2, (2, 3), filters=16, blocks=2),
    "discriminator": lambda: discriminator(2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_random_weight_is_drawn_anew_from_the_distribution_keras_draws_from(name):
    network = NETWORKS[name]()
    before = network.get_weights()
    draw_first_weights(network, [3, 0])
    kernels = 0
    for variable, old, new in zip(network.weights, before, network.get_weights(), strict=True):
        if old.ndim < 2:
            np.testing.assert_array_equal(old, new)  # zeros and ones
            continue
        kernels += 1
        assert (old != new).all(), variable.path
        # Standard deviations of n numbers err by 1/√(2n); kernels of sub-pixels repeat theirs.
        tolerance = 6 / np.sqrt(2 * len(np.unique(new)))
        assert new.std() == pytest.approx(old.std(), rel=2 * tolerance), variable.path
        assert abs(new.mean()) < tolerance * old.std() * 2, variable.path
        assert np.abs(new).max() == pytest.approx(np.abs(old).max(), rel=0.3), variable.path
    assert kernels > 5


def test_sub_pixel_kernels_start_equal():
    network = generator(2, 2, filters=4, blocks=1)
    draw_first_weights(network, [0])
    kernel = network.get_layer("upsampling1_conv").get_weights()[0]
    np.testing.assert_array_equal(kernel[..., :4], kernel[..., 4:8])


def test_they_are_a_function_of_the_seed():
    first, second, other = (NETWORKS["pretext"]() for _ in range(3))
    for network, seed in ((first, [1]), (second, [1]), (other, [2])):
        keras.utils.set_random_seed(len(seed) + id(network) % 100)
        draw_first_weights(network, seed)
    for a, b, c in zip(*(n.get_weights() for n in (first, second, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.ndim < 2 or (a != c).all()


@pytest.mark.parametrize(
    ("initializer", "std"),
    [
        (keras.initializers.TruncatedNormal(stddev=0.5), 0.5 * 0.8796),
        (keras.initializers.HeNormal(), np.sqrt(2 / 300)),
        (keras.initializers.GlorotUniform(), np.sqrt(2 / 500)),
        (
            keras.initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal"),
            np.sqrt(3 / 200),
        ),
    ],
)
def test_variances_are_those_of_the_formulas(initializer, std):
    inputs = keras.Input((300,))
    network = keras.Model(inputs, keras.layers.Dense(200, kernel_initializer=initializer)(inputs))
    draw_first_weights(network, [0])
    assert network.get_weights()[0].std() == pytest.approx(std, rel=0.02)  # of 60,000 numbers
