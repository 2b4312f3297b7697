import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from evaluation.numerics.histograms import Histogram
from evaluation.statistics.distributions import STATISTIC, AsinhAxis, kernel_density
from tests.evaluation.fields import accumulate, blurred, in_parts, joined, random_fields, setting


@pytest.fixture(scope="module")
def common():
    return setting()


@pytest.fixture(scope="module")
def fields(common):
    return random_fields(common.grid, 5)


@pytest.fixture(scope="module")
def soft(common, fields):
    return accumulate(STATISTIC, common, blurred(fields), fields).result()


def test_the_identical_candidate_is_at_no_distance(common, fields):
    for candidate in (fields, fields.copy()):
        result = accumulate(STATISTIC, common, candidate, fields).result()
        for name in ("wasserstein", "gradient_wasserstein"):
            assert (result[name] == 0).all()
            assert (result[f"pooled_{name}"] == 0).all()


def test_distance_is_scipys_by_area(common, fields, soft):
    weights = np.broadcast_to(common.grid.area_weights, common.grid.shape).ravel()
    a, b = blurred(fields)[:, 1].reshape(5, -1), fields[:, 1].reshape(5, -1)
    exact = [stats.wasserstein_distance(x, y, weights, weights) for x, y in zip(a, b, strict=True)]
    assert_allclose(soft.wasserstein.sel(region="globe", channel="vorticity"), exact, rtol=1e-3)
    every = np.tile(weights, 5)
    exact = stats.wasserstein_distance(a.ravel(), b.ravel(), every, every)
    pooled = soft.pooled_wasserstein.sel(region="globe", channel="vorticity")
    bound = soft.bound.sel(region="globe", channel="vorticity").item()
    assert abs(pooled - exact) < bound


def test_distance_of_fields_far_from_zero_is_right(common, fields):
    weights = np.broadcast_to(common.grid.area_weights, common.grid.shape).ravel()
    truth = (280.0 + 5e4 * fields[:2]).astype(np.float32)  # as temperatures in kelvin
    warmer = truth + np.float32(0.01)
    result = accumulate(STATISTIC, common, warmer, truth).result()
    for step in range(2):
        exact = [
            stats.wasserstein_distance(a.ravel(), b.ravel(), weights, weights)
            for a, b in zip(warmer[step], truth[step], strict=True)
        ]
        assert_allclose(result.wasserstein[step].sel(region="globe"), exact, rtol=0.05)
    error = np.abs(result.pooled_wasserstein - 0.01)
    assert (error <= result.bound).all()


def test_blur_takes_the_tails(common, fields, soft):
    own = accumulate(STATISTIC, common, fields, fields).result()
    assert (soft.pooled_wasserstein > 0).all()
    extremes = [0, -1]
    shrink = np.abs(soft["quantile"].isel(probability=extremes))
    assert (shrink < np.abs(own["quantile"].isel(probability=extremes))).all()
    assert (soft.gradient_quantile.sel(probability=0.95) < own.gradient_quantile[..., 7]).all()


def test_turning_the_globe_changes_no_distribution(common, fields, soft):
    turned = accumulate(STATISTIC, common, np.roll(blurred(fields), 9, -1), fields).result()
    for name in ("pooled_wasserstein", "pooled_gradient_wasserstein", "quantile", "density"):
        expected = soft[name].sel(region="globe")
        scale = float(np.abs(expected).max())
        assert_allclose(turned[name].sel(region="globe"), expected, rtol=1e-9, atol=1e-6 * scale)


def test_parts_merge_to_the_whole(common, fields, soft):
    parts = in_parts(STATISTIC, common, blurred(fields), fields, [0, 2, 3]).result()
    for name in soft.data_vars:
        assert_allclose(parts[name], soft[name], rtol=1e-6, atol=1e-20)


def test_bins_are_the_references_and_hold_all_of_it(common, fields, soft):
    own = accumulate(STATISTIC, common, fields, fields).result()
    for prefix in ("", "gradient_"):
        assert_allclose(own[f"{prefix}edges"], soft[f"{prefix}edges"])
        widths = np.diff(own[f"{prefix}edges"])
        assert_allclose((own[f"{prefix}density"].values * widths).sum(-1), 1, rtol=1e-9)
        assert_allclose((own[f"{prefix}kernel_density"].values * widths).sum(-1), 1, rtol=1e-9)
    assert own.density.attrs["units"] == "s"
    assert own.gradient_density.attrs["units"] == "s km"


def test_kernel_density_of_normal_numbers():
    x = np.random.default_rng(0).normal(size=(1, 200_000)).astype(np.float32)
    histogram = Histogram()
    histogram.update(x, np.ones((1, 1)))
    edges = AsinhAxis.of(histogram, positive=False).edges()
    density = kernel_density(histogram.masses(edges), edges, x.size)
    middle = (edges[1:] + edges[:-1]) / 2
    near = np.abs(middle) < 2.5
    assert_allclose(density[near], stats.norm.pdf(middle[near]), rtol=0.1)


def test_kernel_density_is_smooth_where_values_are_rare():
    rng = np.random.default_rng(0)
    wide, narrow = Histogram(), Histogram()
    wide.update(rng.normal(size=(1, 100_000)).astype(np.float32), np.ones((1, 1)))
    edges = AsinhAxis.of(wide, positive=False).edges()
    x = np.concatenate([0.03 * rng.normal(size=99_950), rng.uniform(0.5, 3.0, 50)])  # a rare tail
    narrow.update(x[None].astype(np.float32), np.ones((1, 1)))
    masses = narrow.masses(edges)
    density = kernel_density(masses, edges, x.size)
    assert_allclose((density * np.diff(edges)).sum(), masses.sum(), rtol=1e-12)
    middle = (edges[1:] + edges[:-1]) / 2
    tail = density[(middle > 0.7) & (middle < 2.5)]
    assert tail.min() > 0
    assert np.abs(np.diff(np.log(tail))).max() < 0.5  # single values would be spikes of any size
    assert masses[(middle > 0.7) & (middle < 2.5)].min() == 0


def test_constant_fields_have_a_distribution(common):
    flat = np.zeros((2, 2, *common.grid.shape), np.float32)
    result = accumulate(STATISTIC, common, flat, flat).result()
    assert (result.pooled_wasserstein == 0).all()
    assert np.isfinite(result.density).all()


def test_it_draws(common, fields, soft):
    own = accumulate(STATISTIC, common, fields, fields).result()
    assert len(list(STATISTIC.draw(joined({"reference": own, "soft": soft})))) == 6


def test_densities_are_the_candidates_in_bins_of_the_reference(common, fields):
    fields = fields * np.float32(1e5)
    own = accumulate(STATISTIC, common, fields, fields).result()
    result = accumulate(STATISTIC, common, fields + np.float32(0.5), fields).result()
    assert_allclose(result["quantile"], own["quantile"] + 0.5, rtol=1e-3, atol=1e-3)
    assert_allclose(result.edges, own.edges, rtol=1e-12)
    assert_allclose(result.axis, own.axis, rtol=1e-12)
    doubled = accumulate(STATISTIC, common, 2 * fields, fields).result()
    assert_allclose(doubled.gradient_quantile, 2 * own.gradient_quantile, rtol=1e-3)
    assert_allclose(doubled.gradient_edges, own.gradient_edges, rtol=1e-12)
