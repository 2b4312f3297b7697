"""Encoders: residual networks that turn a field into features, named by stage.

An encoder maps (batch, latitude, longitude, channel) to a dictionary {"stage1": ..., "stage2": ...}
of feature maps. The learned distance and the content loss choose stages by name, never by layer
number. Everything is made of Keras layers and `keras.ops`, so that a saved encoder runs under every
backend of Keras and loads without this package.

Which encoders there are say the modules of `architectures`; a network that is no residual one
brings a `build` of its own.
"""

from typing import Any

import keras
from keras import layers

from atmodist.pretext.architecture import (
    Architecture,
    InputShape,
    ResidualSpec,
    check_input_shape,
)
from atmodist.pretext.architectures import ARCHITECTURES

CHANNELS_LAST = "channels_last"  # whatever ~/.keras/keras.json says; our data are laid out so


def encoder(architecture: str | Architecture, input_shape: InputShape) -> keras.Model:
    """Builds an encoder with fresh weights.

    Args:
        architecture: A name in `ARCHITECTURES`, or one of one's own.
        input_shape: (latitude, longitude, channel) of a field; None where any extent shall do.

    >>> encoder("resnet-small", (160, 160, 2)).count_params()
    2277712
    """
    if isinstance(architecture, str):
        architecture = ARCHITECTURES.find(architecture)
    return (architecture.build or residual_encoder)(architecture.spec, input_shape)


def convolution(
    spec: ResidualSpec,
    filters: int,
    kernel: int,
    *,
    stride: int = 1,
    bias: bool = False,
    name: str,
) -> keras.layers.Layer:
    """Makes a convolution with "same" padding, He-normal kernels and the L2 of `spec`."""
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=bias,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(spec.l2) if spec.l2 else None,
        data_format=CHANNELS_LAST,
        name=name,
    )


def normalization(spec: ResidualSpec, name: str) -> keras.layers.Layer:
    """Makes a batch normalisation with the momentum and epsilon of `spec`."""
    return layers.BatchNormalization(momentum=spec.momentum, epsilon=spec.epsilon, name=name)


def convolved(
    spec: ResidualSpec, x: Any, filters: int, kernel: int, *, name: str, **options: Any
) -> Any:
    """Applies convolution, batch normalisation and ReLU."""
    x = convolution(spec, filters, kernel, name=f"{name}_conv", **options)(x)
    return layers.ReLU(name=f"{name}_relu")(normalization(spec, f"{name}_norm")(x))


def block(
    spec: ResidualSpec, x: Any, filters: int, *, stride: int = 1, name: str, output: str = ""
) -> Any:
    """Applies a basic block: ReLU(shortcut(x) + norm(conv(ReLU(norm(conv(x))))))."""
    y = convolved(spec, x, filters, 3, stride=stride, name=f"{name}_1")
    y = convolution(spec, filters, 3, name=f"{name}_2_conv")(y)
    y = normalization(spec, f"{name}_2_norm")(y)
    if stride != 1 or x.shape[-1] != filters:
        x = _shortcut(spec, x, filters, stride, f"{name}_shortcut")
    y = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=output or f"{name}_relu")(y)


def residual_encoder(spec: ResidualSpec, input_shape: InputShape) -> keras.Model:
    """Builds the encoder that `spec` describes.

    Args:
        spec: The architecture.
        input_shape: (latitude, longitude, channel); None where any extent shall do.

    Returns:
        A model named "encoder" with a dictionary of outputs, `stage1` (finest) onwards.
    """
    check_input_shape(input_shape, spec.stride)
    inputs = keras.Input(input_shape, name="field")
    x = convolved(
        spec,
        inputs,
        spec.stem_filters,
        spec.stem_kernel,
        stride=spec.stem_stride,
        bias=spec.stem_bias,
        name="stem",
    )
    if spec.stem_pool:
        x = layers.MaxPooling2D(
            3, strides=2, padding="same", data_format=CHANNELS_LAST, name="stem_pool"
        )(x)
    outputs = {}
    for number, stage in enumerate(spec.stages, start=1):
        name = f"stage{number}"
        for number_in_stage in range(1, stage.blocks + 1):
            x = block(
                spec,
                x,
                stage.filters,
                stride=stage.stride if number_in_stage == 1 else 1,
                name=f"{name}_block{number_in_stage}",
                output=name if number_in_stage == stage.blocks else "",
            )
        outputs[name] = x
    return keras.Model(inputs, outputs, name="encoder")


def _shortcut(spec: ResidualSpec, x: Any, filters: int, stride: int, name: str) -> Any:
    if spec.smooth_shortcut and stride != 1:
        x = layers.AveragePooling2D(
            stride, padding="same", data_format=CHANNELS_LAST, name=f"{name}_pool"
        )(x)
        stride = 1
    x = convolution(spec, filters, 1, stride=stride, name=f"{name}_conv")(x)
    if spec.smooth_shortcut or spec.normalized_shortcut:
        x = normalization(spec, f"{name}_norm")(x)
    return x
