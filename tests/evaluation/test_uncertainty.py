import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.signal import lfilter

from evaluation.uncertainty import (
    _expected,
    adjusted,
    automatic_block_length,
    block_means,
    difference,
    loss,
    paired_test,
    pairs,
    ten_percent_rule,
)


def autoregressive(rng, runs, num, rho):
    """Stationary AR(1) series of variance one; shape (runs, num)."""
    noise = rng.normal(size=(runs, num)) * np.sqrt(1 - rho**2)
    noise[:, 0] /= np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=1)


# Blocks see less of the slow variations the shorter the series: with 200 steps and ρ = 0.8 there
# are but 22 independent values. Coverage of independent draws would be 0.16 there.
@pytest.mark.parametrize(
    ("num", "rho", "least"),
    [
        (4, 0.6, 0.91),
        (8, 0.6, 0.87),
        (20, 0.6, 0.80),
        (60, 0.0, 0.91),
        (200, 0.5, 0.89),
        (200, 0.8, 0.84),
        (800, 0.8, 0.89),
    ],
)
def test_intervals_cover_the_mean_of_autoregressive_series(num, rho, least):
    runs = 300
    series = autoregressive(np.random.default_rng(5), runs, num, rho)
    hits, rejected = 0, 0
    for run in range(runs):
        found = difference(series[run], np.zeros(num), seed=run, num_resamples=400)
        hits += found.low <= 0 <= found.high
        rejected += found.p_value < 0.05
    # three standard errors of 300 runs at 0.95 are 0.04
    assert least <= hits / runs <= 0.99
    assert rejected / runs <= 1 - least + 0.01


def test_a_difference_is_found():
    rng = np.random.default_rng(0)
    a, b = autoregressive(rng, 2, 300, 0.5)
    found = difference(a + 1.0, b, seed=1)
    assert found.low > 0
    assert found.p_value < 0.01
    mirrored = difference(b, a + 1.0, seed=1)
    assert_allclose(
        [mirrored.mean, mirrored.low, mirrored.high],
        [-found.mean, -found.high, -found.low],
        rtol=0.1,
    )


def test_what_is_common_goes_out():
    rng = np.random.default_rng(0)
    weather = 100 * autoregressive(rng, 1, 200, 0.9)[0]
    a = weather + rng.normal(size=200)
    found = difference(a, weather, seed=0)
    assert found.high - found.low < 1


def test_identical_series_do_not_differ():
    x = np.random.default_rng(0).normal(size=50)
    found = difference(x, x, seed=0)
    assert (found.mean, found.low, found.high, found.p_value) == (0, 0, 0, 1)
    shifted = difference(x + 1, x, seed=0)  # without any doubt
    assert_allclose([shifted.low, shifted.high], 1)
    assert shifted.p_value < 0.001


def test_draws_depend_on_the_seed_alone_and_scale_with_the_series():
    x = np.random.default_rng(0).normal(size=50)
    zero = np.zeros(50)
    assert difference(x, zero, seed=3) == difference(x, zero, seed=3)
    assert difference(x, zero, seed=3) != difference(x, zero, seed=4)
    assert_allclose(block_means(1e-9 * x, 5, 10, 0), 1e-9 * block_means(x, 5, 10, 0), rtol=1e-9)


@pytest.mark.parametrize("block", [1, 3, 7, 10])
def test_resampled_means_are_those_of_joined_blocks(block):
    x = np.arange(20.0) ** 2
    num = len(x)
    full, rest = divmod(num, block)
    rng = np.random.default_rng([9, num, block])
    starts = rng.integers(0, num - block + 1, size=(5, full + (rest > 0)))
    expected = [np.concatenate([x[s : s + block] for s in row])[:num].mean() for row in starts]
    assert_allclose(block_means(x, block, 5, 9), expected, rtol=1e-12)
    many = block_means(x, block, 200_000, 1)
    assert_allclose(many.mean(), _expected(x, block), rtol=4 * many.std() / 447 / many.mean())


