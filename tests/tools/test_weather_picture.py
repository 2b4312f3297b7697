"""The globe of the documentation's first page."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.tools.loading import tool

on_globe = tool("weather_picture").on_globe
LATITUDE, LONGITUDE = np.linspace(89.5, -89.5, 180), np.arange(360.0)
X, Y = np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41))
RADIUS = np.hypot(X, Y)
INSIDE = RADIUS < 0.999  # the edge itself is a matter of rounding


@pytest.mark.parametrize("above", [0.0, 40.0, 90.0])
def test_the_axis_of_the_earth_leans_towards_the_eye(above):
    # The sine of the latitude is a linear function on the disc: y cos φ₀ + z sin φ₀.
    field = np.sin(np.deg2rad(LATITUDE))[:, None] * np.ones_like(LONGITUDE)
    seen = on_globe(LATITUDE, LONGITUDE, field, above=above, num_points=41)
    z, tilt = np.sqrt(1 - RADIUS[INSIDE] ** 2), np.deg2rad(above)
    expected = Y[INSIDE] * np.cos(tilt) + z * np.sin(tilt)
    assert_allclose(seen[INSIDE], expected, atol=2e-4)  # of rows that are 1° apart
    assert np.isnan(seen[RADIUS > 1.001]).all()


def test_east_is_on_the_right_and_no_meridian_leaves_a_mark():
    field = np.cos(np.deg2rad(LATITUDE))[:, None] * np.sin(np.deg2rad(LONGITUDE))
    seen = on_globe(LATITUDE, LONGITUDE, field, above=0.0, num_points=41)
    # cos φ, from centres of rows, is bent most at the poles: half a row of slope 1
    assert_allclose(seen[INSIDE], X[INSIDE], atol=5e-4)
