"""Galewsky, Scott & Polvani's barotropic instability of a midlatitude jet.

A zonal jet of 80 m s⁻¹ at 45° N, in balance; a low bump of the height breaks its symmetry, and
within six days the jet rolls up into vortices (2004, Tellus 56A, 429-440,
doi:10.3402/tellusa.v56i5.14436; numbers in parentheses are their equations).
"""

from collections.abc import Mapping
from functools import cache

import numpy as np

from dynamics.case import Case, Values
from dynamics.constants import PhysicalConstants

CONSTANTS = PhysicalConstants(radius=6.37122e6, rotation_rate=7.292e-5, gravity=9.80616)
"""The published values."""

JET_SPEED = 80.0  # m s⁻¹
JET_SOUTH, JET_NORTH = np.pi / 7, np.pi / 2 - np.pi / 7  # no wind outside of these latitudes
MEAN_DEPTH = 10_000.0  # m
BUMP_HEIGHT = 120.0  # m
BUMP_LENGTH, BUMP_WIDTH, BUMP_LATITUDE = 1 / 3, 1 / 15, np.pi / 4  # radians


def eastward_wind(latitude: np.ndarray) -> np.ndarray:
    """Wind of the jet in m s⁻¹ (2); latitudes in radians. All its derivatives are continuous."""
    inside = (latitude > JET_SOUTH) & (latitude < JET_NORTH)
    product = np.where(inside, (latitude - JET_SOUTH) * (latitude - JET_NORTH), -1.0)
    largest = np.exp(-4 / (JET_NORTH - JET_SOUTH) ** 2)
    return np.where(inside, JET_SPEED / largest * np.exp(1 / product), 0.0)


def balanced_height(latitude: np.ndarray) -> np.ndarray:
    """Height in m (3), by quadrature, of the surface in balance with the jet; 0 at the south pole.

    g dh/dφ = -a u (f + u tan φ / a). Latitudes in radians, any shape.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    span = np.clip(latitude, JET_SOUTH, JET_NORTH)[..., None] - JET_SOUTH
    phi = JET_SOUTH + span * (nodes + 1) / 2
    u = eastward_wind(phi)
    coriolis = 2 * CONSTANTS.rotation_rate * np.sin(phi)
    slope = -u * (CONSTANTS.radius * coriolis + u * np.tan(phi)) / CONSTANTS.gravity
    return (slope * weights * span / 2).sum(axis=-1)


def height_bump(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """What is added to the height, m (4); arguments in radians, broadcast."""
    east = (longitude + np.pi) % (2 * np.pi) - np.pi
    along, across = east / BUMP_LENGTH, (BUMP_LATITUDE - latitude) / BUMP_WIDTH
    return BUMP_HEIGHT * np.cos(latitude) * np.exp(-(along**2) - across**2)


def start(
    latitude: np.ndarray, longitude: np.ndarray, *, perturbed: bool = True
) -> Mapping[str, Values]:
    """The jet alone, steady, or with the bump if `perturbed`; the mean depth is 10 km."""
    bump = height_bump(longitude, latitude) if perturbed else 0.0
    return {
        "eastward_wind": eastward_wind(latitude),
        "northward_wind": 0.0,
        "height": MEAN_DEPTH + balanced_height(latitude) - _mean_balanced_height() + bump,
        "imbalance": bump,
    }


@cache
def _mean_balanced_height() -> float:
    """Of `balanced_height` over the sphere, m."""
    sine, weights = np.polynomial.legendre.leggauss(400)
    return float((balanced_height(np.arcsin(sine)) * weights).sum() / 2)


CASE = Case(
    summary="in shallow water, Galewsky's jet, which rolls up within six days",
    equations="shallow-water",
    constants=CONSTANTS,
    start=start,
    mean_geopotential=CONSTANTS.gravity * MEAN_DEPTH,
)
