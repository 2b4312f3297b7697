import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter

from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from atmodist.metric.pixel_measures import SSIM_RADIUS
from evaluation.contract.statistic import Sample
from evaluation.numerics.setting import GLOBE, Region, Setting
from evaluation.scores.structure import area_quantiles, similarity
from evaluation.statistics.structure import STATISTIC

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


def test_score_over_the_date_line_is_that_of_rolled_fields():
    (a,), (b,) = made(number=1), made(number=1, seed=1)
    its = [accumulated([np.roll(a, k, -1)], [np.roll(b, k, -1)]).result() for k in (0, 11)]
    for name in ("fss", "ssim", "psnr"):
        assert_allclose(its[0][name][0, 0], its[1][name][0, 0], rtol=1e-6)
    assert_allclose(its[0].fss_by_scale[:, :, 0], its[1].fss_by_scale[:, :, 0], rtol=1e-9)


def test_identical_fields_are_perfect():
    fields = made()
    result = accumulated(fields, fields).result()
    assert_array_equal(result.fss, 1.0)
    assert_array_equal(result.fss_by_scale, 1.0)
    assert_allclose(result.ssim, 1.0, rtol=1e-12)
    assert np.isposinf(result.psnr.values).all()
    assert result.fss.dims == ("time", "region", "channel")


def test_steps_with_a_constant_reference_have_neither_ssim_nor_psnr():
    references = made(number=3)
    references[0, 0] = 2e-5
    candidates = references + made(number=3, seed=1)
    candidates[0, 0] = references[0, 0]  # though it is equal
    result = accumulated(candidates, references).result()
    for name in ("ssim", "psnr"):
        assert np.isnan(result[name][0, :, 0]).all()
        assert np.isfinite(result[name][0, :, 1]).all()
        assert np.isfinite(result[name][1:]).all()


def test_fields_without_events_are_perfect_too():
    flat = np.full((1, 2, *GRID.shape), 3.0, np.float32)
    result = accumulated(flat, flat).result()
    assert_array_equal(result.fss, 1.0)
    assert np.isnan(result.ssim).all()  # without a range of values


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


def test_events_and_peaks_are_those_of_the_reference():
    (field,) = made(number=1).astype(np.float64)
    its = setting(quantiles=[0.9], neighbourhoods=[0.0])
    result = accumulated([3 * field], [field], its).result()
    weights = GRID.area_weights
    for channel in range(2):
        x = field[channel]
        error = (4 * x**2 * weights).sum()
        assert_allclose(result.psnr[0, 0, channel], 10 * np.log10(np.ptp(x) ** 2 / error))
        threshold = area_quantiles(np.abs(x), weights[:, 0], np.array([0.9]))
        share, common = (((k * np.abs(x) > threshold) * weights).sum() for k in (3, 1))
        # at points, events of the reference are among the candidate's: FSS = 2 common / (sum)
        assert_allclose(result.fss[0, 0, channel], 2 * common / (share + common), rtol=1e-9)
    ssims = [accumulated([a], [b], its).result().ssim for a, b in ((3 * field, field),) * 2]
    exchanged = accumulated([field], [3 * field], its).result().ssim
    assert_array_equal(*ssims)
    expected = [similarity(3 * x, x, True) for x in field]
    weights = weights[SSIM_RADIUS:-SSIM_RADIUS]
    means = [(m * weights).sum() / weights.sum() / GRID.shape[1] for m in expected]
    assert_allclose(ssims[0][0, 0], means, rtol=1e-9)
    assert (np.abs(exchanged - ssims[0]) > 1e-6).all()  # so that it matters who is who
