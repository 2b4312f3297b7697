import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

from atmodist.fields.cf.time_values import decode_durations, decode_times, duration_factor
from atmodist.fields.time_axis import TimeAxis

DAY = 86_400
START = TimeAxis(np.zeros(1)).parse("2020-01-01")


def decoded(values, units="", calendar="", **attributes):
    attributes |= {"units": units} if units else {}
    attributes |= {"calendar": calendar} if calendar else {}
    return decode_times("time", xr.Variable(("time",), values, attributes))


def days_since(year, calendar="proleptic_gregorian"):
    return (START - TimeAxis(np.zeros(1), calendar).parse(f"{year:04d}-01-01")) / DAY


@pytest.mark.parametrize("dtype", ["f8", "i4", "i8"])
@pytest.mark.parametrize(
    ("units", "calendar", "first"),
    [
        ("days since 1970-01-01", "", START / DAY),
        ("days since 0001-01-01", "proleptic_gregorian", days_since(1)),
        ("days since 0001-01-01", "standard", days_since(1, "standard")),
        ("Days Since 1900-01-01 00:00:0.0", "gregorian", days_since(1900)),
        ("days since 1850-01-01T00:00:00Z", "GREGORIAN", days_since(1850)),
    ],
)
def test_days_are_dated_in_the_calendar_as_it_stands(units, calendar, first, dtype):
    seconds, found = decoded((first + np.arange(3)).astype(dtype), units, calendar)
    assert_array_equal(seconds, START + DAY * np.arange(3))
    assert found == "standard"


def test_year_one_is_two_days_off_in_the_other_calendar():
    first = days_since(1)
    other, _ = decoded([first], "days since 0001-01-01", "standard")
    assert other[0] == START - 2 * DAY


def test_calendars_that_differ_keep_their_names():
    assert decoded([0, 1], "days since 0900-01-01", "proleptic_gregorian")[1] == (
        "proleptic_gregorian"
    )
    assert decoded([59, 60], "days since 1972-01-01", "365_day")[1] == "noleap"
    seconds, calendar = decoded([1.0, 2.0], "months since 2000-01-01", "360_day")
    assert calendar == "360_day"
    assert np.diff(seconds) == 30 * DAY


@pytest.mark.parametrize("direction", [-np.inf, np.inf])
@pytest.mark.parametrize("units", ["hours", "days", "minutes", "seconds"])
def test_times_a_hair_beside_the_hour_are_rounded(units, direction):
    factor = duration_factor(units)
    exact = np.arange(START, START + 30 * 3600, 3600) / factor
    seconds, _ = decoded(np.nextafter(exact, direction), f"{units} since 1970-01-01")
    assert_array_equal(seconds, np.arange(START, START + 30 * 3600, 3600))


@pytest.mark.parametrize("decimals", [3, 4, 5, 6])
def test_days_written_with_few_decimals_are_hours(decimals):
    written = np.round(np.arange(24) / 24, decimals)
    seconds, _ = decoded(written, "days since 2020-01-01")
    assert_array_equal(seconds, START + 3600 * np.arange(24))


def test_irregular_times_of_few_decimals_stay():
    seconds, _ = decoded([0.1, 0.3, 0.7], "hours since 2020-01-01")
    assert_array_equal(seconds - START, [360, 1080, 2520])


def test_seconds_that_are_no_minutes_stay():
    seconds, _ = decoded(np.array([0.5, 1.5, 2.4]), "seconds since 2020-01-01")
    assert_array_equal(seconds - START, [0, 2, 2])
    seconds, _ = decoded(np.array([1.0, 61.0, 121.0]), "seconds since 2020-01-01")
    assert_array_equal(seconds - START, [1, 61, 121])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("hours", [1, 3, 6, 12, 24])
