"""Layers that move between two resolutions, and keep to the coarse field exactly.

A coarse cell (i, j) stands for the block of fine points f·i ... f·i + f - 1, f·j ... f·j + f - 1.
`SubPixel` and `SpaceToDepth` only reorder numbers. `BlockMeanProjection` changes a fine field by a
constant per block and channel, so that its area-weighted block means are the coarse field:

    x ← x + (LR - Σ_p w_p x_p / Σ_p w_p)    for all points p of a block, in physical units.

That is the nearest field with these means where the weights of a block are equal, and very nearly
so elsewhere. We compute it for z = (x - μ) / σ, which is the same because both are linear:
vorticity (1e-5 s⁻¹) squared is close to the smallest float32, z is of order one.

Conventions: fields are (batch, latitude, longitude, channel). Everything is `keras.ops`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from atmodist.fields.normalization import Normalization
from atmodist.fields.signed_log import signed_expm1, signed_log1p

LARGEST_LOG = 20.0  # of log(1 + α|z|), which is |z| = 2e9 for α = 0.2; keeps float32 finite

Normalized = Any  # a tensor (batch, latitude, longitude, channel), as networks see it


@keras.saving.register_keras_serializable(package="srgan")
class SubPixel(layers.Layer):
    """Spreads channels over a block of factor x factor points: depth to space.

    Channel (a·factor + b)·C + c of a coarse cell becomes channel c of the point in row a and column
    b of its block.

    Args:
        factor: Fine points per coarse cell, along each axis. Integer from 2 up.

    Input shape: (batch, latitude, longitude, factor² * channel).
    Output shape: (batch, factor * latitude, factor * longitude, channel).
    """

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = _checked_factor(factor)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Checks the number of channels."""
        if input_shape[-1] is None or input_shape[-1] % self.factor**2:
            raise ValueError(
                f"the number of channels must be a multiple of {self.factor}²; "
                f"got shape {tuple(input_shape)}"
            )

    def call(self, x: Any) -> Any:
        """Returns the fine field."""
        f, (_, rows, columns, channels) = self.factor, ops.shape(x)
        x = ops.reshape(x, (-1, rows, columns, f, f, channels // f**2))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, rows * f, columns * f, channels // f**2))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """See the class."""
        batch, rows, columns, channels = input_shape
        f = self.factor
        return (
            batch,
            _times(rows, f),
            _times(columns, f),
            None if channels is None else (channels // f**2),
        )

    def get_config(self) -> dict[str, Any]:
        """All that is needed to make the layer again."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="srgan")
class SpaceToDepth(layers.Layer):
    """Gathers each block of factor x factor points into channels: the inverse of `SubPixel`.

    Args:
        factor: Fine points per coarse cell, along each axis. Integer from 2 up.

    Input shape: (batch, factor * latitude, factor * longitude, channel).
    Output shape: (batch, latitude, longitude, factor² * channel).
    """

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = _checked_factor(factor)

    def call(self, x: Any) -> Any:
        """Returns the coarse field."""
        f, (_, rows, columns, channels) = self.factor, ops.shape(x)
        x = ops.reshape(x, (-1, rows // f, f, columns // f, f, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, rows // f, columns // f, f**2 * channels))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """See the class."""
        batch, rows, columns, channels = input_shape
        f = self.factor
        return batch, _over(rows, f), _over(columns, f), _times(channels, f**2)

    def get_config(self) -> dict[str, Any]:
        """All that is needed to make the layer again."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="srgan")
class SubPixelInitializer(keras.initializers.Initializer):
    """Starts a sub-pixel convolution without a checkerboard (Aitken et al., 2017).

    The kernels of the factor² points of a block are equal at first, so that convolution and
    `SubPixel` together are a convolution and nearest-neighbour upsampling.

    Args:
        factor: Of the `SubPixel` that follows. Integer from 2 up.
        initializer: What one of the equal kernels is drawn from.
    """

    def __init__(self, factor: int, initializer: Any = "glorot_uniform"):
        self.factor = _checked_factor(factor)
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draws kernels of the given shape (rows, columns, channels in, factor² * channels)."""
        *others, filters = shape
        if filters % self.factor**2:
            raise ValueError(
                f"the number of filters must be a multiple of {self.factor}²; got {filters}"
            )
        kernel = self.initializer((*others, filters // self.factor**2), dtype=dtype)
        return ops.tile(kernel, [1] * len(others) + [self.factor**2])

    def get_config(self) -> dict[str, Any]:
        """All that is needed to make the initialiser again."""
        return {
            "factor": self.factor,
            "initializer": keras.initializers.serialize(self.initializer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SubPixelInitializer":
        """Undoes `get_config`."""
        initializer = keras.initializers.deserialize(config["initializer"])
        return cls(config["factor"], initializer)


@keras.saving.register_keras_serializable(package="srgan")
class BlockMeanProjection(layers.Layer):
    """Changes a fine field by a constant per block, so that its block means are the coarse field.

    It works in float32 whatever the precision of the network: logarithms of its outliers do not
    fit into less.

    Args:
        factor: Fine points per coarse cell, along each axis. Integer from 2 up.
        normalization: Of both fields, or what its `as_dict` returns. None where the coarse field
            is the block mean of the normalised field instead of the physical one.

    Call arguments:
        inputs: A dictionary of "high" (batch, factor * latitude, factor * longitude, channel),
            "low" (batch, latitude, longitude, channel), both normalised, and "row_weights"
            (batch, factor * latitude), areas of the fine rows on any scale. Rows of weight zero do
            not count, so that a last block may be partial.

    Output shape: That of "high".
    """

    def __init__(
        self, factor: int, normalization: Normalization | Mapping[str, Any] | None, **kwargs: Any
    ):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.factor = _checked_factor(factor)
        if isinstance(normalization, Mapping):
            normalization = Normalization.from_dict(dict(normalization))
        self.normalization = normalization

    def call(self, inputs: Mapping[str, Any]) -> Any:
        """Returns the corrected fine field, normalised."""
        high, low = inputs["high"], inputs["low"]
        z, wanted = standardized(high, self.normalization), standardized(low, self.normalization)
        missing = ops.subtract(wanted, block_means(z, inputs["row_weights"], self.factor))
        f, (_, rows, columns, channels) = self.factor, ops.shape(low)
        z = ops.reshape(z, (-1, rows, f, columns, f, channels))
        z = ops.add(z, ops.reshape(missing, (-1, rows, 1, columns, 1, channels)))
        z = ops.reshape(z, (-1, rows * f, columns * f, channels))
        return normalized(z, self.normalization)

    def compute_output_shape(self, input_shape: Mapping[str, Any]) -> tuple[int | None, ...]:
        """See the class."""
        return tuple(input_shape["high"])

    def get_config(self) -> dict[str, Any]:
        """All that is needed to make the layer again."""
        n = self.normalization
        config = {"factor": self.factor, "normalization": None if n is None else n.as_dict()}
        return {**super().get_config(), **config}


def standardized(field: Normalized, normalization: Normalization | None) -> Any:
    """Returns z = (x - μ) / σ of a normalised field; as it is without a normalisation.

    |z| is limited to some 2e9, so that an untrained network cannot make it infinite.
    """
    if normalization is None:
        return field
    n = normalization
    log = ops.add(ops.multiply(field, _like(n.log_std, field)), _like(n.log_mean, field))
    log = ops.clip(log, -LARGEST_LOG, LARGEST_LOG)
    return signed_expm1(log, ops) / n.alpha


def normalized(z: Any, normalization: Normalization | None) -> Normalized:
    """Undoes `standardized`."""
    if normalization is None:
        return z
    n = normalization
    log = signed_log1p(n.alpha * z, ops)
    return ops.divide(ops.subtract(log, _like(n.log_mean, z)), _like(n.log_std, z))


def block_means(field: Any, row_weights: Any, factor: int) -> Any:
    """Area-weighted means over blocks of factor x factor points.

    Args:
        field: (batch, factor * latitude, factor * longitude, channel).
        row_weights: Areas of the rows, on any scale. Shape (batch, factor * latitude).
        factor: Points per block, along each axis.

    Returns:
        (batch, latitude, longitude, channel); zero for a block without any weight.
    """
    _, rows, columns, channels = ops.shape(field)
    rows, columns = rows // factor, columns // factor
    zonal = ops.mean(ops.reshape(field, (-1, rows, factor, columns, factor, channels)), axis=4)
    weights = ops.reshape(ops.cast(row_weights, field.dtype), (-1, rows, factor))
    total = ops.sum(weights, axis=2, keepdims=True)
    weights = ops.divide(weights, ops.where(total > 0, total, ops.ones_like(total)))
    return ops.sum(zonal * ops.reshape(weights, (-1, rows, factor, 1, 1)), axis=2)


def _like(numbers: np.ndarray, field: Any) -> Any:
    return ops.cast(numbers, field.dtype)


def _checked_factor(factor: Any) -> int:
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 2:
        raise ValueError(f"`factor` must be an integer from 2 up; got factor={factor!r}.")
    return factor


def _times(extent: int | None, factor: int) -> int | None:
    return None if extent is None else extent * factor


def _over(extent: int | None, factor: int) -> int | None:
    return None if extent is None else extent // factor
