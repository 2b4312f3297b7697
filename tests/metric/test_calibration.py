import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.metric.calibration import (
    Calibration,
    Combination,
    StageCalibration,
    normalized_weights,
)
from atmodist.metric.extent import Extent
from tests.metric.test_lag_curve import curve


def calibration(**options):
    stages = {
        "stage1": StageCalibration(alpha=2.0, curve=curve()),
        "stage2": StageCalibration(alpha=0.5, curve=curve((1.0, 1.5, 2.5))),
    }
    both = Combination(weights={"stage1": 0.25, "stage2": 0.75}, curve=curve((1.0, 1.7, 2.7)))
    settings = {"step_seconds": 10_800, "stages": stages, "combinations": (both,)} | options
    return Calibration(**settings)


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
    extent = Extent(kind="patches", shape=(32, 64), spacing_degrees=(1.0, 1.25))
    made = calibration(
        normalization="abc", weights="sha256:0", extent=extent, source={"split": "evaluation"}
    )
    made.save(tmp_path / "calibration.json")
    loaded = Calibration.load(tmp_path / "calibration.json")
    assert loaded.as_dict() == made.as_dict()
    assert loaded.extent == extent
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
        (_set(["weights"], 7), "`weights` must be a text; got 7"),
        (_set(["extent"], {"kind": "halves"}), "the calibration lacks 'shape'"),
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
