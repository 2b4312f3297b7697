import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.fields.field_set import FieldSet, ForecastTimes, Levels, Variable, split_label
from atmodist.fields.grid import make_grid
from atmodist.fields.time_axis import TimeAxis

GRID = make_grid("cell-centred", 3)  # 3 x 6
LEVELS = Levels([100.0, 500.0, 850.0], "pressure")
HOURS = 3600 * np.arange(4)
FLAT = ("time", "latitude", "longitude")
DEEP = ("time", "level", "latitude", "longitude")


def values(*shape):
    return np.random.default_rng(len(shape)).normal(size=(*shape, *GRID.shape)).astype("f4")


def made(**changes):
    given = {
        "variables": {
            "temperature": Variable(values(4, 3), DEEP, "K", "air_temperature", LEVELS),
            "surface_pressure": Variable(values(4), FLAT, "Pa", "surface_air_pressure"),
            "orography": Variable(values(), FLAT[1:], "m"),
        },
        "grid": GRID,
        "times": TimeAxis(HOURS),
    }
    return FieldSet(**{**given, **changes})


def test_channels_are_named_by_variable_and_level_and_can_be_selected_so():
    fields = made()
    names = [channel.name for channel in fields.channels]
    assert names == ["temperature_100", "temperature_500", "temperature_850", "surface_pressure",
                     "orography"]  # fmt: skip
    assert fields.channels[1].units == "K"
    chosen = fields.select(["surface_pressure", "temperature_850"])
    assert chosen.shape == (4, 2, 3, 6)
    assert_array_equal(chosen[:, 1], fields["temperature"].values[:, 2])
    # the nearest level, for what is named without one
    assert_array_equal(fields.select(["temperature"], level=600.0)[:, 0],
                       fields["temperature"].values[:, 1])  # fmt: skip
    assert fields.described("temperature_850") == ("K", "air_temperature")


def test_labels_of_sigma_are_thousandths():
    assert Levels([1 / 6, 0.5, 5 / 6], "sigma").labels == ("167", "500", "833")
    assert Levels([0.05], "sigma").labels == ("050",)
    assert Levels([0.5, 10.0], "pressure").labels == ("0.5", "10")
    assert split_label("geopotential_height_0.5") == ("geopotential_height", 0.5)
    assert split_label("height") == ("height", None)
    assert split_label("10m_u") == ("10m_u", None)


def test_a_time_and_a_part_of_the_times_keep_what_has_none():
    fields = made()
    one, two = fields.at("time", 2), fields.part(slice(1, 3))
    assert one["temperature"].dims == DEEP[1:]
    assert_array_equal(one["temperature"].values, fields["temperature"].values[2])
    assert (one.time.seconds, len(two.time)) == ([7200], 2)
    assert one["orography"] is fields["orography"]
    assert two["temperature"].values.shape[0] == 2


def test_members_are_numbered():
    dims = ("member", *FLAT)
    fields = FieldSet({"a": Variable(values(2, 4), dims)}, GRID, TimeAxis(HOURS), members=(3, 7))
    assert_array_equal(fields.at("member", 1)["a"].values, fields["a"].values[1])
    assert fields.at("member", 1).members == ()
    assert fields.select(["a"]).shape == (2, 4, 1, 3, 6)


def test_valid_times_of_forecasts_are_derived():
    times = ForecastTimes(86_400, HOURS)
    assert_array_equal(times.valid_time.seconds, 86_400 + HOURS)
    assert_array_equal(times.init_time, 86_400)
    fields = made(times=times)
    assert_array_equal(fields.time.seconds, 86_400 + HOURS)
    assert fields.at("time", 3).times.lead_time == [10_800]
    fixed = ForecastTimes(86_400 * np.arange(3), 21_600)  # one lead, many starts
    assert_array_equal(fixed.valid_time.seconds, 86_400 * np.arange(3) + 21_600)


