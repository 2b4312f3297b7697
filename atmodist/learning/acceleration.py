"""Batch normalisation in one kernel while training under TensorFlow.

Keras computes batch normalisation from elementary operations, each of which passes over the whole
feature map, forwards and backwards; TensorFlow has one kernel for all of it, on CPUs and GPUs. The
networks stay as they are, portable: only the copy that is being trained uses this kernel, and its
weights are what the portable network receives.
"""

from typing import Any

import keras
import tensorflow as tf

STAYS_NORMAL = 1.001e-5  # cuDNN refuses smaller ε


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Equals its base class to rounding, for 4-d float32 inputs with channels last."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises; updates the moving statistics when training."""
        if not (training and self.trainable) or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=tf.constant([], tf.float32),
            variance=tf.constant([], tf.float32),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel returns the unbiased variance, Keras keeps the plain one.
        count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
        variance *= (count - 1.0) / count
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return outputs


def training_copy(model: keras.Model, *, fused: bool = True) -> keras.Model:
    """Returns a copy of a network with the same weights; if `fused`, one that trains faster."""

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        fusible = (
            fused
            and type(layer) is keras.layers.BatchNormalization
            and layer.axis in (-1, 3)
            and layer.center
            and layer.scale
            and layer.epsilon >= STAYS_NORMAL
            and layer.compute_dtype == "float32"
            and len(layer.output.shape) == 4
        )
        kind = FusedBatchNormalization if fusible else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    copy.set_weights(model.get_weights())
    return copy
