import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from atmodist.fields.field_set import FieldSet, ForecastTimes, Levels, Variable
from atmodist.fields.field_set_files import (
    FieldSetWriter,
    open_field_set,
    read_field_set,
    write_field_set,
)
from atmodist.fields.grid import make_grid
from tests.fields.field_sets import assert_same, field_sets

for package in ("h5netcdf", "zarr"):
    pytest.importorskip(package)

GRID = make_grid("gauss", 4)
LEVELS = Levels([500.0, 850.0], "pressure")
SUFFIXES = (".nc", ".zarr")


def forecast(hours, *, init=0, levels=LEVELS):
    """A forecast whose values are its valid hours."""
    hours = np.asarray(hours)
    sizes = (len(hours), len(levels), *GRID.shape)
    values = np.broadcast_to(hours[:, None, None, None], sizes).astype("f4")
    dims = ("time", "level", "latitude", "longitude")
    orography = Variable(np.ones(GRID.shape, "f4"), dims[2:], "m")
    variables = {"t": Variable(values, dims, "K", "", levels), "orography": orography}
    return FieldSet(variables, GRID, ForecastTimes(init, 3600 * hours))


def write_all(path, *pieces):
    with FieldSetWriter(path) as writer:
        for piece in pieces:
            writer.append(piece)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=field_sets())
def test_what_is_written_is_read(suffix, tmp_path, fields):
    path = tmp_path / f"set{suffix}"
    write_field_set(fields, path)
    assert_same(read_field_set(path), fields)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=field_sets(), data=st.data())
def test_pieces_one_after_the_other_are_the_whole(suffix, tmp_path, fields, data):
    cut = data.draw(st.integers(1, max(1, len(fields.times) - 1)))
    path, length = tmp_path / f"set{suffix}", len(fields.times)
    write_all(path, *(fields.part(s) for s in (slice(cut), slice(cut, None)) if s.start != length))
    assert_same(read_field_set(path), fields)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_time_is_read_at_a_time(tmp_path, suffix):
    import dask.array

    path = tmp_path / f"a{suffix}"
    write_field_set(forecast([6, 12, 18]), path)
    with open_field_set(path) as fields:
        values = fields["t"].values
        assert isinstance(values, dask.array.Array)
        assert values.chunksize == (1, 2, *GRID.shape)
        assert_array_equal(fields.at("time", 1).select(["t_850"]), 12.0)
        copy = tmp_path / f"copy{suffix}"
        write_field_set(fields, copy)  # lazily, one time after the other
    assert_same(read_field_set(copy), forecast([6, 12, 18]))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_others_read_what_we_write(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_field_set(forecast([6, 12], init=86_400), path)
    engine = {".nc": "h5netcdf", ".zarr": "zarr"}[suffix]
    with xr.open_dataset(path, engine=engine, decode_timedelta=True) as dataset:
        assert dataset["time"].values[1] == np.datetime64("1970-01-02T12")
        assert (dataset["init_time"].values == np.datetime64("1970-01-02")).all()
        assert dataset["lead_time"].values[0] == np.timedelta64(6, "h")
        assert dataset["level"].attrs["units"] == "hPa"
        chunks = dataset["t"].encoding.get("chunksizes") or dataset["t"].encoding["chunks"]
        assert chunks == (1, 2, *GRID.shape)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_rollout_that_fails_leaves_what_was_there(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_field_set(forecast([0]), path)
    with pytest.raises(ValueError, match="not later"):
        write_all(path, forecast([6]), forecast([6]))
    assert_same(read_field_set(path), forecast([0]))
    write_field_set(forecast([12]), path)
    assert_same(read_field_set(path), forecast([12]))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("second", "text"),
    [
        (forecast([6]), "1970-01-01T06:00:00 is not later than what is written"),
        (forecast([12], levels=Levels([500.0, 700.0], "pressure")), "the same variables, units"),
        (FieldSet(dict(list(forecast([12]).variables.items())[:1]), GRID, ForecastTimes(0, 43_200)),
         "the same variables, units and levels"),
    ],
)  # fmt: skip
def test_what_is_appended_must_fit(tmp_path, suffix, second, text):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(ValueError, match=text):
        write_all(path, forecast([0, 6]), second)
    assert not path.exists()


def test_nothing_written_is_an_error_and_leaves_no_file(tmp_path):
    path = tmp_path / "a.nc"
    with pytest.raises(ValueError, match="no fields were appended"), FieldSetWriter(path):
        pass
    assert not list(tmp_path.iterdir())


def test_what_is_missing_stays_missing(tmp_path):
    values = np.ones(GRID.shape, "f4")
    values[2, 3] = np.nan
    fields = FieldSet({"sst": Variable(values, ("latitude", "longitude"), "K")}, GRID)
    write_field_set(fields, tmp_path / "a.nc")
    assert_array_equal(read_field_set(tmp_path / "a.nc")["sst"].values, values)


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "a.nc"
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ValueError, match=r"a\.nc: the dataset has no variable with latitude"):
        read_field_set(path)


def test_a_missing_package_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs zarr to be written: pip install 'atmodist\[zarr"):
        FieldSetWriter(tmp_path / "a.zarr")
