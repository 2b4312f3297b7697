import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter
from scipy.stats import ortho_group

from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from evaluation.contract.statistic import Sample
from evaluation.numerics.setting import GLOBE, Setting
from evaluation.statistics.projections import (
    STATISTIC,
    cut,
    frechet,
    places,
    principal_components,
    projection,
    rv_coefficient,
    sliced_wasserstein,
    unit_vectors,
)

GRID = make_grid("regular", 33, 64)
FEW = {"patch": 8, "num_patches": 12, "num_projections": 16, "num_components": 4}


def setting(grid=GRID, seed=0, **options):
    return Setting(
        grid=grid,
        channels=(DIVERGENCE, VORTICITY),
        regions={GLOBE: None},
        seed=seed,
        options=FEW | options,
    )


def made(number=4, seed=0):
    noise = np.random.default_rng(seed).normal(size=(number, 2, *GRID.shape))
    smooth = gaussian_filter(noise, (0, 0, 1, 1), mode="wrap")
    return (1e-5 * smooth).astype(np.float32)


def accumulated(candidates, references, its=None, first=0):
    its = its or setting()
    sums = STATISTIC.accumulator(its)
    for step, (c, r) in enumerate(zip(candidates, references, strict=True)):
        sums.update(Sample(setting=its, candidate=c, reference=r, seconds=3600 * (first + step)))
    return sums


def normal(covariance, mean=0.0, count=200, seed=0):
    """Samples with exactly this mean and covariance."""
    x = np.random.default_rng(seed).normal(size=(count, len(covariance)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / count)).T
    return x @ np.linalg.cholesky(covariance).T + mean


def covariance(seed, size=5):
    a = np.random.default_rng(seed).normal(size=(size, size))
    return a @ a.T + 0.1 * np.eye(size)


def test_frechet_distance_of_known_moments():
    from scipy.linalg import sqrtm

    a, b, shift = covariance(1), covariance(2), np.arange(5.0)
    root = sqrtm(a)
    expected = np.trace(a + b - 2 * sqrtm(root @ b @ root)).real + (shift**2).sum()
    found = frechet(normal(a, count=300), normal(b, shift, seed=1))
    assert_allclose(found, np.sqrt(expected), rtol=1e-9)


def test_frechet_distance_of_commuting_covariances_compares_standard_deviations():
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 1.0])
    found = frechet(normal(np.diag(a)), normal(np.diag(b), seed=3))
    assert_allclose(found, np.sqrt(1 + 0 + 4), rtol=1e-9)


@pytest.mark.parametrize("count", [10, 300])  # fewer samples than numbers, and more
def test_distances_of_equal_samples_vanish_also_where_covariances_are_singular(count):
    x = np.random.default_rng(4).normal(size=(count, 30))
    assert frechet(x, x) < 1e-6
    assert sliced_wasserstein(x, x, unit_vectors(8, 30, 0)) == 0
    assert_allclose(rv_coefficient(x, x), 1.0, rtol=1e-12)


def test_sliced_wasserstein_of_a_shift_is_its_length_and_of_a_scale_the_spread():
    x = normal(np.eye(6), count=100)
    directions = unit_vectors(4000, 6, 0)
    shift = np.array([3.0, 0, 0, 4.0, 0, 0])
    assert_allclose(sliced_wasserstein(x + shift, x, directions), 5.0, rtol=0.04)
    # N(0, 4) and N(0, 1) along each direction are 1 apart: sqrt(6) in all
    assert_allclose(sliced_wasserstein(2 * x, x, directions), np.sqrt(6), rtol=1e-3)


def test_sliced_wasserstein_agrees_with_scipy_in_one_dimension():
    from scipy.stats import wasserstein_distance_nd

    # W2 along one direction squared is the cost of the cheapest assignment, which sorting gives
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 30, 1))
    one = np.ones((1, 1))
    from scipy.optimize import linear_sum_assignment

    cost = (x - y.T) ** 2
    rows, columns = linear_sum_assignment(cost)
    assert_allclose(sliced_wasserstein(x, y, one), np.sqrt(cost[rows, columns].mean()))
    assert sliced_wasserstein(x, y, one) >= wasserstein_distance_nd(x, y) - 1e-12  # W2 >= W1


def test_rv_does_not_see_rotations_shifts_and_scales_and_is_a_squared_correlation_in_1d():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(2, 100, 5))
    y = y + x
    turned = 3 * y @ ortho_group.rvs(5, random_state=0) + 7
    assert_allclose(rv_coefficient(x, turned), rv_coefficient(x, y), rtol=1e-10)
    assert_allclose(rv_coefficient(x, 2 * x @ ortho_group.rvs(5, random_state=1)), 1.0)
    assert_allclose(
        rv_coefficient(x[:, :1], y[:, :1]), np.corrcoef(x[:, 0], y[:, 0])[0, 1] ** 2, rtol=1e-10
    )
    assert rv_coefficient(x, rng.normal(size=(100, 5))) < 0.15
    assert np.isnan(rv_coefficient(x, np.zeros((100, 5))))


def test_principal_components_are_the_directions_of_most_variance():
    turn = ortho_group.rvs(4, random_state=2)
    x = normal(turn @ np.diag([9.0, 4.0, 1.0, 0.25]) @ turn.T)
    found = principal_components(x, 2)
    assert_allclose(np.abs(found.T @ turn), np.eye(4)[:2], atol=1e-7)


