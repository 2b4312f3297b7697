import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import Grid, make_grid
from atmodist.metric.pixel_measures import ssim
from evaluation import scores
from evaluation.numerics.averages import windows
from evaluation.numerics.setting import GLOBE, Setting
from evaluation.scores.structure import (
    area_quantiles,
    fraction_rows,
    half_widths,
    similarity,
    skill,
    squared_fractions,
)
from evaluation.statistics.structure import STATISTIC
from tests.evaluation.fields import accumulate, blurred, random_fields, setting

GRID = make_grid("regular", 33, 64)
FLAT = Grid(np.linspace(1, -1, 21), np.linspace(10, 12, 21))  # nearly flat: 0.1 degrees each way
RADIUS = 6_371_229.0
STEP = np.radians(0.1) * RADIUS / 1000  # km between points of FLAT


def parts(grid):
    return windows(Setting(grid=grid, channels=(), regions={GLOBE: None}))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quantiles_are_those_of_sorted_values_and_areas(dtype):
    field = (np.random.default_rng(1).normal(size=GRID.shape) ** 3).astype(dtype)
    field[5, 7] = 1e6  # one spike must not spoil the histogram
    weights = np.broadcast_to(GRID.area_weights, GRID.shape).ravel()
    order = np.argsort(field.ravel())
    covered = np.cumsum(weights[order])
    levels = np.array([0.05, 0.5, 0.9, 0.99])
    expected = field.ravel()[order][np.searchsorted(covered, levels * covered[-1])]
    assert_array_equal(area_quantiles(field, GRID.area_weights[:, 0], levels), expected)


def test_quantile_of_a_constant_field_is_the_constant():
    found = area_quantiles(np.full(GRID.shape, 2.0), GRID.area_weights[:, 0], np.array([0.5]))
    assert_array_equal(found, [2.0])


@pytest.mark.parametrize("grid", [GRID, make_grid("driscoll-healy", 16), FLAT])
@pytest.mark.parametrize("size", [0.0, 50.0, 2000.0, 60000.0])
def test_fractions_agree_with_their_definition_at_every_point(grid, size):
    events = np.random.default_rng(2).random(grid.shape) < 0.3
    found = np.stack([row for _, row in fraction_rows(events, grid, size, RADIUS)])
    angle = np.degrees(size * 1000 / RADIUS) / 2 * (1 + 1e-9)
    spacing = np.diff(grid.longitude)[0]
    for row, latitude in enumerate(grid.latitude):
        rows = np.abs(grid.latitude - latitude) <= angle
        reach = angle / max(np.cos(np.radians(latitude)), 1e-12)
        for column in range(0, grid.shape[1], 5):
            steps = np.abs(np.arange(grid.shape[1]) - column)
            if grid.is_periodic:
                steps = np.minimum(steps, grid.shape[1] - steps)
            inside = np.outer(rows, steps * spacing <= reach)
            areas = grid.band_areas[:, None] * inside
            expected = (areas * events).sum() / areas.sum()
            assert_allclose(found[row, column], expected, rtol=1e-10, atol=1e-12)


def test_neighbourhoods_of_no_size_are_points_and_huge_ones_the_whole_sphere():
    rows, columns = half_widths(GRID, 0.0, RADIUS)
    assert_array_equal(rows[:, 1] - rows[:, 0], 1)
    assert_array_equal(columns, 0)
    rows, columns = half_widths(GRID, 50_000.0, RADIUS)
    assert_array_equal(rows, [[0, 33]] * 33)
    assert_array_equal(columns, 32)


@pytest.mark.parametrize(("shift", "size"), [(1, 5), (3, 5), (4, 5), (5, 5), (9, 5)])
def test_score_of_a_displaced_line_is_the_overlap_of_neighbourhoods(shift, size):
    # Neighbourhoods of n points see a line of one point n times: FSS = 1 - shift / n until 0.
    candidate, reference = np.zeros((2, *FLAT.shape), bool)
    reference[:, 5], candidate[:, 5 + shift] = True, True
    sums = squared_fractions(
        candidate, reference, FLAT, (size - 1 + 0.5) * STEP, RADIUS, parts(FLAT)
    )
    assert_allclose(skill(*sums), max(0.0, 1 - shift / size), atol=1e-6)


