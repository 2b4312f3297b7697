"""Field sets to and from xarray, however files are laid out.

Axes are told by what they say of themselves (units, `standard_name`, `positive`, CF attributes) and
by names last. Of times there may be three: the one a field is valid at, the one its forecast began,
and the lead between them; any two give the third, and where all three stand they must agree.

    `time` beside a lead     in CF (`standard_name` "time", and the lead's "forecast_period") it is
                             when fields are valid; else, as WeatherBench and cfgrib have it, when
                             forecasts began
    a lead called `time`     durations beside dates count from the first field: no forecast
"""

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.field_set import (
    AXES,
    LEVEL_UNITS,
    FieldSet,
    ForecastTimes,
    LevelKind,
    Levels,
    Variable,
)
from atmodist.fields.labelled import axis_dimension
from atmodist.fields.orientation import Orientation
from atmodist.fields.time_axis import EPOCH_UNITS, NO_CALENDAR, STANDARD_CALENDARS, TimeAxis

if TYPE_CHECKING:
    import xarray as xr

STANDARD_NAMES: dict[LevelKind, str] = {
    "pressure": "air_pressure",
    "model_level": "model_level_number",
    "sigma": "atmosphere_sigma_coordinate",
}
_PRESSURES = {"pa": 0.01, "hpa": 1.0, "mb": 1.0, "mbar": 1.0, "millibar": 1.0, "millibars": 1.0}
_MODEL_LEVELS = ("model_level_number", "atmosphere_hybrid_sigma_pressure_coordinate")
# ERA5's, of which all usual sets are part: so a bare `level` is known for what it is
_USUAL_PRESSURES = (
    1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 125, 150, 175, 200, 225, 250, 300, 350, 400, 450, 500,
    550, 600, 650, 700, 750, 775, 800, 825, 850, 875, 900, 925, 950, 975, 1000,
)  # fmt: skip
_VALID = ("valid_time", "validtime", "datetime")
_INIT = ("init_time", "initial_time", "forecast_reference_time", "reference_time")
_LEAD = ("lead_time", "leadtime", "prediction_timedelta", "step", "forecast_period")
_MEMBER = ("member", "number", "realization", "ensemble", "ensemble_member")
_SECONDS = {"second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60, "hour": 3600, "hr": 3600,
            "h": 3600, "day": 86_400, "d": 86_400}  # fmt: skip


def to_xarray(fields: FieldSet) -> "xr.Dataset":
    """A dataset with CF names, units and axes; values are shared, not copied.

    Times are along "time" (when fields are valid), and of forecasts "init_time" and "lead_time"
    beside it. Levels are along "level", and where variables have other ones along "level_2" ...
    """
    import xarray as xr

    coords: dict[str, Any] = {
        "latitude": ("latitude", fields.grid.latitude, _horizontal("latitude", "north", "Y")),
        "longitude": ("longitude", fields.grid.longitude, _horizontal("longitude", "east", "X")),
    }
    if fields.members:
        attributes = {"standard_name": "realization", "units": "1"}
        coords["member"] = ("member", np.array(fields.members, np.int64), attributes)
    coords |= _time_coordinates(fields)
    known: list[Levels] = []
    variables = {}
    for name, variable in fields.variables.items():
        dims = list(variable.dims)
        if variable.levels is not None:
            place = next((i for i, one in enumerate(known) if one.matches(variable.levels)), None)
            if place is None:
                place = len(known)
                known.append(variable.levels)
            dims[dims.index("level")] = _level_name(place)
        texts = {"units": variable.units, "standard_name": variable.standard_name}
        variables[name] = (dims, variable.values, {k: v for k, v in texts.items() if v})
    for place, levels in enumerate(known):
        attributes = {
            "standard_name": STANDARD_NAMES[levels.kind],
            "units": LEVEL_UNITS[levels.kind],
            "positive": "down",
            "axis": "Z",
        }
        coords[_level_name(place)] = (_level_name(place), levels.values, attributes)
    if taken := set(variables) & set(coords):
        raise ValueError(f"variables cannot be called as axes are: {', '.join(sorted(taken))}")
    return xr.Dataset(variables, coords, {"Conventions": "CF-1.8"})


