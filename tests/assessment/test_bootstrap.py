import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.assessment.bootstrap import BaseTimeBootstrap, cell


def test_pairs_of_one_base_time_count_as_one():
    rng = np.random.default_rng(0)
    weather = rng.normal(size=50)
    groups = np.repeat(np.arange(50), 40)
    values = weather[groups]  # no two pairs of a base time differ
    together = BaseTimeBootstrap(groups, max_label=1).mean(values)
    alone = BaseTimeBootstrap(np.arange(2000), max_label=1).mean(values)
    expected = 2 * 1.96 * weather.std() / np.sqrt(50)
    assert_allclose(together["high"] - together["low"], expected, rtol=0.15)
    assert alone["high"] - alone["low"] < 0.3 * expected
    assert_allclose(together["value"], values.mean())


def test_no_pairs_have_no_score():
    row = BaseTimeBootstrap(np.arange(9), max_label=1).mean(np.ones(9), np.zeros(9, bool))
    assert row == {"value": None, "low": None, "high": None}
    assert cell(row) == cell(None) == "-"


def test_base_times_that_are_alike_count_as_one():
    values = np.repeat(np.random.default_rng(1).normal(size=2000), 2)  # the weather lasts for two
    groups = np.arange(4000)
    blocks, singles = (BaseTimeBootstrap(groups, max_label=n).mean(values) for n in (8, 1))
    expected = 2 * 1.96 * values.std() / np.sqrt(2000)
    assert_allclose(blocks["high"] - blocks["low"], expected, rtol=0.15)  # a block cuts some in two
    assert_allclose(singles["high"] - singles["low"], expected / np.sqrt(2), rtol=0.1)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_intervals_hold_the_truth_of_an_overlapping_series_about_as_often_as_they_say(shift):
    held, width = 0, 8
    for seed in range(100):
        noise = np.random.default_rng(seed).normal(size=320 + width - 1)
        values = np.convolve(noise, np.ones(width), mode="valid")  # base times share fields
        row = BaseTimeBootstrap(np.arange(320), max_label=width, resamples=200, seed=seed).mean(
            values + shift
        )
        held += row["low"] <= shift <= row["high"]
    assert held >= 83  # drawing base times one by one holds it in about 50 of 100


def test_resamples_draw_as_many_base_times_in_runs_that_wrap_around():
    groups = np.array([30, 10, 20, 20, 40, 50, 60, 70, 80])
    bootstrap = BaseTimeBootstrap(groups, max_label=2, resamples=50)
    assert (bootstrap.num_groups, bootstrap.block_length) == (8, 2)
    drawn = bootstrap.sums(np.eye(9))  # how often each pair is drawn
    assert_array_equal(drawn[:, 2], drawn[:, 3])  # both pairs of one base time, always
    per_time = drawn[:, [1, 2, 0, 4, 5, 6, 7, 8]]
    assert_array_equal(per_time.sum(axis=1), 8)
    # Each block of two holds one even and one odd base time, the last and the first together too.
    assert_array_equal(per_time[:, ::2].sum(axis=1), per_time[:, 1::2].sum(axis=1))
    assert np.all(per_time.sum(axis=0) > 0)


@pytest.mark.parametrize("num", [1, 2, 3])
def test_too_few_base_times_have_no_interval(num):
    groups = np.repeat(np.arange(num), 12)
    row = BaseTimeBootstrap(groups, max_label=8).mean(np.tile([0.0, 1.0, 1.0, 1.0], 3 * num))
    assert row == {"value": 0.75, "low": None, "high": None}
    assert cell(row) == "0.750 (-)"


def test_a_mask_with_too_few_base_times_has_no_interval():
    groups = np.arange(40) // 2
    values = np.random.default_rng(0).normal(size=40)
    bootstrap = BaseTimeBootstrap(groups, max_label=2)
    assert bootstrap.mean(values, groups < 3)["low"] is None
    row = bootstrap.mean(values, groups < 4)
    assert row["low"] < row["value"] < row["high"]
    assert cell({"value": 0.5, "low": 0.25, "high": 0.75}) == "0.500 (0.250 to 0.750)"


def test_the_seed_decides():
    groups, values = np.arange(30), np.random.default_rng(0).normal(size=30)
    once, again, other = (
        BaseTimeBootstrap(groups, max_label=3, seed=seed).mean(values) for seed in (1, 1, 2)
    )
    assert once == again
    assert once["low"] != other["low"]
