import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.calibration.ranking import (
    kendall,
    rank_correlations,
    spearman,
)
from tests.calibration.test_comparison import made_measures


def test_spearman_and_kendall_are_scipys():
    from scipy.stats import kendalltau, spearmanr

    rng = np.random.default_rng(0)
    label = rng.integers(0, 5, 300)  # many ties
    x = label + rng.standard_normal(300)
    assert spearman(x, label) == pytest.approx(spearmanr(x, label).statistic, abs=1e-12)
    assert kendall(x, label) == pytest.approx(kendalltau(x, label).statistic, abs=1e-12)
    assert np.isnan(spearman(np.ones(5), np.arange(5)))


@pytest.mark.parametrize("correlate", [spearman, kendall])
def test_ranks_do_not_care_for_root_or_square(correlate):
    measures = made_measures()
    loss = measures.content["stage1"]
    assert correlate(loss, measures.label) == correlate(np.sqrt(loss), measures.label)


def rows_of(measures, **options):
    dissimilarities = {"learned": measures.content["stage1"], "l2": measures.pixel["l2"]}
    rows = rank_correlations(dissimilarities, measures.label, measures.step, **options)
    return {row.measure: row for row in rows}


def test_a_better_ranking_is_seen_and_its_difference_excludes_zero():
    rows = rows_of(made_measures())
    learned, l2 = rows["learned"], rows["l2"]
    assert learned.low < learned.correlation < learned.high
    assert learned.difference == pytest.approx(learned.correlation - l2.correlation)
    assert learned.difference_low > 0
    assert (l2.difference, l2.difference_low, l2.difference_high) == (0, 0, 0)
    assert (learned.num_pairs, learned.num_base_times, learned.reason) == (800, 20, None)
    assert 2 <= learned.effective_base_times <= 20


def test_two_measures_of_the_same_merit_are_not_told_apart():
    measures = made_measures()
    rng = np.random.default_rng(5)
    twins = [measures.label + 3 * rng.standard_normal(len(measures.label)) for _ in range(2)]
    rows = rank_correlations({"twin": twins[0], "l2": twins[1]}, measures.label, measures.step)
    assert rows[0].difference_low < 0 < rows[0].difference_high


def test_intervals_know_that_pairs_of_one_time_are_not_independent():
    """Noise shared within a base time widens them; pairs taken one by one would not see it."""
    measures = made_measures(num_steps=100, per_step=8, shared=1.0)
    clustered = rows_of(measures)["learned"]
    mixed = np.random.default_rng(0).permutation(len(measures.label))
    alone = rank_correlations(
        {"l2": measures.content["stage1"][mixed]}, measures.label[mixed], measures.step
    )[0]
    assert clustered.high - clustered.low > 1.2 * (alone.high - alone.low)


@pytest.mark.parametrize("statistic", ["spearman", "kendall"])
def test_intervals_cover_the_truth_about_as_often_as_they_say(statistic):
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        step = np.repeat(np.arange(60), 10)
        label = rng.integers(1, 9, 600)
        # Without a relation the true correlation is 0, whatever base times share.
        values = rng.standard_normal(600) + rng.standard_normal(60)[step]
        row = rank_correlations({"l2": values}, label, step, statistic=statistic)[0]
        covered += row.low <= 0 <= row.high
    assert covered >= 53  # of 60; P(fewer) is below 1 % if 95 % hold


def test_many_base_times_are_left_out_in_runs():
    ratios = []
    for seed in range(7):
        rng = np.random.default_rng(seed)
        step = np.arange(1000)
        label = rng.integers(1, 9, 1000)
        row = rank_correlations({"l2": label + 4 * rng.standard_normal(1000)}, label, step)[0]
        assert row.num_base_times == 1000
        assert 150 < row.effective_base_times < 1500  # told of base times, not of runs of them
        # of independent pairs: about (1 - ρ²) / √n
        ratios.append((row.high - row.low) / (2 * 1.96 * (1 - row.correlation**2)) * 1000**0.5)
    assert_allclose(np.median(ratios), 1.2, atol=0.25)


def test_one_base_time_gives_no_interval():
    measures = made_measures(num_steps=1, per_step=100)
    row = rows_of(measures)["learned"]
    assert np.isfinite(row.correlation)
    assert (row.low, row.high, row.difference_low, row.difference_high) == (None,) * 4
    assert row.reason == "1 values in time cannot show their memory; at least 16 can"


def test_a_base_time_that_holds_all_other_lags_leaves_no_interval():
    step, label = np.arange(30), np.where(np.arange(30) == 7, 2, 1)
    row = rank_correlations({"l2": np.arange(30.0)}, label, step)[0]
    assert (row.low, row.effective_base_times) == (None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"statistic": "pearson"}, "must be one of spearman, kendall; got 'pearson'"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        rows_of(made_measures(), **options)


def test_what_cannot_be_compared_is_refused():
    values, ones = {"l2": np.arange(3.0)}, np.ones(3, int)
    with pytest.raises(ValueError, match="two different lags"):
        rank_correlations(values, ones, ones)
    with pytest.raises(ValueError, match="must include 'l2'"):
        rank_correlations({"l1": np.arange(3.0)}, np.arange(3), ones)
