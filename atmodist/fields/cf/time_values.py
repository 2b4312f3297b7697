"""Decoding the values of time coordinates to whole seconds, and of lead times to durations.

Numbers count from a moment in a calendar, which is taken as it is named: `proleptic_gregorian`
since year 1 lies two days from `standard`. They are rounded, never truncated, since 17.999999 h
stands for 18 h. In single precision a day of this century is known to minutes only; then the
regular times that were meant are looked for, and where none can be told the values are refused.
"""

import datetime
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.cf.describe import text
from atmodist.fields.time_axis import REFORM, TimeAxis, seconds_of

if TYPE_CHECKING:
    import xarray as xr

_SECONDS = {
    **dict.fromkeys(("nanosecond", "ns", "nsec"), 1e-9),
    **dict.fromkeys(("microsecond", "us", "usec", "microsec"), 1e-6),
    **dict.fromkeys(("millisecond", "ms", "msec", "millisec"), 1e-3),
    **dict.fromkeys(("second", "sec", "s"), 1.0),
    **dict.fromkeys(("minute", "min"), 60.0),
    **dict.fromkeys(("hour", "hr", "h"), 3600.0),
    **dict.fromkeys(("day", "d"), 86_400.0),
    **dict.fromkeys(("week", "wk"), 604_800.0),
}
_SINCE = re.compile(r"\s*(\w+)\s+since\s+(.+?)\s*", re.IGNORECASE)
_ABSOLUTE = re.compile(r"\s*days?\s+as\s+%y%m%d\.%f\s*", re.IGNORECASE)
_CALENDARS = {"gregorian": "standard", "365_day": "noleap", "366_day": "all_leap", "": "standard"}
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T?(\d\d)(?:(\d\d)(\d\d)?)?)?Z?")
_ADVICE = "say what they count, for instance --time_units 'hours since 1996-01-05 00:00'"
# Steps that people choose, in seconds, from coarse to fine.
_STEPS = (
    86_400, 43_200, 21_600, 14_400, 10_800, 7200, 3600, 1800, 1200, 900, 600, 300, 240, 180, 120,
    60, 30, 20, 15, 10, 5, 2, 1,
)  # fmt: skip
_SLACK = 2.0  # seconds by which times that were written with few decimals may lie beside a minute


def duration_factor(units: str) -> float | None:
    """Seconds in a unit of time such as "hours"; None if it is none."""
    units = units.strip().lower()
    return _SECONDS.get(units, _SECONDS.get(units.rstrip("s")))


def is_datelike(variable: "xr.Variable") -> bool:
    """Whether values are dates, or numbers that count from a date."""
    units = text(variable.attrs, "units")
    if variable.dtype.kind == "M" or _ABSOLUTE.fullmatch(units):
        return True
    if variable.dtype.kind == "O" and variable.size:
        return hasattr(variable.values.ravel()[0], "isoformat")
    return bool(_SINCE.fullmatch(units)) and np.issubdtype(variable.dtype, np.number)


def is_textual(variable: "xr.Variable") -> bool:
    """Whether values are texts."""
    if variable.dtype.kind in "SU":
        return True
    return variable.dtype.kind == "O" and bool(variable.size) and _is_text(variable.values)


def decode_times(
    name: object, variable: "xr.Variable", time_units: str | None = None
) -> tuple[np.ndarray, str]:
    """Times in whole seconds since 1970-01-01.

    Args:
        name: For messages.
        variable: The coordinate.
        time_units: What numbers count, where the file does not say, or says it wrongly.

    Returns:
        int64 of the shape of the variable, and the CF calendar; those that agree on all these
        times with the standard one are called "standard".

    Raises:
        ValueError: If values cannot be read, are missing, or too coarse to tell times from.
    """
    calendar = text(variable.attrs, "calendar")
    calendar = _CALENDARS.get(calendar, calendar)
    units = time_units or str(variable.attrs.get("units", ""))
    try:
        seconds, calendar = _decoded(variable, units, calendar)
    except (ValueError, TypeError, OverflowError) as error:
        shown = f" (units {units!r})" if units else ""
        raise ValueError(f"the times {str(name)!r}{shown} cannot be read: {error}") from None
    if calendar == "proleptic_gregorian" and seconds.size and seconds.min() >= REFORM:
        calendar = "standard"
    return seconds, calendar