def test_nothing_can_be_changed():
    fields = made()
    with pytest.raises(TypeError):
        fields.variables["new"] = fields["orography"]
    for array in (LEVELS.values, ForecastTimes(0, HOURS).lead_time):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_what_is_missing_is_allowed_and_can_be_asked_for():
    holes = values(4)
    holes[1, 2, :2] = np.nan
    fields = made(variables={"sst": Variable(holes, FLAT)})
    with pytest.raises(ValueError, match="run 7: 2 of 72 values of sst are missing"):
        fields.require_complete("run 7")
    made().require_complete()


def test_dask_arrays_stay_lazy_until_they_are_loaded():
    dask = pytest.importorskip("dask.array")
    lazy = Variable(dask.from_array(values(4, 3)), DEEP, levels=LEVELS)
    fields = made(variables={"t": lazy})
    assert isinstance(fields.select(["t_850", "t_100"]), dask.Array)
    assert isinstance(fields.at("time", 1)["t"].values, dask.Array)
    assert_array_equal(fields.loaded()["t"].values, values(4, 3))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Levels([850.0, 500.0], "pressure"), "must increase, from the top down; got 850"),
        (lambda: Levels([850.0, 500.0], "isentropic"), "one of pressure, model_level, sigma; got"),
        (lambda: Levels([0.5, 1.2], "sigma"), "σ 0.5, 1.2 cannot be: σ lies in 0..1"),
        (lambda: Levels([np.nan], "pressure"), "row of finite numbers"),
        (lambda: LEVELS.index(700.0), "no level 700, only 100, 500, 850 hPa"),
        (lambda: ForecastTimes(0, [0, -3600]), "must not be negative; got -3600 s"),
        (lambda: ForecastTimes(0, [3600, 0]), "times must increase; 1970-01-01T01:00:00"),
        (lambda: ForecastTimes([[0], [1]], [5, 6]), "along one axis; got shape \\(2, 2\\)"),
        (lambda: Variable(values(2), ("latitude", "longitude")), "got shape \\(2, 3, 6\\)"),
        (lambda: Variable(values(2), ("level", "latitude", "longitude")), "levels None"),
        (lambda: Variable(values(2), ("level", *FLAT[1:]), levels=LEVELS), "have 2 levels; given"),
        (lambda: Variable(values(1, 2), ("level", *FLAT)), "in this order; got"),
        (lambda: made(times=TimeAxis(HOURS[:3])), "temperature has 4 along time; the set has 3"),
        (lambda: made(times=None), "temperature has 4 along time; the set has 0"),
        (lambda: made(grid=make_grid("regular", 3)), "has 6 along longitude; the set has 4"),
        (lambda: made(members=(1, 1)), "different numbers; got \\(1, 1\\)"),
        (lambda: made(variables={}), "a field set needs a variable"),
        (lambda: made()["humidity"], "no variable 'humidity'; there are temperature, surface"),
        (lambda: made().select(["humidity_850"]), "no channel 'humidity_850'; there are the"),
        (lambda: made().select(["temperature_700"]), "levels of temperature are 100, 500, 850 hPa"),
        (lambda: made().select(["temperature"]), "say which level of temperature"),
        (lambda: made().select(["orography", "temperature_850"]), "must have the same axes"),
    ],
)
def test_what_does_not_fit_is_one_line(make, text):
    with pytest.raises(ValueError, match=text) as error:
        make()
    assert "\n" not in str(error.value)


def test_kinds_of_levels_are_not_mixed():
    sigma = Levels([0.1, 0.5, 0.9], "sigma")
    both = {
        "a": Variable(values(3), DEEP[1:], levels=LEVELS),
        "b": Variable(values(3), DEEP[1:], levels=sigma),
    }
    with pytest.raises(ValueError, match="one kind of levels; got pressure, sigma"):
        made(variables=both)
    assert made(variables={"b": both["b"]}).level_kind == "sigma"