def from_xarray(dataset: "xr.Dataset", *, level_kind: LevelKind | None = None) -> FieldSet:
    """The variables of a dataset that lie on its latitudes and longitudes.

    Axes may have any order and direction, times may be decoded or not. Values stay lazy where they
    are dask arrays. Axes of length one that are none of ours are dropped.

    Args:
        dataset: Whatever xarray opened. What belongs to no grid (bounds, constants) is left out.
        level_kind: Of levels that the dataset says nothing about.

    Raises:
        ValueError: Says which axis is not understood, or does not fit, and what to do.
    """
    gridded = {
        str(name): array
        for name, array in dataset.data_vars.items()
        if array.ndim >= 2 and np.issubdtype(array.dtype, np.number)
    }
    if not gridded:
        raise ValueError("the dataset has no variable with latitude and longitude")
    rows, columns = _shared_axes(gridded)
    gridded = {n: array for n, array in gridded.items() if {rows, columns} <= set(array.dims)}
    try:
        orientation = Orientation(dataset[rows].values, dataset[columns].values)
        grid = orientation.grid
    except ValueError as error:
        raise ValueError(f"the coordinates {rows} and {columns} make no grid: {error}") from None
    times = _times_of(dataset)
    member = _coordinate(dataset, "realization", _MEMBER)
    variables = {}
    for name, array in gridded.items():
        turned = array.isel({columns: orientation.columns})
        if orientation.flipped:
            turned = turned.isel({rows: slice(None, None, -1)})
        dims = {rows: "latitude", columns: "longitude", times.dim: "time"}
        if member is not None and member.ndim == 1:
            dims[member.dims[0]] = "member"
        variables[name] = _variable(dataset, name, turned, dims, level_kind)
    has_members = any("member" in variable.dims for variable in variables.values())
    numbers = member.values.tolist() if member is not None and has_members else ()
    return FieldSet(variables, grid, times.times, tuple(numbers))


# ---------------------------------------------------------------------------------------- levels


def levels_of(
    coordinate: "xr.DataArray", *, level_kind: LevelKind | None = None
) -> tuple[np.ndarray, LevelKind] | None:
    """Values of a vertical coordinate, pressure in hPa, and their kind; None if it is none."""
    if not np.issubdtype(coordinate.dtype, np.number) or coordinate.ndim > 1:
        return None
    values = np.atleast_1d(np.asarray(coordinate.values, np.float64))
    said = {key: str(value).lower() for key, value in coordinate.attrs.items()}
    units, standard = said.get("units", ""), said.get("standard_name", "")
    if units in _PRESSURES:
        return values * _PRESSURES[units], "pressure"
    if "sigma_coordinate" in standard:
        return values, "sigma"
    text = said.get("long_name", "").replace("_", " ")
    if standard in _MODEL_LEVELS or "model level" in text or coordinate.name == "hybrid":
        return values, "model_level"
    if units not in ("", "1", "level", "levels") or not _may_be_vertical(coordinate, said):
        return None
    if level_kind is not None:
        return values, level_kind
    usual = bool(np.isin(values, _USUAL_PRESSURES).all()) and values.max() >= 100
    return (values, "pressure") if usual else None


def _may_be_vertical(coordinate: "xr.DataArray", said: Mapping[str, str]) -> bool:
    name = str(coordinate.name).lower()
    told = said.get("axis") == "z" or "positive" in said or "pressure" in said.get("long_name", "")
    return told or bool(re.search(r"lev|isobaric|pressure|plev|sigma", name))


def _variable(
    dataset: "xr.Dataset",
    name: str,
    array: "xr.DataArray",
    dims: dict[Hashable, str],
    level_kind: LevelKind | None,
) -> Variable:
    levels = None
    for dim in array.dims:
        if dim in dims:
            continue
        found = None
        if dim in dataset.coords:
            found = levels_of(dataset[dim], level_kind=level_kind)
        if found is not None and levels is None:
            order = np.argsort(found[0])
            levels = Levels(found[0][order], found[1])
            dims = {**dims, dim: "level"}
            array = array if (np.diff(order) == 1).all() else array.isel({dim: order})
        elif array.sizes[dim] == 1:
            array = array.isel({dim: 0}, drop=True)
        else:
            raise ValueError(
                f"{name} has {array.sizes[dim]} entries along {dim!r}, which is not known as time, "
                "member, level, latitude or longitude: choose one (`dataset.isel`), or say what "
                "levels they are (`level_kind`)"
            )
    axes = sorted(array.dims, key=lambda dim: AXES.index(dims[dim]))
    # without coordinates, which may bear the names that axes get
    data, names = array.variable.transpose(*axes).data, [dims[dim] for dim in axes]
    if levels is None and (levels := _single_level(array, level_kind)) is not None:
        data, names = data[..., np.newaxis, :, :], [*names[:-2], "level", *names[-2:]]
    units, standard_name = (str(array.attrs.get(key, "")) for key in ("units", "standard_name"))
    return Variable(data, tuple(names), units, standard_name, levels)


def _single_level(array: "xr.DataArray", level_kind: LevelKind | None) -> Levels | None:
    """The one level that a scalar coordinate tells."""
    for coordinate in array.coords.values():
        found = levels_of(coordinate, level_kind=level_kind) if coordinate.ndim == 0 else None
        if found is not None:
            return Levels(*found)
    return None


