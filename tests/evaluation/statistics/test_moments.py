import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from evaluation.scores.moments import NAMES
from evaluation.statistics.moments import STATISTIC, TimeMoments
from tests.evaluation.fields import accumulate, blurred, in_parts, joined, random_fields, setting

STEPS = 9


@pytest.fixture(scope="module")
def common():
    return setting()


@pytest.fixture(scope="module")
def fields(common):
    return random_fields(common.grid, STEPS)


def test_maps_are_those_of_scipy(common, fields):
    result = accumulate(STATISTIC, common, fields, fields).result()
    x = fields.astype(np.float64)
    expected = (x.mean(0), x.std(0), stats.skew(x), stats.kurtosis(x, fisher=False))
    for name, values in zip(NAMES, expected, strict=True):
        assert_allclose(result[f"{name}_map"], values, rtol=1e-5, atol=1e-6 * np.abs(values).max())


@given(st.lists(st.integers(0, STEPS), max_size=4).map(sorted))
def test_any_split_merges_to_the_whole(cuts):
    common = setting()
    fields = random_fields(common.grid, STEPS)
    whole = accumulate(STATISTIC, common, fields, fields).result()
    parts = in_parts(STATISTIC, common, fields, fields, cuts).result()
    assert parts.time.equals(whole.time)
    for name in whole.data_vars:
        assert_allclose(parts[name], whole[name], rtol=1e-5, atol=1e-12)


def test_time_moments_keep_digits_beside_a_large_mean():
    rng = np.random.default_rng(2)
    x = rng.gamma(2.0, size=(400, 1, 2, 2))
    near, far = TimeMoments(), TimeMoments()
    for step in x:
        near.update(step)
        far.update(step + 1e6)
    assert_allclose(far.central()[1:], near.central()[1:], rtol=1e-6)


def test_turning_the_globe_changes_no_global_number(common, fields):
    own = accumulate(STATISTIC, common, fields, fields).result()
    turned = accumulate(STATISTIC, common, np.roll(fields, 11, -1), fields).result()
    for name in NAMES:
        expected = own[name].sel(region="globe")
        assert_allclose(turned[name].sel(region="globe"), expected, rtol=1e-9, atol=1e-15)


def test_blur_loses_deviation(common, fields):
    own = accumulate(STATISTIC, common, fields, fields).result()
    soft = accumulate(STATISTIC, common, blurred(fields), fields).result()
    assert (soft.standard_deviation < 0.9 * own.standard_deviation).all()
    assert (soft.pooled_standard_deviation < own.pooled_standard_deviation).all()


def test_what_does_not_vary_has_no_skewness(common):
    flat = np.ones((3, 2, *common.grid.shape), np.float32)
    result = accumulate(STATISTIC, common, flat, flat).result()
    assert_allclose(result.standard_deviation_map, 0)
    assert np.isnan(result.skewness_map).all()


def test_it_draws_and_has_no_options(common, fields):
    results = {
        "reference": accumulate(STATISTIC, common, fields, fields).result(),
        "soft": accumulate(STATISTIC, common, blurred(fields), fields).result(),
    }
    pictures = list(STATISTIC.draw(joined(results)))
    assert len({picture.name for picture in pictures}) == len(pictures) == 8
    with pytest.raises(ValueError, match="no options; got colour"):
        STATISTIC.accumulator(setting(colour="red"))


def test_moments_are_those_of_the_candidate(common, fields):
    fields = fields * np.float32(1e5)
    own = accumulate(STATISTIC, common, fields, fields).result()
    result = accumulate(STATISTIC, common, fields + np.float32(0.5), fields).result()
    for name in ("mean", "mean_map"):
        assert_allclose(result[name], own[name] + 0.5, rtol=1e-5, atol=1e-6, err_msg=name)
