import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation import scores
from evaluation.numerics.setting import GLOBE
from evaluation.numerics.spherical import wavelength
from evaluation.statistics import STATISTICS
from tests.evaluation.fields import accumulate, blurred, random_fields, setting

GRID = make_grid("gauss", 24)


def test_power_sums_to_the_mean_square_and_lies_where_it_belongs():
    phi, lam = np.radians(GRID.latitude)[:, None], np.radians(GRID.longitude)
    field = 3 * np.cos(phi) ** 2 * np.cos(2 * lam)  # degree 2 alone
    power = scores.power_spectrum(field, grid=GRID)
    assert_allclose(power[2], 9 * 0.5 * 8 / 15, rtol=1e-12)  # mean of cos^4 is 8/15
    assert np.delete(power, 2).max() < 1e-20
    with pytest.raises(ValueError, match="need a global grid"):
        scores.power_spectrum(field[:9], grid=Grid(GRID.latitude[:9], GRID.longitude))


def test_energy_of_solid_body_rotation_is_a_third_of_the_square_of_its_speed():
    speed = 20.0
    vorticity = 2 * speed / EARTH_RADIUS * np.sin(np.radians(GRID.latitude))[:, None]
    vorticity = np.broadcast_to(vorticity, GRID.shape)
    nothing = np.zeros(GRID.shape)
    for pair in ((vorticity, nothing), (nothing, vorticity)):
        energy = scores.energy_spectrum(*pair, grid=GRID)
        assert_allclose(energy[1], speed**2 / 3, rtol=1e-12)
        assert_allclose(energy.sum(), speed**2 / 3, rtol=1e-12)


def test_spectra_are_those_of_the_statistics():
    common = setting(GRID, {GLOBE: None})
    fields = random_fields(GRID, 2)
    soft = blurred(fields)
    result = accumulate(STATISTICS["power_spectrum"], common, soft, fields).result()
    power, expected = (scores.power_spectrum(x, grid=GRID) for x in (soft, fields))
    assert_allclose(power.mean(0), result.power_spectrum, rtol=1e-9)
    levels = scores.level_difference(power, expected)
    assert_allclose(levels, result.level_difference[:, 0], rtol=1e-9)
    resolved = scores.effective_resolution(power.mean(0), expected.mean(0))
    assert_allclose(resolved, result.effective_wavelength[0], rtol=1e-9)
    result = accumulate(STATISTICS["kinetic_energy"], common, soft, fields).result()
    energy = scores.energy_spectrum(soft[:, 1], soft[:, 0], grid=GRID)
    assert_allclose(energy.mean(0), result.energy_spectrum.sel(part="total"), rtol=1e-9)


def test_degrees_are_a_dimension_of_labelled_spectra():
    fields = random_fields(GRID, 2)
    space = {"latitude": GRID.latitude, "longitude": GRID.longitude}
    data = xr.DataArray(
        fields, dims=("time", "channel", *space), coords=space, attrs={"units": "s-1"}
    )
    upside_down = data.isel(latitude=slice(None, None, -1))
    power = scores.power_spectrum(upside_down)
    assert power.dims == ("time", "channel", "degree")
    assert power.attrs["units"] == "s-2"
    assert_allclose(power, scores.power_spectrum(fields, grid=GRID), rtol=1e-6)
    assert_allclose(scores.power_spectrum(data, mean=("time",)), power.mean("time"), rtol=1e-6)
    half = scores.effective_resolution(power.where(power.degree < 12, 0), power)
    # between degrees 11 and 12, where the ratio falls from 1 to 0
    longest, shortest = wavelength(np.array([11, 12]), EARTH_RADIUS / 1e3)
    assert ((half < longest) & (half > shortest)).all()
    assert scores.level_difference(power, power).max() == 0
