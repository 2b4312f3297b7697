import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import make_grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation.numerics.spectra import (
    WindowedSpectrum,
    detrended,
    effective_resolution,
    level_difference,
    ratio_of,
    slope,
    small_scale_level,
)
from evaluation.numerics.spherical import random_modal, synthesis

KM_PER_DEGREE = np.pi * EARTH_RADIUS / 180e3


def window(rows=40, columns=60, *, middle=0.0, step=0.25, **options):
    latitude = middle + step * ((rows - 1) / 2 - np.arange(rows))
    return latitude, step * np.arange(columns), options


def spectrum_of(latitude, longitude, options):
    return WindowedSpectrum(latitude, longitude, **options)


@pytest.mark.parametrize("taper", ["hann", "tukey", "none"])
@pytest.mark.parametrize("shape", [(40, 60), (41, 61), (8, 9)])
def test_rings_sum_to_the_mean_square_of_the_tapered_detrended_window(shape, taper):
    spectrum = spectrum_of(*window(*shape, taper=taper, side=1e5))
    field = np.random.default_rng(0).normal(size=(2, *shape)) + 5.0
    tapers = [
        np.ones(n) if taper == "none" else spectrum._strips[0].taper.mean(axis=1 - i)
        for i, n in enumerate(shape)
    ]
    weight = np.outer(*tapers)
    weight /= np.sqrt(np.mean(weight**2))
    expected = np.mean((detrended(field) * weight) ** 2, axis=(-2, -1))
    assert_allclose(spectrum(field).sum(axis=-1), expected, rtol=1e-12)


@pytest.mark.parametrize("side", [300.0, 700.0, 1e5])
def test_variance_of_noise_is_kept_on_average_whatever_the_tiles(side):
    spectrum = spectrum_of(*window(60, 90, middle=50, side=side))
    fields = np.random.default_rng(1).normal(size=(60, 60, 90))
    # 60 x 5400 values, of which tapers use about a third: 0.4 % of standard error; planes take less
    assert_allclose(spectrum(fields).sum(axis=-1).mean(), 1.0, rtol=0.03)


def test_planes_leave_nothing():
    y, x = np.mgrid[:17, :24]
    assert np.abs(detrended(3.0 - 0.2 * y + 1.7 * x)).max() < 1e-12
    field = np.random.default_rng(2).normal(size=(17, 24))
    assert_allclose(detrended(detrended(field) + 2 * y - x), detrended(field), atol=1e-12)
    wave = detrended(np.sin(y))
    assert abs((wave * y).sum()) < 1e-10