@pytest.mark.parametrize("since", [1850, 1900])
def test_single_precision_is_read_as_the_regular_times_that_were_meant(hours, since, dtype):
    exact = days_since(since) + hours * np.arange(40) / 24 + 0.5
    assert hours > 1 or np.abs(exact - exact.astype("f4")).max() * DAY > 100
    seconds, _ = decoded(exact.astype("f4").astype(dtype), f"days since {since}-01-01")
    assert_array_equal(seconds, START + DAY // 2 + 3600 * hours * np.arange(40))


def test_single_precision_that_hides_the_step_is_refused_with_the_reason():
    exact = days_since(1850) + 337.5 / DAY * np.arange(20)  # every number is a time of its own
    with pytest.raises(ValueError, match=r"single-precision numbers, known to 338 s only"):
        decoded(exact.astype("f4"), "days since 1850-01-01")
    # hours of the first days are exact enough for any step
    seconds, _ = decoded((np.arange(20) * 0.05).astype("f4"), "hours since 2020-01-01")
    assert_array_equal(seconds, START + 180 * np.arange(20))


@pytest.mark.parametrize(
    "texts",
    [
        ["2020-01-01", "2020-01-01T06:00"],
        ["2020-01-01 00:00:00", "2020-01-01 06:00:00"],
        ["2020-01-01T00:00:00Z", "2020-01-01T06:00:00Z"],
        ["2020-01-01T00:00:00.000000000", "2020-01-01T06:00:00.000000000"],
        ["2020-01-01T00:00:00+00:00", "2020-01-01T06:00:00+00:00"],
        ["2020-01-01_00:00:00", "2020-01-01_06:00:00"],
        ["2020 01 01 00:00", "2020/01/01 06:00"],
        ["2020010100", "2020010106"],
        ["20200101", "20200101T0600"],
    ],
)
@pytest.mark.parametrize("dtype", ["O", "U", "S"])
def test_texts_are_read(texts, dtype):
    seconds, _ = decoded(np.array(texts, dtype))
    assert_array_equal(seconds, [START, START + 6 * 3600])


def test_texts_that_are_no_times_say_so():
    with pytest.raises(ValueError, match=r"'time' cannot be read: 'winter' is no time"):
        decoded(np.array(["winter"], object))


def test_absolute_days_are_read_and_absolute_months_say_what_to_do():
    values = [20200101.0, 20200101.25, 20200102.5]
    seconds, _ = decoded(values, "day as %Y%m%d.%f")
    assert_array_equal(seconds, START + np.array([0, 6, 36]) * 3600)
    with pytest.raises(ValueError, match=r"count from a date first \(cdo -r copy"):
        decoded([202001.5], "month as %Y%m.%f")
    with pytest.raises(ValueError, match="single-precision numbers"):
        decoded(np.array(values, "f4"), "day as %Y%m%d.%f")


def test_dates_that_xarray_has_decoded_are_the_same():
    dates = np.array(["2020-01-01T00:00:00.6", "2020-01-01T06"], "M8[ns]")
    assert_array_equal(decoded(dates)[0], [START + 1, START + 6 * 3600])
    noleap = xr.date_range("2001-02-28", periods=2, calendar="noleap", use_cftime=True)
    seconds, calendar = decoded(np.asarray(noleap))
    assert (calendar, np.diff(seconds).item()) == ("noleap", DAY)


@pytest.mark.parametrize(
    "moment",
    [
        "2020-01-01T06",
        "2020-01-01 08:00:00 +02:00",
        "2020-01-01 06:00:00 UTC",
        "2020-1-1 6:0:0.0",
    ],
)
def test_the_moment_that_is_counted_from_may_be_an_hour_or_in_another_zone(moment):
    assert decoded([1], f"hours since {moment}")[0][0] == START + 7 * 3600


@pytest.mark.parametrize(
    ("values", "units", "message"),
    [
        ([0.0, np.nan], "hours since 2020-01-01", "1 of 2 are missing"),
        ([0.0], "years since 2020-01-01", "'years' is no unit of fixed length"),
        ([0.0], "K", "--time_units 'hours since"),
        ([0], "hours since the flood", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(values, units, message):
    with pytest.raises(ValueError, match=message):
        decoded(values, units)


@pytest.mark.parametrize(
    ("values", "units"),
    [
        (np.array([6, 12], "m8[h]").astype("m8[ns]"), ""),
        ([6, 12], "hours"),
        ([6.0, 12.0], "hr"),
        ([0.25, 0.5], "days"),
        ([360, 720], "min"),
        ([21600.0, 43200.0], "s"),
        ([21600 * 10**9, 43200 * 10**9], "nanoseconds"),
    ],
)
def test_leads_of_any_unit_are_seconds(values, units):
    variable = xr.Variable(("step",), values, {"units": units})
    assert_array_equal(decode_durations("step", variable), [21600, 43200])


def test_leads_without_units_are_refused_unless_they_are_none_or_their_name_says_so():
    assert_array_equal(decode_durations("step", xr.Variable((), 0)), 0)
    assert_array_equal(decode_durations("forecast_hour", xr.Variable(("f",), [6])), [21600])
    with pytest.raises(ValueError, match="step has the unknown units ''"):
        decode_durations("step", xr.Variable(("step",), [6]))