def test_blocks_grow_with_the_memory_of_the_series():
    rng = np.random.default_rng(1)
    lengths = [
        np.median([automatic_block_length(x) for x in autoregressive(rng, 50, 1000, rho)])
        for rho in (0.0, 0.5, 0.9)
    ]
    assert lengths[0] == 4  # the shortest
    assert lengths[0] < lengths[1] < lengths[2]
    # AR(1): (2 G²/D)^(1/3) n^(1/3) with G = 2ρ/(1-ρ²) · variance/(…) is 13 for ρ = ½, n = 1000
    assert 7 <= lengths[1] <= 20


def test_block_length_of_known_series():
    """The plug-in value for AR(1): G/g(0) = 2ρ/(1-ρ²), so b = (3/2 · (2ρ/(1-ρ²))² n)^(1/3)."""
    rho, num = 0.6, 200_000
    x = autoregressive(np.random.default_rng(0), 1, num, rho)[0]
    expected = (1.5 * (2 * rho / (1 - rho**2)) ** 2 * num) ** (1 / 3)
    assert automatic_block_length(x) == pytest.approx(expected, rel=0.1)


def test_short_and_broken_series():
    few = difference(np.ones(3), np.zeros(3), seed=0)
    assert few.mean == 1
    assert np.isnan(few.p_value)
    x = np.random.default_rng(0).normal(size=30)
    x[4] = np.nan
    assert difference(x, np.zeros(30), seed=0).num_steps == 29
    with pytest.raises(ValueError, match="series of one length"):
        difference(x, x[1:], seed=0)
    with pytest.raises(ValueError, match=r"`block_length` must lie in 1\.\.28; got 29"):
        difference(x, np.zeros(30), seed=0, block_length=29)


def test_loss_is_lower_for_the_better():
    x, own = np.array([1.0, 3.0]), np.array([2.0, 2.5])
    assert_allclose(loss(x, "lower"), x)
    assert_allclose(loss(x, "higher"), -x)
    assert_allclose(loss(x, "reference", own), [1, 0.5])
    with pytest.raises(ValueError, match="reference's own values"):
        loss(x, "reference")
    with pytest.raises(ValueError, match="`better` must be"):
        loss(x, "taller")


def test_paired_tests_find_a_small_but_steady_gain():
    rng = np.random.default_rng(0)
    b = rng.gamma(2.0, size=150)
    a = b * (0.95 + 0.05 * rng.normal(size=150))
    found = paired_test(a, b, seed=0)
    assert found.wilcoxon < 1e-6
    assert found.permutation < 1e-3
    assert found.mean < 0
    assert found.better + found.equal + found.worse == found.num_stations == 150
    assert found.equal > found.better > found.worse  # most are within 10 %


def test_paired_tests_keep_their_level():
    rng = np.random.default_rng(1)
    tests = [paired_test(*rng.gamma(2.0, size=(2, 40)), seed=i, num_flips=400) for i in range(300)]
    for name in ("wilcoxon", "permutation"):
        assert 0.01 < np.mean([getattr(test, name) < 0.05 for test in tests]) < 0.09


def test_paired_tests_without_difference_or_stations():
    x = np.ones(5)
    same = paired_test(x, x, seed=0)
    assert (same.wilcoxon, same.permutation, same.equal) == (1, 1, 5)
    none = paired_test(x[:1], x[:1] * np.nan, seed=0)
    assert none.num_stations == 0
    assert np.isnan(none.wilcoxon)


def test_ten_percent_rule():
    a = np.array([0.9, 0.91, 1.0, 1.09, 1.11, 0.0])
    b = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    assert ten_percent_rule(a, b).tolist() == [-1, 0, 0, 0, 1, 0]


def test_adjusted_p_values_control_false_discoveries():
    # Benjamini and Hochberg (1995): p_(i) m / i, made monotone
    assert_allclose(adjusted(np.array([0.01, np.nan, 0.04, 0.03])), [0.03, np.nan, 0.04, 0.04])
    assert np.isnan(adjusted(np.array([np.nan]))).all()
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        p = np.concatenate([rng.uniform(size=80), rng.uniform(size=20) * 1e-4])
        found = adjusted(p) < 0.05
        shares.append(found[:80].sum() / max(found.sum(), 1))
    assert np.mean(shares) < 0.06


def test_pairs():
    assert pairs(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]