def decode_durations(name: object, variable: "xr.Variable") -> np.ndarray:
    """Lead times in whole seconds; int64 of the shape of the variable.

    Raises:
        ValueError: If units are unknown, or values missing.
    """
    values = variable.values
    if values.dtype.kind == "m":
        if np.isnat(values).any():
            raise ValueError(f"{name} has missing values")
        return np.rint(values / np.timedelta64(1, "s")).astype(np.int64)
    if values.dtype.kind == "O" and values.size and hasattr(values.ravel()[0], "total_seconds"):
        flat = [one.total_seconds() for one in values.ravel()]
        return np.rint(np.reshape(flat, values.shape)).astype(np.int64)
    units = str(variable.attrs.get("units", ""))
    factor = duration_factor(units or ("hours" if "hour" in str(name).lower() else ""))
    if factor is None and not units and not np.any(values):
        factor = 1.0  # no lead in any unit
    if factor is None:
        raise ValueError(f"{name} has the unknown units {units!r}; hours, for instance, are known")
    exact = np.asarray(values, np.float64) * factor
    if not np.isfinite(exact).all():
        raise ValueError(f"{name} has missing values")
    return np.rint(_to_minutes(exact)).astype(np.int64)


def _decoded(variable: "xr.Variable", units: str, calendar: str) -> tuple[np.ndarray, str]:
    values = np.asarray(variable.values)
    if is_textual(variable):
        return _of_texts(values, calendar), calendar
    if values.dtype.kind == "M":
        if np.isnat(values).any():
            raise ValueError(f"{int(np.isnat(values).sum())} of {values.size} are missing")
        exact = (values - np.datetime64(0, "s")) / np.timedelta64(1, "s")
        return np.rint(exact).astype(np.int64), "standard"
    if values.dtype.kind == "O":
        from cftime import date2num

        from atmodist.fields.time_axis import EPOCH_UNITS

        calendar = str(getattr(values.ravel()[0], "calendar", "standard"))
        exact = date2num(values, EPOCH_UNITS, calendar=calendar)
        return np.rint(np.asarray(exact, np.float64)).astype(np.int64), calendar
    if not np.issubdtype(values.dtype, np.number):
        raise ValueError(f"values are not numbers; {_ADVICE}")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of {values.size} are missing")
    if _ABSOLUTE.fullmatch(units):
        return _of_absolute(values, calendar), calendar
    match = _SINCE.fullmatch(units)
    if match is None:
        raise ValueError(_absolute_advice(units) or _ADVICE)
    factor = duration_factor(match[1])
    if factor is None and match[1].lower().rstrip("s") == "month" and calendar == "360_day":
        factor = 30 * 86_400.0
    if factor is None:
        raise ValueError(f"{match[1]!r} is no unit of fixed length; {_ADVICE}")
    start = _reference(match[2], calendar)
    if np.issubdtype(values.dtype, np.integer) and factor >= 1:
        return values.astype(np.int64) * int(factor) + start, calendar
    exact = values.astype(np.float64) * factor + start
    if values.dtype.itemsize < 8:
        resolution = np.spacing(np.abs(values).astype(np.float32)).astype(np.float64) * factor
        return _rounded(exact, resolution, must_be_regular=True), calendar
    return _rounded(exact, _written_resolution(values, factor), must_be_regular=False), calendar


def _written_resolution(values: np.ndarray, factor: float) -> np.ndarray:
    """Seconds to which numbers may have been rounded once, before they were doubles.

    They were in single precision if they still are numbers of it, or written with few decimals,
    such as 0.042 d for an hour.
    """
    if np.array_equal(values, values.astype(np.float32)):
        return np.spacing(np.abs(values).astype(np.float32)).astype(np.float64) * factor
    for decimals in range(1, 5):
        if np.abs(values - np.round(values, decimals)).max(initial=0.0) < 1e-9:
            return np.full(values.shape, factor * 10.0**-decimals)
    return np.zeros(values.shape)


