import json
import math

import numpy as np
import pytest
import xarray as xr

from evaluation.numerics.setting import REFERENCE
from evaluation.significance.summary_numbers import Bootstrap, flat, nested, numbers


def stations(**distances):
    values = np.array([[[d]] for d in distances.values()])  # (candidate, box, channel, station)
    return xr.Dataset(
        {
            "station_wasserstein": (
                ("candidate", "box", "channel", "station"),
                values,
                {"units": "m"},
            )
        },
        coords={"candidate": list(distances), "box": ["1x1"], "channel": ["x"]},
    )


def test_pairs_of_candidates_over_stations_are_told_with_both_rules():
    far = np.linspace(1.0, 2.0, 20)
    near = far * np.where(np.arange(20) < 15, 0.5, 0.99)
    (row,) = numbers("stations", stations(near=near, far=far), "far", Bootstrap(20, 0))
    assert (row["candidate"], row["baseline"], row["verdict"]) == ("near", "far", "better")
    assert (row["stations_better"], row["stations_equal"], row["stations_worse"]) == (15, 5, 0)
    assert row["baseline_p"] < 0.05
    assert row["sign_flip_p"] < 0.05
    assert row["baseline_difference"] == row["value"] < 0
    (row,) = numbers("stations", stations(far=far, near=near), "near", Bootstrap(20, 0))
    assert row["verdict"] == "worse"


def test_equal_distances_at_stations_are_called_equal():
    same = np.linspace(1.0, 2.0, 20)
    (row,) = numbers("stations", stations(a=same, b=same), "a", Bootstrap(20, 0))
    assert (row["verdict"], row["baseline_p"], row["stations_equal"]) == ("equal", 1.0, 20)


def test_p_values_over_stations_are_adjusted_for_all_pairs():
    rng = np.random.default_rng(0)
    distances = {
        name: rng.gamma(2.0, size=20) + shift
        for name, shift in zip("abc", (0, 1, 0.5), strict=True)
    }
    one = numbers("stations", stations(a=distances["a"], b=distances["b"]), "a", Bootstrap(100, 0))
    of_all = numbers("stations", stations(**distances), "a", Bootstrap(100, 0))
    for name in ("baseline_p", "sign_flip_p"):
        assert of_all[0][name] > one[0][name]
    assert one[0]["baseline_p"] != one[0]["sign_flip_p"]


def series(better, **values):
    about = {"units": "dB", "better": better}
    return xr.Dataset(
        {"x": (("candidate", "time"), np.array(list(values.values())), about)},
        coords={"candidate": list(values)},
    )


def test_a_perfect_candidate_is_infinitely_better():
    finite = np.random.default_rng(0).normal(30, 1, size=20)
    data = series("higher", perfect=np.full(20, np.inf), twin=np.full(20, np.inf), other=finite)
    perfect, twin, other = numbers("s", data, "perfect", Bootstrap(100, 0))
    assert perfect["value"] == math.inf
    assert (twin["baseline_difference"], twin["verdict"]) == (0, "equal")
    assert (other["baseline_difference"], other["verdict"]) == (-math.inf, "worse")
    assert other["baseline_p"] < 0.05


@pytest.mark.parametrize("better", ["higher", "reference"])
def test_what_is_lost_without_end_is_the_worst(better):
    finite = np.random.default_rng(0).normal(size=20)
    values = {REFERENCE: 0 * finite, "lost": np.full(20, -np.inf), "other": finite}
    _, lost, other = numbers("s", series(better, **values), "lost", Bootstrap(100, 0))
    assert lost["value"] == -math.inf
    assert other["verdict"] == "better"


def test_infinite_numbers_are_words_in_strict_json():
    data = series("higher", a=np.array([1.0, math.inf]), b=np.array([-math.inf, 1.0]))
    rows = numbers("s", data, "a", Bootstrap(100, 0))

    def no_constant(word):
        raise AssertionError(word)

    text = json.dumps(nested(rows, {"s": "S"}))
    content = json.loads(text, parse_constant=no_constant)
    values = [entry["value"] for entry in content["s"]["variables"]["x"]["values"]]
    assert values == ["Infinity", "-Infinity"]
    assert [float(value) for value in values] == [math.inf, -math.inf]
    assert flat(content) == rows
