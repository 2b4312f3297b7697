import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from evaluation import scores
from evaluation.numerics.averages import windows
from evaluation.scores.moments import NAMES, area_moments, pooled, standardized
from evaluation.statistics.moments import STATISTIC
from tests.evaluation.fields import accumulate, random_fields, setting


@pytest.fixture(scope="module")
def common():
    return setting()


def test_area_moments_of_known_fields(common):
    window = windows(common)[0]
    phi, lam = (np.radians(v) for v in (common.grid.latitude, common.grid.longitude))
    sine = np.broadcast_to(np.sin(phi)[:, None], common.grid.shape)
    wave = 3 + 2 * np.cos(phi)[:, None] * np.cos(lam)
    # a coordinate of the sphere is uniform in -1..1: m2 = 1/3, m4 = 1/5, kurtosis 9/5
    central = area_moments(np.stack([sine, wave]), window.weights)
    assert_allclose(central[:, 0], [0, 1 / 3, 0, 1 / 5], atol=1e-12)
    mean, deviation, skewness, kurtosis = standardized(central)[:, 1]
    assert_allclose([mean, deviation, kurtosis], [3, 2 / np.sqrt(3), 9 / 5], rtol=1e-12)
    assert abs(skewness) < 1e-12


def test_pooled_moments_are_those_of_all_values():
    rng = np.random.default_rng(0)
    groups = rng.gamma(2.0, size=(5, 100)) * np.arange(1, 6)[:, None]
    central = np.array([groups.mean(1)] + [stats.moment(groups, k, axis=1) for k in (2, 3, 4)])
    x = groups.ravel()
    expected = [x.mean(), x.std(), stats.skew(x), stats.kurtosis(x, fisher=False)]
    assert_allclose(standardized(pooled(central[..., None]))[:, 0], expected, rtol=1e-12)


def test_they_are_those_of_the_statistic_at_each_time(common):
    fields = random_fields(common.grid, 3)
    result = accumulate(STATISTIC, common, fields, fields).result().sel(region="globe")
    found = scores.moments(fields, grid=common.grid)
    for number, name in enumerate(NAMES):
        assert_allclose(found[number], result[name], rtol=1e-12)


def test_moments_over_time_are_those_of_scipy():
    x = np.random.default_rng(0).gamma(2.0, size=(50, 3, 4))
    expected = (x.mean(0), x.std(0), stats.skew(x), stats.kurtosis(x, fisher=False))
    assert_allclose(scores.moments(x, reduce=(0,)), expected, rtol=1e-10)
