import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

from atmodist.fields.archive import Archive
from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
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


# --- what labelled files say ----------------------------------------------------------------------

GRID = make_grid("regular", 5)
HOURS = {"units": "hours since 2020-01-01", "standard_name": "time"}


def labelled_file(tmp_path, dims, sizes, *, values=None, attributes=None, encoding=None, **coords):
    shape = (*sizes, *GRID.shape)
    if values is None:
        values = np.arange(np.prod(shape)).reshape(shape) * 1e-9
    variable = ((*dims, "latitude", "longitude"), values.astype("f4"), attributes or {})
    dataset = xr.Dataset(
        {"vorticity": variable},
        {"latitude": GRID.latitude, "longitude": GRID.longitude, **coords},
    )
    encoding = {"vorticity": {"_FillValue": None, **(encoding or {})}}
    dataset.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", encoding=encoding)
    return tmp_path / "a.nc", values.astype("f4")


def opened(path, **options):
    return open_series(path, (VORTICITY,), **options)


def test_a_lead_is_added_to_a_start_and_a_note_says_so(tmp_path):
    path, values = labelled_file(
        tmp_path, ("time",), (3,), time=("time", [0, 6, 12], HOURS),
        prediction_timedelta=((), 24, {"units": "hours"}),
    )  # fmt: skip
    with opened(path) as found:
        assert found.times[0] == "2020-01-02T00:00:00"
        assert "prediction_timedelta is added" in found.notes[0]
        assert_array_equal(found.read(2)[0], values[2])


@pytest.mark.parametrize("order", [1, -1])
def test_one_lead_or_one_start_is_a_series_and_both_are_refused(tmp_path, order):
    starts = {"units": "hours since 2020-01-01", "standard_name": "forecast_reference_time"}
    leads = {"units": "hours", "standard_name": "forecast_period"}
    for times, steps in (([0], [6, 12]), ([0, 6], [12])):
        dims, sizes = ("time", "step")[::order], (len(times), len(steps))[::order]
        coords = {"time": ("time", times, starts), "step": ("step", steps, leads)}
        path, values = labelled_file(tmp_path, dims, sizes, **coords)
        with opened(path) as found:
            expected = 6 if len(steps) > 1 else 12
            assert found.times[0] == f"2020-01-01T{expected:02d}:00:00"
            assert_array_equal(found.read(1)[0], values.reshape(2, *GRID.shape)[1])
    coords = {"time": ("time", [0, 6], starts), "step": ("step", [6, 12], leads)}
    path, _ = labelled_file(tmp_path, ("time", "step"), (2, 2), **coords)
    with (
        pytest.raises(ValueError, match=r"several starts .* and several lead times \(2 of time"),
        opened(path),
    ):
        pass


def test_several_leads_of_one_valid_time_are_refused(tmp_path):
    path, _ = labelled_file(
        tmp_path, ("period",), (2,), time=((), 12, HOURS),
        period=("period", [6, 12], {"units": "hours", "standard_name": "forecast_period"}),
    )  # fmt: skip
    with (
        pytest.raises(ValueError, match=r"2 lead times of each valid time: select one"),
        opened(path),
    ):
        pass


def test_members_are_chosen_or_taken_apart_but_never_times(tmp_path):
    path, values = labelled_file(
        tmp_path, ("time", "number"), (2, 3), number=("number", [5, 6, 7]),
        time=("time", [0, 6], HOURS),
    )  # fmt: skip
    with (
        pytest.raises(ValueError, match=r"3 members of an ensemble \(5, 6, 7\), of which one"),
        opened(path),
    ):
        pass
    with opened(path, member=6) as found:
        assert len(found) == 2
        assert_array_equal(found.read(1)[0], values[1, 1])
    with opened(path, ensemble=True) as found:
        assert found.members == (5, 6, 7)
        parts = found.by_member()
        assert_array_equal([p.read(1)[0] for p in parts], values[1])
    with pytest.raises(ValueError, match=r"no member 4; there are 5, 6, 7"), opened(path, member=4):
        pass


def test_one_member_needs_no_choice(tmp_path):
    path, _ = labelled_file(
        tmp_path, ("number",), (1,), number=("number", [3]), time=((), 0, HOURS)
    )
    with opened(path) as found:
        assert (len(found), found.members) == (1, ())


