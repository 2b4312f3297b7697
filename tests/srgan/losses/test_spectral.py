import numpy as np
import pytest
from numpy.testing import assert_allclose

from srgan.losses.spectral import SpectralLoss

SHAPE = (3, 32, 40, 2)


def noise(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def wave(shape, k, m, phase=0.3):
    i, j = np.ogrid[: shape[0], : shape[1]]
    x = np.cos(2 * np.pi * (k * i / shape[0] + m * j / shape[1]) + phase)
    return x[None, :, :, None].astype(np.float32)


@pytest.mark.parametrize("binning", ["isotropic", "zonal"])
def test_a_field_costs_nothing_against_itself(binning):
    assert float(SpectralLoss(binning=binning)(noise(), noise())) == 0


@pytest.mark.parametrize("windowed", [True, False])
@pytest.mark.parametrize("binning", ["isotropic", "zonal"])
@pytest.mark.parametrize("scale", [0.1, 0.9, 3.0])
def test_scaling_costs_the_square_of_its_doubled_logarithm(binning, windowed, scale):
    loss = SpectralLoss(binning=binning, windowed=windowed)
    # ε is up to a thousandth of the power of the smallest bin, and changes its logarithm by that.
    assert_allclose(loss(noise(), scale * noise()), (2 * np.log(scale)) ** 2, rtol=1e-3)


def test_sign_offset_and_trend_cost_nothing():
    loss = SpectralLoss()
    trend = np.linspace(-2, 5, 32)[:, None, None] + np.linspace(3, -3, 40)[:, None]
    assert_allclose(loss(noise(), -noise()), 0, atol=1e-9)
    assert_allclose(loss(noise(), noise() + trend), 0, atol=1e-6)


@pytest.mark.parametrize("axis", [1, 2])
def test_turning_a_periodic_field_changes_nothing_without_a_window(axis):
    loss = SpectralLoss(windowed=False)
    assert_allclose(loss(noise(), np.roll(noise(), 7, axis)), 0, atol=1e-6)


def test_with_a_window_a_shift_costs_little_beside_a_change_of_the_spectrum():
    field = noise((1, 64, 72, 1))
    smooth = field.copy()
    for axis in (1, 2):
        smooth = (np.roll(smooth, 1, axis) + 2 * smooth + np.roll(smooth, -1, axis)) / 4
    loss = SpectralLoss()
    shifted = float(loss(field[:, :, :64], field[:, :, 8:]))
    assert shifted < 0.1
    assert float(loss(field[:, :, :64], smooth[:, :, :64])) > 50 * shifted


@pytest.mark.parametrize(
    ("k", "m", "isotropic", "zonal"),
    [(0, 3, 3, 3), (3, 4, 5, 4), (8, 0, 8, None), (5, 9, 10, 9), (16, 0, 16, None)],
)
def test_the_power_of_a_wave_is_in_its_bin(k, m, isotropic, zonal):
    x = wave((32, 32), k, m)
    variance = (x**2).mean()
    for binning, bin_number in (("isotropic", isotropic), ("zonal", zonal)):
        power = np.asarray(SpectralLoss(binning=binning, windowed=False).power(x))[0, 0]
        expected = np.zeros(16)
        if bin_number is not None:
            expected[bin_number - 1] = variance
        assert_allclose(power, expected, rtol=0, atol=1e-6)


def test_power_outside_the_corners_sums_to_the_variance():
    x = sum(a * wave((32, 48), k, m) for a, k, m in ((1.0, 2, 3), (0.3, 5, -10), (0.2, 0, 20)))
    power = np.asarray(SpectralLoss(windowed=False).power(x))
    assert_allclose(power.sum(), x.var(), rtol=1e-5)
    # 20 of 48 columns is a wavelength of 2.4 points: bin 32 · 20/48 = 13.3
    assert_allclose(power[0, 0, 13 - 1], 0.2**2 / 2, rtol=1e-3)


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_gradients_stay_finite_for_constant_fields(value):
    tf = pytest.importorskip("tensorflow")
    field = tf.Variable(np.full(SHAPE, value, np.float32))

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            loss = SpectralLoss()(noise(), field)
        return loss, tape.gradient(loss, field)

    loss, found = gradient()
    assert np.isfinite(loss)
    assert np.all(np.isfinite(found))


def test_descending_along_the_gradient_restores_the_small_scales():
    tf = pytest.importorskip("tensorflow")
    true = noise((1, 32, 32, 1))
    smooth = (np.roll(true, 1, 2) + 2 * true + np.roll(true, -1, 2)) / 4
    field, loss = tf.Variable(smooth), SpectralLoss()
    start = float(loss(true, field))
    for _ in range(20):
        with tf.GradientTape() as tape:
            now = loss(true, field)
        gradient = tape.gradient(now, field)
        field.assign_sub(0.02 * gradient / tf.reduce_max(tf.abs(gradient)))
    assert float(loss(true, field)) < 0.5 * start


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="must be 'isotropic' or 'zonal'; got 'radial'"):
        SpectralLoss(binning="radial")
    with pytest.raises(ValueError, match="`epsilon` must be positive"):
        SpectralLoss(epsilon=0.0)
    with pytest.raises(ValueError, match=r"got shape \(2, 3, 8, 1\)"):
        SpectralLoss()(noise((2, 3, 8, 1)), noise((2, 3, 8, 1)))
