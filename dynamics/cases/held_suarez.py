"""Held-Suarez climate: the idealised general circulation, from rest.

The atmosphere starts at rest and isothermal, with a little noise that breaks the symmetries. Jets
appear within weeks, storms after a month or two; statistics are steady after some 200 days.
The forcing is in `dynamics.spectral.held_suarez`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dynamics.case import Case, Physics, Values
from dynamics.constants import HELD_SUAREZ

CONSTANTS = HELD_SUAREZ

START_TEMPERATURE = 264.0
"""K; near the mean of the climate, so that the mean need not change much."""


def start(latitude: np.ndarray, longitude: np.ndarray, sigma: np.ndarray) -> Mapping[str, Values]:
    """Rest at 1000 hPa and 264 K."""
    return {
        "eastward_wind": 0.0,
        "northward_wind": 0.0,
        "temperature": START_TEMPERATURE,
        "surface_pressure": 1.0e5,
    }


def physics(points: Any, levels: Any, *, reference_temperature: Any) -> Sequence[Physics]:
    """The forcing."""
    from dynamics.spectral.held_suarez import HeldSuarez  # needs Keras

    return (HeldSuarez(points, levels, reference_temperature=reference_temperature),)


CASE = Case(
    summary="an idealised dry climate, with weather for as long as one likes",
    equations="primitive",
    constants=CONSTANTS,
    start=start,
    physics=physics,
    spun_up="held_suarez_t42l10.npz",
    noise=1.0,
)