def test_projection_keeps_lengths_on_average_and_is_one_for_few_points():
    x = np.random.default_rng(7).normal(size=400)
    lengths = [np.square(projection(400, 64, seed) @ x).sum() for seed in range(40)]
    assert_allclose(np.mean(lengths) / (x @ x), 1.0, atol=0.09)  # three standard errors
    assert_array_equal(projection(5, 64, 0), np.eye(5))


def test_patches_go_over_the_seam_and_are_uniform_over_the_area():
    field = np.arange(33 * 64).reshape(33, 64)
    found = cut(field, np.array([[3, 62]]), (2, 4))
    assert_array_equal(found[0], np.roll(field, 2, axis=1)[3:5, :4])
    rng = np.random.default_rng(8)
    drawn = places(GRID.shape, (1, 4), GRID.band_areas, True, 20_000, rng)
    frequency = np.bincount(drawn[:, 0], minlength=33) / 20_000
    assert_allclose(frequency, GRID.band_areas, atol=0.005)
    assert set(drawn[:, 1]) == set(range(64))
    inside = places(GRID.shape, (8, 10), GRID.band_areas, False, 1000, rng)
    assert inside[:, 1].max() == 54
    assert inside[:, 0].max() <= 25


def test_identical_fields_are_perfect():
    fields = made()
    result = accumulated(fields, fields).result()
    for space in ("random", "pca"):
        assert_allclose(result[f"rv_{space}"], 1.0)
        assert_array_equal(result[f"wasserstein_{space}"], 0.0)
        assert_allclose(result[f"frechet_{space}"], 0.0, atol=1e-6)
    assert result.rv_random.dims == ("channel",)
    assert result.rv_random.attrs["num_samples"] == 48
    assert "rv_encoder" not in result


def test_numbers_grow_with_the_error_and_not_with_the_units():
    fields, noise = made(6), made(6, seed=1)
    results = [accumulated(fields + k * noise, fields).result() for k in (0.2, 1.0)]
    scaled = accumulated(100 * (fields + noise), 100 * fields).result()
    for space in ("random", "pca"):
        for measure, sign in (("wasserstein", 1), ("frechet", 1), ("rv", -1)):
            small, large = (sign * result[f"{measure}_{space}"] for result in results)
            assert (small < large).all()
            assert_allclose(sign * scaled[f"{measure}_{space}"], large, rtol=1e-4)


def test_blur_is_seen_and_a_rolled_field_has_the_same_distribution_but_no_relation():
    fields = made(40)
    blurred = gaussian_filter(fields, (0, 0, 1.5, 1.5), mode="wrap")
    rolled = np.roll(fields, 32, axis=-1)
    blur, roll = (accumulated(x, fields).result() for x in (blurred, rolled))
    assert (blur.frechet_pca > 2 * roll.frechet_pca).all()
    assert (roll.rv_random < 0.2).all()
    assert (blur.rv_random > 0.3).all()


def test_parts_merge_and_come_back_from_disk():
    a, b = made(), made(seed=1)
    whole = accumulated(a, b).result()
    restored = STATISTIC.accumulator(setting())
    restored.restore(accumulated(a[:2], b[:2]).arrays())
    restored.merge(accumulated(a[2:], b[2:], first=2))
    assert whole.identical(restored.result())
    assert not whole.identical(accumulated(a, b, setting(seed=1)).result())


def test_small_and_regional_grids_have_smaller_patches():
    grid = Grid(np.linspace(50, 40, 6), np.linspace(0, 5, 7))
    fields = np.random.default_rng(9).normal(size=(3, 2, 6, 7)).astype(np.float32)
    result = accumulated(fields, fields, setting(grid)).result()
    assert_allclose(result.rv_pca, 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spaces": ["fourier"]}, "of random, pca, encoder; got fourier"),
        ({"patch": 0}, "`patch` must be a positive integer"),
        ({"num_components": 99}, "at most `num_projections`"),
        ({"size": 1}, "no option 'size'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        STATISTIC.accumulator(setting(**options))


def test_pictures_are_drawn():
    import xarray as xr

    fields = made()
    results = [accumulated(x, fields).result() for x in (fields, 0.5 * fields)]
    joined = xr.concat(results, xr.Variable("candidate", ["same", "half"]))
    assert [picture.name for picture in STATISTIC.draw(joined)] == ["projections"]


def test_distances_are_relative_to_the_spread_of_the_reference():
    fields = np.random.default_rng(0).normal(size=(4, 2, *GRID.shape)).astype(np.float32)
    fields = fields - fields.mean((-2, -1), keepdims=True)
    result = accumulated(2 * fields, fields, setting()).result()
    # normal samples with twice the deviation: √tr(4Σ + Σ - 2·2Σ) = s, beside that of the means
    assert_allclose(result.frechet_random, 1.0, rtol=0.1)
    exchanged = accumulated(fields, 2 * fields, setting()).result()
    assert_allclose(exchanged.frechet_random, result.frechet_random / 2, rtol=1e-6)
    assert_allclose(exchanged.wasserstein_random, result.wasserstein_random / 2, rtol=1e-6)
