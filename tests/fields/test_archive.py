import h5py
import numpy as np
import pytest
import xarray
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
from atmodist.fields.grid import Grid, make_grid

STEP = 10_800
START = 1_538_848_800  # 2018-10-06T18:00:00
COMPRESSIONS = ["blosc2", "zstd", "gzip", "none"]


def random_fields(num_steps, shape, channels=2):
    return np.random.default_rng(0).standard_normal((num_steps, channels, *shape), np.float32)


def write(path, fields, grid, **options):
    options = {"channels": (DIVERGENCE, VORTICITY), "compression": "gzip", **options}
    with ArchiveWriter(path, grid=grid, **options) as writer:
        for step, field in enumerate(fields):
            writer.append(START + step * STEP, field)
    return path


def write_bare(path, data, **others):
    with h5py.File(path, "w") as file:
        file["data"] = data
        for name, values in others.items():
            file[name] = values
    return path


@pytest.fixture
def archive_path(tmp_path):
    grid = make_grid("regular", 19)
    return write(tmp_path / "archive.h5", random_fields(4, grid.shape), grid)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_is_written_is_read_again(tmp_path, compression):
    grid = make_grid("gauss", 170)  # more than one chunk each way, and chunks that overhang
    fields = random_fields(3, grid.shape)
    path = write(tmp_path / "a.h5", fields, grid, compression=compression)
    with Archive(path) as archive:
        assert archive.shape == (2, 3, 170, 340)
        assert archive.channels == (DIVERGENCE, VORTICITY)
        assert archive.grid.kind == "gauss"
        assert archive.grid.matches(grid)
        assert archive.time.isoformat(0) == "2018-10-06T18:00:00"
        assert archive.time.step == STEP
        for step in (2, 0, 1):
            assert_array_equal(archive.read(step), fields[step])
        archive.validate()
        assert (compression == "none") == ("uncompressed" in archive.summary())


@pytest.mark.parametrize("calendar", ["standard", "noleap", "none"])
def test_an_open_archive_is_an_xarray_dataset_that_is_read_when_it_is_computed(tmp_path, calendar):
    grid = make_grid("regular", 19)
    fields = random_fields(9, grid.shape)
    path = write(tmp_path / "a.h5", fields, grid, calendar=calendar)
    with Archive(path) as archive:
        dataset = archive.to_xarray()
        assert dataset.vorticity.chunks is not None
        assert dataset.vorticity.attrs == {
            "units": "s-1",
            "standard_name": "atmosphere_relative_vorticity",
        }
        assert_array_equal(dataset.divergence, fields[:, 0])
        assert_array_equal(dataset.latitude, grid.latitude)
        if calendar == "none":
            assert_array_equal(archive.sel(time=archive.time.seconds[2]).vorticity, fields[2, 1])
            return
        day = archive.time.isoformat(2)[:10]
        chosen = archive.sel(time=day)  # 00 to 21 UTC, of which 7 times of 3 h are there
        assert chosen.sizes["time"] == 7
        assert_array_equal(chosen.vorticity, fields[2:, 1])
        sliced = archive.sel(time=slice(archive.time.isoformat(1), f"{day}T03"), latitude=90.0)
        assert_array_equal(sliced.divergence, fields[1:4, 0, 0])


def test_archives_grids_and_times_show_themselves(archive_path):
    with Archive(archive_path) as archive:
        assert repr(archive).startswith("<Archive: archive   ")
        assert "vorticity (s-1)" in archive._repr_html_()
        assert repr(archive.grid) == f"<Grid: {archive.grid}>"
        assert (
            "&lt;"
            in type("A", (type(archive.time),), {"__str__": lambda _: "<"})([0, 1])._repr_html_()
        )
        assert repr(archive.time) == f"<TimeAxis: {archive.time}>"


def test_gzip_archives_need_no_plugin_and_read_the_same_in_bare_h5py(archive_path):
    with h5py.File(archive_path) as file:
        data = file["data"]
        assert data.compression == "gzip"
        assert data.chunks[:2] == (2, 1)  # one step with all channels
        assert_array_equal(data[:, 1], random_fields(4, (19, 36))[1])


def test_reading_into_a_given_array_allocates_none(archive_path):
    with Archive(archive_path) as archive:
        out = np.empty((2, 19, 36), np.float32)
        assert archive.read(3, out) is out
        assert_array_equal(out, archive.read(3))


