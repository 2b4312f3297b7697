import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import make_grid
from evaluation import scores
from evaluation.scores.ensembles import crps_of_ordered, ranks

GRID = make_grid("gauss", 16)


def crps(members, reference, fair=False):
    """At each point."""
    return crps_of_ordered(np.sort(members, axis=0), reference)[int(fair)]


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=7), st.floats(-10, 10))
def test_crps_is_its_definition(members, reference):
    x, y = np.array(members)[:, None], np.array([reference])
    pairs = np.abs(x - x.T).sum()
    error, count = np.abs(x - y).mean(), len(members)
    assert_allclose(crps(x, y), error - pairs / (2 * count**2), atol=1e-12)
    assert_allclose(crps(x, y, fair=True), error - pairs / (2 * count * (count - 1)), atol=1e-12)


def test_crps_is_the_integral_of_squared_differences_of_distributions():
    x, y = np.array([0.3, -1.2, 2.0, 0.9]), 0.5
    t = np.linspace(-2, 3, 500_001)
    difference = (x[:, None] <= t).mean(axis=0) - (t >= y)
    expected = (difference**2).sum() * (t[1] - t[0])
    assert_allclose(crps(x[:, None], np.array([y])), expected, atol=2e-5)  # one step of t


@pytest.mark.parametrize("y", [0.0, 0.7, -2.0])
def test_crps_of_a_normal_ensemble_has_a_closed_form(y):
    # Gneiting and Raftery (2007): σ [z (2Φ(z) - 1) + 2φ(z) - 1/√π]
    from scipy.stats import norm

    mean, sigma, count = 0.2, 1.5, 20_000
    members = norm.ppf((np.arange(count) + 0.5) / count, mean, sigma)[:, None]
    z = (y - mean) / sigma
    expected = sigma * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert_allclose(crps(members, np.array([y])), expected, atol=1e-4)  # quantiles, 1/count apart


def test_fair_crps_does_not_depend_on_the_number_of_members_and_the_plain_one_does():
    rng = np.random.default_rng(1)
    reference = rng.normal(size=200_000)
    plain, fair = (
        [float(crps(rng.normal(size=(n, 200_000)), reference, fair=f).mean()) for n in (2, 10)]
        for f in (False, True)
    )
    assert_allclose(fair, 1 / np.sqrt(np.pi), atol=0.006)  # of an endless reliable ensemble
    assert plain[0] > 1.2 * plain[1]


def test_ranks_count_members_below_and_break_ties_by_lots():
    members = np.array([[1.0], [2.0], [3.0]])
    lots = np.array([0.0])
    for value, rank in ((0.5, 0), (1.5, 1), (2.5, 2), (3.5, 3)):
        assert ranks(members, np.array([value]), lots) == rank
    equal = np.zeros((3, 4))
    assert_array_equal(ranks(equal, np.zeros(4), np.array([0.0, 0.26, 0.6, 0.99])), [0, 1, 2, 3])


def test_scores_are_means_over_the_area_and_over_members():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3, *GRID.shape)), rng.normal(size=(3, *GRID.shape))

    def mean(f):
        return (f * GRID.area_weights).sum((-2, -1))

    for fair in (False, True):
        found = scores.crps(x, y, fair=fair, grid=GRID)
        assert_allclose(found, mean(crps(x, y, fair)), rtol=1e-12)
    variance = ((x - x.mean(0)) ** 2).sum(0) / 4
    assert_allclose(scores.spread(x, grid=GRID), np.sqrt(6 / 5 * mean(variance)), rtol=1e-12)
    with pytest.raises(ValueError, match="two members at least; got 1"):
        scores.spread(x[:1], grid=GRID)


def test_spread_is_the_error_of_the_mean_of_a_reliable_ensemble():
    rng = np.random.default_rng(1)
    middle = rng.normal(size=(40, *GRID.shape))
    x, y = middle + rng.normal(size=(3, *middle.shape)), middle + rng.normal(size=middle.shape)
    over = (0, "latitude", "longitude")
    skill = scores.rmse(x.mean(0), y, grid=GRID, reduce=over)
    assert_allclose(scores.spread(x, grid=GRID, reduce=over), skill, rtol=0.02)


def test_members_are_found_by_name():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3, *GRID.shape)), rng.normal(size=(3, *GRID.shape))
    space = {"lat": GRID.latitude, "lon": GRID.longitude}
    members = xr.DataArray(x, dims=("member", "time", "lat", "lon"), coords=space)
    truth = xr.DataArray(y, dims=("time", "lat", "lon"), coords=space)
    found = scores.crps(members.transpose("time", "lat", "member", "lon"), truth, fair=True)
    assert_allclose(found, scores.crps(x, y, fair=True, grid=GRID), rtol=1e-12)
    assert_allclose(scores.spread(members), scores.spread(x, grid=GRID), rtol=1e-12)
    with pytest.raises(ValueError, match="no dimension 'member'; there are"):
        scores.crps(truth, truth)
