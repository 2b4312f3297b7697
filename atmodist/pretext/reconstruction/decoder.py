"""Decoders: from the deepest features of an encoder back to a field of full resolution.

Each factor by which the encoder shrank its maps is undone, last one first: every value is repeated
(nearest neighbour), then a 3×3 convolution, batch normalisation and ReLU follow. Repeating and
convolving treats all points alike where a transposed convolution whose kernel is no multiple of its
stride covers some points more often than others, which shows as a checkerboard (Odena et al. 2016).
The widths are those of the encoder in reverse. There is no way around the deepest features: what a
field is given back from has gone through all of the encoder.
"""

from typing import Any

import keras
from keras import layers

from atmodist.pretext import networks
from atmodist.pretext.architecture import ResidualSpec
from atmodist.pretext.architectures import ARCHITECTURES


def reconstruction_model(
    architecture: str, input_shape: tuple[int, int, int], name: str = "reconstruction"
) -> keras.Model:
    """Builds encoder and decoder with fresh weights.

    Args:
        architecture: A name in `ARCHITECTURES`.
        input_shape: (latitude, longitude, channel) of a field.
        name: Of the model.

    Returns:
        A model from fields (batch, latitude, longitude, channel) to fields of the same shape; its
        layer "encoder" is an encoder like any other.
    """
    chosen = ARCHITECTURES.find(architecture)
    encoder = networks.encoder(chosen, input_shape)
    field = keras.Input(input_shape, name="field")
    features = encoder(field)[list(encoder.output)[-1]]
    return keras.Model(field, decoded(features, chosen.spec, input_shape[-1]), name=name)


def decoded(features: Any, spec: ResidualSpec, num_channels: int) -> Any:
    """Applies a decoder to the features of the last stage; returns fields."""
    x = features
    for number, (factor, filters) in enumerate(enlargements(spec), start=1):
        x = layers.UpSampling2D(
            factor, data_format=networks.CHANNELS_LAST, name=f"decoder{number}_enlarge"
        )(x)
        x = networks.convolved(spec, x, filters, 3, name=f"decoder{number}")
    output = layers.Conv2D(
        num_channels,
        3,
        padding="same",
        data_format=networks.CHANNELS_LAST,
        dtype="float32",
        name="output",
    )
    return output(x)


def enlargements(spec: ResidualSpec) -> list[tuple[int, int]]:
    """(factor, filters) of each step of the decoder; the factors' product is `spec.stride`."""
    stem = [(spec.stem_stride, spec.stem_filters)]
    if spec.stem_pool:
        stem.append((2, spec.stem_filters))
    before = [spec.stem_filters, *(stage.filters for stage in spec.stages)]
    stages = [(stage.stride, width) for stage, width in zip(spec.stages, before, strict=False)]
    return [(factor, width) for factor, width in reversed([*stem, *stages]) if factor > 1]
