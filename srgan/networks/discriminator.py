"""The discriminator: tells true fine fields from generated ones.

Eight 3×3 convolutions of 32, 32, 64, 64, 128, 128, 256, 256 filters, every second of stride 2, each
followed by a leaky ReLU of slope 0.2, then a dense layer of 1024 and one logit. What lies between
convolutions and dense layers is a choice:

    "pooled"   mean over latitude and longitude; any patch, 1,436,161 parameters for 2 channels
    "flatten"  the reference's; one size of patch, 10,611,201 parameters for 96×96 and 2 channels

"pooled" is the default: one network then serves patches of every size, and what it learns about a
storm does not depend on where in the patch the storm is.
"""

from typing import Any, Literal

import keras
from keras import layers

FILTERS = (32, 32, 64, 64, 128, 128, 256, 256)
STRIDE = 16  # grid points per feature of the last convolution
WIDTH = 1024
SLOPE = 0.2
CHANNELS_LAST = "channels_last"

Head = Literal["pooled", "flatten"]


def discriminator(
    num_channels: int = 2,
    patch_shape: tuple[int | None, int | None] = (None, None),
    *,
    head: Head = "pooled",
) -> keras.Model:
    """Builds a discriminator with fresh weights.

    Args:
        num_channels: Of the fields.
        patch_shape: (latitude, longitude) of the fine patches; None where any extent shall do.
        head: "pooled", or "flatten", which needs a definite `patch_shape`.

    Returns:
        A model named "discriminator", from (batch, latitude, longitude, channel), normalised, to
        logits (batch, 1), positive for true fields; float32 under mixed precision too.

    Raises:
        ValueError: If the head is unknown or does not fit the patch.
    """
    if head not in ("pooled", "flatten"):
        raise ValueError(f"`head` must be 'pooled' or 'flatten'; got {head!r}")
    if head == "flatten" and None in patch_shape:
        raise ValueError(
            f"`head='flatten'` needs patches of one size; got patch_shape={tuple(patch_shape)}"
        )
    inputs = keras.Input((*patch_shape, num_channels), name="high")
    x: Any = inputs
    for number, filters in enumerate(FILTERS, start=1):
        x = layers.Conv2D(
            filters,
            3,
            strides=2 if number % 2 == 0 else 1,
            padding="same",
            data_format=CHANNELS_LAST,
            name=f"conv{number}",
        )(x)
        x = _activated(x, f"conv{number}")
    if head == "pooled":
        x = layers.GlobalAveragePooling2D(data_format=CHANNELS_LAST, name="mean")(x)
    else:
        x = layers.Flatten(data_format=CHANNELS_LAST, name="flatten")(x)
    x = _activated(_dense(WIDTH, "dense1")(x), "dense1")
    return keras.Model(inputs, _dense(1, "logit", dtype="float32")(x), name="discriminator")


def _dense(width: int, name: str, **options: Any) -> keras.layers.Layer:
    small = keras.initializers.TruncatedNormal(stddev=0.02)  # the reference's
    return layers.Dense(width, kernel_initializer=small, name=name, **options)


def _activated(x: Any, name: str) -> Any:
    return layers.LeakyReLU(negative_slope=SLOPE, name=f"{name}_activation")(x)
