import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.fields.intervals import mean_interval
from evaluation.significance.uncertainty import apart, difference, loss, mean_of_known


def test_a_difference_is_found_and_mirrored():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 300))
    found, mirrored = difference(a + 1.0, b), difference(b, a + 1.0)
    assert found.low > 0
    assert found.p_value < 0.01
    assert_allclose(
        [mirrored.mean, mirrored.low, mirrored.high], [-found.mean, -found.high, -found.low]
    )
    interval = mean_interval(a + 1.0 - b)
    assert (found.low, found.high, found.p_value) == (interval.low, interval.high, interval.p_value)


def test_what_is_common_goes_out():
    rng = np.random.default_rng(0)
    weather = 100 * np.cumsum(rng.normal(size=200))
    found = difference(weather + rng.normal(size=200), weather)
    assert found.high - found.low < 1


def test_identical_series_do_not_differ():
    x = np.random.default_rng(0).normal(size=50)
    found = difference(x, x)
    assert (found.mean, found.low, found.high, found.p_value) == (0, 0, 0, 1)
    shifted = difference(x + 1, x)  # without any doubt
    assert_allclose([shifted.low, shifted.high], 1)
    assert shifted.p_value < 0.001


def test_the_same_infinity_is_no_difference():
    inf = np.inf
    assert apart([inf, -inf, inf, 1.0], [inf, -inf, 1.0, 3.0]).tolist() == [0, 0, inf, -2]
    assert np.isnan(apart(np.nan, 1.0))
    assert loss([-inf, 1.0], "reference", [-inf, inf]).tolist() == [0, inf]
    assert mean_of_known(np.array([1.0, np.nan, inf])) == inf
    assert np.isnan(mean_of_known(np.array([-inf, inf])))
    assert np.isnan(mean_of_known(np.array([np.nan])))


def test_infinite_differences_are_sure_only_where_all_are():
    perfect, other = np.full(20, np.inf), np.random.default_rng(0).normal(size=20)
    found = difference(other, perfect)
    assert (found.mean, found.low, found.high) == (-np.inf, -np.inf, -np.inf)
    assert found.p_value < 0.001
    same = difference(perfect, perfect)
    assert (same.mean, same.p_value) == (0, 1)
    perfect[3] = 2.0
    found = difference(perfect, other)
    assert found.mean == np.inf
    assert np.isnan([found.low, found.high, found.p_value]).all()
    assert found.reason == "infinite at 19 of 20 steps"


def test_short_and_broken_series():
    few = difference(np.ones(3), np.zeros(3))
    assert few.mean == 1
    assert all(math.isnan(x) for x in (few.low, few.high, few.p_value, few.effective))
    assert few.reason == "3 values in time cannot show their memory; at least 16 can"
    x = np.random.default_rng(0).normal(size=30)
    x[4] = np.nan
    assert difference(x, np.zeros(30)).num_steps == 29
    with pytest.raises(ValueError, match="series of one length"):
        difference(x, x[1:])


def test_loss_is_lower_for_the_better():
    x, own = np.array([1.0, 3.0]), np.array([2.0, 2.5])
    assert_allclose(loss(x, "lower"), x)
    assert_allclose(loss(x, "higher"), -x)
    assert_allclose(loss(x, "reference", own), [1, 0.5])
    with pytest.raises(ValueError, match="reference's own values"):
        loss(x, "reference")
    with pytest.raises(ValueError, match="`better` must be"):
        loss(x, "taller")
