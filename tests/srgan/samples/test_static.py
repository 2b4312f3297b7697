import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import make_grid
from srgan.samples.static import StaticChannels, load_grid, read_static, save_grid

GRID = make_grid("regular", 13)
FIELD = np.random.default_rng(0).normal(300, 50, GRID.shape)


def write(path, field=FIELD, name="z", **attributes):
    with h5py.File(path, "w") as file:
        file[name] = field
        file[name].attrs.update(attributes)
    return str(path)


def test_a_field_is_standardised_over_area_and_can_be_undone(tmp_path):
    static = read_static([write(tmp_path / "a.nc")], GRID)
    assert static.names == ("z",)
    values = static.values[..., 0].astype(float)
    weights = GRID.area_weights
    assert_allclose((values * weights).sum(), 0, atol=1e-6)
    assert_allclose((values**2 * weights).sum(), 1, rtol=1e-6)
    assert_allclose(values * static.std + static.mean, FIELD, rtol=1e-5)


def test_latitude_is_its_sine():
    static = read_static(["latitude"], GRID)
    sine = np.sin(np.radians(GRID.latitude))
    assert_allclose(static.values[..., 0], np.repeat(sine[:, None], 24, axis=1), atol=1e-7)
    assert (static.mean, static.std) == (0, 1)


def test_without_sources_there_are_none():
    assert read_static([], GRID) is None


def test_rows_from_the_south_and_columns_from_the_date_line_are_put_in_order(tmp_path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["lat"] = GRID.latitude[::-1]
        file["lon"] = np.roll((GRID.longitude + 180) % 360 - 180, 12)  # -180 .. 165
        file["z"] = np.roll(FIELD[::-1], 12, axis=1)
    plain = read_static([write(tmp_path / "b.nc")], GRID)
    assert_array_equal(read_static([f"{tmp_path}/a.nc"], GRID).values, plain.values)


def test_packed_values_are_unpacked_and_one_variable_can_be_named(tmp_path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["mask"] = (FIELD > 300).astype(np.int16)
        file["z"] = np.round(FIELD * 10).astype(np.int16)
        file["z"].attrs.update(scale_factor=0.1, add_offset=1000.0, _FillValue=np.int16(-999))
    assert read_static([f"{tmp_path}/a.nc"], GRID).names == ("mask", "z")
    static = read_static([f"{tmp_path}/a.nc:z"], GRID)
    assert static.names == ("z",)
    assert_allclose(static.mean, 1000 + (FIELD * GRID.area_weights).sum(), rtol=1e-4)


def test_what_is_saved_is_loaded(tmp_path):
    static = read_static(["latitude", write(tmp_path / "a.nc")], GRID)
    static.save(tmp_path)
    save_grid(tmp_path, GRID)
    loaded = StaticChannels.load(tmp_path)
    assert loaded.names == ("latitude", "z")
    assert_array_equal(loaded.values, static.values)
    assert_array_equal(loaded.std, static.std)
    assert_array_equal(load_grid(tmp_path).latitude, GRID.latitude)
    (tmp_path / "static.npz").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"static\.npz is damaged"):
        StaticChannels.load(tmp_path)


def test_files_that_will_not_do_say_why(tmp_path):
    holes = FIELD.copy()
    holes[3, 4] = np.nan
    (tmp_path / "text.nc").write_text("CDF")
    with h5py.File(tmp_path / "moved.nc", "w") as file:
        file["latitude"], file["z"] = GRID.latitude - 5, FIELD
    for source, message in (
        (write(tmp_path / "holes.nc", holes), "z has 1 missing values"),
        (write(tmp_path / "filled.nc", FIELD, _FillValue=FIELD[0, 0]), "z has 1 missing values"),
        (write(tmp_path / "flat.nc", np.ones(GRID.shape)), "is the same everywhere"),
        (write(tmp_path / "small.nc", FIELD[::2]), "has no field of 13 x 24 points"),
        (f"{tmp_path}/moved.nc", "lies on another grid than the archive: its latitudes"),
        (f"{tmp_path}/holes.nc:t", "has no variable 't'; it has z"),
        (f"{tmp_path}/text.nc", "is not NetCDF-4 or HDF5"),
    ):
        with pytest.raises(ValueError, match=message):
            read_static([source], GRID)
    with pytest.raises(FileNotFoundError, match="there is no file absent"):
        read_static(["absent"], GRID)
    with pytest.raises(ValueError, match="'latitude' is twice"):
        read_static(["latitude", "latitude"], GRID)
