"""The penalty for block means that differ from the coarse field.

With z = (x - μ) / σ of the channel, so that every channel counts alike,

    L = mean over blocks and channels of (Σ_p w_p z_p / Σ_p w_p - z_LR)²,

the squared error of the coarse field in units of σ². `BlockMeanProjection` makes it zero by
construction; the penalty leaves the generator free, and is for low-resolution fields that are not
quite block means.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from atmodist.fields.normalization import Normalization
from srgan.networks.layers import block_means, standardized


@dataclass(frozen=True, kw_only=True)
class ConsistencyPenalty:
    """Compares block means of a fine field with a coarse one.

    Attributes:
        factor: Fine points per coarse cell, along each axis.
        normalization: Of both fields; None where the coarse field is the block mean of the
            normalised field, which is compared as it is then.
    """

    factor: int
    normalization: Normalization | None

    def __call__(self, low: Any, y_pred: Any, row_weights: Any) -> Any:
        """The mean penalty of a batch.

        Args:
            low: (batch, latitude, longitude, channel), normalised.
            y_pred: (batch, factor * latitude, factor * longitude, channel), normalised.
            row_weights: Areas of the fine rows on any scale. Shape (batch, factor * latitude).
        """
        low, y_pred = ops.cast(low, "float32"), ops.cast(y_pred, "float32")
        z = standardized(y_pred, self.normalization)
        means = block_means(z, row_weights, self.factor)
        return ops.mean(ops.square(ops.subtract(means, standardized(low, self.normalization))))
