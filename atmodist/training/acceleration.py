"""What makes training faster: batch normalisation in one kernel, and 16 bits.

The networks stay as they are, portable and float32: only the copy that is being trained has these.
Its weights are float32, and are what the portable network receives. JAX makes one kernel of many
operations by itself.
"""

from typing import Any

import keras


def training_copy(
    model: keras.Model, *, fused: bool = True, precision: str = "float32"
) -> keras.Model:
    """Returns a copy of a network with the same weights that trains faster.

    Args:
        model: A functional network; stays as it is.
        fused: Whether batch normalisation becomes one kernel, under TensorFlow.
        precision: Keras' dtype policy of the layers that make feature maps; what comes after, the
            last layer with weights, and the outputs stay float32.
    """
    last = {id(output._keras_history.operation) for output in model.outputs}
    last.add(id([layer for layer in model.layers if layer.weights][-1]))
    fused = fused and keras.backend.backend() == "tensorflow"

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = _fused_kind(layer) if fused else type(layer)
        config = layer.get_config()
        if precision != "float32" and _makes_feature_maps(layer) and id(layer) not in last:
            config["dtype"] = precision
        return kind.from_config(config)

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _fused_kind(layer: keras.layers.Layer) -> Any:
    from atmodist.training.fused_normalization import FusedBatchNormalization, can_be_fused

    return FusedBatchNormalization if can_be_fused(layer) else type(layer)


def _makes_feature_maps(layer: keras.Operation) -> bool:
    mere = isinstance(layer, keras.layers.InputLayer) or not isinstance(layer, keras.layers.Layer)
    return not mere and len(layer.output.shape) == 4  # an operation has no precision of its own
