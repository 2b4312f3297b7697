import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

from atmodist.fields.cf.valid_times import valid_times

SINCE = {"units": "hours since 1970-01-01"}
TIME = {**SINCE, "standard_name": "time"}
START = {**SINCE, "standard_name": "forecast_reference_time"}
HOURS = {"units": "hours"}
PERIOD = {**HOURS, "standard_name": "forecast_period"}


def found(dims=("time",), **coordinates):
    """Valid times in hours, their axes, and what is said."""
    variables = {
        name: xr.Variable((dim,) if isinstance(dim, str) else dim, np.array(values), attributes)
        for name, (dim, values, attributes) in coordinates.items()
    }
    times = valid_times(variables, dims)
    return (times.seconds / 3600).tolist(), times.dims, times.notes


def test_a_valid_time_with_its_period_is_not_moved():
    for start in ({}, {"forecast_reference_time": ((), 0, START)}):
        assert found(time=("time", [6, 12], TIME), period=("time", [6, 12], PERIOD), **start) == (
            [6, 12], ("time",), (),
        )  # fmt: skip
    assert found(dims=(), time=((), 6, TIME), forecast_period=((), 6, PERIOD))[0] == 6


def test_a_reference_time_and_a_period_are_added():
    assert found(run=("time", [0, 6], START), period=((), 24, PERIOD))[0] == [24, 30]
    assert found(time=((), 12, START), step=("step", [0, 6], PERIOD), dims=("step",))[:2] == (
        [12, 18], ("step",),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["prediction_timedelta", "step", "lead_time"])
@pytest.mark.parametrize("attributes", [SINCE, TIME])
def test_where_nothing_says_the_lead_is_added_as_in_weatherbench_and_a_note_says_so(
    name, attributes
):
    scalar = found(time=("time", [0, 6], attributes), **{name: ((), 24, HOURS)})
    axis = found(("time", name), time=("time", [0, 6], attributes), **{name: (name, [24], HOURS)})
    both = found(
        ("time", name), time=("time", [0, 6], attributes), **{name: (name, [0, 24], HOURS)}
    )
    assert scalar[:2] == axis[:2] == ([24, 30], ("time",))
    assert both[:2] == ([[0, 24], [6, 30]], ("time", name))
    for _, _, notes in (scalar, axis, both):
        assert len(notes) == 1
        assert f"time is taken as the start of forecasts, and {name} is added" in notes[0]


def test_no_lead_at_all_needs_no_note():
    assert found(time=("time", [0, 6], TIME), step=((), 0, HOURS)) == ([0, 6], ("time",), ())


def test_a_time_that_moves_with_its_lead_is_valid():
    hours, _, notes = found(time=("time", [6, 12, 18], SINCE), step=("time", [6, 12, 18], HOURS))
    assert hours == [6, 12, 18]
    assert "moves with step" in notes[0]
    # starts that stand still, or move otherwise, are starts
    assert found(time=("time", [0, 0, 0], SINCE), step=("time", [6, 12, 18], HOURS))[0] == [
        6,
        12,
        18,
    ]


def test_a_reference_time_beside_tells_what_a_time_is():
    start = {"forecast_reference_time": ("time", [0, 6], START)}
    lead = {"step": ((), 24, HOURS)}
    assert found(time=("time", [24, 30], SINCE), **start, **lead) == ([24, 30], ("time",), ())
    assert found(time=("time", [0, 6], SINCE), **start, **lead) == ([24, 30], ("time",), ())


def test_valid_times_of_cfgrib_win():
    hours, dims, notes = found(
        ("time", "step"),
        time=("time", [0, 12], START),
        step=("step", [0, 6, 12], PERIOD),
        valid_time=(("time", "step"), [[0, 6, 12], [12, 18, 24]], TIME),
    )
    assert (hours, dims, notes) == ([[0, 6, 12], [12, 18, 24]], ("time", "step"), ())
    assert (
        found(dims=(), time=((), 0, START), step=((), 6, PERIOD), valid_time=((), 6, TIME))[0] == 6
    )


