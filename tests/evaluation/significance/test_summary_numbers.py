import json
import math

import numpy as np
import pytest
import xarray as xr

from evaluation.numerics.setting import REFERENCE
from evaluation.significance.summary_numbers import flat, nested, numbers


def series(better, **values):
    about = {"units": "dB", "better": better}
    return xr.Dataset(
        {"x": (("candidate", "time"), np.array(list(values.values())), about)},
        coords={"candidate": list(values)},
    )


def test_a_perfect_candidate_is_infinitely_better():
    finite = np.random.default_rng(0).normal(30, 1, size=20)
    data = series("higher", perfect=np.full(20, np.inf), twin=np.full(20, np.inf), other=finite)
    perfect, twin, other = numbers("s", data, "perfect")
    assert perfect["value"] == math.inf
    assert (twin["baseline_difference"], twin["verdict"]) == (0, "equal")
    assert (other["baseline_difference"], other["verdict"]) == (-math.inf, "worse")
    assert other["baseline_p"] < 0.05


@pytest.mark.parametrize("better", ["higher", "reference"])
def test_what_is_lost_without_end_is_the_worst(better):
    finite = np.random.default_rng(0).normal(size=20)
    values = {REFERENCE: 0 * finite, "lost": np.full(20, -np.inf), "other": finite}
    _, lost, other = numbers("s", series(better, **values), "lost")
    assert lost["value"] == -math.inf
    assert other["verdict"] == "better"


def test_infinite_numbers_are_words_in_strict_json():
    data = series("higher", a=np.array([1.0, math.inf]), b=np.array([-math.inf, 1.0]))
    rows = numbers("s", data, "a")

    def no_constant(word):
        raise AssertionError(word)

    text = json.dumps(nested(rows, {"s": "S"}))
    content = json.loads(text, parse_constant=no_constant)
    values = [entry["value"] for entry in content["s"]["variables"]["x"]["values"]]
    assert values == ["Infinity", "-Infinity"]
    assert [float(value) for value in values] == [math.inf, -math.inf]
    assert flat(content) == rows


def test_differences_over_time_have_intervals_and_verdicts_or_say_why_not():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=40)
    near, far = truth + rng.normal(1.0, 0.1, 40), truth + rng.normal(2.0, 0.1, 40)
    data = series("reference", **{REFERENCE: truth, "near": near, "far": far})
    _, _, row = numbers("s", data, "near")
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert 0 < row["baseline_low"] < row["baseline_difference"] < row["baseline_high"]
    assert (row["verdict"], row["baseline_p"] < 0.05) == ("worse", True)
    _, _, row = numbers("s", data.isel(time=slice(12)), "near")
    assert row["no_interval"] == "12 values in time cannot show their memory; at least 16 can"
    assert "verdict" not in row
    assert row["ten_percent"] == "worse"