# ----------------------------------------------------------------------------------------- times


@dataclass(frozen=True)
class _Times:
    times: TimeAxis | ForecastTimes | None
    dim: Hashable  # along which they lie; None where there is one time for all


def _times_of(dataset: "xr.Dataset") -> _Times:
    valid = _coordinate(dataset, "", _VALID)
    init = _coordinate(dataset, "forecast_reference_time", _INIT)
    lead = _coordinate(dataset, "forecast_period", _LEAD)
    time = _coordinate(dataset, "time", ("time", "t", "date"), dates=True)
    if lead is not None and _duration(lead) is None:
        lead = None
    if time is not None and (valid is not None and time.name == valid.name):
        time = None
    if valid is not None and not _is_dated(valid):
        valid = None
    if valid is None and time is not None:
        cf = lead is None or init is not None or _says(lead, "forecast_period")
        if cf and not _says(time, "forecast_reference_time"):
            valid = time
    if init is None and lead is not None and time is not None and valid is not time:
        init = time
    if lead is None or (valid is None and init is None):
        if lead is not None and lead.size > 1:
            raise ValueError(
                f"{lead.name} says how far ahead fields are, and nothing when forecasts began: add "
                "a coordinate `init_time`"
            )
        return _plain_times(valid if valid is not None else init)
    return _forecast_times(valid, init, lead)


def _plain_times(time: "xr.DataArray | None") -> _Times:
    if time is None:
        return _Times(None, None)
    seconds, calendar = _seconds(time)
    flat, dim = _along_one(time, seconds)
    return _Times(TimeAxis(flat, calendar), dim)


def _forecast_times(
    valid: "xr.DataArray | None", init: "xr.DataArray | None", lead: "xr.DataArray"
) -> _Times:
    ahead, dim = _along_one(lead, _duration(lead))
    calendar, start, end = "standard", None, None
    if init is not None:
        seconds, calendar = _seconds(init)
        start, own = _along_one(init, seconds)
        dim = _common(dim, own, init, lead)
    if valid is not None and not (init is not None and valid.ndim > 1):  # (init, lead) is derived
        seconds, calendar = _seconds(valid)
        end, own = _along_one(valid, seconds)
        dim = _common(dim, own, valid, lead)
    if start is None:
        return _Times(ForecastTimes(end - ahead, ahead, calendar), dim)
    if end is not None and init is not None and valid is not None and (start + ahead != end).any():
        raise ValueError(
            f"the lead does not fit: {init.name} + {lead.name} must be {valid.name}; they are "
            f"{(start + ahead).flat[0]} and {end.flat[0]} seconds after 1970 at first"
        )
    return _Times(ForecastTimes(start, ahead, calendar), dim)


def _common(dim: Hashable, own: Hashable, one: "xr.DataArray", lead: "xr.DataArray") -> Hashable:
    """The axis that both lie along; one of length one may lie along any."""
    if dim is None or own is None or dim == own:
        return own if dim is None else dim
    if one.sizes[own] > 1 and lead.sizes.get(dim, 1) > 1:
        raise ValueError(
            f"there are {one.sizes[own]} times along {own!r} and {lead.sizes[dim]} leads along "
            f"{dim!r}: choose one of either first, for instance `dataset.isel({{{str(dim)!r}: 0}})`"
        )
    return own if one.sizes[own] > 1 else dim


def _along_one(array: "xr.DataArray", values: Any) -> tuple[np.ndarray, Hashable]:
    """Values along the one axis longer than one, or else along the last, None if there is none."""
    long = [dim for dim, size in zip(array.dims, array.shape, strict=True) if size > 1]
    if len(long) > 1:
        raise ValueError(
            f"{array.name} runs along {tuple(map(str, long))}: choose one of either first, for "
            f"instance `dataset.isel({{{str(long[0])!r}: 0}})`"
        )
    dim = long[0] if long else (array.dims[-1] if array.ndim else None)
    return np.reshape(values, -1), dim


def _seconds(time: "xr.DataArray") -> tuple[np.ndarray, str]:
    """Seconds since 1970-01-01, and their calendar."""
    import cftime

    values = np.asarray(time.values)
    if np.issubdtype(values.dtype, np.datetime64):
        if np.isnat(values).any():
            raise ValueError(f"{time.name} has missing times")
        nanoseconds = values.astype("datetime64[ns]").astype(np.int64)
        return np.rint(nanoseconds / 1e9).astype(np.int64), "standard"
    calendar = str(time.attrs.get("calendar", "standard")).lower()
    calendar = {"365_day": "noleap", "366_day": "all_leap"}.get(calendar, calendar)
    try:
        if values.dtype == object:
            dates, calendar = values, str(values.flat[0].calendar)
        else:
            dates = cftime.num2date(values, str(time.attrs.get("units", "")), calendar)
        seconds = np.asarray(cftime.date2num(dates, EPOCH_UNITS, calendar), np.float64)
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(f"the times {time.name!r} cannot be read ({error})") from None
    whole = np.rint(seconds).astype(np.int64)
    # calendars that agree since 1582 are one
    modern = calendar in STANDARD_CALENDARS and bool((whole > -12_219_292_800).all())
    return whole, "standard" if modern else calendar


