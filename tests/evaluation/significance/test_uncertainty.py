import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.signal import lfilter

from evaluation.significance.uncertainty import (
    _expected,
    apart,
    automatic_block_length,
    block_means,
    difference,
    loss,
    mean_of_known,
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


@pytest.mark.parametrize(("num_resamples", "level"), [(100, 0.95), (1000, 0.95), (1999, 0.9)])
def test_p_values_and_intervals_agree(num_resamples, level):
    """Skewed series whose mean lies near the edge of being sure."""
    rng = np.random.default_rng(3)
    verdicts = []
    for run in range(200):
        x = rng.gamma(0.5, size=25)
        x -= rng.normal(x.mean(), 0.25)
        found = difference(x, 0 * x, seed=run, num_resamples=num_resamples, level=level)
        is_apart = found.low > 0 or found.high < 0
        assert is_apart == (found.p_value < 1 - level - 1e-12)
        verdicts.append(is_apart)
    assert 20 < sum(verdicts) < 180


def test_few_draws_have_no_tails():
    x = np.random.default_rng(0).normal(size=30)
    with pytest.raises(ValueError, match="`num_resamples` must be at least 40 for the level"):
        difference(x, 0 * x, seed=0, num_resamples=39)
    assert np.isfinite(difference(x, 0 * x, seed=0, num_resamples=40).low)


def test_the_same_infinity_is_no_difference():
    inf = np.inf
    assert apart([inf, -inf, inf, 1.0], [inf, -inf, 1.0, 3.0]).tolist() == [0, 0, inf, -2]
    assert np.isnan(apart(np.nan, 1.0))
    assert loss([-inf, 1.0], "reference", [-inf, inf]).tolist() == [0, inf]
    assert mean_of_known(np.array([1.0, np.nan, inf])) == inf
    assert np.isnan(mean_of_known(np.array([-inf, inf])))
    assert np.isnan(mean_of_known(np.array([np.nan])))


def test_infinite_differences_are_sure_only_where_all_are():
    perfect, other = np.full(20, np.inf), np.random.default_rng(0).normal(size=20)
    found = difference(other, perfect, seed=0)
    assert (found.mean, found.low, found.high) == (-np.inf, -np.inf, -np.inf)
    assert found.p_value < 0.001
    same = difference(perfect, perfect, seed=0)
    assert (same.mean, same.p_value) == (0, 1)
    perfect[3] = 2.0
    found = difference(perfect, other, seed=0)
    assert found.mean == np.inf
    assert np.isnan([found.low, found.high, found.p_value]).all()


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