@pytest.mark.parametrize("step", [-1, 4])
def test_steps_outside_the_archive_are_refused(archive_path, step):
    with Archive(archive_path) as archive, pytest.raises(ValueError, match=rf"0\.\.3; got {step}"):
        archive.read(step)


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_xarray_sees_coordinates_units_and_times(tmp_path, calendar):
    grid = make_grid("regular", 19)
    fields = random_fields(4, grid.shape)
    path = write(tmp_path / "a.h5", fields, grid, calendar=calendar)
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        data = dataset["data"]
        assert data.dims == ("channel", "time", "latitude", "longitude")
        assert data.dtype == np.float32
        assert data.attrs["units"] == "s-1"
        assert dataset["channel"].values.tolist() == ["divergence", "vorticity"]
        assert data.coords["channel_units"].values.tolist() == ["s-1", "s-1"]
        assert data.coords["channel_standard_name"].values.tolist() == [
            "divergence_of_wind",
            "atmosphere_relative_vorticity",
        ]
        assert dataset["latitude"].attrs["units"] == "degrees_north"
        assert dataset["longitude"].attrs["units"] == "degrees_east"
        assert dataset["time"].dt.calendar == (
            "proleptic_gregorian" if calendar == "standard" else calendar
        )
        assert set(dataset["time"].diff("time").dt.total_seconds().values) == {STEP}
        first = str(dataset["time"].values[0])[:13].replace(" ", "T")
        with Archive(path) as archive:
            assert first == archive.time.isoformat(0)[:13]
        picked = data.sel(channel="vorticity", latitude=40, longitude=350).isel(time=2)
        assert picked.item() == fields[2, 1, 5, 35]


def test_what_xarray_writes_again_is_still_an_archive(archive_path, tmp_path):
    with xarray.open_dataset(archive_path, engine="h5netcdf") as dataset:
        dataset.isel(time=slice(1, 3)).to_netcdf(tmp_path / "part.nc", engine="h5netcdf")
    with Archive(tmp_path / "part.nc") as part, Archive(archive_path) as whole:
        assert part.channels == whole.channels
        assert_array_equal(part.time.seconds, whole.time.seconds[1:3])
        assert_array_equal(part.read(0), whole.read(1))


def test_dimensions_are_scales_as_netcdf_wants_them(archive_path):
    with h5py.File(archive_path) as file:
        assert file.attrs["Conventions"] == "CF-1.8"
        for axis, name in enumerate(("channel", "time", "latitude", "longitude")):
            assert file["data"].dims[axis][0] == file[name]
        assert file["time"].attrs["units"] == "seconds since 1970-01-01"
        assert file["time"].attrs["calendar"] == "standard"
        assert file["time"].dtype == np.int64


def test_channels_with_different_units_keep_them(tmp_path):
    grid = make_grid("gauss", 8)
    channels = (Channel("geopotential", "m2 s-2", "geopotential"), Channel("age", "", ""))
    path = write(tmp_path / "a.h5", random_fields(2, grid.shape), grid, channels=channels)
    with Archive(path) as archive:
        assert archive.channels == channels
        assert "geopotential (m2 s-2), age (1)" in archive.summary()
    with h5py.File(path) as file:
        assert "units" not in file["data"].attrs  # there is no one unit


def test_undated_archives_are_counted_and_open_in_xarray(tmp_path):
    grid = make_grid("gauss", 8)
    with ArchiveWriter(
        tmp_path / "a.h5", channels=(DIVERGENCE,), grid=grid, calendar="none"
    ) as writer:
        for step in (0, 1, 3):
            writer.append(step, np.ones((1, *grid.shape), np.float32))
    with Archive(tmp_path / "a.h5") as archive:
        assert archive.time.calendar == "none"
        assert archive.time.isoformat(2) == "step 3"
        assert archive.time.segments() == (range(0, 2), range(2, 3))
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as dataset:
        assert dataset["time"].values.tolist() == [0, 1, 3]


def test_attributes_that_the_netcdf_library_writes_are_understood(archive_path):
    with h5py.File(archive_path, "a") as file:
        file["time"].attrs["units"] = np.bytes_(b"seconds since 1970-01-01")
        file["time"].attrs["calendar"] = np.bytes_(b"noleap")
    with Archive(archive_path) as archive:
        assert archive.time.calendar == "noleap"


