"""Williamson's case 6: a Rossby-Haurwitz wave, in shallow water.

Wavenumber 4, which travels eastward nearly unchanged for some days.
"""

from collections.abc import Mapping

import numpy as np

from dynamics.case import Case, Values
from dynamics.cases._williamson import CONSTANTS

RATE = 7.848e-6  # ω = K, s⁻¹
DEPTH, NUMBER = 8000.0, 4  # h_0 in m, R


def start(latitude: np.ndarray, longitude: np.ndarray) -> Mapping[str, Values]:
    """Start of case 6: wavenumber 4, which travels eastward for some days (142-149)."""
    rate, R = RATE, NUMBER  # ω and K are equal
    cosine, sine = np.cos(latitude), np.sin(latitude)
    radius, rotation = CONSTANTS.radius, CONSTANTS.rotation_rate
    wave = np.cos(R * longitude)
    u = cosine + cosine ** (R - 1) * (R * sine**2 - cosine**2) * wave
    v = -R * cosine ** (R - 1) * sine * np.sin(R * longitude)
    a = rate / 2 * (2 * rotation + rate) * cosine**2 + rate**2 / 4 * (
        cosine ** (2 * R) * ((R + 1) * cosine**2 + 2 * R**2 - R - 2)
        - 2 * R**2 * cosine ** (2 * R - 2)
    )
    b = 2 * (rotation + rate) * rate / ((R + 1) * (R + 2)) * cosine**R
    b = b * (R**2 + 2 * R + 2 - (R + 1) ** 2 * cosine**2)
    c = rate**2 / 4 * cosine ** (2 * R) * ((R + 1) * cosine**2 - (R + 2))
    height = a + b * wave + c * np.cos(2 * R * longitude)
    return {
        "eastward_wind": radius * rate * u,
        "northward_wind": radius * rate * v,
        "height": DEPTH + radius**2 / CONSTANTS.gravity * height,
    }


def angular_speed() -> float:
    """Eastward angular speed of the wave in non-divergent flow, radians per second (142)."""
    R = NUMBER
    turning = R * (3 + R) * RATE - 2 * CONSTANTS.rotation_rate
    return turning / ((1 + R) * (2 + R))


CASE = Case(
    summary="in shallow water, a travelling wave (Williamson's case 6)",
    equations="shallow-water",
    constants=CONSTANTS,
    start=start,
)
