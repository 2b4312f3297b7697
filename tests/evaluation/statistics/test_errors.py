import numpy as np
import pytest
from numpy.testing import assert_allclose

from evaluation.statistics.errors import NAMES, STATISTIC
from tests.evaluation.fields import accumulate, blurred, in_parts, joined, random_fields, setting


@pytest.fixture(scope="module")
def common():
    return setting()


@pytest.fixture(scope="module")
def fields(common):
    return random_fields(common.grid, 6)


def test_the_identical_candidate_is_perfect(common, fields):
    result = accumulate(STATISTIC, common, fields, fields.copy()).result()
    for name in ("mse", "rmse", "mae", "bias", "total_variation_difference"):
        assert (result[name] == 0).all(), name
    assert_allclose(result.correlation, 1, rtol=1e-14)


def test_turning_both_changes_nothing_global(common, fields):
    a, b = fields, blurred(fields)
    own = accumulate(STATISTIC, common, b, a).result().sel(region="globe")
    turned = accumulate(STATISTIC, common, np.roll(b, 5, -1), np.roll(a, 5, -1)).result()
    for name in NAMES:
        assert_allclose(turned[name].sel(region="globe"), own[name], rtol=1e-9, atol=1e-20)


def test_blur_loses_variation_and_noise_gains_it(common, fields):
    noise = fields + np.random.default_rng(0).normal(0, 1e-5, fields.shape).astype(np.float32)
    own = accumulate(STATISTIC, common, fields, fields).result()
    soft = accumulate(STATISTIC, common, blurred(fields), fields).result()
    rough = accumulate(STATISTIC, common, noise, fields).result()
    assert (soft.total_variation < own.total_variation).all()
    assert (rough.total_variation > own.total_variation).all()
    assert (soft.total_variation_difference > 0).all()
    assert soft.total_variation.attrs["units"] == "s-1 km-1"
    assert soft.mse.attrs["units"] == "s-2"


def test_parts_merge_to_the_whole(common, fields):
    soft = blurred(fields)
    whole = accumulate(STATISTIC, common, soft, fields).result()
    assert whole.identical(in_parts(STATISTIC, common, soft, fields, [0, 1, 4]).result())


def test_it_draws(common, fields):
    results = {
        name: accumulate(STATISTIC, common, x, fields).result()
        for name, x in (("reference", fields), ("soft", blurred(fields)))
    }
    assert len(list(STATISTIC.draw(joined(results)))) == 6


def test_bias_is_candidate_minus_reference_and_variation_is_the_candidates(common, fields):
    fields = fields * np.float32(1e5)
    own = accumulate(STATISTIC, common, fields, fields).result()
    result = accumulate(STATISTIC, common, 3 * fields + np.float32(0.5), fields).result()
    mean = (fields.astype(float) * common.grid.area_weights).sum((-2, -1))
    assert_allclose(result.bias.sel(region="globe"), 2 * mean + 0.5, rtol=1e-5)
    assert_allclose(result.total_variation, 3 * own.total_variation, rtol=1e-5)
    assert_allclose(result.total_variation_difference, 2 * own.total_variation, rtol=1e-5)