@pytest.mark.parametrize(("shape", "kind"), [((20, 40), "driscoll-healy"), ((21, 40), "regular")])
def test_bare_files_are_accepted(tmp_path, shape, kind):
    fields = random_fields(3, shape)
    path = write_bare(tmp_path / "bare.h5", fields.swapaxes(0, 1))
    with Archive(path) as archive:
        assert archive.channels == (DIVERGENCE, VORTICITY)
        assert archive.grid.kind == kind
        assert archive.grid.longitude[0] == 0
        assert archive.time.calendar == "none"
        assert len(archive.time.segments()) == 1
        assert_array_equal(archive.read(2), fields[2])
        assert "uncompressed" in archive.summary()


def test_bare_files_with_another_number_of_channels_get_plain_names(tmp_path):
    path = write_bare(tmp_path / "bare.h5", np.zeros((3, 2, 20, 40), np.float32))
    with Archive(path) as archive:
        assert [channel.name for channel in archive.channels] == [
            "channel0",
            "channel1",
            "channel2",
        ]


def test_fingerprint_follows_content_not_storage(tmp_path):
    grid = make_grid("gauss", 8)
    fields = random_fields(5, grid.shape)
    changed = fields.copy()
    changed[2, 1, 3, 3] += 1
    prints = []
    for i, (content, compression) in enumerate(
        [(fields, "gzip"), (fields, "blosc2"), (changed, "gzip"), (fields[:4], "gzip")]
    ):
        with Archive(
            write(tmp_path / f"{i}.h5", content, grid, compression=compression)
        ) as archive:
            prints.append(archive.fingerprint())
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


ZEROS = np.zeros((2, 3, 20, 40), np.float32)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"fields": ZEROS}, r"bad.h5 has no dataset /data, it is no archive; it holds fields"),
        ({"data": ZEROS[0]}, r"must have four axes .* its shape is \(3, 20, 40\)"),
        ({"data": ZEROS[:, :0]}, r"must have four axes .* its shape is \(2, 0, 20, 40\)"),
        ({"data": ZEROS.astype(np.int16)}, r"/data must be float32; it is int16 .*packing"),
        ({"data": ZEROS.astype(np.float64)}, r"/data must be float32; it is float64"),
        ({"data": ZEROS[..., :39]}, r"no /latitude and /longitude, and 20 x 39 is neither n x 2n"),
        ({"data": ZEROS[..., 1:, :38]}, r"19 x 38 is neither n x 2n nor \(n\+1\) x 2n; add both"),
        (
            {"data": ZEROS, "latitude": np.arange(20), "longitude": np.arange(40)},
            r"bad.h5: `latitude` must decrease from north to south",
        ),
        (
            {"data": ZEROS, "latitude": -np.arange(19), "longitude": np.arange(40)},
            r"bad.h5: coordinates are for \(19, 40\); /data has \(20, 40\)",
        ),
        ({"data": ZEROS, "time": [0, 2, 2]}, r"bad.h5: times must increase; .*\(step 1\) is rep"),
        ({"data": ZEROS, "time": [0, 2]}, r"bad.h5: /time must be 3 values in 'seconds since 19"),
        ({"data": ZEROS, "channel": ["a", "b", "c"]}, r"bad.h5: /channel .* /data has 2"),
    ],
)
def test_files_that_are_no_archive_say_what_was_expected_and_found(tmp_path, content, message):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        for name, values in content.items():
            file[name] = values
    with pytest.raises(ValueError, match=message):
        Archive(tmp_path / "bad.h5")
    (tmp_path / "bad.h5").unlink()  # and the file was closed


def test_times_in_other_units_are_not_taken_for_seconds(tmp_path):
    path = write_bare(tmp_path / "a.h5", ZEROS, time=[0, 3, 6])
    with h5py.File(path, "a") as file:
        file["time"].attrs["units"] = "hours since 1900-01-01"
    with pytest.raises(ValueError, match="in 'hours since 1900-01-01'"):
        Archive(path)


def test_an_empty_file_holds_nothing(tmp_path):
    h5py.File(tmp_path / "a.h5", "w").close()
    with pytest.raises(
        ValueError, match="has no dataset /data, it is no archive; it holds nothing"
    ):
        Archive(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["missing.h5", "."])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="there is no archive "):
        Archive(tmp_path / name)