def test_levels_are_no_times_and_one_must_be_selected(tmp_path):
    path, _ = labelled_file(
        tmp_path, ("isobaric3",), (2,),
        isobaric3=("isobaric3", [50000.0, 85000.0], {"units": "Pa", "positive": "down"}),
    )  # fmt: skip
    with (
        pytest.raises(ValueError, match=r"2 levels \(500 hPa, 850 hPa\), of which one"),
        opened(path),
    ):
        pass


def test_values_that_are_marked_are_missing_whoever_marked_them(tmp_path):
    values = np.zeros((2, *GRID.shape))
    values[1, 0, 0], values[1, 0, 1], values[1, 0, 2] = 9.969209968386869e36, 1e20, 0.9
    attributes = {"missing_value": 1e20, "valid_max": np.float32(0.5)}
    path, _ = labelled_file(
        tmp_path, ("time",), (2,), values=values, attributes=attributes,
        time=("time", [0, 6], HOURS),
    )  # fmt: skip
    with opened(path) as found:
        assert np.isnan(found.read(1)).sum() == 3
        assert not np.isnan(found.read(0)).any()


def test_values_that_no_atmosphere_has_are_refused_unless_asked_for(tmp_path):
    values = np.zeros((1, *GRID.shape))
    values[0, 1, 1] = 1e30
    path, _ = labelled_file(tmp_path, ("time",), (1,), values=values, time=("time", [0], HOURS))
    with opened(path) as found, pytest.raises(ValueError, match=r"1 of \d+ .*beyond 1 s-1.*1e\+30"):
        found.read(0)
    with opened(path, unusual_values=True) as found:
        assert found.read(0).max() == np.float32(1e30)


def test_a_gap_in_longitude_is_refused(tmp_path):
    path, _ = labelled_file(tmp_path, ("time",), (1,), time=("time", [0], HOURS))
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        dataset.isel(longitude=[0, 1, 2, 5, 6]).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    with (
        pytest.raises(ValueError, match=r"gap from 90E to 225E, where points are 45 degrees"),
        opened(tmp_path / "b.nc"),
    ):
        pass


def test_a_lost_part_of_virtual_netcdf_is_named(tmp_path):
    path, _ = labelled_file(tmp_path, ("time",), (2,), time=("time", [0, 6], HOURS))
    path.rename(tmp_path / "part.nc")
    with h5py.File(tmp_path / "part.nc") as part, h5py.File(tmp_path / "v.nc", "w") as file:
        for name in ("time", "latitude", "longitude"):
            part.copy(name, file)
        layout = h5py.VirtualLayout((2, *GRID.shape), "f4")
        layout[:] = h5py.VirtualSource("part.nc", "vorticity", (2, *GRID.shape))
        joined = file.create_virtual_dataset("vorticity", layout)
        for axis, name in enumerate(("time", "latitude", "longitude")):
            joined.dims[axis].attach_scale(file[name])
    with opened(tmp_path / "v.nc") as found:
        assert found.read(1).any()
    with h5py.File(tmp_path / "part.nc", "r+") as part:
        del part["vorticity"]
    with (
        pytest.raises(ValueError, match=r"v\.nc joins files, and part\.nc lacks vorticity"),
        opened(tmp_path / "v.nc"),
    ):
        pass
    (tmp_path / "part.nc").unlink()
    with (
        pytest.raises(ValueError, match=r"v\.nc joins files, and part\.nc is missing"),
        opened(tmp_path / "v.nc"),
    ):
        pass


# --- small files of other makers ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count", "first", "hours"),
    [
        ("20_truth.nc", 20, "2020-01-01T00:00:00", 6),
        ("20_forecast_init_time.nc", 16, "2020-01-02T00:00:00", 6),
        ("21_times_a_hair_early.nc", 20, "2020-01-01T00:00:00", 6),
    ],
)
def test_times_of_sample_files(sample_data, name, count, first, hours):
    with opened(sample_data / "failing_cases" / name) as found:
        assert (len(found), found.times[0], found.time.step) == (count, first, 3600 * hours)
        assert len(found.time.segments()) == 1


def test_members_of_sample_files_are_refused(sample_data):
    for name in ("23_members_ref.nc", "23_members_cand.nc"):
        with (
            pytest.raises(ValueError, match=r"4 members of an ensemble \(0, 1, 2, 3\)"),
            opened(sample_data / "failing_cases" / name),
        ):
            pass