def _duration(lead: "xr.DataArray") -> np.ndarray | None:
    """Seconds of durations; None if it holds none."""
    values = np.asarray(lead.values)
    if np.issubdtype(values.dtype, np.timedelta64):
        return np.rint(values.astype("timedelta64[ns]").astype(np.int64) / 1e9).astype(np.int64)
    units = str(lead.attrs.get("units", "")).lower().strip()
    factor = _SECONDS.get(units, _SECONDS.get(units.rstrip("s")))
    if factor is None or not np.issubdtype(values.dtype, np.number):
        return None
    return np.rint(np.asarray(values, np.float64) * factor).astype(np.int64)


def _is_dated(time: "xr.DataArray") -> bool:
    if np.issubdtype(time.dtype, np.datetime64) or "since" in str(time.attrs.get("units", "")):
        return True
    return time.dtype == object and time.size > 0 and hasattr(time.values.flat[0], "calendar")


def _says(array: "xr.DataArray", standard_name: str) -> bool:
    return bool(array.attrs.get("standard_name") == standard_name)


def _coordinate(
    dataset: "xr.Dataset", standard_name: str, names: tuple[str, ...], *, dates: bool = False
) -> "xr.DataArray | None":
    """The coordinate with this standard name, or else one of these names; dates if so wanted."""
    fitting = [array for array in _small(dataset) if not dates or _is_dated(array)]
    told = [array for array in fitting if standard_name and _says(array, standard_name)]
    named = [array for name in names for array in fitting if str(array.name).lower() == name]
    return next(iter([*told, *named]), None)


def _small(dataset: "xr.Dataset") -> Iterator["xr.DataArray"]:
    """Coordinates, and variables that might be some that were not declared."""
    for name in dataset.variables:
        if dataset[name].ndim <= 2 and (name in dataset.coords or dataset[name].ndim <= 1):
            yield dataset[name]


# ------------------------------------------------------------------------------------------ rest


def _shared_axes(arrays: Mapping[str, "xr.DataArray"]) -> tuple[Hashable, Hashable]:
    """Dimensions of latitude and longitude, of the first variable that has both."""
    failure: ValueError | None = None
    for array in arrays.values():
        try:
            return axis_dimension(array, "latitude"), axis_dimension(array, "longitude")
        except ValueError as error:
            failure = failure or error
    raise failure or ValueError("there is no latitude")


def _time_coordinates(fields: FieldSet) -> dict[str, Any]:
    if fields.times is None or fields.time is None:
        return {}
    alone = not any("time" in variable.dims for variable in fields.variables.values())
    dims = () if alone and len(fields.times) == 1 else ("time",)
    calendar = fields.time.calendar

    def shaped(values: Any) -> Any:
        return values[0] if not dims else values

    if calendar == NO_CALENDAR:
        counted = {"long_name": "step number", "axis": "T"}
        return {"time": (dims, shaped(fields.time.seconds), counted)}
    valid = {"standard_name": "time", "axis": "T"}
    coords = {"time": (dims, shaped(_dates(fields.time.seconds, calendar)), valid)}
    if isinstance(fields.times, ForecastTimes):
        start, lead = (
            {"standard_name": f"forecast_{name}"} for name in ("reference_time", "period")
        )
        ahead = (fields.times.lead_time * 10**9).astype("timedelta64[ns]")
        coords["init_time"] = (dims, shaped(_dates(fields.times.init_time, calendar)), start)
        coords["lead_time"] = (dims, shaped(ahead), lead)
    return coords


def _dates(seconds: np.ndarray, calendar: str) -> Any:
    """NumPy dates where they can be, else those of cftime."""
    # years 1678 to 2262, which nanoseconds hold
    if calendar in STANDARD_CALENDARS and np.abs(seconds).max() < 9_200_000_000:
        return seconds.astype("datetime64[s]").astype("datetime64[ns]")
    import cftime

    return cftime.num2date(seconds, EPOCH_UNITS, calendar=calendar)


def _horizontal(name: str, side: str, axis: str) -> dict[str, str]:
    return {"standard_name": name, "units": f"degrees_{side}", "axis": axis}


def _level_name(place: int) -> str:
    return "level" if place == 0 else f"level_{place + 1}"
