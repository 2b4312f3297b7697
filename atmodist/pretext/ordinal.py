"""Labels with an order: the cumulative link of McCullagh (1980), also called proportional odds.

A network that tells classes apart does not know that a label of 5 lies between 4 and 6. Here it
gives one score s for a pair, how far apart its fields look, and thresholds θ_1 < ... < θ_{K-1} cut
the line of scores into K labels:

    P(label <= k) = σ(θ_k - s),        σ(x) = 1 / (1 + exp(-x)),
    p_k = σ(θ_k - s) - σ(θ_{k-1} - s),   θ_0 = -∞, θ_K = +∞.

Thresholds are learnt with the network. What comes out are the logarithms of p_k: their softmax is p
again, so that whatever takes logits takes these.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

MIN_GAP = 1e-6  # between thresholds: keeps log(1 - exp(-gap)) finite


@keras.saving.register_keras_serializable(package="atmodist")
class CumulativeLink(keras.layers.Layer):
    """Turns a score into log-probabilities of ordered classes.

    With a = θ_k - s and b = θ_{k-1} - s, a difference of two nearly equal numbers is avoided by

        log p_k = log σ(a) + log σ(-b) + log(1 - exp(b - a)),

    whose last term, b - a = θ_{k-1} - θ_k, does not depend on the score. At first all classes are
    equally likely for a score of zero, θ_k = log(k / (K - k)).

    Args:
        num_classes: K, above 1.

    Input shape: (batch, 1).
    Output shape: (batch, num_classes).
    """

    def __init__(self, num_classes: int, **kwargs: Any):
        if not isinstance(num_classes, int) or num_classes < 2:
            raise ValueError(f"`num_classes` must be an integer above 1; got {num_classes!r}.")
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, input_shape: Any) -> None:
        """Makes the weights: the first threshold, and what the gaps between them come from."""
        if len(input_shape) != 2 or input_shape[-1] != 1:
            raise ValueError(f"expected one score per sample, (batch, 1); got {input_shape}.")
        count = np.arange(1, self.num_classes)
        thresholds = np.log(count / (self.num_classes - count))
        self.first_threshold = self.add_weight(
            name="first_threshold",
            shape=(1,),
            initializer=keras.initializers.Constant(float(thresholds[0])),
        )
        if self.num_classes > 2:
            self.threshold_gaps = self.add_weight(
                name="threshold_gaps",
                shape=(self.num_classes - 2,),
                initializer=lambda shape, dtype=None: ops.cast(
                    np.log(np.expm1(np.diff(thresholds) - MIN_GAP)), dtype
                ),
            )

    def gaps(self) -> Any:
        """θ_{k+1} - θ_k > 0; shape (num_classes - 2,)."""
        if self.num_classes == 2:
            return ops.zeros((0,), dtype=self.compute_dtype)
        return ops.add(ops.softplus(self.threshold_gaps), MIN_GAP)

    def thresholds(self) -> Any:
        """θ_1 to θ_{K-1}, increasing; shape (num_classes - 1,)."""
        first = ops.convert_to_tensor(self.first_threshold)
        return ops.cumsum(ops.concatenate([first, self.gaps()]))

    def call(self, score: Any) -> Any:
        """Returns log p_k of each sample."""
        distance = ops.subtract(self.thresholds(), score)  # (batch, K - 1)
        below = ops.log_sigmoid(distance)  # log P(label <= k)
        above = ops.log_sigmoid(ops.negative(distance))  # log P(label > k)
        between = ops.log(ops.negative(ops.expm1(ops.negative(self.gaps()))))
        inner = ops.add(ops.add(below[:, 1:], above[:, :-1]), between)
        return ops.concatenate([below[:, :1], inner, above[:, -1:]], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, int]:
        """(batch, num_classes)."""
        return (input_shape[0], self.num_classes)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "num_classes": self.num_classes}