@pytest.mark.parametrize("middle", [0.0, 60.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_wave_has_its_wavenumber_per_km_in_both_directions(middle, axis):
    latitude, longitude, options = window(64, 128, middle=middle, side=1500.0)
    length = 200.0  # km
    north = latitude * KM_PER_DEGREE
    east = longitude * KM_PER_DEGREE * np.cos(np.radians(middle))
    phase = 2 * np.pi * (north[:, None] + 0 * east if axis == 0 else east + 0 * north[:, None])
    spectrum = WindowedSpectrum(latitude, longitude, **options)
    power = spectrum(np.sin(phase / length))
    rings = spectrum.wavenumber
    assert abs((power * rings).sum() / power.sum() * length - 1) < 0.05
    near = np.abs(rings - 1 / length) < 3 / 1500.0
    assert power[near].sum() > 0.98 * power.sum()
    assert_allclose(power.sum(), 0.5, rtol=0.05)


@pytest.mark.parametrize("taper", ["hann", "tukey", "none"])
def test_both_sides_of_a_window_weigh_the_same(taper):
    spectrum = spectrum_of(*window(taper=taper))
    field = np.random.default_rng(3).normal(size=(40, 60))
    assert_allclose(spectrum(field[::-1]), spectrum(field), rtol=1e-9, atol=1e-15)
    assert_allclose(spectrum(field[:, ::-1]), spectrum(field), rtol=1e-9, atol=1e-15)


def test_rings_are_as_wide_as_the_longest_tile_or_the_side_allows():
    tall = WindowedSpectrum(np.arange(20.0, -21.0, -1.0), np.arange(10.0), side=1e5)
    assert_allclose(1 / tall.ring_width, 41 * KM_PER_DEGREE)
    wide = WindowedSpectrum(np.arange(5.0, -6.0, -1.0), np.arange(60.0), side=1e5)
    assert_allclose(1 / wide.ring_width, 60 * KM_PER_DEGREE)
    tiled = WindowedSpectrum(np.arange(20.0, -21.0, -1.0), np.arange(60.0), side=1500.0)
    assert_allclose(1 / tiled.ring_width, 1500.0)


def test_window_may_cross_longitude_zero():
    latitude, longitude, _ = window()
    field = np.random.default_rng(3).normal(size=(40, 60))
    across = (longitude - 5.0) % 360.0
    assert_array_equal(
        WindowedSpectrum(latitude, across)(field), WindowedSpectrum(latitude, longitude)(field)
    )


def test_tiles_cover_every_point_of_the_window():
    spectrum = spectrum_of(*window(50, 75, middle=40, side=350.0))
    seen = np.zeros((50, 75), bool)
    for strip in spectrum._strips:
        for columns in strip.columns:
            seen[np.ix_(strip.rows, columns)] = True
    assert seen.all()
    assert_allclose(sum(strip.area for strip in spectrum._strips), 1.0)


@pytest.mark.parametrize("south", [-15, 35])
def test_spectrum_of_a_field_on_the_sphere_is_recovered_in_a_region(south):
    # Where waves are short against a tile, degree l is wavenumber (l + 1/2) / 2πa.
    grid = make_grid("cell-centred", 360)
    degree = np.arange(181.0)
    power = (1 + (degree / 10) ** 2) ** -1.5
    rng = np.random.default_rng(4)
    fields = np.stack([synthesis(random_modal(power, rng), grid) for _ in range(16)])
    rows = np.flatnonzero((grid.latitude > south) & (grid.latitude < south + 30))
    spectrum = WindowedSpectrum(grid.latitude[rows], grid.longitude[20:140], side=3000.0)
    found = spectrum.density(spectrum(fields[:, rows, 20:140]).mean(axis=0))
    circumference = 2 * np.pi * EARTH_RADIUS / 1000
    expected = np.interp(spectrum.wavenumber * circumference - 0.5, degree, power * circumference)
    rings = slice(6, int(150 / circumference / spectrum.ring_width))  # see the module on the first
    ratio = found[rings] / expected[rings]
    assert len(ratio) >= 5
    smeared = ratio / (1 + 3.5 / np.arange(6, 6 + len(ratio)) ** 2)
    assert abs(smeared.mean() - 1) < 0.04
    assert np.abs(smeared - 1).max() < 0.15  # 16 fields of few tiles: 5 % of standard error


def test_windows_that_are_too_small_or_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"at least 8 x 8 points; got \(7, 20\)"):
        spectrum_of(*window(7, 20))
    with pytest.raises(ValueError, match="'hann', 'tukey' or 'none'; got 'box'"):
        spectrum_of(*window(taper="box"))
    with pytest.raises(ValueError, match=r"must end in \(40, 60\); got shape \(40, 61\)"):
        spectrum_of(*window())(np.zeros((40, 61)))


def test_effective_resolution_finds_where_a_ratio_falls():
    degree = np.arange(1, 101)
    smooth = np.exp(-np.log(2) * (degree / 40.25) ** 2)  # one half at 40.25
    assert_allclose(effective_resolution(smooth, degree), 40.25, atol=0.01)
    assert_allclose(effective_resolution(smooth, degree, 0.25), 40.25 * np.sqrt(2), atol=0.01)
    sharp = np.where(degree <= 30, 1.0, 0.0)
    assert effective_resolution(sharp, degree) == 30.5
    assert effective_resolution(np.ones(100), degree) == 100
    assert effective_resolution(np.zeros(100), degree) == 1


def test_effective_resolution_passes_over_single_degrees_and_takes_many_spectra():
    degree = np.arange(1, 101)
    ratio = np.where(degree <= 60, 1.0, 0.1)
    noisy = ratio.copy()
    noisy[[2, 3, 20, 40]] = 0.2
    found = effective_resolution(np.stack([[ratio, noisy]]), degree)
    assert found.shape == (1, 2)
    assert_allclose(found[0, 1], found[0, 0])
    assert 60 < found[0, 0] < 61
    ratio[0] = 0.2
    assert_allclose(effective_resolution(ratio, degree), found[0, 0])


def test_difference_of_levels_counts_loss_and_invention_alike():
    reference = np.ones((2, 10))
    assert_allclose(level_difference(reference * [[10], [0.1]], reference), 10.0)
    assert level_difference(reference, reference).max() == 0
    assert_allclose(level_difference(0 * reference, reference), 60.0)
    assert_allclose(level_difference(reference, 0 * reference), 60.0)
    assert level_difference(0 * reference, 0 * reference).max() == 0


def test_ratio_where_nothing_is():
    found = ratio_of(np.array([2.0, 0.0, 1.0, np.nan]), np.array([4.0, 0.0, 0.0, np.nan]))
    assert_array_equal(found, [0.5, 1.0, np.inf, np.nan])


def test_slope_of_a_power_law_is_its_exponent():
    degree = np.arange(200.0)
    with np.errstate(divide="ignore"):
        spectra = np.stack([3 * degree**-3, 5e-7 * degree ** (-5 / 3)])
    assert_allclose(slope(spectra, degree, (10, 100)), [-3, -5 / 3])
    with pytest.raises(ValueError, match="no spectrum between 300 and 400"):
        slope(spectra, degree, (300, 400))


def test_level_of_small_scales_has_the_sign_of_what_is_gained_and_is_blind_to_large_scales():
    reference = np.array([9.0, 5.0, 2.0, 1.0])
    assert_allclose(small_scale_level(reference * [7, 0, 0.5, 0.5], reference), -3.0103, atol=1e-4)
    assert_allclose(small_scale_level(reference * [1, 1, 2, 2], reference), 3.0103, atol=1e-4)
    assert_allclose(small_scale_level(0 * reference, reference), -60.0)
    assert small_scale_level(0 * reference, 0 * reference) == 0
