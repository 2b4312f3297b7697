import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.metric.calibration import (
    Calibration,
    Combination,
    LagCurve,
    StageCalibration,
    monotone,
    normalized_weights,
)


def curve(median=(1.0, 2.0, 3.0), lag_hours=(3.0, 6.0, 12.0), spread=0.5):
    median = np.asarray(median)
    return LagCurve(
        lag_hours=lag_hours,
        median=median,
        quantile16=median - spread,
        quantile84=median + spread,
        mean=median,
    )


def calibration(**options):
    stages = {
        "stage1": StageCalibration(alpha=2.0, curve=curve()),
        "stage2": StageCalibration(alpha=0.5, curve=curve((1.0, 1.5, 2.5))),
    }
    both = Combination(weights={"stage1": 0.25, "stage2": 0.75}, curve=curve((1.0, 1.7, 2.7)))
    settings = {"step_seconds": 10_800, "stages": stages, "combinations": (both,)} | options
    return Calibration(**settings)


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


def test_weights_matter_only_up_to_a_factor_which_scales_the_distance():
    made = calibration()
    once = made.hours(1.7, {"stage1": 0.25, "stage2": 0.75})
    four = made.hours(2 * 1.7, {"stage1": 1.0, "stage2": 3.0})
    assert_allclose(once, four)
    assert_allclose(made.hours(np.sqrt(3) * 2.0, {"stage1": 3.0}), made.hours(2.0, "stage1"))


def test_weights_that_were_not_calibrated_are_refused():
    with pytest.raises(ValueError, match="were not calibrated"):
        calibration().hours(1.0, {"stage1": 0.5, "stage2": 0.5})
    with pytest.raises(ValueError, match="no calibration of stage 'stage3'; there are stage1"):
        calibration().hours(1.0, "stage3")


def test_normalized_weights_leave_zeros_out():
    assert normalized_weights({"a": 1, "b": 0, "c": 3}) == ({"a": 0.25, "c": 0.75}, 4.0)


@pytest.mark.parametrize("weights", [{}, {"a": -1.0}, {"a": 0.0}, {"a": np.nan}, {"a": "1"}])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weight"):
        normalized_weights(weights)


def test_round_trip(tmp_path):
    made = calibration(normalization="abc", source={"split": "evaluation"})
    made.save(tmp_path / "calibration.json")
    loaded = Calibration.load(tmp_path / "calibration.json")
    assert loaded.as_dict() == made.as_dict()
    assert_array_equal(np.stack(loaded.hours(1.3, "stage2")), np.stack(made.hours(1.3, "stage2")))


def test_the_file_has_the_agreed_layout(tmp_path):
    calibration().save(tmp_path / "calibration.json")
    content = json.loads((tmp_path / "calibration.json").read_text())
    assert (content["format"], content["version"]) == ("atmodist-calibration", 1)
    assert content["step_seconds"] == 10_800
    assert set(content["stages"]["stage1"]) == {
        *("alpha", "lag_hours", "median", "quantile16", "quantile84", "mean")
    }


def _set(path, value):
    def change(content):
        *parents, last = path
        for key in parents:
            content = content[key]
        content[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set(["format"], "other"), "this is no calibration"),
        (_set(["version"], 2), "version 2 of this format is unknown"),
        (_set(["step_seconds"], 0), "`step_seconds` must be a positive integer; got 0"),
        (_set(["stages"], {}), "one stage at least"),
        (_set(["stages", "stage1", "alpha"], -1.0), "`alpha` must be positive"),
        (_set(["stages", "stage1", "alpha"], "1"), "`alpha` must be a number"),
        (_set(["stages", "stage1", "median"], [1.0, 2.0]), "`median` must be 3 distances"),
        (_set(["stages", "stage1", "median"], [9.0, 9.0, 9.0]), "must hold at each lag"),
        (_set(["stages", "stage1", "mean"], [1.0, None, 2.0]), "`mean` must be"),
        (_set(["stages", "stage1", "lag_hours"], [3, 3, 6]), "must be positive and increase"),
        (_set(["stages", "stage1"], {"alpha": 1.0}), "lacks 'lag_hours'"),
        (_set(["stages", "stage1"], 7), "not subscriptable"),
        (_set(["combinations", 0, "weights"], {"stage1": 0.5}), "must sum to one"),
        (_set(["combinations", 0, "weights"], {"stage7": 1.0}), "no calibration of stage 'stage7'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_name_of_the_file(tmp_path, change, message):
    content = json.loads(json.dumps(calibration().as_dict()))
    change(content)
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        Calibration.load(path)
    assert str(path) in str(error.value)


def test_a_missing_file_says_what_makes_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="atmodist calibrate"):
        Calibration.load(tmp_path / "calibration.json")
