import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import Channel
from atmodist.fields.field_set import FieldSet, ForecastTimes, Levels, Variable
from atmodist.fields.field_set_archive import from_archive, series_of, write_archive
from atmodist.fields.grid import make_grid
from atmodist.fields.series import after, matched
from atmodist.fields.time_axis import TimeAxis
from tests.fields.field_sets import field_sets

GRID = make_grid("gauss", 4)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=field_sets(members=False, static=False))
def test_to_an_archive_and_back_is_the_same(tmp_path, fields):
    write_archive(fields, tmp_path / "a.h5", overwrite=True)
    with Archive(tmp_path / "a.h5") as archive:
        assert archive.channels == fields.channels
        found = from_archive(archive, level_kind=fields.level_kind)
    assert list(found) == list(fields)
    for name, variable in fields.variables.items():
        assert_allclose(found[name].values, variable.values, rtol=1e-7)  # float32 there
        assert found[name].dims == variable.dims
        assert found[name].units == variable.units
        if variable.levels is not None:
            assert_allclose(found[name].levels.values, variable.levels.values)
    assert_array_equal(found.time.seconds, fields.time.seconds)
    assert found.time.calendar == fields.time.calendar


def archive_of(path, names, **options):
    channels = [Channel(name, "K") for name in names]
    with ArchiveWriter(path, channels=channels, grid=GRID, overwrite=True, **options) as writer:
        for hour in range(3):
            field = np.arange(len(names))[:, None, None] + 10 * hour + np.zeros(GRID.shape)
            writer.append(3600 * hour, field)
    return Archive(path)


def test_channels_at_levels_become_variables_with_levels(tmp_path):
    names = ["z_850", "t_500", "t_1000", "t_850", "msl", "10m_u"]
    with archive_of(tmp_path / "a.h5", names) as archive:
        found = from_archive(archive, range(1, 3))
    assert list(found) == ["z", "t", "msl", "10m_u"]
    assert found["t"].levels.values.tolist() == [500, 850, 1000]
    assert found["t"].levels.kind == "pressure"
    assert found["t"].values[0, :, 0, 0].tolist() == [11, 13, 12]
    assert len(found.time) == 2
    assert found["msl"].levels is None


def test_levels_of_simulations_are_thousandths_of_sigma(tmp_path):
    names = ["vorticity", "vorticity_167", "vorticity_500", "vorticity_833"]
    source = {"source": "simulated atmosphere: held-suarez, T10L3 at sigma 0.833, seed 0, member 0"}
    with archive_of(tmp_path / "a.h5", names, attributes=source) as archive:
        found = from_archive(archive)
    assert list(found) == ["vorticity"]
    assert found["vorticity"].levels.kind == "sigma"
    assert found["vorticity"].levels.values.tolist() == [0.167, 0.5, 0.833]
    assert found["vorticity"].values[0, :, 0, 0].tolist() == [1, 2, 3]


def test_a_bare_file_is_read_with_counted_steps(tmp_path):
    data = np.random.default_rng(0).normal(size=(2, 3, 4, 8)).astype("f4")
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["data"] = data
    with Archive(tmp_path / "bare.h5") as archive:
        found = from_archive(archive)
    assert list(found) == ["divergence", "vorticity"]
    assert_array_equal(found.select(["vorticity"])[:, 0], data[1])
    assert found.time.calendar == "none"
    write_archive(found, tmp_path / "again.h5")
    with Archive(tmp_path / "again.h5") as archive:
        assert_array_equal(archive.read(2), data[:, 2])


def some(times=None, **changes):
    dims = ("time", "level", "latitude", "longitude")
    values = np.random.default_rng(0).normal(size=(3, 2, *GRID.shape)).astype("f4")
    variable = Variable(values, dims, "s-1", "", Levels([500.0, 850.0], "pressure"))
    times = TimeAxis(3600 * np.arange(3)) if times is None else times
    return FieldSet({"vorticity": variable}, GRID, times, **changes)


def test_a_series_has_the_channels_that_are_asked_for():
    fields = some(ForecastTimes(0, 3600 * np.arange(3)))
    series = series_of(fields, [Channel("vorticity_850", "s**-1")], path="a.nc")
    assert_array_equal(series.read(2)[0], fields["vorticity"].values[2, 1])
    assert series.times[1] == "1970-01-01T01:00:00"
    assert series.channels == (Channel("vorticity_850", "s-1"),)
    nearest = series_of(fields, [Channel("vorticity")], level=600.0)
    assert_array_equal(nearest.read(0)[0], fields["vorticity"].values[0, 0])
    assert matched(series, nearest) == [(0, 0), (1, 1), (2, 2)]
    assert after(series, 1) == [(0, 1), (1, 2)]


def with_hole():
    fields = some()
    values = fields["vorticity"].values.copy()
    values[1, 0, 2, 2] = np.nan
    levels = fields["vorticity"].levels
    return FieldSet(
        {"vorticity": Variable(values, fields["vorticity"].dims, "s-1", "", levels)},
        GRID,
        fields.times,
    )


def timeless():
    return FieldSet({"a": Variable(np.ones(GRID.shape), ("latitude", "longitude"))}, GRID)


def members():
    fields = some()
    variable = fields["vorticity"]
    dims, values = ("member", *variable.dims), variable.values[None]
    return FieldSet({"a": Variable(values, dims, levels=variable.levels)}, GRID, fields.times, (0,))


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda path: write_archive(members(), path), "an archive has no members; write one"),
        (lambda path: write_archive(timeless(), path), "needs times, and these fields have none"),
        (lambda path: write_archive(with_hole(), path), "values of vorticity_500 at 1970-01-01T01"),
        (lambda path: series_of(members(), []), "a series has no members; choose one"),
        (lambda path: series_of(some(), [Channel("vorticity_700")]), "levels of vorticity are 500"),
        (lambda path: series_of(some(), [Channel("vorticity")]), "say which level of vorticity"),
        (lambda path: series_of(some(), [Channel("vorticity_850", "K")]), "'K' is what is needed"),
        (lambda path: series_of(some(), [Channel("wind_850")]), "no variable 'wind'; there are"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, act, text):
    with pytest.raises(ValueError, match=text) as error:
        act(tmp_path / "a.h5")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "a.h5").exists()
