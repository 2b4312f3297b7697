import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation.contract.statistic import Sample
from evaluation.drawing import plotting
from evaluation.numerics.setting import GLOBE, REFERENCE, Region, Setting
from evaluation.numerics.spherical import degrees, random_modal, synthesis
from evaluation.statistics.power_spectrum import STATISTIC

CHANNELS = (DIVERGENCE, VORTICITY)
GRID = make_grid("gauss", 64)
REGIONS = {
    GLOBE: None,
    "pacific": Region(south=-30, north=30, west=140, east=-100),
    "point": Region(south=0, north=3, west=0, east=3),
}
POWER = np.r_[0.0, (1 + np.arange(1, 64) / 10) ** -3.0]


def setting(grid=GRID, regions=REGIONS, channels=CHANNELS, **options):
    return Setting(grid=grid, channels=channels, regions=regions, options=options)


def accumulated(candidate, reference, shared, first=0):
    accumulator = STATISTIC.accumulator(shared)
    for step, (one, other) in enumerate(zip(candidate, reference, strict=True), first):
        one = other if candidate is reference else one
        accumulator.update(
            Sample(setting=shared, candidate=one, reference=other, seconds=3600 * step)
        )
    return accumulator


def modal_series(num_steps=3, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([[random_modal(POWER, rng) for _ in CHANNELS] for _ in range(num_steps)])


@pytest.fixture(scope="module")
def truth():
    return synthesis(modal_series(), GRID)


def test_spectrum_of_a_synthesised_field_is_recovered(truth):
    result = accumulated(truth, truth, setting()).result()
    assert_allclose(result.power_spectrum[:, 1:], np.stack([POWER[1:]] * 2), rtol=1e-11)
    assert result.power_spread.max() < 1e-7 * POWER.max()  # the same each time
    assert_allclose(result.total_power.sel(region=GLOBE), POWER.sum(), rtol=1e-12)
    assert_allclose(result.wavelength[1], 2 * np.pi * EARTH_RADIUS / np.sqrt(2))


def test_the_identical_candidate_is_perfect(truth):
    result = accumulated(truth, truth.copy(), setting()).result()
    assert_allclose(result.power_ratio[:, 1:], 1.0)
    assert_allclose(result.effective_degree.sel(region=GLOBE), 63)
    assert_allclose(result.step_degree.sel(region=GLOBE), 63)
    for region in (GLOBE, "pacific"):
        assert_allclose(result.level_difference.sel(region=region), 0.0)
    assert_allclose(result.window_ratio.sel(region="pacific").dropna("ring"), 1.0)


def test_blur_loses_power_and_resolution_on_the_globe_and_in_regions(truth):
    half = 24.5  # where half of the power is left
    loss = np.exp(-np.log(2) / 2 * (degrees(63) / half) ** 2)
    blurred = synthesis(modal_series() * loss, GRID)
    result = accumulated(blurred, truth, setting(side=6000.0)).result()
    assert_allclose(result.effective_degree.sel(region=GLOBE), half, atol=0.05)
    assert_allclose(result.step_degree.sel(region=GLOBE), half, atol=0.05)
    length = 2 * np.pi * EARTH_RADIUS / 1000 / half
    assert_allclose(result.effective_wavelength.sel(region=GLOBE), length, rtol=0.03)
    # rings are 1 / 6000 km wide: this lies between the third and the fourth
    assert_allclose(result.effective_wavelength.sel(region="pacific"), length, rtol=0.15)
    for region in (GLOBE, "pacific"):
        assert (result.level_difference.sel(region=region) > 1).all()
    assert (result.total_power.sel(region=GLOBE) < POWER.sum()).all()


def test_noise_does_not_pass_as_resolution_without_being_noticed(truth):
    gain = np.where(degrees(63) > 40, 2.0, 1.0)
    result = accumulated(synthesis(modal_series() * gain, GRID), truth, setting()).result()
    assert_allclose(result.effective_degree.sel(region=GLOBE), 63)
    expected = 10 * np.log10(4) * np.sqrt(23 / 63)
    assert_allclose(result.level_difference.sel(region=GLOBE), expected, rtol=1e-9)


def test_one_chance_step_does_not_decide_the_resolution():
    loss = np.exp(-np.log(2) / 2 * (degrees(63) / 24.5) ** 2)
    modal = modal_series(num_steps=8)
    truth, blurred = synthesis(modal, GRID), synthesis(modal * loss, GRID)
    blurred[3] *= 0.5  # of this step all scales count as lost, from degree 1 on
    result = accumulated(blurred, truth, setting()).result().sel(region=GLOBE)
    assert (result.step_degree[3] < 2).all()
    assert (result.effective_degree > 20).all()
    expected = 2 * np.pi * EARTH_RADIUS / 1000 / np.sqrt(24.5 * 25.5)
    assert (result.effective_wavelength < 1.2 * expected).all()  # a mean of steps says 4 times that


def test_the_resolution_has_an_interval_that_narrows_with_the_number_of_steps():
    rng = np.random.default_rng(3)
    widths = []
    for num_steps in (16, 64):
        modal = modal_series(num_steps=num_steps)
        half = rng.normal(24.5, 4.0, num_steps)  # the blur differs from step to step
        loss = np.exp(-np.log(2) / 2 * (degrees(63) / half[:, None, None]) ** 2)
        truth, blurred = synthesis(modal, GRID), synthesis(modal * loss, GRID)
        regions = {GLOBE: None}
        result = accumulated(blurred, truth, setting(regions=regions)).result().sel(region=GLOBE)
        low, high = result.effective_wavelength_low, result.effective_wavelength_high
        assert (low < result.effective_wavelength).all()
        assert (result.effective_wavelength < high).all()
        widths.append(float((high - low).mean()))
    assert widths[1] < 0.75 * widths[0]


def test_too_few_steps_have_no_interval(truth):
    result = accumulated(truth, truth.copy(), setting()).result()
    assert np.isnan(result.effective_wavelength_low).all()


@pytest.mark.parametrize("precision", ["float32", "16 bits"])
def test_rounding_of_files_is_no_power_of_small_scales(precision):
    steep = np.r_[0.0, np.arange(1, 64) ** -9.0]
    rng = np.random.default_rng(0)
    modal = np.stack([[random_modal(steep, rng) for _ in CHANNELS] for _ in range(2)])
    truth = 5500.0 + 100.0 * synthesis(modal, GRID)  # as geopotential heights
    if precision == "float32":
        rounded = truth.astype(np.float32).astype(np.float64)
    else:
        step = np.ptp(truth) / 2**16
        rounded = np.round(truth / step) * step
    result = accumulated(rounded, truth, setting()).result().sel(region=GLOBE)
    assert_allclose(result.small_scale_level, 0.0, atol=0.1)
    assert_allclose(result.level_difference, 0.0, atol=0.2)
    assert_allclose(result.effective_degree, 63)
    back = accumulated(truth, rounded, setting()).result().sel(region=GLOBE)
    assert_allclose(back.effective_degree, 63)


def test_power_above_the_precision_of_files_still_counts():
    flat = np.r_[0.0, np.full(63, 1.0)]
    flat[32:] = 1e-5  # of the power of large scales, far above that of rounding
    rng = np.random.default_rng(0)
    modal = np.stack([[random_modal(flat, rng) for _ in CHANNELS]])
    cut = np.where(degrees(63) > 31, 0.0, 1.0)
    result = accumulated(synthesis(modal * cut, GRID), synthesis(modal, GRID), setting()).result()
    assert (result.small_scale_level.sel(region=GLOBE) < -20).all()
    assert_allclose(result.effective_degree.sel(region=GLOBE), 31.5, atol=0.5)


def test_turning_both_fields_in_longitude_changes_nothing_global(truth):
    turned = accumulated(np.roll(truth, 11, -1), truth, setting()).result()
    assert_allclose(turned.power_ratio[:, 1:], 1.0, rtol=1e-9)


def test_parts_merge_to_the_whole(truth):
    shared = setting()
    whole = accumulated(0.5 * truth, truth, shared)
    part = accumulated(0.5 * truth[:1], truth[:1], shared)
    later = STATISTIC.accumulator(shared)
    later.restore(accumulated(0.5 * truth[1:], truth[1:], shared, first=1).arrays())
    part.merge(later)
    for name, values in whole.result().variables.items():
        found = part.result()[name].values
        if values.dtype.kind == "f":
            assert_allclose(found, values, rtol=1e-10, atol=1e-8, err_msg=name)
        else:
            assert (found == values.values).all()
    assert_allclose(whole.result().power_ratio[:, 1:], 0.25)


def test_the_reference_by_itself_is_transformed_once(truth, monkeypatch):
    from evaluation.numerics import spherical

    calls = []
    analysis = spherical.analysis
    monkeypatch.setattr(spherical, "analysis", lambda *a: calls.append(1) or analysis(*a))
    accumulated(truth, truth, setting())
    assert len(calls) == len(truth)


def test_a_grid_that_is_no_sphere_has_spectra_of_itself_and_small_regions_none():
    grid = Grid(np.linspace(70, 30, 81), np.linspace(-20, 60, 161))
    regions = {GLOBE: None, "point": Region(south=50, north=51, west=0, east=1)}
    field = np.random.default_rng(1).normal(size=(4, 2, *grid.shape)).astype(np.float32)
    result = accumulated(field, field, setting(grid, regions)).result()
    assert "power_spectrum" not in result
    assert_allclose(result.effective_degree.sel(region="point"), np.nan)
    assert np.isnan(result.window_spectrum.sel(region="point")).all()
    assert np.isnan(result.total_power.sel(region="point")).all()
    # white noise: power per area of wavenumbers is variance times area of a cell
    found = result.window_spectrum.sel(region=GLOBE) / (2 * np.pi * result.wavenumber[0])
    height = 0.5 * np.pi * EARTH_RADIUS / 180e3
    flat = height**2 * np.cos(np.radians(50.0))
    assert_allclose(found.mean(), flat, rtol=0.05)


def test_numbers_say_what_they_are(truth):
    result = accumulated(truth, truth, setting(slope=[20, 60])).result()
    for name, values in result.data_vars.items():
        assert {"long_name", "units"} <= set(values.attrs), name
        scalar = set(values.dims) <= {"time", "region", "channel"}
        assert ("better" in values.attrs) == scalar or name.endswith(("_low", "_high")), name
    assert result.power_spectrum.units == "s-2"
    assert -3 < result.spectral_slope[0] < -2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 3}, "power_spectrum has no option 'window'; it has side, slope, taper, thr"),
        ({"threshold": "half"}, "`threshold` must lie between 0 and 1; got 'half'"),
        ({"slope": [30, 20]}, r"`slope` must be two increasing degrees above 0; got \[30, 20\]"),
        ({"side": -1}, "`side` must be a positive number of km; got -1"),
        ({"taper": "box"}, "`taper` must be 'hann', 'tukey' or 'none'; got 'box'"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        STATISTIC.accumulator(setting(**options))


def test_pictures_can_be_drawn_even_of_nothing(truth, tmp_path):
    import xarray as xr

    parts = [accumulated(f, truth, setting()).result() for f in (truth, 0.3 * truth, 0 * truth)]
    result = xr.concat(parts, dim=xr.IndexVariable("candidate", [REFERENCE, "weak", "none"]))
    with plotting.style():
        pictures = list(STATISTIC.draw(result))
    assert sorted(picture.name for picture in pictures) == [
        "power_spectrum_globe_divergence",
        "power_spectrum_globe_vorticity",
        "power_spectrum_pacific_divergence",
        "power_spectrum_pacific_vorticity",
    ]
    pictures[1].figure.savefig(tmp_path / "a.png", dpi=40)


def test_power_and_its_loss_are_the_candidates(truth):
    own, half, twice = (accumulated(k * truth, truth, setting()).result() for k in (1.0, 0.5, 2.0))
    assert_allclose(half.power_spectrum, own.power_spectrum / 4, rtol=1e-9)
    assert_allclose(half.total_power, own.total_power / 4, rtol=1e-9)
    assert_allclose(half.power_ratio, 1 / 4, rtol=1e-9)
    assert_allclose(half.window_spectrum, own.window_spectrum / 4, rtol=1e-9)
    levels = half.small_scale_level.sel(region=[GLOBE, "pacific"])
    assert_allclose(levels, 10 * np.log10(1 / 4), rtol=1e-9)
    # all is lost, from the largest scale on; of a candidate with twice the amplitude nothing is
    assert (half.effective_degree.sel(region=GLOBE) < 2).all()
    globe = twice.effective_degree.sel(region=GLOBE)
    assert (globe == own.effective_degree.sel(region=GLOBE)).all()
    for region, shortening in ((GLOBE, 40), ("pacific", 2)):
        lost, kept = (x.effective_wavelength.sel(region=region) for x in (half, twice))
        assert (lost > shortening * kept).all()
