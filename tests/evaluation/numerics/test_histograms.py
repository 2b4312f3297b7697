import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_allclose
from scipy import stats

from evaluation.numerics.histograms import (
    PER_POWER,
    Histogram,
    integral_of_magnitude,
    wasserstein,
    wasserstein_bound,
)

finite = st.floats(-(2.0**100), 2.0**100, width=32)


def histogram(values, weights=None):
    result = Histogram()
    values = np.atleast_2d(np.asarray(values, np.float32))
    result.update(values, np.ones((len(values), 1)) if weights is None else weights)
    return result


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=finite))
def test_every_value_lies_in_its_bin_and_bins_ascend(values):
    own = histogram(values)
    left, right, weights = own.bins()
    assert (np.diff(left) > 0).all()
    assert (right[:-1] <= left[1:]).all()
    for value in values.ravel():
        inside = (left <= value) & (value <= right) & (weights > 0)
        assert inside.any()
    assert own.total == values.size
    # a bin is narrower than 2⁻¹¹ of its values, but for numbers below 1e-37
    wide = (weights > 0) & (np.minimum(np.abs(left), np.abs(right)) > 1e-37)
    assert (right - left <= np.minimum(np.abs(left), np.abs(right)) / 2048 * (1 + 1e-9))[wide].all()


@given(
    arrays(np.float32, (3, 50), elements=st.floats(-1e3, 1e3, width=32)),
    arrays(np.float32, (3, 50), elements=st.floats(-1e3, 1e3, width=32)),
)
def test_distance_is_scipys_within_the_bound(a, b):
    weights = np.array([[0.2], [1.0], [0.5]])
    one, two = histogram(a, weights), histogram(b, weights)
    spread = np.broadcast_to(weights, a.shape).ravel()
    exact = stats.wasserstein_distance(a.ravel(), b.ravel(), spread, spread)
    assert abs(wasserstein(one, two) - exact) <= wasserstein_bound(one, two) + 1e-30


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])  # no unit is special
def test_distance_of_a_shift_is_the_shift(scale):
    x = np.random.default_rng(0).normal(size=(1, 20_000)) * scale
    distance = wasserstein(histogram(x), histogram(x + 0.1 * scale))
    assert_allclose(distance, 0.1 * scale, rtol=1e-4)
    assert wasserstein(histogram(x), histogram(x)) == 0


def test_quantiles_are_numpys_to_the_width_of_a_bin():
    x = np.random.default_rng(0).normal(size=(1, 100_000)).astype(np.float32)
    p = np.array([1e-4, 0.01, 0.3, 0.9, 0.9999])
    expected = np.quantile(x, p, method="inverted_cdf")
    assert_allclose(histogram(x).quantiles(p), expected, rtol=1 / PER_POWER)
    assert np.isnan(Histogram().quantiles(p)).all()


def test_parts_merge_and_come_back():
    x = np.random.default_rng(0).normal(size=(4, 100)).astype(np.float32)
    whole, first = histogram(x), histogram(x[:1])
    copy = Histogram()
    copy.restore(histogram(x[1:]).arrays())
    first.merge(copy)
    for a, b in zip(first.bins(), whole.bins(), strict=True):
        assert_allclose(a, b)


def test_masses_between_edges():
    x = np.random.default_rng(0).normal(size=(1, 50_000)).astype(np.float32)
    edges = np.array([-1.0, 0.0, 0.5])  # all are edges of bins
    expected = np.histogram(x, edges)[0] / x.size
    assert_allclose(histogram(x).masses(edges), expected, atol=1e-9)


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(wild):
    with pytest.raises(ValueError, match="finite values"):
        histogram([0.0, wild])


def test_integral_of_known_lines():
    # 0 to 1, to -1, to 0: three times ½; then up to 1, a gap of one at 1, and down again
    edges = np.arange(4.0)
    assert integral_of_magnitude(edges[:-1], edges[1:], np.array([1.0, -2, 1])) == 1.5
    left, right = np.array([0.0, 2]), np.array([1.0, 3])
    assert integral_of_magnitude(left, right, np.array([1.0, -1])) == 2.0


def test_the_bound_is_half_a_bin_of_the_mean_magnitudes():
    weights = np.array([[1.0], [3.0]])
    one = histogram([[2.0], [-4.0]], weights)
    two = histogram([[1.0], [1.0]], weights)
    assert_allclose(one.mean_magnitude(), 3.5, rtol=1 / PER_POWER)
    assert_allclose(wasserstein_bound(one, two), 4.5 / (2 * PER_POWER), rtol=1 / PER_POWER)
