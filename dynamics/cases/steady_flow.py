"""Williamson's case 2: solid-body rotation in balance, which does not change with time."""

from collections.abc import Mapping

import numpy as np

from dynamics.case import Case, Values
from dynamics.cases._williamson import CONSTANTS

DAY = 86400.0  # s
SPEED = 2 * np.pi * CONSTANTS.radius / (12 * DAY)  # u_0, m s⁻¹: once around in 12 days
GEOPOTENTIAL = 2.94e4  # g h_0, m² s⁻²


def steady_flow(tilt: float = 0.0) -> Case:
    """Case 2: solid-body rotation in balance, about an axis tilted by `tilt`, radians.

    The solution does not change with time. The Coriolis parameter is tilted alike, so that flow
    over the poles has the same solution (90-96).
    """
    rotation = CONSTANTS.rotation_rate
    factor = CONSTANTS.radius * rotation * SPEED + SPEED**2 / 2

    def sine(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """Sine of the latitude about the tilted axis."""
        away = -np.cos(longitude) * np.cos(latitude) * np.sin(tilt)
        return away + np.sin(latitude) * np.cos(tilt)

    def start(latitude: np.ndarray, longitude: np.ndarray) -> Mapping[str, Values]:
        u = np.cos(latitude) * np.cos(tilt) + np.cos(longitude) * np.sin(latitude) * np.sin(tilt)
        v = -np.sin(longitude) * np.sin(tilt) + 0 * latitude
        height = (GEOPOTENTIAL - factor * sine(latitude, longitude) ** 2) / CONSTANTS.gravity
        return {"eastward_wind": SPEED * u, "northward_wind": SPEED * v, "height": height}

    return Case(
        summary="in shallow water, a flow in balance (Williamson's case 2)",
        equations="shallow-water",
        constants=CONSTANTS,
        start=start,
        coriolis=lambda latitude, longitude: 2 * rotation * sine(latitude, longitude),
        mean_geopotential=GEOPOTENTIAL - factor / 3,  # the mean of sine² is 1/3
    )


CASE = steady_flow()
