"""Williamson's case 5: a westerly flow meets a mountain, in shallow water."""

from collections.abc import Mapping

import numpy as np

from dynamics.case import Case, Values
from dynamics.cases._williamson import CONSTANTS

SPEED, DEPTH, HEIGHT = 20.0, 5960.0, 2000.0  # u_0 in m s⁻¹, h_0 in m, h_s0 in m
RADIUS, LONGITUDE, LATITUDE = np.pi / 9, 3 * np.pi / 2, np.pi / 6  # of the mountain, radians


def mountain(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Geopotential of the cone of case 5, m² s⁻²: 2000 m times g at its top (134)."""
    distance = np.hypot(longitude - LONGITUDE, latitude - LATITUDE)
    ground = HEIGHT * (1 - np.minimum(distance, RADIUS) / RADIUS)
    return CONSTANTS.gravity * ground


def start(latitude: np.ndarray, longitude: np.ndarray) -> Mapping[str, Values]:
    """Start of case 5: the flow of case 2 with other figures, which meets a cone."""
    factor = CONSTANTS.radius * CONSTANTS.rotation_rate * SPEED + SPEED**2 / 2
    surface = DEPTH - factor / CONSTANTS.gravity * np.sin(latitude) ** 2
    return {
        "eastward_wind": SPEED * np.cos(latitude) + 0 * longitude,
        "northward_wind": 0.0,
        "height": surface + 0 * longitude,
    }


CASE = Case(
    summary="in shallow water, flow over a mountain (Williamson's case 5)",
    equations="shallow-water",
    constants=CONSTANTS,
    start=start,
    orography=mountain,
)
