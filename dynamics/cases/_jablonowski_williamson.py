"""Jablonowski & Williamson's steady state and baroclinic wave.

A zonal flow with two jets that solves the primitive equations exactly, hence stays as it is; and
the same with a bump in the wind, from which a baroclinic wave grows, breaking after nine days
(Jablonowski & Williamson 2006, Q. J. R. Meteorol. Soc. 132, 2943-2975; numbers in parentheses are
their equations). With η = σ, since p_s = 1000 hPa everywhere, η_v = (η - η_0) π/2 and

    C(φ) = -2 sin⁶φ (cos²φ + 1/3) + 10/63,    E(φ) = 8/5 cos³φ (sin²φ + 2/3) - π/4,

    u  = u_0 cos^{3/2} η_v sin²(2φ)                                                        (2)
    T  = <T>(η) + 3/4 (η π u_0 / R) sin η_v cos^{1/2} η_v [2 u_0 cos^{3/2} η_v C + a Ω E]   (4-6)
    Φ_s = u_0 c [u_0 c C + a Ω E],   c = cos^{3/2}((1 - η_0) π/2)                           (7)

Latitudes are in radians here.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np

from dynamics.case import Case, Values
from dynamics.constants import PhysicalConstants

CONSTANTS = PhysicalConstants(
    radius=6.371229e6,
    rotation_rate=7.29212e-5,
    gravity=9.80616,
    gas_constant=287.0,
    heat_capacity=1004.5,
)
"""The published values."""

JET_SPEED = 35.0  # u_0, m s⁻¹
JET_LEVEL = 0.252  # η_0
TROPOPAUSE = 0.2  # η_t
SURFACE_TEMPERATURE = 288.0  # T_0, K
LAPSE_RATE = 0.005  # Γ, K m⁻¹
STRATOSPHERE = 4.8e5  # ΔT, K
BUMP_SPEED = 1.0  # u_p, m s⁻¹
BUMP_RADIUS = 0.1  # in radii of the Earth
BUMP_LONGITUDE, BUMP_LATITUDE = np.pi / 9, 2 * np.pi / 9  # 20° E, 40° N


def eastward_wind(latitude: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Wind of the steady state, m s⁻¹; arguments broadcast."""
    return JET_SPEED * np.cos(_eta_v(sigma)) ** 1.5 * np.sin(2 * latitude) ** 2


def temperature(latitude: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """T, K; arguments broadcast."""
    eta_v, air = _eta_v(sigma), CONSTANTS
    mean = SURFACE_TEMPERATURE * sigma ** (air.gas_constant * LAPSE_RATE / air.gravity)
    mean = mean + STRATOSPHERE * np.maximum(0.0, TROPOPAUSE - sigma) ** 5
    factor = 0.75 * sigma * np.pi * JET_SPEED / air.gas_constant
    factor = factor * np.sin(eta_v) * np.cos(eta_v) ** 0.5
    return mean + factor * _balance(latitude, 2 * JET_SPEED * np.cos(eta_v) ** 1.5)


def surface_geopotential(latitude: np.ndarray) -> np.ndarray:
    """Φ_s, m² s⁻²: mountains that balance the wind at the ground."""
    speed = JET_SPEED * np.cos(_eta_v(np.asarray(1.0))) ** 1.5
    return speed * _balance(latitude, speed)


def wind_bump(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """The perturbation of u at all levels, m s⁻¹ (10): a bell one tenth of a radius wide."""
    cosine = np.sin(BUMP_LATITUDE) * np.sin(latitude) + np.cos(BUMP_LATITUDE) * np.cos(
        latitude
    ) * np.cos(longitude - BUMP_LONGITUDE)
    distance = np.arccos(np.clip(cosine, -1.0, 1.0))
    return BUMP_SPEED * np.exp(-((distance / BUMP_RADIUS) ** 2))


def case(*, perturbed: bool, summary: str) -> Case:
    """The steady jets, or the baroclinic wave if `perturbed`."""
    return Case(
        summary=summary,
        equations="primitive",
        constants=CONSTANTS,
        start=partial(start, perturbed=perturbed),
        orography=lambda latitude, longitude: surface_geopotential(latitude),
    )


def start(
    latitude: np.ndarray, longitude: np.ndarray, sigma: np.ndarray, *, perturbed: bool
) -> Mapping[str, Values]:
    """The steady state, or the start of the baroclinic wave if `perturbed`."""
    u = eastward_wind(latitude, sigma) + 0 * longitude
    if perturbed:
        u = u + wind_bump(longitude, latitude)
    return {
        "eastward_wind": u,
        "northward_wind": 0.0,
        "temperature": temperature(latitude, sigma),
        "surface_pressure": 1.0e5,
    }


def _eta_v(sigma: np.ndarray) -> np.ndarray:
    """(η - η_0) π/2 (1)."""
    return (sigma - JET_LEVEL) * (np.pi / 2)


def _balance(latitude: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """The sum speed C(φ) + a Ω E(φ), m s⁻¹."""
    sine, cosine = np.sin(latitude), np.cos(latitude)
    c = -2 * sine**6 * (cosine**2 + 1 / 3) + 10 / 63
    e = 8 / 5 * cosine**3 * (sine**2 + 2 / 3) - np.pi / 4
    return speed * c + CONSTANTS.radius * CONSTANTS.rotation_rate * e
