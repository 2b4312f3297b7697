import keras
import numpy as np
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.learning.acceleration import FusedBatchNormalization, training_copy
from atmodist.learning.pretext import pretext_model


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
    results = []
    for model in (network, copy):
        with tf.GradientTape() as tape:
            logits = model(pairs, training=True)
            loss = tf.reduce_mean(logits**2)
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        results.append((logits, gradients, model.get_weights()))
    # Two orders of summation in float32, through a dozen layers.
    (logits, gradients, weights), (logits2, gradients2, weights2) = results
    assert_allclose(logits, logits2, atol=2e-4)
    for a, b in zip(gradients, gradients2, strict=True):
        assert_allclose(a, b, atol=2e-3 * max(float(tf.reduce_max(tf.abs(a))), 1e-3))
    for a, b in zip(weights, weights2, strict=True):  # moving statistics among them
        assert_allclose(a, b, rtol=1e-4, atol=1e-5)


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