def test_a_page_of_text_is_no_archive(tmp_path):
    (tmp_path / "a.h5").write_text("<html>404 Not Found</html>")
    with pytest.raises(ValueError, match=r"a.h5 is an HTML page .*, not an archive \(HDF5\)$"):
        Archive(tmp_path / "a.h5")


def test_what_can_become_an_archive_says_how(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"GRIB\x00\x00\x00")
    with pytest.raises(ValueError, match=r"GRIB file, not an archive .*first \(atmodist ingest\)"):
        Archive(tmp_path / "a.h5")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_archive_is_not_opened(archive_path, share):
    content = archive_path.read_bytes()
    archive_path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"archive.h5 is (damaged or cut short|empty)"):
        Archive(archive_path)


def test_damage_to_a_compressed_field_names_its_step(archive_path):
    with h5py.File(archive_path) as file:
        chunk = file["data"].id.get_chunk_info_by_coord((0, 2, 0, 0))
    with archive_path.open("r+b") as file:
        file.seek(chunk.byte_offset + chunk.size // 2)
        file.write(bytes(64))
    with Archive(archive_path) as archive:
        archive.read(1)
        with pytest.raises(ValueError, match=r"is damaged at 2018-10-07T00:00:00 \(step 2\)"):
            archive.validate()


def test_validation_names_the_first_step_and_channel_that_are_not_finite(tmp_path):
    data = ZEROS.copy()
    data[1, 2, 3:5, 4] = np.nan
    data[1, 2, 5, 5] = np.inf
    with (
        Archive(write_bare(tmp_path / "a.h5", data)) as archive,
        pytest.raises(ValueError, match="3 of 800 values of vorticity at step 2 are missing"),
    ):
        archive.validate()


def test_a_virtual_archive_reads_its_parts_and_misses_a_lost_one(tmp_path):
    fields = random_fields(4, (20, 40)).swapaxes(0, 1)
    layout = h5py.VirtualLayout((2, 4, 20, 40), np.float32)
    for i in range(2):
        write_bare(tmp_path / f"{i}.h5", fields[:, 2 * i : 2 * i + 2])
        source = h5py.VirtualSource(f"{i}.h5", "data", (2, 2, 20, 40))
        layout[:, 2 * i : 2 * i + 2] = source
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    with Archive(tmp_path / "virtual.h5") as archive:
        assert_array_equal(archive.read(3), fields[:, 3])
        assert "virtual" in archive.summary()
    (tmp_path / "1.h5").unlink()  # HDF5 would read zeros
    with pytest.raises(ValueError, match=r"virtual.h5 joins files, and 1.h5 is missing"):
        Archive(tmp_path / "virtual.h5")


def test_regional_coordinates_survive_exactly(tmp_path):
    grid = Grid(np.arange(60.0, 30.0, -0.25), np.arange(-20.0, 40.0, 0.3))
    path = write(tmp_path / "a.h5", random_fields(1, grid.shape), grid)
    with Archive(path) as archive:
        assert_allclose(archive.grid.latitude, grid.latitude, rtol=0)
        assert_allclose(archive.grid.longitude, grid.longitude, rtol=0)
        assert archive.grid.kind == "regional"


@pytest.mark.parametrize(
    ("value", "attributes"),
    [
        (9.969209968386869e36, {}),
        (-9999.0, {"_FillValue": np.float32(-9999)}),
        (-9999.0, {"missing_value": -9999.0}),
        (5.0, {"valid_max": 4.0}),
    ],
)
def test_what_a_bare_file_marks_is_missing(tmp_path, value, attributes):
    fields = np.zeros((2, 3, 4, 8), np.float32)
    fields[1, 2, 3, 4] = value
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = fields
        file["data"].attrs.update(attributes)
    with Archive(tmp_path / "a.h5") as archive:
        assert not np.isnan(archive.read(1)).any()
        assert np.argwhere(np.isnan(archive.read(2))).tolist() == [[1, 3, 4]]
        with pytest.raises(ValueError, match=r"1 of 32 values of vorticity at step 2 are missing"):
            archive.validate()


def test_marks_that_nobody_declared_are_found_by_their_size(tmp_path):
    fields = np.zeros((2, 1, 4, 8), np.float32)
    fields[0, 0, 0, 0] = -1e20
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = fields
    with (
        Archive(tmp_path / "a.h5") as archive,
        pytest.raises(ValueError, match=r"1 of 32 values of divergence .* or beyond 1e\+15"),
    ):
        archive.validate()
