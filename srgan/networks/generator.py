"""The generator: from a coarse field to a fine one, of any extent.

The network is SRResNet (Ledig et al., 2017) as in the reference implementation: no batch
normalisation, leaky ReLU of slope 0.2 throughout.

    conv 9×9 → leaky ReLU                                         coarse grid
    → blocks × (conv 3×3 → leaky ReLU → conv 3×3, plus its input)
    → conv 3×3, plus the input of the first block (long skip)
    → for each prime factor p: conv 3×3 to p² times the filters → sub-pixel by p → leaky ReLU
    → conv 9×9                                                    fine grid

64 filters, 16 blocks, factors (2, 2) and 2 channels make 1,534,850 parameters. Two things differ
from the reference at the start of training and nowhere else. Sub-pixel kernels start equal, so that
there is no checkerboard. The last convolution of each block starts smaller by √blocks: Glorot's
initialisation lets 16 blocks multiply the standard deviation by some 28, 1.52 to the power of 8.

The model takes a dictionary and makes (batch, f·latitude, f·longitude, channel), float32 under
mixed precision too. Fields are normalised. It loads with `atmodist.training.saving.load_network`
once this module is imported, which registers its layers.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

import keras
from keras import layers

from atmodist.fields.normalization import Normalization
from srgan.networks.layers import (
    BlockMeanProjection,
    SpaceToDepth,
    SubPixel,
    SubPixelInitializer,
)
from srgan.restoration.degradation import prime_factors

SLOPE = 0.2  # of the leaky ReLU, the reference's
CHANNELS_LAST = "channels_last"


def generator(
    num_channels: int = 2,
    factors: int | Sequence[int] = (2, 2),
    *,
    filters: int = 64,
    blocks: int = 16,
    num_static: int = 0,
    noise_channels: int = 0,
    projection: Normalization | Literal["normalized"] | None = None,
) -> keras.Model:
    """Builds a generator with fresh weights.

    Args:
        num_channels: Of the fields.
        factors: Prime steps whose product is the factor f, in their order: (2, 2), (3,), (2, 5).
            A number stands for its prime factors, smallest first.
        filters: Channels inside.
        blocks: Number of residual blocks.
        num_static: Static fields on the fine grid (orography, say), which enter by space-to-depth.
        noise_channels: Channels of noise on the coarse grid, for a stochastic output.
        projection: Makes area-weighted block means of the output equal to the coarse field: in
            physical units with this normalisation, or those of the normalised field.

    Returns:
        A model named "generator" of a dictionary with "low" (latitude, longitude, channel), and
        where asked for "static" (f·latitude, f·longitude, num_static), "noise" (latitude,
        longitude, noise_channels) and, with a projection, "row_weights" (f·latitude,), the areas of
        the fine rows on any scale. All extents are free.

    Raises:
        ValueError: If a number is out of range, or the normalisation has other channels.
    """
    factors = prime_factors(factors)
    _check_numbers(
        num_channels=(num_channels, 1),
        filters=(filters, 1),
        blocks=(blocks, 1),
        num_static=(num_static, 0),
        noise_channels=(noise_channels, 0),
    )
    factor = prod(factors)
    inputs = {"low": keras.Input((None, None, num_channels), name="low")}
    known = [inputs["low"]]
    if num_static:
        inputs["static"] = keras.Input((None, None, num_static), name="static")
        known.append(SpaceToDepth(factor, name="static_to_depth")(inputs["static"]))
    if noise_channels:
        inputs["noise"] = keras.Input((None, None, noise_channels), name="noise")
        known.append(inputs["noise"])
    x = layers.Concatenate(name="inputs")(known) if len(known) > 1 else known[0]
    x = _activated(_convolution(x, filters, 9, "stem"), "stem")
    skip = x
    for block in range(1, blocks + 1):
        x = _residual_block(x, filters, blocks, f"block{block}")
    x = layers.Add(name="long_skip")([_convolution(x, filters, 3, "middle"), skip])
    for step, prime in enumerate(factors, start=1):
        name = f"upsampling{step}"
        initializer = SubPixelInitializer(prime)
        x = _convolution(x, filters * prime**2, 3, name, kernel_initializer=initializer)
        x = _activated(SubPixel(prime, name=f"{name}_subpixel")(x), name)
    x = _convolution(x, num_channels, 9, "high", dtype="float32")
    if projection is not None:
        inputs["row_weights"] = keras.Input((None,), name="row_weights")
        given = {"high": x, "low": inputs["low"], "row_weights": inputs["row_weights"]}
        x = _projection(factor, projection, num_channels)(given)
    return keras.Model(inputs, x, name="generator")


def receptive_radius(generator: keras.Model) -> int:
    """Returns how far the output sees, in coarse cells.

    The fine points of cell i depend on the cells i - radius ... i + radius and on no others, along
    both axes. So much overlap makes tiles, and so much periodic padding makes the date line,
    invisible.

    Args:
        generator: Made by `generator`, or loaded.
    """
    convolutions, after = [], []  # radii of convolutions, and by how much the grid is refined then
    factor = 1
    for layer in generator.layers:  # one chain, in this order; the skips see less
        if isinstance(layer, layers.Conv2D):
            convolutions.append(layer.kernel_size[0] // 2)
            after.append(factor)
        elif isinstance(layer, SubPixel):
            factor *= layer.factor
    if factor == 1:
        raise ValueError(f"{generator.name!r} is no generator: nothing in it refines the grid")
    first, last = 0, factor - 1  # all points of cell 0
    for radius, fineness in zip(reversed(convolutions), reversed(after), strict=True):
        coarser = factor // fineness
        first, last, factor = first // coarser, last // coarser, fineness
        first, last = first - radius, last + radius
    return max(-first, last)


def _residual_block(x: Any, filters: int, blocks: int, name: str) -> Any:
    y = _activated(_convolution(x, filters, 3, f"{name}_1"), name)
    smaller = keras.initializers.VarianceScaling(
        1.0 / blocks, mode="fan_avg", distribution="uniform"
    )
    y = _convolution(y, filters, 3, f"{name}_2", kernel_initializer=smaller)
    return layers.Add(name=f"{name}_add")([x, y])


def _convolution(x: Any, filters: int, kernel: int, name: str, **options: Any) -> Any:
    return layers.Conv2D(
        filters,
        kernel,
        padding="same",
        data_format=CHANNELS_LAST,
        name=f"{name}_conv",
        **{"kernel_initializer": "glorot_uniform", **options},
    )(x)


def _activated(x: Any, name: str) -> Any:
    return layers.LeakyReLU(negative_slope=SLOPE, name=f"{name}_activation")(x)


def _projection(
    factor: int, projection: Normalization | str, num_channels: int
) -> BlockMeanProjection:
    if projection == "normalized":
        return BlockMeanProjection(factor, None, name="projection")
    if not isinstance(projection, Normalization):
        raise ValueError(
            f"`projection` must be a Normalization or 'normalized'; got {projection!r}"
        )
    if len(projection.channels) != num_channels:
        raise ValueError(
            f"the projection's normalisation has the channels {projection.channels}; "
            f"the generator has {num_channels}"
        )
    return BlockMeanProjection(factor, projection, name="projection")


def _check_numbers(**numbers: tuple[int, int]) -> None:
    for name, (value, least) in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"`{name}` must be a whole number from {least} up; got {value!r}")