def test_axes_of_one_entry_are_no_axes():
    hours, dims, _ = found(
        ("time", "step"), time=("time", [12], START), step=("step", [0, 6], PERIOD)
    )
    assert (hours, dims) == ([12, 18], ("step",))


def test_a_temperature_is_no_time():
    assert found(t=("time", [270.0, 280.0], {"units": "K"}), time=("time", [0, 6], TIME))[0] == [
        0,
        6,
    ]
    assert valid_times({"t": xr.Variable(("t",), [1.0, 2.0], {"units": "K"})}, ("t",)) is None


def test_a_level_or_member_is_no_time():
    number = xr.Variable(("number",), np.arange(4))
    level = xr.Variable(("lev",), [500.0, 850.0], {"units": "hPa", "positive": "down"})
    assert valid_times({"number": number, "lev": level}, ("number", "lev")) is None


@pytest.mark.parametrize("name", ["time", "TIME", "t", "forecast_valid", "anything"])
def test_what_counts_from_a_date_is_a_time_whatever_it_is_called(name):
    assert found((name,), **{name: (name, [0, 6], SINCE)})[0] == [0, 6]


def test_durations_called_time_are_leads_where_dates_stand_beside_them():
    dates = np.array(["2020-01-01T06", "2020-01-01T12"], "M8[ns]")
    hours, dims, _ = found(
        time=("time", np.array([6, 12], "m8[h]").astype("m8[ns]"), {}),
        datetime=("time", dates, {}),
    )
    assert (np.diff(hours), dims) == (6, ("time",))


def test_leads_are_told_with_the_times():
    variables = {
        "time": xr.Variable(("time",), [0, 6], START),
        "step": xr.Variable(("step",), [6, 12, 18], PERIOD),
    }
    times = valid_times(variables, ("step", "time"))
    assert_array_equal(times.seconds - times.leads, [[0, 0, 0], [21600] * 3])


def test_numbers_that_count_from_nowhere_are_steps_and_say_so():
    times = valid_times({"time": xr.Variable(("time",), [0, 6])}, ("time",))
    assert times.calendar == "none"
    assert "--time_units" in times.notes[0]
    given = valid_times({"time": xr.Variable(("time",), [0, 6])}, ("time",), SINCE["units"])
    assert_array_equal(given.seconds, [0, 21600])


def test_durations_from_a_start_are_leads_whatever_they_are_called():
    assert found(time=("time", [6, 12], HOURS), reftime=((), 12, START))[0] == [18, 24]


def test_a_start_that_cannot_be_read_matters_only_where_it_is_needed():
    assert found(time=("time", [6, 12], TIME), reftime=((), "today", {}))[0] == [6, 12]
    with pytest.raises(ValueError, match="'reftime' cannot be read"):
        found(step=("step", [6, 12], HOURS), reftime=((), "today", {}), dims=("step",))


def test_other_durations_beside_a_forecast_are_no_leads():
    six, day = (np.array([h, h + 6], "m8[h]").astype("m8[ns]") for h in (6, 24))
    coordinates = {
        "init": ("init", [0, 12], {**SINCE, "standard_name": "forecast_reference_time"}),
        "lead_time": ("lead_time", six, {}),
        "expected_length": ("init", day, {}),
    }
    hours, dims, _ = found(("init", "lead_time"), **coordinates)
    assert (hours, dims) == ([[6, 12], [18, 24]], ("init", "lead_time"))


def test_a_lead_of_unknown_units_matters_only_where_it_is_added():
    assert found(valid_time=("time", [6, 12], TIME), step=("time", [1, 2], {}))[0] == [6, 12]
    with pytest.raises(ValueError, match="step has the unknown units"):
        found(time=("time", [0, 6], SINCE), step=("time", [1, 2], {}))
