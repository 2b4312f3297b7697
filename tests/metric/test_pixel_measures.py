import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from atmodist.metric.pixel_measures import l1, l2, psnr, ssim


def even(count, rows):
    return np.full((count, rows), 1 / rows)


def fields(count=3, size=16, seed=0):
    return np.random.default_rng(seed).standard_normal((2, count, size, size, 2)).astype("f4")


def test_l1_and_l2_of_a_constant_difference():
    a = fields()[0]
    weights = even(3, 16)
    assert_allclose(l1(a, a + 0.5, weights), 0.5, rtol=1e-5)
    assert_allclose(l2(a, a + 0.5, weights), 0.25, rtol=1e-5)


def test_rows_count_with_their_weights():
    a = np.zeros((1, 4, 3, 1))
    b = a.copy()
    b[0, 1] = 2.0
    weights = np.array([[0.1, 0.3, 0.4, 0.2]])
    assert_allclose(l2(a, b, weights), 0.3 * 4)
    assert_allclose(l1(a, b, weights), 0.3 * 2)


def test_psnr_pools_the_range_of_both_fields_of_each_pair():
    a = np.zeros((2, 4, 4, 1))
    a[:, 0, 0] = 3.0
    b = a.copy()
    b[:, 3, 3] = -1.0
    b[1] *= 10
    a[1] *= 10  # the same pair in other units: PSNR does not care, and pairs do not mix
    expected = 10 * np.log10(4.0**2 / (1 / 16))
    assert_allclose(psnr(a, b, even(2, 4)), expected)


def test_psnr_of_equal_fields_is_infinite():
    a = fields()[0]
    assert np.isposinf(psnr(a, a, even(3, 16))).all()


def test_ssim_agrees_with_its_definition_at_every_place():
    a, b = fields(count=1, size=13)
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(window, window) / np.outer(window, window).sum()
    values = []
    for c in range(2):
        x, y = a[0, ..., c].astype(float), b[0, ..., c].astype(float)
        span = max(x.max(), y.max()) - min(x.min(), y.min())
        c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
        for row in range(5, 8):
            for column in range(5, 8):
                place = np.s_[row - 5 : row + 6, column - 5 : column + 6]
                mx, my = (window * x[place]).sum(), (window * y[place]).sum()
                vx = (window * (x[place] - mx) ** 2).sum()
                vy = (window * (y[place] - my) ** 2).sum()
                cov = (window * (x[place] - mx) * (y[place] - my)).sum()
                values.append(
                    (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
                )
    assert_allclose(ssim(a, b, even(1, 13)), np.mean(values), rtol=1e-9)


@given(st.floats(0.1, 100), st.integers(0, 50))
def test_ssim_is_symmetric_at_most_one_and_free_of_units(factor, seed):
    a, b = fields(count=2, size=12, seed=seed).astype(np.float64)
    weights = even(2, 12)
    value = ssim(a, b, weights)
    assert (value < 1).all()
    assert_allclose(ssim(b, a, weights), value, rtol=1e-12)
    assert_allclose(ssim(factor * a, factor * b, weights), value, rtol=1e-9)
    assert_allclose(ssim(a, a, weights), 1.0)


def test_ssim_of_constant_fields_is_finite():
    a = np.ones((1, 12, 12, 1))
    assert_allclose(ssim(a, a, even(1, 12)), 1.0)


def test_ssim_refuses_patches_smaller_than_its_window():
    a = np.zeros((1, 10, 12, 1))
    with pytest.raises(ValueError, match="more than 10 x 10 grid points; got 10 x 12"):
        ssim(a, a, even(1, 10))
