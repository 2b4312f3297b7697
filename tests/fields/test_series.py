import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

from atmodist.fields.archive import DIVERGENCE, VORTICITY, Archive, Channel
from atmodist.fields.grid import make_grid
from atmodist.fields.series import FieldSeries, after, matched, open_series
from tests.metric.encoders import made_normalization
from tests.pairs.archives import STEP, hourly, write_archive


def series(seconds, dated=True):
    seconds = np.asarray(seconds) * STEP
    return FieldSeries(
        "f.h5", make_grid("regular", 5), tuple(map(str, seconds)), dated,
        seconds if dated else None, lambda step: None,
    )  # fmt: skip


def test_dated_fields_are_matched_by_date_and_others_by_number():
    assert matched(series([0, 1, 2, 5]), series([1, 2, 3, 5])) == [(1, 0), (2, 1), (3, 3)]
    assert matched(series([0, 1], dated=False), series([7, 8])) == [(0, 0), (1, 1)]
    assert matched(series([9]), series([1, 2])) == [(0, 0), (0, 1)]
    assert matched(series([1, 2]), series([9])) == [(0, 0), (1, 0)]
    with pytest.raises(ValueError, match=r"has 2 fields and f\.h5 3, and without dates"):
        matched(series([0, 1], dated=False), series([0, 1, 2]))
    with pytest.raises(ValueError, match="no time in common"):
        matched(series([0, 1]), series([2, 3]))


def test_a_lag_does_not_reach_across_holes():
    assert after(series([0, 1, 2, 5, 6]), 1) == [(0, 1), (1, 2), (3, 4)]
    assert after(series([0, 1, 2, 5, 6], dated=False), 2) == [(0, 2), (1, 3), (2, 4)]
    with pytest.raises(ValueError, match="5 fields, of which none are 3 time steps apart"):
        after(series([0, 1, 2, 8, 9]), 3)


def test_channels_come_in_the_order_of_the_normalisation(tmp_path):
    extra = Channel("temperature", "K")
    path = write_archive(
        tmp_path / "a.h5", seconds=hourly(2), channels=(VORTICITY, extra, DIVERGENCE)
    )
    plain = write_archive(tmp_path / "b.h5", seconds=hourly(2), channels=(VORTICITY,))
    normalization = made_normalization()
    with open_series(path, normalization.described_channels) as found, Archive(path) as archive:
        assert_array_equal(found.read(1), archive.read(1)[[2, 0]])
    with (
        pytest.raises(ValueError, match=r"b\.h5 lacks divergence; it has vorticity"),
        open_series(plain, normalization.described_channels),
    ):
        pass


def test_wrong_units_are_refused(tmp_path):
    wrong = Channel("vorticity", "1e-5 s-1")
    path = write_archive(tmp_path / "a.h5", seconds=hourly(2), channels=(DIVERGENCE, wrong))
    with (
        pytest.raises(ValueError, match="vorticity is in '1e-5 s-1'"),
        open_series(path, made_normalization().described_channels),
    ):
        pass


@pytest.mark.parametrize("beside", [{}, {"time": np.datetime64("2018-10-14", "ns")}])
def test_one_field_has_the_time_that_it_is_valid_at(tmp_path, beside):
    grid = make_grid("regular", 5)
    coordinates = {"latitude": grid.latitude, "longitude": grid.longitude}
    coordinates |= {"valid_time": np.datetime64("2018-10-15T12", "ns"), **beside}
    variable = (("latitude", "longitude"), np.ones(grid.shape, np.float32))
    dataset = xr.Dataset({"vorticity": variable}, coordinates)
    dataset.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with open_series(
        tmp_path / "a.nc", made_normalization(("vorticity",)).described_channels
    ) as found:
        assert found.times == ("2018-10-15T12:00:00",)
        assert found.is_dated


@pytest.mark.parametrize("calendar", ["standard", "noleap"])
def test_netcdf_tells_channels_times_and_calendar(tmp_path, calendar):
    grid = make_grid("regular", 5)
    shape = ("time", "latitude", "longitude")
    variable = xr.DataArray(np.ones((2, *grid.shape), np.float32), dims=shape)
    coordinates = {"latitude": grid.latitude, "longitude": grid.longitude, "time": [59, 60]}
    dataset = xr.Dataset({"vorticity": variable}, coords=coordinates)
    dataset["time"].attrs = {"units": "days since 1972-01-01", "calendar": calendar}
    dataset.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with open_series(
        tmp_path / "a.nc", made_normalization(("vorticity",)).described_channels
    ) as found:
        assert found.channels == (VORTICITY,)
        day = {"standard": "1972-02-29", "noleap": "1972-03-01"}[calendar]
        assert found.time.isoformat(0).startswith(day)
        assert found.times[0].startswith(day)
        assert found.time.step == 86_400
