import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.signal import lfilter
from scipy.stats import t

from atmodist.fields.intervals import (
    LEAST_VALUES,
    _model,
    mean_interval,
    pseudo_values,
    without_each,
)


def autoregressive(rng, runs, num, memory):
    """Stationary AR(1) series of variance one, e-folding after `memory` steps; (runs, num)."""
    rho = np.exp(-1 / memory) if memory else 0.0
    noise = rng.normal(size=(runs, num)) * np.sqrt(1 - rho**2)
    noise[:, 0] /= np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=1)


# By `tools/coverage.py` with 4000 runs the coverages are 0.93 and more; 400 have a standard error
# of 0.011. Blocks drawn with replacement held the truth in 0.61 to 0.92 of the cases with memory.
@pytest.mark.parametrize("memory", [0, 1, 3, 10])
@pytest.mark.parametrize("num", [20, 60, 200])
def test_intervals_cover_the_mean_of_autoregressive_series(num, memory):
    series = autoregressive(np.random.default_rng([num, memory]), 400, num, memory)
    found = [mean_interval(x) for x in series]
    told = [interval for interval in found if interval.reason is None]
    covered = np.mean([interval.low <= 0 <= interval.high for interval in told])
    assert covered >= 0.90
    assert len(told) >= 0.5 * len(found)
    assert (len(told) < 0.8 * len(found)) == (num < 3 * memory)  # too short: often refused
    wide = np.median([interval.high - interval.low for interval in told])
    if num >= 20 * memory:  # no wider than three times what knowledge of the memory would give
        assert wide < 3 * 2 * 1.96 * series.mean(axis=1).std()


def test_independent_values_have_nearly_the_interval_of_student():
    x = np.random.default_rng(4).normal(size=2000)
    found = mean_interval(x)
    expected = x.std(ddof=1) / np.sqrt(2000) * t.ppf(0.975, 1999)
    assert found.value == pytest.approx(x.mean())
    assert_allclose((found.high - found.low) / 2, expected, rtol=0.15)
    assert 1000 < found.effective <= 2000


def test_the_effective_number_is_that_of_the_memory():
    """n (1 - ρ) / (1 + ρ) for red noise, which is n / (2 τ) for long memories τ."""
    for memory in (5, 20):
        rho = np.exp(-1 / memory)
        series = autoregressive(np.random.default_rng(0), 20, 2000, memory)
        effective = np.mean([mean_interval(x).effective for x in series])
        assert_allclose(effective, 2000 * (1 - rho) / (1 + rho), rtol=0.2)


@pytest.mark.parametrize("num", [16, 60, 500])
def test_the_model_knows_the_variance_of_a_mean(num):
    """v against the sum over all pairs of times; 1/g against the variances of cosines."""
    inverse, _, _, v = _model(num)
    exponent = min(0.5, max(0.25, 10 / num))
    mass = 1 - (0 if num < 40 else 0.5 / num) ** (1 - exponent)
    lags = np.abs(np.subtract.outer(np.arange(num), np.arange(num)))
    for k in (0, 13, 25):
        rho = 1 - (1 - mass * (k + 0.5) / 40) ** (1 / (1 - exponent))
        assert_allclose(v[k], (rho**lags).mean(), rtol=1e-10)
        half = 40 + k  # half of the variance is white noise
        assert_allclose(v[half], (rho**lags / 2 + np.eye(num) / 2).mean(), rtol=1e-10)
    frequency = np.pi * np.arange(1, num) / num  # at all of them, cosines hold the whole variance
    rho = 0.5
    g = (1 - rho**2) / (1 - 2 * rho * np.cos(frequency) + rho**2)
    assert_allclose(g.mean(), 1, atol=3 / num)
    assert np.all(np.diff(inverse[:40], axis=1) >= -1e-12)  # red: less power at higher frequencies


