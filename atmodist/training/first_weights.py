"""First weights that are a function of the seed alone, whatever the backend of Keras.

Keras' initialisers draw with the random numbers of its backend, and those of TensorFlow and JAX
differ. Here the same distributions are drawn from by NumPy.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from scipy.special import ndtr, ndtri

LIMIT = 2.0  # standard deviations at which Keras cuts normal distributions off
STD_WITHIN = 0.87962566103423978  # of a standard normal distribution cut off there

Initializer = Callable[..., Any]


def draw_first_weights(network: keras.Model, seed: Sequence[int]) -> None:
    """Draws the random weights of a network anew, each from the distribution of its initialiser.

    Args:
        network: Built; what its initialisers do not draw at random stays as it is.
        seed: Whole numbers of which the weights are a function.
    """
    rng = np.random.default_rng(seed)
    for layer in network._flatten_layers():  # Keras has no public way into nested layers
        for name, initializer in list(vars(layer).items()):
            weight = getattr(layer, name.removesuffix("_initializer"), None)
            if isinstance(initializer, keras.initializers.Initializer) and weight is not None:
                weight.assign(_by_numpy(initializer, rng)(weight.shape, dtype=weight.dtype))


def _by_numpy(initializer: Any, rng: np.random.Generator) -> Initializer:
    """The same initialiser, with all within it drawing by NumPy."""
    kind = keras.initializers
    if isinstance(initializer, kind.VarianceScaling):
        return lambda shape, dtype: _scaled(initializer, shape, rng)
    if isinstance(initializer, kind.TruncatedNormal):
        i = initializer
        return lambda shape, dtype: i.mean + i.stddev * _truncated_normal(shape, rng)
    changed = copy.copy(initializer)
    for name, value in vars(initializer).items():
        if isinstance(value, kind.Initializer):
            setattr(changed, name, _by_numpy(value, rng))
    return changed


def _scaled(initializer: Any, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Weights whose variance is scale / fan, as of `keras.initializers.VarianceScaling`."""
    points = math.prod(shape[:-2])
    fan_in, fan_out = points * shape[-2], points * shape[-1]
    fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    std = math.sqrt(initializer.scale / max(1.0, fans[initializer.mode]))
    if initializer.distribution == "uniform":
        return std * math.sqrt(3.0) * rng.uniform(-1.0, 1.0, shape)
    if initializer.distribution == "untruncated_normal":
        return std * rng.standard_normal(shape)
    return std / STD_WITHIN * _truncated_normal(shape, rng)


def _truncated_normal(shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    return ndtri(rng.uniform(ndtr(-LIMIT), ndtr(LIMIT), shape))
