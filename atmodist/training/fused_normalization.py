"""Batch normalisation in one kernel of TensorFlow.

Keras computes it from elementary operations, each of which passes over the whole feature map,
forwards and backwards; TensorFlow has one kernel for all of it, on CPUs and GPUs.
"""

from typing import Any

import keras
import tensorflow as tf

STAYS_NORMAL = 1.001e-5  # cuDNN refuses smaller ε


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Equals its base class to rounding, for 4-d inputs with channels last.

    The inputs may be of 16 bits; statistics, scale and offset are float32 all the same.
    """

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


def can_be_fused(layer: keras.layers.Layer) -> bool:
    """Whether the kernel computes what a layer does."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, 3)
        and layer.center
        and layer.scale
        and layer.epsilon >= STAYS_NORMAL
        and layer.compute_dtype == "float32"
        and len(layer.output.shape) == 4
    )
