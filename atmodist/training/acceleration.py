"""What makes training faster: batch normalisation in one kernel, and 16 bits.

Keras computes batch normalisation from elementary operations, each of which passes over the whole
feature map, forwards and backwards; TensorFlow has one kernel for all of it, on CPUs and GPUs. The
networks stay as they are, portable and float32: only the copy that is being trained uses this
kernel, and computes in 16 bits if asked to. Its weights are float32, and are what the portable
network receives.
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


def training_copy(
    model: keras.Model, *, fused: bool = True, precision: str = "float32"
) -> keras.Model:
    """Returns a copy of a network with the same weights that trains faster.

    Args:
        model: A functional network; stays as it is.
        fused: Whether batch normalisation becomes one kernel.
        precision: Keras' dtype policy of the layers that make feature maps; what comes after, and
            the outputs, stay float32.
    """
    last = {id(output._keras_history.operation) for output in model.outputs}

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
        config = layer.get_config()
        if precision != "float32" and _makes_feature_maps(layer) and id(layer) not in last:
            config["dtype"] = precision
        return kind.from_config(config)

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _makes_feature_maps(layer: keras.Operation) -> bool:
    mere = isinstance(layer, keras.layers.InputLayer) or not isinstance(layer, keras.layers.Layer)
    return not mere and len(layer.output.shape) == 4  # an operation has no precision of its own
