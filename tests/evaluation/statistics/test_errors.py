import numpy as np
import pytest
from numpy.testing import assert_allclose

from evaluation.numerics.averages import windows
from evaluation.statistics.errors import NAMES, STATISTIC, area_errors
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


def test_errors_of_known_fields(common):
    window = windows(common)[0]
    phi = np.radians(common.grid.latitude)[:, None]
    sine = np.broadcast_to(np.sin(phi), common.grid.shape)[None]
    errors = area_errors(3 * sine + 0.5, sine, window.weights)
    # the error is 2z + ½ with z uniform in -1..1: E e² = 4/3 + 1/4, and E|e| = (1.5² + 2.5²)/8
    assert_allclose(errors["mse"], 4 / 3 + 1 / 4, rtol=1e-12)
    assert_allclose(errors["rmse"] ** 2, errors["mse"], rtol=1e-12)
    assert_allclose(errors["bias"], 0.5, rtol=1e-12)
    assert_allclose(errors["mae"], (1.5**2 + 2.5**2) / 8, rtol=0.01)  # |e| has a kink
    assert_allclose(errors["correlation"], 1, rtol=1e-12)
    assert_allclose(area_errors(-sine, sine, window.weights)["correlation"], -1, rtol=1e-12)


def test_mse_is_bias_and_variances_less_covariance(common, fields):
    a, b = fields[0].astype(float), fields[1].astype(float)
    for window in windows(common):
        x, y = window.of(a), window.of(b)
        errors = area_errors(x, y, window.weights)

        def mean(f, weights=window.weights):
            return (f * weights).sum((-2, -1))

        variances = [mean(f**2) - mean(f) ** 2 for f in (x, y)]
        shared = errors["correlation"] * np.sqrt(variances[0] * variances[1])
        assert_allclose(errors["mse"], errors["bias"] ** 2 + sum(variances) - 2 * shared, rtol=1e-9)


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
