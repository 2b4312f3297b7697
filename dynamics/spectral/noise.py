"""Noise of large scale, which makes the members of an ensemble differ."""

import numpy as np

from dynamics.spectral.spherical_harmonics import SphericalHarmonics

NOISE_DEGREES = 12
"""The largest degree of the noise; the same seed gives the same noise at each truncation from
this one on."""


def noise(sphere: SphericalHarmonics, seed: int, member: int, amplitude: float) -> np.ndarray:
    """Random coefficients (2, order, degree), degrees 1 to 12, of root mean square `amplitude`."""
    size = NOISE_DEGREES + 1
    drawn = np.random.default_rng([seed, member]).standard_normal((2, size, size))
    size = min(size, len(sphere.degrees))
    coefficients = np.zeros(sphere.mask.shape)
    coefficients[:, :size, :size] = drawn[:, :size, :size]
    coefficients = coefficients * sphere.mask
    coefficients[0, 0, 0] = 0.0
    return amplitude * coefficients / np.sqrt((coefficients**2).sum())
