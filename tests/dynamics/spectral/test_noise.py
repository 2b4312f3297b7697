import numpy as np
from numpy.testing import assert_allclose

from dynamics.spectral.noise import NOISE_DEGREES, noise
from dynamics.spectral.spherical_harmonics import SphericalHarmonics


def test_noise_is_the_same_at_another_truncation():
    fine, coarse = SphericalHarmonics(31), SphericalHarmonics(15)
    one, two = noise(fine, 0, 0, 1.0), noise(coarse, 0, 0, 1.0)
    assert_allclose(one[:, :16, :16], two)
    assert np.all(one[:, 16:] == 0)


def test_noise_has_the_variance_asked_for_and_no_mean():
    drawn = noise(SphericalHarmonics(15), 3, 1, 0.5)
    assert_allclose((drawn**2).sum(), 0.25, rtol=1e-12)
    assert drawn[0, 0, 0] == 0
    assert not drawn[..., NOISE_DEGREES + 1 :].any()
