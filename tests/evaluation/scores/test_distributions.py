import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from atmodist.fields.grid import make_grid
from evaluation import scores
from evaluation.scores.distributions import sample_distance
from evaluation.statistics.distributions import STATISTIC
from tests.evaluation.fields import accumulate, blurred, random_fields, setting


def test_distance_is_scipys():
    a, b = np.random.default_rng(0).normal(size=(2, 40, 7)).astype(np.float32)
    expected = [stats.wasserstein_distance(a[:, i], b[:, i]) for i in range(7)]
    assert_allclose(sample_distance(a, b), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="one shape"):
        sample_distance(a, b[1:])


def test_the_score_is_that_of_the_statistic_at_each_time():
    common = setting()
    fields = random_fields(common.grid, 3)
    soft = blurred(fields)
    result = accumulate(STATISTIC, common, soft, fields).result().sel(region="globe")
    assert_allclose(scores.wasserstein(soft, fields, grid=common.grid), result.wasserstein)


def test_what_is_shifted_is_as_far_apart_and_places_do_not_matter():
    grid = make_grid("gauss", 12)
    field = np.random.default_rng(0).normal(size=grid.shape)
    found = scores.wasserstein(field + 0.5, np.roll(field, 3, -1), grid=grid)
    assert_allclose(found, 0.5, rtol=2e-3)  # half a bin of a histogram at most
    rows = scores.wasserstein(field + 0.5, np.roll(field, 3, -1), reduce=("longitude",))
    assert_allclose(rows, 0.5, rtol=1e-12)