def test_random_events_score_their_frequency_at_points():
    # Independent events of frequency p: <(F_f - F_r)^2> = 2 p (1 - p), <F^2> = p each; FSS = p.
    grid = make_grid("gauss", 96)
    rng = np.random.default_rng(3)
    candidate, reference = rng.random((2, *grid.shape)) < 0.3
    sums = squared_fractions(candidate, reference, grid, 0.0, RADIUS, parts(grid))
    assert_allclose(skill(*sums), 0.3, atol=0.02)  # 18432 points: three standard errors


def test_score_of_large_neighbourhoods_hardly_depends_on_the_step_of_their_centres(monkeypatch):
    grid = make_grid("driscoll-healy", 96)  # 1.9 degrees: ten rows in 2000 km
    rng = np.random.default_rng(4)
    waves = np.sin(np.radians(5 * grid.longitude)) * np.cos(np.radians(grid.latitude))[:, None]
    candidate, reference = waves + 0.5 * rng.standard_normal((2, *grid.shape)) > 0.6
    sums = []
    for centres in (4, 1000):
        monkeypatch.setattr("evaluation.scores.structure.CENTRES", centres)
        sums.append(squared_fractions(candidate, reference, grid, 2000.0, RADIUS, parts(grid)))
    assert (sums[0] != sums[1]).any()
    assert_allclose(*sums, rtol=0.03)  # both are means over the area
    assert_allclose(skill(*sums[0]), skill(*sums[1]), rtol=0, atol=2e-3)


def test_ssim_is_that_of_patches_in_blocks_of_rows():
    grid = make_grid("gauss", 96)
    a, b = np.random.default_rng(4).normal(size=(2, *grid.shape)).astype(np.float32)
    rows = np.full((1, 96), 1 / 96)
    b.flat[0], b.flat[1] = 2 * a.max(), 2 * a.min()  # the range of the pair is that of b
    expected = ssim(a[None, ..., None], b[None, ..., None], rows)[0]
    assert_allclose(similarity(a, b, periodic=False).mean(), expected, rtol=1e-6)
    assert similarity(a, b, periodic=True).shape == (86, 192)


def test_scores_are_those_of_the_statistic_at_each_time():
    common = setting(GRID, quantiles=[0.9], neighbourhoods=[1000.0], values="value")
    fields = random_fields(GRID, 2)
    soft = blurred(fields)
    result = accumulate(STATISTIC, common, soft, fields).result().sel(region="globe")
    assert_allclose(scores.ssim(soft, fields, grid=GRID), result.ssim, rtol=1e-12)
    assert_allclose(scores.psnr(soft, fields, grid=GRID), result.psnr, rtol=1e-12)
    for step, channel in np.ndindex(2, 2):
        a, b = soft[step, channel], fields[step, channel]
        (threshold,) = area_quantiles(b, GRID.area_weights[:, 0], np.array([0.9]))
        found = scores.fss(a, b, 1000.0, threshold=threshold, grid=GRID)
        assert_allclose(found, result.fss[step, channel], rtol=1e-12)


def test_events_of_several_times_are_pooled_before_the_ratio():
    a, b = np.zeros((2, 2, *GRID.shape))
    a[0], b[0] = 1.0, 1.0  # everywhere, at one time; a[1] has events at one place, b[1] none
    a[1, 16, 5] = 1.0
    share = GRID.area_weights[16, 0]
    found = scores.fss(a, b, 0.0, threshold=0.5, grid=GRID, pool=(0,))
    assert_allclose(found, 1 - share / (2 + share), rtol=1e-12)
    assert_allclose(scores.fss(a, b, 0.0, threshold=0.5, grid=GRID), [1.0, 0.0], atol=1e-12)


def test_peaks_are_those_of_the_second_field():
    a = np.zeros(GRID.shape)
    b = np.ones(GRID.shape)
    b[3, 4] = 11.0
    error = 1.0 + GRID.area_weights[3, 0] * (11.0**2 - 1)
    assert_allclose(scores.psnr(a, b, grid=GRID), 10 * np.log10(10.0**2 / error), rtol=1e-12)
