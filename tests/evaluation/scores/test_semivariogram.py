import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import eval_legendre

from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation import scores
from evaluation.numerics.spherical import random_modal, synthesis
from evaluation.scores.semivariogram import (
    draw_pairs,
    great_circle,
    isotropic_semivariogram,
    sampled_semivariogram,
)
from evaluation.statistics.semivariogram import LEAST_LAG

GRID = make_grid("cell-centred", 90)
KM = EARTH_RADIUS / 1000
LAGS = np.array([500.0, 1000.0, 3000.0, 9000.0])


def whole(grid):
    return np.arange(grid.shape[0]), np.arange(grid.shape[1])


def points(grid, index):
    row, column = np.divmod(index, grid.shape[1])
    return np.radians(grid.latitude[row]), np.radians(grid.longitude[column])


@pytest.mark.parametrize("degree", [1, 2, 7, 60])
def test_a_single_degree_has_a_legendre_polynomial(degree):
    power = np.zeros(64)
    power[degree] = 3.0
    lags = np.linspace(10, np.pi * KM, 50)
    expected = 3 * (1 - eval_legendre(degree, np.cos(lags / KM)))
    assert_allclose(isotropic_semivariogram(power, lags), expected, atol=1e-11)


def test_exact_semivariogram_at_zero_and_at_the_antipode():
    power = np.random.default_rng(0).random((2, 33))
    found = isotropic_semivariogram(power, np.array([0.0, np.pi * KM]))
    assert_allclose(found[:, 0], 0.0, atol=1e-12)
    assert_allclose(found[:, 1], 2 * power[:, 1::2].sum(axis=1))  # odd degrees change sign


def test_height_above_the_equator_has_a_third_of_one_minus_cosine():
    # f = sinφ: ½ E[(z₁ - z₂)²] = (1 - cosθ) / 3; the test of the factor ½, and of area weights
    field = np.sin(np.radians(GRID.latitude))[:, None] * np.ones(GRID.shape[1])
    pairs = draw_pairs(GRID, whole(GRID), LAGS, 40_000, [1])
    distance = great_circle(*points(GRID, pairs.first), *points(GRID, pairs.second))
    expected = (1 - np.cos(distance)).mean(axis=1) / 3
    # standard error of the mean square: √0.8 / √40000 = 0.45 %
    assert_allclose(sampled_semivariogram(field, pairs), expected, rtol=0.015)
    assert_allclose(
        isotropic_semivariogram(np.array([0, 1 / 3]), LAGS), (1 - np.cos(LAGS / KM)) / 3
    )


def test_sampled_and_exact_agree_within_sampling_error():
    power = np.r_[0.0, (1 + np.arange(1, 90) / 6) ** -3.0]
    rng = np.random.default_rng(2)
    field = synthesis(random_modal(power, rng), GRID)
    num = 50_000
    pairs = draw_pairs(GRID, whole(GRID), LAGS, num, [3])
    found = sampled_semivariogram(field, pairs)
    # the exact mean over the very distances of the pairs leaves sampling error alone
    exact = np.empty(len(LAGS))
    for i in range(len(LAGS)):
        distance = KM * great_circle(*points(GRID, pairs.first[i]), *points(GRID, pairs.second[i]))
        table = np.linspace(distance.min(), distance.max(), 300)
        exact[i] = np.interp(distance, table, isotropic_semivariogram(power, table)).mean()
    assert np.abs(found / exact - 1).max() < 4 * np.sqrt(2 / num) * 1.5


def test_moving_points_to_the_grid_hardly_biases_lags_of_several_spacings():
    spacing = np.pi * KM / GRID.shape[0]  # 222 km
    power = np.r_[0.0, (1 + np.arange(1, 90) / 6) ** -3.0]
    lags = spacing * np.array([2.0, 4.0, 8.0])
    pairs = draw_pairs(GRID, whole(GRID), lags, 20_000, [4])
    means = np.empty(3)
    for i in range(3):
        distance = KM * great_circle(*points(GRID, pairs.first[i]), *points(GRID, pairs.second[i]))
        assert np.abs(distance - lags[i]).max() < 1.45 * spacing  # diagonal of a cell
        assert_allclose(distance.mean(), pairs.distance[i])
        table = np.linspace(0.5 * spacing, 10 * spacing, 2000)
        means[i] = np.interp(distance, table, isotropic_semivariogram(power, table)).mean()
    bias = means / isotropic_semivariogram(power, pairs.distance) - 1
    assert np.abs(bias).max() < 0.02
    assert np.abs(bias[2]) < 0.003