def test_intervals_and_p_values_say_the_same():
    rng = np.random.default_rng(3)
    verdicts = []
    for level in (0.5, 0.9, 0.95):
        for x in autoregressive(rng, 60, 40, 1):
            found = mean_interval(x + 0.4, level=level)
            is_apart = found.low > 0 or found.high < 0
            assert is_apart == (found.p_value < 1 - level)
            verdicts.append(is_apart)
    assert 30 < sum(verdicts) < 150


def test_an_interval_moves_scales_and_mirrors_with_its_series():
    x = autoregressive(np.random.default_rng(0), 1, 80, 2)[0]
    found, moved = mean_interval(x), mean_interval(-1e-9 * (x + 2))
    assert_allclose([moved.low, moved.high], [-1e-9 * (found.high + 2), -1e-9 * (found.low + 2)])
    assert moved.effective == pytest.approx(found.effective)
    # what happens at high frequencies, as within a day, says nothing of the mean of 400 steps
    slow = np.repeat(x, 5)
    fast = slow + 5 * np.where(np.arange(400) % 2, 1, -1)
    width = [interval.high - interval.low for interval in map(mean_interval, (slow, fast))]
    assert_allclose(*width, rtol=0.05)


def test_what_is_too_short_for_its_memory_says_so():
    few = mean_interval(np.arange(15.0))
    assert (few.value, few.low, few.high, few.p_value, few.effective) == (7, None, None, None, None)
    assert few.reason == "15 values in time cannot show their memory; at least 16 can"
    trend = mean_interval(np.cumsum(np.random.default_rng(0).normal(size=24)))
    assert (trend.low, trend.p_value) == (None, None)
    assert trend.effective < 1.5
    assert trend.reason.startswith("the memory is too long: 24 values are worth 1.")
    assert np.isnan(mean_interval(np.zeros(0)).value)


def test_constants_are_beyond_doubt():
    same = mean_interval(np.full(LEAST_VALUES, 0.1))
    assert (same.low, same.high, same.p_value) == (same.value, same.value, 0.0)
    assert mean_interval(np.zeros(20)).p_value == 1.0


@pytest.mark.parametrize("size", [(3, 4), (0, 0)])
def test_mistakes_are_named(size):
    with pytest.raises(ValueError, match=r"must be finite, of shape \(time,\)"):
        mean_interval(np.zeros(size))
    with pytest.raises(ValueError, match="must be finite"):
        mean_interval(np.array([1.0, np.nan] * 10))
    with pytest.raises(ValueError, match="between 0 and 1; got 95"):
        mean_interval(np.arange(20.0), level=95)


def test_leaving_out_gives_back_what_each_time_adds_to_a_mean():
    values = np.random.default_rng(0).normal(size=(30, 4))
    time = np.repeat(np.arange(30), 4)
    left_out = without_each(lambda mask: values.ravel()[mask].mean(), time)
    assert_allclose(pseudo_values(left_out, values.mean()), values.mean(axis=1))
    runs = without_each(lambda mask: np.array([mask.sum(), mask[0]]), time, most=10)
    assert runs.shape == (10, 2)
    assert np.all(runs[:, 0] == 120 - 12)
    assert runs[:, 1].tolist() == [0] + 9 * [1]


def test_long_series_are_as_sure_as_drawn_blocks_say():
    """`arch` draws blocks, as long as it holds best; of long series that is right too."""
    bootstrap = pytest.importorskip("arch.bootstrap")
    for memory in (0, 2, 5):
        x = autoregressive(np.random.default_rng(memory), 1, 4000, memory)[0]
        length = int(np.ceil(bootstrap.optimal_block_length(x)["circular"].iloc[0]))
        drawn = bootstrap.CircularBlockBootstrap(length, x, seed=0)
        low, high = drawn.conf_int(np.mean, 2000, method="percentile").ravel()
        found = mean_interval(x)
        assert_allclose(found.high - found.low, high - low, rtol=0.2)
