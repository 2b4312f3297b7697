import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.pretext.pair_model import pretext_model
from atmodist.training.acceleration import training_copy
from atmodist.training.fused_normalization import FusedBatchNormalization


def kinds(model):
    return [type(layer) for layer in model._flatten_layers()]


def test_the_training_copy_computes_what_the_network_does():
    keras.utils.set_random_seed(1)
    network = pretext_model("resnet-tiny", (32, 32, 2), 4)
    copy = training_copy(network)
    norms = kinds(network).count(keras.layers.BatchNormalization)
    assert norms > 0
    assert kinds(copy).count(FusedBatchNormalization) == norms
    pairs = tf.constant(np.random.default_rng(0).standard_normal((8, 2, 32, 32, 2)), tf.float32)
    assert_array_equal(network(pairs), copy(pairs))
    # Two orders of summation in float32, through a dozen layers.
    assert_allclose(network(pairs, training=True), copy(pairs, training=True), atol=2e-4)
    for a, b in zip(network.get_weights(), copy.get_weights(), strict=True):
        assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # moving statistics among them


@pytest.mark.parametrize("shape", [(8, 6, 6, 4), (4, 2, 2, 16)])
def test_one_kernel_has_the_gradients_of_many(shape):
    # Layer by layer: in a network, a rounding error at the kink of one ReLU moves gradients by 1 %.
    rng = np.random.default_rng(0)
    x, weights = (tf.constant(rng.standard_normal(shape), tf.float32) for _ in range(2))
    results = []
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization):
        layer = kind(epsilon=1.001e-5, momentum=0.9)
        layer.build(shape)
        layer.gamma.assign(np.linspace(0.5, 1.5, shape[-1]))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(weights * y)
        gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
        results.append([y, *gradients, *layer.get_weights()])
    for plain, fused in zip(*results, strict=True):
        assert_allclose(plain, fused, rtol=1e-4, atol=1e-5)


def test_in_inference_it_is_the_layer_it_replaces():
    layer = FusedBatchNormalization(epsilon=1.001e-5)
    x = np.random.default_rng(0).standard_normal((4, 3, 3, 2)).astype(np.float32)
    assert_allclose(layer(x), x / np.sqrt(1 + 1.001e-5), rtol=1e-6)
    layer.trainable = False  # frozen: statistics must not move even if asked to train
    before = layer.get_weights()
    layer(x, training=True)
    for a, b in zip(before, layer.get_weights(), strict=True):
        assert_array_equal(a, b)


def test_regularisation_is_copied():
    network = pretext_model("resnet-small", (32, 32, 1), 3)
    copy = training_copy(network)
    assert_allclose(tf.add_n(copy.losses), tf.add_n(network.losses), rtol=1e-6)
    kernels = [w for w in network.weights if w.path.endswith("kernel")]
    expected = 1e-4 * sum(float(tf.reduce_sum(kernel**2)) for kernel in kernels)
    assert_allclose(tf.add_n(copy.losses), expected, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_kernel_takes_sixteen_bits_and_keeps_statistics_in_float32(policy):
    x = np.random.default_rng(0).standard_normal((4, 6, 6, 3)) * 3 + 1
    x = tf.constant(x, policy.removeprefix("mixed_"))
    layers = [
        kind(epsilon=1.001e-5, momentum=0.9, dtype=policy)
        for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)
    ]
    outputs = [layer(x, training=True) for layer in layers]
    assert outputs[0].dtype == outputs[1].dtype == x.dtype
    atol = 2e-2  # 8 bits behind the point, of values up to 4
    assert_allclose(*(tf.cast(output, tf.float32) for output in outputs), atol=atol)
    for plain, fused in zip(*(layer.get_weights() for layer in layers), strict=True):
        assert fused.dtype == np.float32
        assert_allclose(plain, fused, rtol=1e-4, atol=1e-5)


def test_sixteen_bits_are_for_feature_maps_and_weights_stay_as_they_are():
    network = pretext_model("resnet-small", (32, 32, 1), 3)
    copy = training_copy(network, precision="mixed_bfloat16")
    encoder = copy.get_layer("encoder")
    assert kinds(copy).count(FusedBatchNormalization) == kinds(network).count(
        keras.layers.BatchNormalization
    )
    assert encoder.get_layer("stem_conv").compute_dtype == "bfloat16"
    assert copy.get_layer("logits").compute_dtype == "float32"
    assert copy.outputs[0].dtype == "float32"
    for a, b in zip(network.get_weights(), copy.get_weights(), strict=True):
        assert_array_equal(a, b)
