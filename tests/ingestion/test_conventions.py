"""What files say of time, level, member and missing values, from the file to the archive."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from atmodist.fields.archive import Archive
from atmodist.ingestion import pipeline
from atmodist.ingestion.pipeline import IngestConfig, ingest
from tests.ingestion.made_files import GRID, dataset, rotation, seconds, write_grib, write_netcdf

SINCE = {"units": "hours since 2020-01-01", "standard_name": "time"}


def run(tmp_path, *sources, **options):
    output = tmp_path / "out.h5"
    output.unlink(missing_ok=True)
    options = {"compression": "none", "overwrite": True, **options}
    return ingest(IngestConfig(sources=tuple(map(str, sources)), output=str(output), **options))


def hours(summary):
    return ((summary.time.seconds - seconds(0)) / 3600).tolist()


def refused(tmp_path, *sources, match, **options):
    with pytest.raises(ValueError, match=match):
        run(tmp_path, *sources, **options)


def assert_holds_rotation(summary, steps):
    with Archive(summary.path) as archive:
        names = [channel.name for channel in archive.channels]
        for place, step in enumerate(steps):
            vorticity = archive.read(place)[names.index("vorticity")]
            assert_allclose(vorticity, rotation(step)[2], atol=1e-10)


def at_hours(values, **coordinates):
    """Winds of the first steps, at other times."""
    content = dataset(range(len(values))).rename(valid_time="time")
    content = content.assign_coords(time=("time", values, SINCE))
    return content.assign_coords(coordinates)


# --- time -----------------------------------------------------------------------------------------


def test_a_valid_time_with_its_period_is_not_moved_along_an_axis_or_in_many_files(tmp_path):
    period = {"units": "hours", "standard_name": "forecast_period"}
    along = at_hours([0, 6, 12], forecast_period=("time", [0, 6, 12], period))
    whole = write_netcdf(tmp_path / "whole.nc", along)
    assert hours(run(tmp_path, whole)) == [0, 6, 12]
    parts = [write_netcdf(tmp_path / f"{i}.nc", along.isel(time=[i])) for i in range(3)]
    summary = run(tmp_path, *parts)
    assert hours(summary) == [0, 6, 12]
    assert_holds_rotation(summary, range(3))


def test_a_lead_beside_a_start_is_added_with_a_note(tmp_path):
    lead = ((), 24, {"units": "hours"})
    path = write_netcdf(tmp_path / "a.nc", at_hours([0, 6], prediction_timedelta=lead))
    summary = run(tmp_path, path)
    assert hours(summary) == [24, 30]
    assert "prediction_timedelta is added" in str(summary)


def test_times_in_single_precision_in_texts_and_a_hair_early_are_the_same(tmp_path):
    days = (seconds(0) / 86_400 + 43_829 + np.arange(24) / 24).astype("f4")  # since 1850
    content = dataset(range(24)).rename(valid_time="time")
    ways = {
        "float32": ("time", days, {"units": "days since 1850-01-01"}),
        "early": (
            "time",
            np.nextafter(np.arange(24.0) + 438_288, 0),
            {"units": "hours since 1970-01-01"},
        ),
        "texts": ("time", [f"2020-01-01T{h:02d}:00:00Z" for h in range(24)]),
    }
    for name, times in ways.items():
        path = write_netcdf(tmp_path / f"{name}.nc", content.assign_coords(time=times))
        assert hours(run(tmp_path, path)) == list(range(24)), name


def test_a_temperature_called_t_is_no_time(tmp_path):
    content = at_hours([0, 6])
    temperature = xr.full_like(content.u, 273).assign_attrs(units="K")
    content = xr.Dataset({"t": temperature, "u": content.u, "v": content.v})
    assert hours(run(tmp_path, write_netcdf(tmp_path / "a.nc", content))) == [0, 6]


def test_several_leads_of_one_time_are_chosen_from(tmp_path):
    path = tmp_path / "a.nc"
    start = {"units": "hours since 2020-01-01", "standard_name": "forecast_reference_time"}
    content = dataset(range(2)).rename(valid_time="time").expand_dims(step=2)
    content = content.assign_coords(
        time=("time", [0, 6], start), step=("step", [0, 6], {"units": "hours"})
    )
    write_netcdf(path, content)
    refused(tmp_path, path, match=r"twice in .*6 h ahead.*choose by --lead_hours")
    assert hours(run(tmp_path, path, lead_hours=6)) == [6, 12]
    refused(tmp_path, path, lead_hours=7, match=r"7 h ahead in 1 files, which hold u of leads 0, 6")


# --- level and member -----------------------------------------------------------------------------


def test_another_level_is_refused_and_named_whatever_the_axis_is_called(tmp_path):
    level = {"units": "Pa", "positive": "down"}
    content = dataset([0, 1]).expand_dims(isobaric3=[50000.0])
    content["isobaric3"].attrs = level
    path = write_netcdf(tmp_path / "a.nc", content)
    refused(tmp_path, path, level=850, match=r"at level 850 in 1 files, which hold u at 500 hPa")
    assert len(run(tmp_path, path, level=500).time) == 2


def test_members_are_refused_by_name_or_chosen(tmp_path):
    content = xr.concat([0 * dataset([0, 1]), dataset([0, 1])], xr.Variable("number", [0, 7]))
    path = write_netcdf(tmp_path / "a.nc", content)
    refused(tmp_path, path, match=r"2 members of an ensemble.*: 0, 7; choose by --member")
    assert_holds_rotation(run(tmp_path, path, member=7), range(2))
    refused(tmp_path, path, member=3, match=r"of member 3 in 1 files, which hold u of members 0, 7")


# --- what is there --------------------------------------------------------------------------------


def test_fill_values_that_nobody_declared_are_missing(tmp_path):
    content = dataset([0, 1])
    content["u"].values[1, 3:5, 7] = np.float32(9.969209968386869e36)
    encoding = {name: {"_FillValue": None, "dtype": "f4"} for name in ("u", "v")}
    path = write_netcdf(tmp_path / "a.nc", content, encoding=encoding)
    refused(tmp_path, path, match=r"2 of 684 values of u are missing at 2020-01-01T06")
    crop = {"latitude_range": (-80, 20), "method": "differences"}
    assert len(run(tmp_path, path, **crop).time) == 2
    assert len(run(tmp_path, path, skip_broken=True).time) == 1


@pytest.mark.parametrize("value", [327.67, -999.0, 1e20])
def test_winds_that_no_atmosphere_has_are_refused_unless_asked_for(tmp_path, value):
    content = dataset([0, 1])
    content["v"].values[1, 3, 7] = value
    path = write_netcdf(tmp_path / "a.nc", content)
    message = r"1 of 684 values of northward_wind at 2020-01-01T06:00:00 are beyond 250 m s-1"
    refused(tmp_path, path, match=message)
    assert len(run(tmp_path, path, unusual_values=True).time) == 2
    assert len(run(tmp_path, path, skip_broken=True).time) == 1
    crop = {"latitude_range": (-80, 20), "method": "differences"}  # what is not used may be so
    assert len(run(tmp_path, path, **crop).time) == 2


def test_an_archive_of_before_is_still_the_same(tmp_path):
    """Options that are new and not used do not make another archive of the same files."""
    new = {"member", "lead_hours", "unusual_values"}
    config = IngestConfig(sources=("a.nc",), output="a.h5")
    assert not new & pipeline._identity(config, [])["options"].keys()
    config = IngestConfig(
        sources=("a.nc",), output="a.h5", member=0, lead_hours=0.0, unusual_values=True
    )
    assert new <= pipeline._identity(config, [])["options"].keys()


@pytest.mark.parametrize(
    "attributes",
    [
        {"standard_name": "eastward_sea_water_velocity"},
        {"cell_methods": "time: standard_deviation"},
    ],
)
def test_what_is_no_wind_by_its_own_words_is_not_taken_unless_it_is_named(tmp_path, attributes):
    content = dataset([0, 1])
    content["u"].attrs.update(attributes)
    path = write_netcdf(tmp_path / "a.nc", content)
    reason = next(iter(attributes.values())).rpartition(" ")[2].replace("_deviation", " deviation")
    refused(tmp_path, path, match=rf"u \(.*{reason}|northward_wind only")
    assert_holds_rotation(run(tmp_path, path, eastward_wind="u"), range(2))


def test_nothing_is_differentiated_across_a_gap(tmp_path):
    keep = (GRID.longitude <= 120) | (GRID.longitude >= 200)
    whole = dataset([0, 1]).isel(latitude=slice(1, -1))
    whole_path = write_netcdf(tmp_path / "a.nc", whole)
    path = write_netcdf(tmp_path / "b.nc", whole.isel(longitude=keep))
    refused(tmp_path, path, match=r"longitudes leave a gap from 120E to 200E.*--longitude_range")
    run(tmp_path, path, longitude_range=(0, 120))
    with Archive(tmp_path / "out.h5") as archive:
        cropped = archive.read(1)
    one_sided = whole.isel(longitude=GRID.longitude <= 120)
    run(tmp_path, write_netcdf(tmp_path / "c.nc", one_sided))
    with Archive(tmp_path / "out.h5") as archive:
        assert_allclose(cropped, archive.read(1))
    run(tmp_path, whole_path, longitude_range=(0, 120), method="differences")
    with Archive(tmp_path / "out.h5") as archive:  # which knows the neighbours of both ends
        assert_allclose(cropped[..., 1:-1], archive.read(1)[..., 1:-1], atol=1e-12)


# --- GRIB -----------------------------------------------------------------------------------------


def set_in_all(path, **keys):
    """Sets keys of all messages of a file."""
    import eccodes as ec

    with path.open("rb") as file:
        handles = []
        while (handle := ec.codes_grib_new_from_file(file)) is not None:
            handles.append(handle)
    with path.open("wb") as file:
        for handle in handles:
            for key, value in keys.items():
                ec.codes_set(handle, key, value)
            ec.codes_write(handle, file)
            ec.codes_release(handle)


def test_members_of_grib_are_refused_by_name_or_chosen(tmp_path):
    for number, steps in ((0, [2, 3]), (1, [0, 1])):
        path = tmp_path / f"{number}.grib"
        write_grib(path, steps)
        set_in_all(
            path, productDefinitionTemplateNumber=1, numberOfForecastsInEnsemble=2,
            perturbationNumber=number,
        )  # fmt: skip
    both = tmp_path / "both.grib"
    both.write_bytes((tmp_path / "0.grib").read_bytes() + (tmp_path / "1.grib").read_bytes())
    refused(tmp_path, both, match=r"2 members of an ensemble.*: 0, 1; choose by --member")
    assert_holds_rotation(run(tmp_path, both, member=1), [0, 1])
    refused(tmp_path, both, member=5, match=r"of member 5 .*u at 850 hPa of member 0")


def test_an_analysis_and_a_forecast_of_one_time_are_told_apart(tmp_path):
    analyses, forecasts = tmp_path / "an.grib", tmp_path / "fc.grib"
    write_grib(analyses, [0, 1])
    write_grib(forecasts, [1], forecast=True)
    set_in_all(analyses, typeOfProcessedData=0)
    both = tmp_path / "both.grib"
    both.write_bytes(analyses.read_bytes() + forecasts.read_bytes())
    refused(tmp_path, both, match=r"u, analysis and u, 6 h ahead\); choose by --lead_hours, .* 0")
    refused(tmp_path, analyses, forecasts, match=r"an\.grib \(as u, analysis\) and in .*6 h ahead")
    assert hours(run(tmp_path, both, lead_hours=0)) == [0, 6]
    assert hours(run(tmp_path, both, lead_hours=6)) == [6]


@pytest.mark.parametrize("length", [10, 1500, 200_000])
@pytest.mark.parametrize("edition", [1, 2])
def test_text_before_grib_is_skipped_even_if_it_speaks_of_grib(tmp_path, length, edition):
    path = tmp_path / "a.grib"
    write_grib(path, [0, 1], edition=edition)
    text = (b"A GRIB FILE OF TWO STEPS, GRIB2\n" * (length // 32 + 1))[:length]
    path.write_bytes(text + path.read_bytes())
    assert_holds_rotation(run(tmp_path, path), range(2))


def test_netcdf_behind_a_user_block_is_read(tmp_path):
    import h5py

    path = write_netcdf(tmp_path / "plain.nc", dataset([0, 1]))
    with h5py.File(path) as plain, h5py.File(tmp_path / "a.nc", "w", userblock_size=2048) as file:
        file.attrs.update(plain.attrs)
        for name in ("valid_time", "latitude", "longitude"):
            plain.copy(name, file)
        for name in ("u", "v"):
            copied = file.create_dataset(name, data=plain[name][...])
            copied.attrs["units"] = plain[name].attrs["units"]
            for axis, scale in enumerate(("valid_time", "latitude", "longitude")):
                copied.dims[axis].attach_scale(file[scale])
    with (tmp_path / "a.nc").open("r+b") as file:
        file.write(b"notes of somebody\n")
    assert_holds_rotation(run(tmp_path, tmp_path / "a.nc"), range(2))


# --- small files of other makers, with right values -----------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "start", "count", "step"),
    [
        ("00_clean.nc", {}, "2020-01-01T00:00:00", 8, 6),
        ("01_valid_time_with_period_*.nc", {}, "2020-01-01T00:00:00", 4, 6),
        ("04_proleptic.nc", {}, "2020-01-01T00:00:00", 8, 6),
        ("05_isobaric3_500hPa.nc", {"level": 500}, "2020-01-01T00:00:00", 8, 6),
        ("08_temperature_first.nc", {}, "2020-01-01T00:00:00", 8, 6),
        ("09_float32_days.nc", {}, "2020-01-01T00:00:00", 24, 1),
        ("11_members.grib2", {"member": 0}, "2020-01-01T00:00:00", 2, 6),
        ("12_long_text_header.grib2", {}, "2020-01-01T00:00:00", 3, 6),
    ],
)
def test_sample_files_have_the_right_times_and_values(
    tmp_path, sample_data, name, options, start, count, step
):
    summary = run(tmp_path, sample_data / "failing_cases" / name, **options)
    assert (len(summary.time), summary.time.isoformat(0)) == (count, start)
    assert summary.time.step == 3600 * step
    assert len(summary.time.segments()) == 1
    with Archive(summary.path) as archive:
        divergence, vorticity = archive.read(0)
    # the first field, by the formulas of the samples
    phi, lam = np.radians(GRID.latitude)[:, None], np.radians(GRID.longitude)[None, :]
    squared = 6371229.0**2
    expected = -20 / squared * 1.5e8 * np.cos(phi) ** 3 * np.sin(phi) * np.cos(3 * lam)
    assert_allclose(vorticity, expected, atol=1e-8)
    expected = -12 / squared * 0.6e8 * np.cos(phi) ** 2 * np.sin(phi) * np.cos(2 * lam)
    assert_allclose(divergence, expected, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("02_default_fill.nc", {}, "4 of 684 values of u are missing"),
        ("05_isobaric3_500hPa.nc", {"level": 850}, "which hold u at 500 hPa"),
        ("06_index_coordinates.nc", {}, "curvilinear"),
        ("10_longitude_gap.nc", {}, "gap from 120E to 200E"),
        ("11_members.grib2", {}, "2 members of an ensemble"),
        ("13_ocean_currents.nc", {}, "eastward_sea_water_velocity"),
    ],
)
def test_sample_files_are_refused_with_the_reason(tmp_path, sample_data, name, options, message):
    refused(tmp_path, sample_data / "failing_cases" / name, match=message, **options)
