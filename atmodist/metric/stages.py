"""Which stages of an encoder a distance is made of."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Stages = str | Mapping[str, float] | None

DEFAULT_STAGE = "stage3"  # where there is one, otherwise the deepest: what the papers compare


def default_stage(known: tuple[str, ...]) -> str:
    """The stage that is meant where none is named; `known` are all, finest first."""
    return DEFAULT_STAGE if DEFAULT_STAGE in known else known[-1]


def stage_weights(stages: str | Mapping[str, float], known: tuple[str, ...]) -> dict[str, float]:
    """Weights by stage, in the order of `known`, without zeros.

    Args:
        stages: One stage, or weights, not normalised.
        known: Stages of the encoder.

    Raises:
        ValueError: If a stage is unknown, a weight negative or not finite, or none is positive.
        TypeError: If a weight is no number.
    """
    weights: dict[str, Any] = {stages: 1.0} if isinstance(stages, str) else dict(stages)
    for stage, weight in weights.items():
        if stage not in known:
            raise ValueError(f"there is no stage {stage!r}; there are {', '.join(known)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float | np.number):
            raise TypeError(f"the weight of {stage} must be a number; got {weight!r}")
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"the weight of {stage} must be finite and not negative; got {weight}")
    if not any(weights.values()):
        raise ValueError(f"at least one stage must have a positive weight; got {weights}")
    return {stage: float(weights[stage]) for stage in known if weights.get(stage)}
