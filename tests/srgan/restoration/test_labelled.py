import dask.array
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import make_grid
from srgan.restoration.interpolation import Interpolation
from tests.metric.encoders import CHANNELS, made_fields
from tests.srgan.generators.examples import made_generator

GRID = make_grid("cell-centred", 12, 24)


@pytest.fixture(scope="module")
def generator():
    return made_generator(noise_channels=1)


def labelled(values, **coordinates):
    dims = ("time", "channel", "lat", "lon")
    coords = {"lat": GRID.latitude, "lon": GRID.longitude, "channel": list(CHANNELS)}
    coords |= {"time": np.datetime64("2020-01-01", "ns") + np.arange(len(values)) * 10**13}
    return xr.DataArray(values, dims=dims, coords=coords | coordinates, name="field")


def test_coordinates_are_kept_and_made_finer(generator):
    values = made_fields(GRID, 3)
    low = labelled(values).assign_coords(run=("time", list("abc"))).assign_attrs(source="a test")
    low["lat"].attrs["units"] = "degrees_north"
    high = generator(low, seed=4)
    assert high.dims == ("time", "channel", "lat", "lon")
    assert high.name == "field"
    assert high.attrs["source"] == "a test"
    assert high["lat"].attrs["units"] == "degrees_north"
    assert high["run"].values.tolist() == list("abc")
    assert_array_equal(high["time"], low["time"])
    refinement = generator.refinement(GRID)
    assert_array_equal(high["lat"], refinement.high.latitude)
    assert_array_equal(high["lon"], refinement.high.longitude)
    assert_array_equal(high.values, generator(values, grid=GRID, seed=4))


def test_orientation_and_branch_are_those_of_the_input(generator):
    low = labelled(made_fields(GRID, 1))
    turned = low.isel(lat=slice(None, None, -1), channel=[1, 0])
    turned = turned.assign_coords(lon=(turned["lon"] + 180) % 360 - 180).sortby("lon")
    found = generator(turned)
    assert (np.diff(found["lat"]) > 0).all()
    assert (np.diff(found["lon"]) > 0).all()
    assert found["lon"].values[0] < -170
    expected = generator(low)
    aligned = found.assign_coords(lon=found["lon"] % 360).sortby(["lon"]).sortby("lat", False)
    expected = expected.assign_coords(lon=expected["lon"] % 360).sortby("lon")
    assert_array_equal(aligned["channel"], expected["channel"])
    assert_allclose(aligned.values, expected.values, rtol=1e-6)


@pytest.mark.parametrize("chunk", [1, 2])
def test_chunked_arrays_stay_lazy_and_chunks_do_not_matter(generator, chunk):
    low = labelled(made_fields(GRID, 3))
    lazy = generator(low.chunk(time=chunk, lat=5), seed=2)
    assert isinstance(lazy.data, dask.array.Array)
    assert_allclose(lazy.compute().values, generator(low, seed=2).values, rtol=1e-6)


def test_a_dataset_gives_a_dataset(generator):
    values = made_fields(GRID, 2)
    dims = ("time", "lat", "lon")
    low = xr.Dataset(
        {name: (dims, values[:, i], {"units": "s**-1"}) for i, name in enumerate(CHANNELS)},
        coords={"lat": GRID.latitude, "lon": GRID.longitude},
        attrs={"source": "a test"},
    )
    high = generator(low)
    assert set(high.data_vars) == set(CHANNELS)
    assert high["vorticity"].dims == dims
    assert high["vorticity"].attrs["units"] == "s-1"
    assert high.attrs["source"] == "a test"
    assert_array_equal(high["vorticity"], generator(values, grid=GRID)[:, 1])


def test_interpolations_take_labelled_fields_too():
    low = labelled(made_fields(GRID, 2))
    high = Interpolation("nearest", 2, channels=CHANNELS)(low)
    assert_array_equal(high.values, low.values.repeat(2, axis=2).repeat(2, axis=3))
    with pytest.raises(ValueError, match="labelled fields need the names of their channels"):
        Interpolation("nearest", 2)(low)


def test_mistakes_are_told(generator):
    low = labelled(made_fields(GRID, 1))
    with pytest.raises(ValueError, match="`grid` is for arrays"):
        generator(low, grid=GRID)
    with pytest.raises(ValueError, match="lacks vorticity"):
        generator(low.isel(channel=[0]))
    wrong = low.assign_attrs(units="1e-5 s-1")
    with pytest.raises(ValueError, match="divergence is in '1e-5 s-1'"):
        generator(wrong)