def _rounded(exact: np.ndarray, resolution: np.ndarray, *, must_be_regular: bool) -> np.ndarray:
    """Whole seconds that were meant.

    Args:
        exact: Seconds as the numbers say.
        resolution: Seconds to which these may have been rounded.
        must_be_regular: Whether that is certain, so that irregular times cannot be told.
    """
    coarse = resolution.max(initial=0.0)
    whole = np.rint(_to_minutes(exact)).astype(np.int64)
    if coarse <= 1.0:
        return whole
    steps = np.diff(np.unique(whole))
    is_regular = len(steps) < 2 or steps.max() - steps.min() <= 1
    if is_regular and not must_be_regular:
        return whole
    regular = _regular(exact, 0.5 * resolution + 0.5)
    if regular is None and must_be_regular:
        raise ValueError(
            f"they are single-precision numbers, known to {coarse:.0f} s only, and belong to no "
            "regular times; write them in double precision"
        )
    return whole if regular is None else regular


def _regular(exact: np.ndarray, tolerance: np.ndarray) -> np.ndarray | None:
    """The coarsest regular times that lie within a tolerance of all; None if there are none."""
    distinct = len(np.unique(exact))
    for step in _STEPS:
        if step <= 2 * tolerance.max():  # then any time lies near one of them
            return None
        near = step * np.rint(exact / step)
        if (np.abs(near - exact) <= tolerance).all() and len(np.unique(near)) == distinct:
            return near.astype(np.int64)
    return None


def _to_minutes(exact: np.ndarray) -> np.ndarray:
    """Whole minutes, where all lie beside one and are no whole seconds: 0.04167 d is an hour."""
    if not exact.size or (np.abs(exact - np.rint(exact)) < 1e-3).all():
        return exact
    minutes = 60 * np.rint(exact / 60)
    near = (np.abs(minutes - exact) <= _SLACK).all()
    return minutes if near and len(np.unique(minutes)) == len(np.unique(exact)) else exact


def _reference(moment: str, calendar: str) -> int:
    """Seconds since 1970-01-01 of what numbers count from."""
    import cftime

    from atmodist.fields.time_axis import EPOCH_UNITS

    moment = re.sub(r"\s*(utc|gmt|z)\s*$", "", moment, flags=re.IGNORECASE)
    moment = re.sub(r"(?<=\d)[t ](\d\d?)$", r" \1:00", moment, flags=re.IGNORECASE)  # an hour alone
    start = cftime.num2date(0, f"seconds since {moment}", calendar)
    return round(float(cftime.date2num(start, EPOCH_UNITS, calendar)))


def _of_absolute(values: np.ndarray, calendar: str) -> np.ndarray:
    """CDO's absolute times: 20200101.25 is 6 h on 2020-01-01."""
    if values.dtype.itemsize < 8:
        raise ValueError("they are single-precision numbers; write them in double precision")
    days = np.floor(values).astype(np.int64)
    starts = [seconds_of([d // 10_000, d // 100 % 100, d % 100], calendar) for d in days.ravel()]
    exact = np.reshape(starts, days.shape) + (values.astype(np.float64) - days) * 86_400
    return np.rint(_to_minutes(exact)).astype(np.int64)


def _absolute_advice(units: str) -> str:
    if " as %" not in units.lower():
        return ""
    return "make them count from a date first (cdo -r copy in.nc out.nc)"


def _of_texts(values: np.ndarray, calendar: str) -> np.ndarray:
    axis = TimeAxis(np.zeros(1), calendar)
    flat = [one.decode() if isinstance(one, bytes) else str(one) for one in values.ravel()]
    return np.array([axis.parse(_iso(one)) for one in flat], np.int64).reshape(values.shape)


def _iso(written: str) -> str:
    """A time as `TimeAxis.parse` reads it: 2020-01-01_06:00:00 and 2020010106 too."""
    written = written.strip().replace("_", "T")
    written = re.sub(r"(?<=\d)(\.\d*)?\s*(\+00:?00|utc|gmt)?$", "", written, flags=re.IGNORECASE)
    written = re.sub(r"^(\d{4})[ /](\d\d)[ /](\d\d)(?!\d)", r"\1-\2-\3", written)
    if match := _COMPACT.fullmatch(written):
        year, month, day, hour, minute, second = match.groups()
        return f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:{second or '00'}"
    return written


def _is_text(values: Any) -> bool:
    first = values.ravel()[0]
    return isinstance(first, str | bytes) and not isinstance(first, datetime.datetime)
