import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.assessment.base_times import BaseTimes, cell
from atmodist.fields.intervals import mean_interval


def test_pairs_of_one_base_time_count_as_one():
    weather = np.random.default_rng(0).normal(size=300)
    groups = np.repeat(np.arange(300), 10)
    values = weather[groups]  # no two pairs of a base time differ
    together, alone = BaseTimes(groups).mean(values), BaseTimes(np.arange(3000)).mean(values)
    expected = mean_interval(weather)
    assert_allclose([together["low"], together["high"]], [expected.low, expected.high])
    assert_allclose(together["high"] - together["low"], 4 * 0.98 / np.sqrt(300), rtol=0.25)
    # memory of ten pairs is seen in a series too, but for the cosines that it does not look at
    assert_allclose(alone["high"] - alone["low"], together["high"] - together["low"], rtol=0.25)
    assert_allclose(together["value"], values.mean())


def test_base_times_with_more_pairs_count_for_more():
    """The mean over pairs is a ratio of sums; its interval is that of the ratio."""
    rng = np.random.default_rng(1)
    truth, errors, widths = 0.3, [], []
    for _ in range(300):
        counts = rng.integers(1, 30, 200)
        weather = truth + rng.normal(size=200)
        row = BaseTimes(np.repeat(np.arange(200), counts)).mean(np.repeat(weather, counts))
        errors.append(row["value"] - truth)
        widths.append(row["high"] - row["low"])
    assert_allclose(np.median(widths), 4 * np.std(errors), rtol=0.3)
    assert np.mean(np.abs(errors) <= np.array(widths) / 2) > 0.93


def test_no_pairs_have_no_score():
    row = BaseTimes(np.arange(9)).mean(np.ones(9), np.zeros(9, bool))
    assert row == {"value": None, "low": None, "high": None}
    assert cell(row) == cell(None) == "-"


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_intervals_hold_the_truth_of_an_overlapping_series_about_as_often_as_they_say(shift):
    held, width = 0, 8
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(size=320 + width - 1)
        values = np.convolve(noise, np.ones(width), mode="valid")  # base times share fields
        row = BaseTimes(np.arange(320)).mean(values + shift)
        held += row["low"] <= shift <= row["high"]
    assert held >= 183  # 190 expected; drawing base times one by one holds it in about 100


def test_scores_of_sums_are_those_of_all_pairs_and_intervals_their_own():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 5)
    values = np.stack([np.ones(1000), rng.normal(size=1000)], axis=1)
    base_times = BaseTimes(groups)
    row = base_times.of_sums(lambda sums: sums[:, 1] / sums[:, 0], values)
    mean = base_times.mean(values[:, 1])
    assert_allclose([row[k] for k in row], [mean[k] for k in row], rtol=1e-9)
    squared = base_times.of_sums(lambda sums: np.exp(sums[:, 1] / sums[:, 0]), values)
    assert_allclose(squared["value"], np.exp(mean["value"]))
    width = (mean["high"] - mean["low"]) * np.exp(mean["value"])  # to first order
    assert_allclose(squared["high"] - squared["low"], width, rtol=0.01)
    assert BaseTimes(groups // 20).of_sums(lambda sums: sums[:, 1], values)["low"] is None


@pytest.mark.parametrize("num", [1, 2, 15])
def test_too_few_base_times_have_no_interval(num):
    groups = np.repeat(np.arange(num), 12)
    row = BaseTimes(groups).mean(np.tile([0.0, 1.0, 1.0, 1.0], 3 * num))
    assert row == {"value": 0.75, "low": None, "high": None}
    assert cell(row) == "0.750 (-)"


def test_a_mask_with_too_few_base_times_has_no_interval():
    groups = np.arange(80) // 2
    values = np.random.default_rng(0).normal(size=80)
    base_times = BaseTimes(groups)
    assert base_times.mean(values, groups < 15)["low"] is None
    row = base_times.mean(values, groups < 20)
    assert row["low"] < row["value"] < row["high"]
    assert_allclose(row["value"], values[:40].mean())
    unknown = np.where(groups < 20, values, np.nan)  # what is masked need not be known
    assert base_times.mean(unknown, groups < 20) == row
    assert cell({"value": 0.5, "low": 0.25, "high": 0.75}) == "0.500 (0.250 to 0.750)"
