import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter

from atmodist.fields.archive import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from atmodist.metric.pixel_measures import ssim
from evaluation.contract.statistic import Sample
from evaluation.numerics.averages import windows
from evaluation.numerics.setting import GLOBE, Region, Setting
from evaluation.statistics.structure import (
    STATISTIC,
    area_quantiles,
    fraction_rows,
    half_widths,
    similarity,
    skill,
    squared_fractions,
)

GRID = make_grid("regular", 33, 64)
FLAT = Grid(np.linspace(1, -1, 21), np.linspace(10, 12, 21))  # nearly flat: 0.1 degrees each way
RADIUS = 6_371_229.0
STEP = np.radians(0.1) * RADIUS / 1000  # km between points of FLAT
SEAM = Region(south=-30, north=30, west=150, east=-150)


def setting(grid=GRID, **options):
    return Setting(
        grid=grid,
        channels=(DIVERGENCE, VORTICITY),
        regions={GLOBE: None} | ({"pacific": SEAM} if grid is GRID else {}),
        options=options,
    )


def made(grid=GRID, number=2, seed=0):
    return np.random.default_rng(seed).normal(0, 3e-5, (number, 2, *grid.shape)).astype(np.float32)


def accumulated(candidates, references, its=None, first=0):
    its = its or setting()
    sums = STATISTIC.accumulator(its)
    for step, (candidate, reference) in enumerate(zip(candidates, references, strict=True)):
        sums.update(
            Sample(
                setting=its, candidate=candidate, reference=reference, seconds=3600 * (first + step)
            )
        )
    return sums


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
    part = windows(setting(FLAT))
    sums = squared_fractions(candidate, reference, FLAT, (size - 1 + 0.5) * STEP, RADIUS, part)
    assert_allclose(skill(*sums), max(0.0, 1 - shift / size), atol=1e-6)


def test_score_over_the_date_line_is_that_of_rolled_fields():
    (a,), (b,) = made(number=1), made(number=1, seed=1)
    its = [accumulated([np.roll(a, k, -1)], [np.roll(b, k, -1)]).result() for k in (0, 11)]
    for name in ("fss", "ssim", "psnr"):
        assert_allclose(its[0][name][0, 0], its[1][name][0, 0], rtol=1e-6)
    assert_allclose(its[0].fss_by_scale[:, :, 0], its[1].fss_by_scale[:, :, 0], rtol=1e-9)


def test_random_events_score_their_frequency_at_points():
    # Independent events of frequency p: <(F_f - F_r)^2> = 2 p (1 - p), <F^2> = p each; FSS = p.
    grid = make_grid("gauss", 96)
    rng = np.random.default_rng(3)
    candidate, reference = rng.random((2, *grid.shape)) < 0.3
    sums = squared_fractions(candidate, reference, grid, 0.0, RADIUS, windows(setting(grid)))
    assert_allclose(skill(*sums), 0.3, atol=0.02)  # 18432 points: three standard errors


def test_score_of_large_neighbourhoods_hardly_depends_on_the_step_of_their_centres(monkeypatch):
    grid = make_grid("driscoll-healy", 96)  # 1.9 degrees: ten rows in 2000 km
    rng = np.random.default_rng(4)
    waves = np.sin(np.radians(5 * grid.longitude)) * np.cos(np.radians(grid.latitude))[:, None]
    candidate, reference = waves + 0.5 * rng.standard_normal((2, *grid.shape)) > 0.6
    sums = []
    for centres in (4, 1000):
        monkeypatch.setattr("evaluation.statistics.structure.CENTRES", centres)
        parts = windows(setting(grid))
        sums.append(squared_fractions(candidate, reference, grid, 2000.0, RADIUS, parts))
    assert (sums[0] != sums[1]).any()
    assert_allclose(*sums, rtol=0.03)  # both are means over the area
    assert_allclose(skill(*sums[0]), skill(*sums[1]), rtol=0, atol=2e-3)


def test_identical_fields_are_perfect():
    fields = made()
    result = accumulated(fields, fields).result()
    assert_array_equal(result.fss, 1.0)
    assert_array_equal(result.fss_by_scale, 1.0)
    assert_allclose(result.ssim, 1.0, rtol=1e-12)
    assert np.isposinf(result.psnr.values).all()
    assert result.fss.dims == ("time", "region", "channel")


def test_fields_without_events_are_perfect_too():
    flat = np.full((1, 2, *GRID.shape), 3.0, np.float32)
    result = accumulated(flat, flat).result()
    assert_array_equal(result.fss, 1.0)
    assert_allclose(result.ssim, 1.0)


def test_blur_loses_events_and_likeness():
    fields = made()
    blurred = [gaussian_filter(fields, (0, 0, s, s), mode="wrap") for s in (0.3, 0.4, 2.0)]
    results = [accumulated(x, fields).result() for x in blurred]
    for name in ("fss", "ssim", "psnr"):
        means = [float(result[name].mean()) for result in results]
        assert means[0] > means[1] > means[2]
    assert float(results[2].fss.mean()) < 0.1


def test_strong_events_are_of_either_sign_and_large_ones_are_not():
    fields = made()
    signs = [
        accumulated(-fields, fields, setting(values=v)).result() for v in ("magnitude", "value")
    ]
    assert_array_equal(signs[0].fss, 1.0)
    assert float(signs[1].fss.max()) < 0.6


def test_ssim_is_that_of_patches_in_blocks_of_rows():
    grid = make_grid("gauss", 96)
    a, b = np.random.default_rng(4).normal(size=(2, *grid.shape)).astype(np.float32)
    rows = np.full((1, 96), 1 / 96)
    b.flat[0], b.flat[1] = 2 * a.max(), 2 * a.min()  # the range of the pair is that of b
    expected = ssim(a[None, ..., None], b[None, ..., None], rows)[0]
    assert_allclose(similarity(a, b, periodic=False).mean(), expected, rtol=1e-6)
    assert similarity(a, b, periodic=True).shape == (86, 192)


def test_ssim_and_psnr_do_not_depend_on_units():
    a, b = made(seed=5)
    plain, scaled = (accumulated([k * a], [k * b]).result() for k in (1.0, np.float32(1e-10)))
    assert_allclose(plain.ssim, scaled.ssim, rtol=1e-5)
    assert_allclose(plain.psnr, scaled.psnr, rtol=1e-5)


def test_psnr_of_a_constant_error_has_a_closed_form():
    (reference,) = made(number=1)
    spread = reference.max(axis=(1, 2)) - reference.min(axis=(1, 2))
    candidate = reference + 0.01 * spread[:, None, None]
    assert_allclose(accumulated([candidate], [reference]).result().psnr, 40.0, rtol=1e-5)


def test_parts_merge_and_come_back_from_disk():
    a, b = made(number=4), made(number=4, seed=1)
    whole = accumulated(a, b).result()
    first, last = accumulated(a[:2], b[:2]), accumulated(a[2:], b[2:], first=2)
    restored = STATISTIC.accumulator(setting())
    restored.restore(first.arrays())
    restored.merge(last)
    assert whole.identical(restored.result())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantiles": [1.5]}, "between 0 and 1"),
        ({"quantiles": []}, "one or more numbers"),
        ({"neighbourhoods": [-1]}, "sizes in km"),
        ({"values": "odd"}, "'magnitude' or 'value'"),
        ({"scale": 1}, "no option 'scale'"),
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
    pictures = list(STATISTIC.draw(joined))
    assert [picture.name for picture in pictures] == ["fss_divergence", "fss_vorticity"]
