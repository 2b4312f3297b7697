"""Cases 2, 5 and 6 of Williamson's standard tests of the shallow-water equations.

Williamson, Drake, Hack, Jakob & Swarztrauber 1992, J. Comput. Phys. 102, 211-224,
doi:10.1016/S0021-9991(05)80016-6; numbers in parentheses are their equations. Winds are in
m s⁻¹, heights in m, angles here in radians.
"""

import numpy as np

from dynamics.constants import PhysicalConstants
from dynamics.spectral.shallow_water import ShallowWater, State
from dynamics.spectral.spherical_harmonics import SphericalHarmonics

CONSTANTS = PhysicalConstants(radius=6.37122e6, rotation_rate=7.292e-5, gravity=9.80616)
"""The published values; `sphere` should have this radius."""

DAY = 86400.0  # s
SPEED = 2 * np.pi * CONSTANTS.radius / (12 * DAY)  # u_0 of case 2: once around in 12 days
GEOPOTENTIAL = 2.94e4  # g h_0 of case 2, m² s⁻²
MOUNTAIN_SPEED, MOUNTAIN_DEPTH, MOUNTAIN_HEIGHT = 20.0, 5960.0, 2000.0  # m s⁻¹, m, m
MOUNTAIN_RADIUS, MOUNTAIN_LONGITUDE, MOUNTAIN_LATITUDE = np.pi / 9, 3 * np.pi / 2, np.pi / 6
WAVE_RATE = 7.848e-6  # ω = K of case 6, s⁻¹
WAVE_DEPTH, WAVE_NUMBER = 8000.0, 4  # h_0 in m, R


def steady_zonal_flow(sphere: SphericalHarmonics, tilt: float = 0.0) -> tuple[ShallowWater, State]:
    """Case 2: solid-body rotation in balance, about an axis tilted by `tilt`, radians.

    The solution does not change with time. The Coriolis parameter is tilted alike, so that flow
    over the poles has the same solution (90-96).
    """
    longitude, latitude = _angles(sphere)
    # sine of the latitude about the tilted axis
    sine = -np.cos(longitude) * np.cos(latitude) * np.sin(tilt) + np.sin(latitude) * np.cos(tilt)
    u = np.cos(latitude) * np.cos(tilt) + np.cos(longitude) * np.sin(latitude) * np.sin(tilt)
    v = -np.sin(longitude) * np.sin(tilt) + 0 * latitude
    rotation = CONSTANTS.rotation_rate
    factor = sphere.radius * rotation * SPEED + SPEED**2 / 2
    equation = ShallowWater(
        sphere,
        mean_geopotential=GEOPOTENTIAL - factor / 3,  # the mean of sine² is 1/3
        coriolis=2 * rotation * sine,
        constants=CONSTANTS,
    )
    height = (GEOPOTENTIAL - factor * sine**2) / CONSTANTS.gravity
    return equation, equation.state(SPEED * u, SPEED * v, height)


def flow_over_mountain(sphere: SphericalHarmonics) -> tuple[ShallowWater, State]:
    """Case 5: the flow of case 2 with other figures meets a cone of 2000 m (134)."""
    longitude, latitude = _angles(sphere)
    gravity, speed = CONSTANTS.gravity, MOUNTAIN_SPEED
    distance = np.hypot(longitude - MOUNTAIN_LONGITUDE, latitude - MOUNTAIN_LATITUDE)
    ground = MOUNTAIN_HEIGHT * (1 - np.minimum(distance, MOUNTAIN_RADIUS) / MOUNTAIN_RADIUS)
    factor = sphere.radius * CONSTANTS.rotation_rate * speed + speed**2 / 2
    surface = MOUNTAIN_DEPTH - factor / gravity * np.sin(latitude) ** 2 + 0 * longitude
    equation = ShallowWater(
        sphere,
        mean_geopotential=float(gravity * _mean(sphere, surface - ground)),
        orography=gravity * ground,
        constants=CONSTANTS,
    )
    u = speed * np.cos(latitude) + 0 * longitude
    return equation, equation.state(u, 0 * u, surface)


def rossby_haurwitz_wave(sphere: SphericalHarmonics) -> tuple[ShallowWater, State]:
    """Case 6: wavenumber 4, which travels eastward nearly unchanged for some days (142-149)."""
    longitude, latitude = _angles(sphere)
    rate, R = WAVE_RATE, WAVE_NUMBER  # ω and K are equal
    cosine, sine = np.cos(latitude), np.sin(latitude)
    radius, rotation = sphere.radius, CONSTANTS.rotation_rate
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
    height = WAVE_DEPTH + radius**2 / CONSTANTS.gravity * height
    equation = ShallowWater(
        sphere,
        mean_geopotential=float(CONSTANTS.gravity * _mean(sphere, height)),
        constants=CONSTANTS,
    )
    return equation, equation.state(radius * rate * u, radius * rate * v, height)


def rossby_haurwitz_rate() -> float:
    """Eastward angular speed of the wave in non-divergent flow, radians per second (142)."""
    R = WAVE_NUMBER
    turning = R * (3 + R) * WAVE_RATE - 2 * CONSTANTS.rotation_rate
    return turning / ((1 + R) * (2 + R))


def _angles(sphere: SphericalHarmonics) -> tuple[np.ndarray, np.ndarray]:
    """Longitude as a row, latitude as a column."""
    return np.radians(sphere.longitude)[None, :], np.radians(sphere.latitude)[:, None]


def _mean(sphere: SphericalHarmonics, nodal: np.ndarray) -> np.floating:
    return (nodal.mean(axis=-1) * sphere.weights).sum() / 2