def test_the_bias_of_moving_points_to_the_grid_is_bounded_and_below_a_percent_by_default():
    spacing = float(np.abs(np.diff(GRID.latitude)).max()) * np.pi / 180 * KM
    lags = spacing * np.array([1.0, 2.0, LEAST_LAG, 9.0])
    pairs = draw_pairs(GRID, whole(GRID), lags, 100_000, [4])
    smooth = np.r_[0.0, 1.0]  # degree 1: a semivariogram that grows as the square of the distance
    for i in range(len(lags)):
        distance = KM * great_circle(*points(GRID, pairs.first[i]), *points(GRID, pairs.second[i]))
        mean = isotropic_semivariogram(smooth, distance).mean()
        found = mean / isotropic_semivariogram(smooth, pairs.distance[i : i + 1])[0] - 1
        assert_allclose(found, pairs.bias[i], rtol=0.06)  # 1 - cos grows a little slower
    assert pairs.bias[0] > 0.04
    assert 0.01 < pairs.bias[1] < pairs.bias[0]
    assert (pairs.bias[2:] < 0.01).all()


def test_white_noise_is_flat_and_keeps_its_variance():
    field = np.random.default_rng(5).normal(0.0, 2.0, (2, *GRID.shape))
    pairs = draw_pairs(GRID, whole(GRID), np.geomspace(250, 15_000, 9), 30_000, [6])
    found = sampled_semivariogram(field, pairs)
    # 16200 values of noise limit it too: 1.1 % of standard error for all lags together
    assert_allclose(found, 4.0, rtol=0.05)
    assert_allclose(found / found.mean(axis=1, keepdims=True), 1.0, rtol=0.04)


def test_the_loop_over_pairs_gives_the_same():
    field = np.random.default_rng(7).normal(size=(2, *GRID.shape))
    pairs = draw_pairs(GRID, whole(GRID), LAGS, 20, [8])
    slow = np.zeros((2, len(LAGS)))
    for channel in range(2):
        for lag in range(len(LAGS)):
            for a, b in zip(pairs.first[lag], pairs.second[lag], strict=True):
                slow[channel, lag] += (field[channel].flat[a] - field[channel].flat[b]) ** 2 / 40
    assert_allclose(sampled_semivariogram(field, pairs), slow)


@pytest.mark.parametrize("kind", ["regular", "cell-centred", "driscoll-healy", "gauss"])
def test_points_are_uniform_over_the_area(kind):
    grid = make_grid(kind, 46)
    pairs = draw_pairs(grid, whole(grid), np.array([2000.0]), 40_000, [9])
    for index in (pairs.first[0], pairs.second[0]):
        latitude, longitude = points(grid, index)
        sine = np.sin(latitude)
        # standard errors: √(1/3) / 200 = 0.0029 and 0.0015
        assert abs(sine.mean()) < 0.012
        assert abs((sine**2).mean() - 1 / 3) < 0.007
        assert abs(np.exp(1j * longitude).mean()) < 0.02


def test_directions_lie_along_rows_and_columns():
    pairs = draw_pairs(GRID, whole(GRID), LAGS, 500, [2], direction="zonal")
    assert_array_equal(pairs.first // GRID.shape[1], pairs.second // GRID.shape[1])
    assert_allclose(pairs.distance, LAGS, rtol=0.05)
    pairs = draw_pairs(GRID, whole(GRID), LAGS, 500, [2], direction="meridional")
    assert_array_equal(pairs.first % GRID.shape[1], pairs.second % GRID.shape[1])
    assert_allclose(pairs.distance, LAGS, rtol=0.05)
    with pytest.raises(ValueError, match="'any', 'zonal' or 'meridional'; got 'up'"):
        draw_pairs(GRID, whole(GRID), LAGS, 5, [2], direction="up")


def test_the_score_is_exact_or_sampled():
    field = np.sin(np.radians(GRID.latitude))[:, None] * np.ones(GRID.shape[1])
    expected = (1 - np.cos(LAGS / KM)) / 3
    assert_allclose(scores.semivariogram(field, LAGS, grid=GRID), expected, rtol=1e-9)
    sampled = scores.semivariogram(field, LAGS, grid=GRID, pairs=40_000, seed=1)
    assert_allclose(sampled, expected, rtol=0.05)  # lags are moved to the grid
    along = scores.semivariogram(field, LAGS, grid=GRID, pairs=100, direction="zonal")
    assert_array_equal(along, 0.0)
    with pytest.raises(ValueError, match="give `pairs`"):
        scores.semivariogram(field, LAGS, grid=GRID, direction="zonal")
    part = Grid(GRID.latitude[:40], GRID.longitude[:50])
    with pytest.raises(ValueError, match="need a global grid"):
        scores.semivariogram(field[:40, :50], LAGS, grid=part)
