"""Telling at which times fields are valid, whichever of the coordinates of a file say so.

By CF `standard_name` `time` is the valid time, `forecast_reference_time` the start of a forecast
and `forecast_period` the lead from there. A lead is added to a start and to nothing else. What a
`time` beside a lead is, is decided in this order:

1. a coordinate that is called a valid time is one, as cfgrib's `valid_time`;
2. where a reference time stands beside it: time = reference + lead is valid, time = reference not;
3. standard names: `time` beside `forecast_period` is valid;
4. a time that moves with its lead, one step after the other, is valid, and a note says so;
5. else it is the start, as in WeatherBench's files, and a note says so.

Files without a lead have valid times. A time is a coordinate or a variable that counts from a date,
never another one that happens to be called `t`.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atmodist.fields.cf.describe import is_number, standard_name, text
from atmodist.fields.cf.time_values import (
    decode_durations,
    decode_times,
    duration_factor,
    is_datelike,
    is_textual,
)
from atmodist.fields.time_axis import NO_CALENDAR

if TYPE_CHECKING:
    import xarray as xr

    from atmodist.fields.cf.describe import Variables

_VALID = ("valid_time", "validtime", "time_valid", "verification_time")
_STARTS = (
    "forecast_reference_time", "reftime", "reference_time", "init_time", "inittime", "init",
    "initial_time", "initialization_time", "analysis_time", "base_time", "run_time", "time_run",
    "initial_time0_hours", "start_time",
)  # fmt: skip
_TIMES = ("time", "t", "times", "timestep", "datetime", "date", "xtime")
_LEADS = (
    "step", "lead_time", "leadtime", "lead", "forecast_period", "prediction_timedelta", "fhour",
    "forecast_hour", "forecast_time", "leadtime_hours", "lead_hours", "forecast_time0", "steps",
)  # fmt: skip
_VALID_WORDS = re.compile(r"\bvalid(ity)?\b|\bverif\w+")
_START_WORDS = re.compile(r"\b(initial\w*|reference|analysis|start|base|run)\b.*\b(time|date)\b")


@dataclass(frozen=True, eq=False)
class ValidTimes:
    """When fields are valid.

    Attributes:
        seconds: Since 1970-01-01 in `calendar`. Its axes are `dims`.
        dims: Axes of the fields along which time or lead runs, of more than one entry.
        calendar: A CF calendar; "none" where numbers count from nowhere, and steps are counted.
        leads: Seconds from the start of the forecast, as `seconds`; None where nothing says.
        lead_dim: An axis of leads along which the valid time does not change.
        notes: What had to be assumed.
    """

    seconds: np.ndarray
    dims: tuple[Hashable, ...]
    calendar: str
    leads: np.ndarray | None = None
    lead_dim: Hashable | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Decoded:
    """Seconds of a coordinate; axes of one entry are left out."""

    name: str
    seconds: np.ndarray
    dims: tuple[Hashable, ...]
    standard_name: str

    def along(self, dims: Sequence[Hashable]) -> np.ndarray:
        """Seconds with all of these axes; of length one where this has none."""
        order = [self.dims.index(dim) for dim in dims if dim in self.dims]
        sizes = [
            self.seconds.shape[self.dims.index(dim)] if dim in self.dims else 1 for dim in dims
        ]
        return self.seconds.transpose(order).reshape(sizes)


def valid_times(
    variables: "Variables", dims: Sequence[Hashable], time_units: str | None = None
) -> ValidTimes | None:
    """The times of the fields of a variable.

    Args:
        variables: Of the file.
        dims: Axes of the variable that are neither latitude nor longitude.
        time_units: What times count, where the file does not say.

    Returns:
        None where there is no time.

    Raises:
        ValueError: If a time cannot be read; says why and what to do.
    """
    told: dict[str, list[Hashable]] = {}
    for name, variable in variables.items():
        if set(variable.dims) <= set(dims) and (role := time_role(name, variable)):
            told.setdefault(role, []).append(name)

    calendars: set[str] = set()

    def best(role: str) -> _Decoded | None:
        if role not in told:
            return None
        name = max(told[role], key=lambda n: _merit(n, variables[n]))
        variable = variables[name]
        if role == "lead":
            seconds = decode_durations(name, variable)
        else:
            seconds, calendar = decode_times(name, variable, time_units)
            calendars.add(calendar)
        kept = tuple(d for d, n in zip(variable.dims, seconds.shape, strict=True) if n > 1)
        shape = tuple(n for n in seconds.shape if n > 1)
        standard = standard_name(variable.attrs)
        return _Decoded(str(name), seconds.reshape(shape), kept, standard)

    for name in told.pop("bare", ()):
        counted = duration_factor(text(variables[name].attrs, "units")) is not None
        told.setdefault(
            "time" if time_units else "lead" if counted and "start" in told else "bare", []
        ).append(name)
    if "bare" in told and not {"valid", "time"} & told.keys():
        name = max(told["bare"], key=lambda n: _merit(n, variables[n]))
        bare = variables[name]
        kept = tuple(d for d, n in zip(bare.dims, bare.shape, strict=True) if n > 1)
        return ValidTimes(np.arange(bare.size), kept, NO_CALENDAR, notes=(undated(name, bare),))
    valid, time = best("valid"), best("time")
    try:
        lead = best("lead")
    except ValueError:
        if valid is None:
            raise
        lead = None  # nothing depends on it
    is_alone = time is None and valid is None
    start = best("start") if is_alone or lead is not None else None
    calendar = "standard" if not calendars else sorted(calendars)[0]
    if len(calendars) > 1:
        raise ValueError(f"times are in several calendars: {', '.join(sorted(calendars))}")
    if valid is not None:
        return _as_valid(valid, lead, calendar)
    if time is None:
        if start is None or lead is not None:
            return None if start is None or lead is None else _added(start, lead, calendar)
        return _as_valid(start, None, calendar, (f"{start.name} is taken as valid time",))
    if lead is None:
        return _as_valid(time, None, calendar)
    is_valid, note = _decide(time, start, lead)
    notes = (note,) if note and lead.seconds.any() else ()
    how = _as_valid if is_valid else _added
    return how(time, lead, calendar, notes)


def undated(name: Hashable, variable: "xr.Variable") -> str:
    """Says that a time counts from nowhere, and what to do."""
    return (
        f"the times {str(name)!r} (units {str(variable.attrs.get('units', ''))!r}) cannot be read; "
        "say what they count, for instance --time_units 'hours since 1996-01-05 00:00'"
    )


def time_role(name: Hashable, variable: "xr.Variable") -> str | None:
    """What a variable tells of time.

    Returns:
        A "valid" time, the "start" of a forecast, a "lead", some "time", or a "bare" one, whose
        numbers count from nowhere; None if nothing.
    """
    standard, named = standard_name(variable.attrs), str(name).lower()
    units, words = text(variable.attrs, "units"), text(variable.attrs, "long_name")
    if _is_lead(named, variable, standard, units):
        return "lead"
    if not _is_time(named, variable, standard, units):
        return None
    if is_number(variable) and not is_datelike(variable):
        return "bare"
    if named in _VALID or standard in ("valid_time", "validity_time"):
        return "valid"
    if standard == "forecast_reference_time":
        return "start"
    if standard == "time":
        return "time"
    if _VALID_WORDS.search(words):
        return "valid"
    return "start" if named in _STARTS or _START_WORDS.search(words) else "time"


def _is_time(named: str, variable: "xr.Variable", standard: str, units: str) -> bool:
    says_time = standard in ("time", "forecast_reference_time", "valid_time", "validity_time")
    if is_datelike(variable):
        return True
    known = named in _TIMES or named in _VALID or named in _STARTS
    if is_textual(variable):
        return says_time or known or text(variable.attrs, "axis") == "t"
    # Numbers that do not say what they count: 't' in kelvin is a temperature.
    silent = units in ("", "1") or duration_factor(units) is not None or " as %" in units
    return is_number(variable) and variable.ndim <= 1 and silent and (says_time or known)


def _is_lead(named: str, variable: "xr.Variable", standard: str, units: str) -> bool:
    if " since " in units or standard in ("time", "forecast_reference_time"):
        return False
    if standard == "forecast_period":
        return True
    is_duration = variable.dtype.kind in "mO"
    own_axis = is_duration and variable.dims == (named,)
    known = named in _LEADS or (is_duration and named in _TIMES) or own_axis
    return known and (is_number(variable) or is_duration) and not is_datelike(variable)


def _merit(name: Hashable, variable: "xr.Variable") -> tuple[bool, int, bool]:
    """Which of several coordinates says most: by standard name, number of axes, being an axis."""
    long = sum(size > 1 for size in variable.shape)
    said = standard_name(variable.attrs) in ("time", "forecast_reference_time", "forecast_period")
    return said, long, variable.dims == (name,)


def _decide(time: _Decoded, start: _Decoded | None, lead: _Decoded) -> tuple[bool, str]:
    """Whether a time beside a lead is valid already, and what had to be assumed for that."""
    own = not set(lead.dims) <= set(time.dims)
    if start is not None:
        dims = tuple(dict.fromkeys((*time.dims, *start.dims, *lead.dims)))
        t, s, h = (one.along(dims) for one in (time, start, lead))
        if not np.any(t - (s + h)):
            return True, ""
        if not np.any(t - s):
            return False, ""
    if time.standard_name == "time" and lead.standard_name == "forecast_period":
        return True, ""
    moves = lead.dims and not own
    if moves and len(np.unique(time.along(time.dims) - lead.along(time.dims))) == 1:
        return True, f"{time.name} is valid time, for it moves with {lead.name}"
    return False, (
        f"{time.name} is taken as the start of forecasts, and {lead.name} is added, as in "
        f"WeatherBench's files; if {time.name} is valid time, give {lead.name} the standard_name "
        "forecast_period"
    )


def _as_valid(
    time: _Decoded, lead: _Decoded | None, calendar: str, notes: tuple[str, ...] = ()
) -> ValidTimes:
    if lead is None:
        return ValidTimes(time.seconds, time.dims, calendar, notes=notes)
    beside = [dim for dim in lead.dims if dim not in time.dims]
    dims = (*time.dims, *beside)
    seconds, leads = np.broadcast_arrays(time.along(dims), lead.along(dims))
    return ValidTimes(seconds, dims, calendar, leads, beside[0] if beside else None, notes)


def _added(
    start: _Decoded, lead: _Decoded, calendar: str, notes: tuple[str, ...] = ()
) -> ValidTimes:
    dims = tuple(dict.fromkeys((*start.dims, *lead.dims)))
    seconds = start.along(dims) + lead.along(dims)
    leads = np.broadcast_to(lead.along(dims), seconds.shape)
    return ValidTimes(seconds, dims, calendar, leads, None, notes)
