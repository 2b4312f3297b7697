import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.calibration.ranking import (
    block_resample,
    default_block_length,
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
    rows = rows_of(made_measures(), num_resamples=200)
    learned, l2 = rows["learned"], rows["l2"]
    assert learned.low < learned.correlation < learned.high
    assert learned.difference == pytest.approx(learned.correlation - l2.correlation)
    assert learned.difference_low > 0
    assert (l2.difference, l2.difference_low, l2.difference_high) == (0, 0, 0)
    assert (learned.num_pairs, learned.num_base_times, learned.block_length) == (800, 20, 5)


def test_two_measures_of_the_same_merit_are_not_told_apart():
    measures = made_measures()
    rng = np.random.default_rng(5)
    twins = [measures.label + 3 * rng.standard_normal(len(measures.label)) for _ in range(2)]
    rows = rank_correlations(
        {"twin": twins[0], "l2": twins[1]}, measures.label, measures.step, num_resamples=300
    )
    assert rows[0].difference_low < 0 < rows[0].difference_high


def test_intervals_know_that_pairs_of_one_time_are_not_independent():
    """Noise shared within a base time widens them; pairs drawn one by one would not see it."""
    measures = made_measures(shared=1.0)
    clustered = rows_of(measures, num_resamples=300)["learned"]
    alone = rank_correlations(
        {"l2": measures.content["stage1"]},
        measures.label,
        np.arange(len(measures.label)),
        num_resamples=300,
        block_length=1,
    )[0]
    assert clustered.high - clustered.low > 1.3 * (alone.high - alone.low)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        step = np.repeat(np.arange(60), 10)
        label = rng.integers(1, 9, 600)
        # Without a relation the true correlation is 0, whatever base times share.
        values = rng.standard_normal(600) + rng.standard_normal(60)[step]
        row = rank_correlations(
            {"l2": values}, label, step, num_resamples=200, block_length=1, seed=seed
        )[0]
        covered += row.low <= 0 <= row.high
    assert 33 <= covered <= 40  # 38 of 40 expected; P(fewer than 33) is below 1 % if 95 % hold


def test_the_bootstrap_is_a_function_of_its_seed():
    measures = made_measures()
    once, again, other = (rows_of(measures, num_resamples=50, seed=s)["l2"] for s in (1, 1, 2))
    assert once == again
    assert once.low != other.low


def test_blocks_are_consecutive_wrap_around_and_draw_all_alike():
    rng = np.random.default_rng(0)
    counts = np.zeros(10)
    for _ in range(2000):
        drawn = block_resample(10, 4, rng)
        assert len(drawn) == 10
        inside = np.arange(9) % 4 != 3  # neighbours within a block
        assert_array_equal((np.diff(drawn) % 10)[inside], 1)
        counts += np.bincount(drawn, minlength=10)
    assert_allclose(counts / counts.mean(), 1, atol=0.08)


@pytest.mark.parametrize(
    ("num", "lag", "expected"), [(100, 8, 8), (12, 8, 3), (3, 8, 1), (1, 1, 1)]
)
def test_four_blocks_fit_by_default(num, lag, expected):
    assert default_block_length(num, lag) == expected


def test_one_base_time_gives_no_interval():
    measures = made_measures(num_steps=1, per_step=100)
    row = rows_of(measures, num_resamples=10)["learned"]
    assert np.isfinite(row.correlation)
    assert (row.low, row.high, row.difference_low, row.difference_high) == (None,) * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"statistic": "pearson"}, "must be one of spearman, kendall; got 'pearson'"),
        ({"block_length": 21}, r"must lie in 1..20"),
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
