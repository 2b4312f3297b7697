import itertools

import cftime
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atmodist.fields.time_axis import EPOCH_UNITS, TimeAxis, format_seconds

HOUR, DAY = 3600, 86_400
CALENDARS = ["standard", "proleptic_gregorian", "noleap", "all_leap", "360_day", "julian"]


def hours(*values: int) -> TimeAxis:
    return TimeAxis(np.array(values) * HOUR)


def test_holes_are_the_boundaries_of_segments():
    axis = hours(0, 3, 6, 15, 18, 27)
    assert axis.step == 3 * HOUR
    assert axis.segments() == (range(0, 3), range(3, 5), range(5, 6))


def test_a_shorter_difference_ends_a_segment_too():
    assert hours(0, 3, 6, 7, 10).segments() == (range(0, 3), range(3, 5))


def test_a_single_step_is_one_segment():
    assert hours(5).segments() == (range(0, 1),)
    assert hours(5).step == 0


@given(st.lists(st.integers(1, 4), min_size=1, max_size=60))
def test_segments_tile_the_axis_and_are_evenly_spaced(differences):
    axis = TimeAxis(np.concatenate([[0], np.cumsum(differences)]) * HOUR)
    segments = axis.segments()
    assert [i for segment in segments for i in segment] == list(range(len(axis)))
    for segment in segments:
        assert set(np.diff(axis.seconds[segment.start : segment.stop])) <= {axis.step}
    for before, after in itertools.pairwise(segments):
        assert axis.seconds[after.start] - axis.seconds[before.stop - 1] != axis.step
    counts = {d: differences.count(d) for d in differences}
    assert counts[axis.step // HOUR] == max(counts.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 3, 3, 6), r"1970-01-01T03:00:00 \(step 1\) is repeated \(1 such"),
        (
            (0, 6, 3, 9, 8),
            r"T06:00:00 \(step 1\) is followed by an earlier 1970-01-01T03.*\(2 such",
        ),
    ],
)
def test_duplicates_and_disorder_name_the_step(values, message):
    with pytest.raises(ValueError, match=message):
        hours(*values)


@pytest.mark.parametrize("bad", [[], [[0, 1]]])
def test_shapes_that_are_no_axis_are_refused(bad):
    with pytest.raises(ValueError, match="time must be 1-D and not empty"):
        TimeAxis(np.array(bad))


def test_bare_steps_are_counted_not_dated():
    axis = TimeAxis.counted(4)
    assert axis.segments() == (range(0, 4),)
    assert axis.isoformat(3) == "step 3"
    assert str(axis) == "4 steps"
    with pytest.raises(ValueError, match="no dates, only steps"):
        axis.select("2018-01-01")


@given(st.sampled_from(CALENDARS), st.integers(-62_000_000_000, 250_000_000_000))
def test_what_a_calendar_writes_it_reads_again(calendar, seconds):
    axis = TimeAxis(np.array([seconds]), calendar)  # years 5 to 9890
    assert axis.parse(axis.isoformat(0)) == seconds


@given(st.sampled_from(CALENDARS), st.integers(-62_000_000_000, 250_000_000_000))
def test_dates_agree_with_cftime(calendar, seconds):
    date = cftime.num2date(seconds, EPOCH_UNITS, calendar=calendar)
    assert format_seconds(seconds, calendar) == date.isoformat()


@pytest.mark.parametrize(
    ("calendar", "days"), [("standard", 2), ("noleap", 1), ("360_day", 3), ("all_leap", 2)]
)
def test_the_end_of_february_depends_on_the_calendar(calendar, days):
    axis = TimeAxis(np.array([0]), calendar)
    assert axis.parse("2020-03-01") - axis.parse("2020-02-28") == days * DAY


def test_a_day_that_a_calendar_lacks_is_named():
    with pytest.raises(ValueError, match="'2020-02-29' does not exist in the calendar 'noleap'"):
        TimeAxis(np.array([0]), "noleap").parse("2020-02-29")
    assert TimeAxis(np.array([0]), "360_day").parse("2020-02-30")


@pytest.mark.parametrize("text", ["yesterday", "2018", "2018-1-1", "06:00", "2018-01-01T6", ""])
def test_what_is_no_time_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=f"'{text}' is no time; write 2018-10-06 or"):
        hours(0).parse(text)


@pytest.mark.parametrize(
    "text", ["2018-10-06T18", "2018-10-06 18:00", "2018-10-06T1800", "2018-10-06T18:00:00Z"]
)
def test_common_spellings_of_a_time_are_read(text):
    assert hours(0).parse(text) == int(np.datetime64("2018-10-06T18", "s").astype(np.int64))


def test_selection_includes_both_ends_and_the_whole_last_day():
    axis = hours(*range(0, 96, 6))  # four days, 6-hourly
    assert axis.select() == range(16)
    assert axis.select("1970-01-02") == range(4, 16)
    assert axis.select(end="1970-01-02") == range(8)
    assert axis.select("1970-01-02", "1970-01-02") == range(4, 8)
    assert axis.select("1970-01-02T06", "1970-01-02T12") == range(5, 7)
    assert axis.select("1970-01-02T06:00:01", "1970-01-02T12") == range(6, 7)


def test_an_empty_selection_says_what_there_is():
    with pytest.raises(ValueError, match="no step between 1980-01-01 and the end: the times run "):
        hours(0, 3, 6).select("1980-01-01")
    with pytest.raises(ValueError, match="from 1970-01-01T00:00:00 to 1970-01-01T06:00:00"):
        hours(0, 3, 6).select("1970-01-01T04", "1970-01-01T05")


def test_description_counts_holes_and_names_the_calendar():
    seconds = np.array([0, 3, 6, 15]) * HOUR
    assert str(TimeAxis(seconds, "noleap")) == (
        "4 steps, 1970-01-01T00:00:00 .. 1970-01-01T15:00:00 every 3 h, 1 hole, calendar noleap"
    )
