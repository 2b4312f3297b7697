"""Physical constants and conventions shared by every part of the package."""

EARTH_RADIUS = 6_371_229.0
"""Radius of the sphere in metres, as in ECMWF's model; ERA5's winds belong to it."""
