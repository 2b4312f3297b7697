import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.metric.lag_curve import LagCurve, monotone


def curve(median=(1.0, 2.0, 3.0), lag_hours=(3.0, 6.0, 12.0), spread=0.5):
    median = np.asarray(median)
    return LagCurve(
        lag_hours=lag_hours,
        median=median,
        quantile16=median - spread,
        quantile84=median + spread,
        mean=median,
    )


def test_statistics_are_those_of_the_distance():
    hours = np.repeat([3.0, 6.0], 101)
    distance = np.concatenate([np.linspace(0, 1, 101), np.linspace(2, 4, 101)])
    result = LagCurve.of(distance, hours)
    assert_allclose(result.median, [0.5, 3.0])
    assert_allclose(result.quantile16, [0.16, 2.32])
    assert_allclose(result.quantile84, [0.84, 3.68])
    assert_allclose(result.mean, [0.5, 3.0])


def test_hours_of_the_medians_are_the_lags():
    hours, low, high = curve().hours([0.0, 1.0, 1.5, 2.0, 3.0])
    assert_allclose(hours, [0, 3, 4.5, 6, 12])
    assert (low <= hours).all()
    assert (high >= hours).all()


def test_spread_is_where_the_quantiles_reach_the_distance():
    # d = 2: the upper quantile (1.5, 2.5, 3.5) is there between 3 and 6 h, the lower one
    # (0.5, 1.5, 2.5) between 6 and 12 h.
    _, low, high = curve().hours(2.0)
    assert low == pytest.approx(4.5)
    assert high == pytest.approx(9.0)


def test_beyond_the_calibrated_range_hours_are_infinite_not_extrapolated():
    hours, low, high = curve().hours([2.7, 3.2, 9.0])
    assert np.isfinite(hours[0])
    assert_array_equal(hours[1:], np.inf)
    assert_array_equal(high, np.inf)  # the lower quantile ends at 2.5
    assert_allclose(low[2], 12.0)  # at least as far apart as the largest lag
    assert 6 < low[1] < 12


def test_nan_stays_nan_and_negative_distances_are_refused():
    assert np.isnan(np.stack(curve().hours(np.nan))).all()
    with pytest.raises(ValueError, match="distances are not negative"):
        curve().hours([1.0, -0.1])


def test_on_a_level_curve_hours_are_its_middle():
    level = curve((1.0, 2.0, 2.0), spread=0.0)
    hours, low, high = level.hours([2.0, np.nextafter(2.0, 0), 2.1])
    assert_allclose(hours[:2], [9.0, 6.0])
    assert hours[2] == np.inf
    assert (low[0], high[0]) == (6.0, 12.0)


@given(st.lists(st.floats(0, 5), min_size=2, max_size=8), st.lists(st.floats(0, 6), min_size=2))
def test_hours_never_decrease_with_the_distance(medians, distances):
    made = curve(np.array(medians) + 1, 3.0 * np.arange(1, len(medians) + 1))
    hours, low, high = made.hours(np.sort(distances))
    for values in (hours, low, high):
        finite = values[np.isfinite(values)]
        assert (np.diff(finite) >= -1e-9).all()
        assert np.isinf(values[len(finite) :]).all()
    assert ((low <= hours) & (hours <= high)).all()


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_monotone_keeps_the_mean_and_what_is_monotone_already(values):
    result = monotone(np.array(values))
    assert (np.diff(result) >= 0).all()
    assert_allclose(result.mean(), np.mean(values), atol=1e-9)
    assert_allclose(monotone(np.sort(values)), np.sort(values))


def test_the_band_for_other_weeks_stands_in_for_the_quantiles():
    from dataclasses import replace

    plain = curve()
    wide = replace(plain, low=plain.median - 0.8, high=plain.median + 0.8)
    # d = 2: the upper end (1.8, 2.8, 3.8) is there after 3 h, the lower (0.2, 1.2, 2.2) before 12 h
    hours, low, high = wide.hours(2.0)
    assert hours == pytest.approx(6.0)
    assert low == pytest.approx(3.0 + 0.2 * 3)
    assert high == pytest.approx(6.0 + 0.8 * 6)
    assert wide.as_dict()["low"] == wide.low.tolist()
    assert "low" not in plain.as_dict()


def test_a_band_for_other_weeks_is_no_narrower_and_has_two_ends():
    from dataclasses import replace

    plain = curve()
    with pytest.raises(ValueError, match="or neither"):
        replace(plain, low=plain.quantile16)
    with pytest.raises(ValueError, match="`quantile84` <= `high` must hold"):
        replace(plain, low=plain.quantile16, high=plain.median)
