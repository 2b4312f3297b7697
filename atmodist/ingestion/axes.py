"""Telling the axes of a labelled dataset, whatever they are called and wherever they stand.

Axes are told by their attributes and by their usual names in any case, in any order; times are
decoded by cftime, so that every calendar works.
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np

from atmodist.fields.time_axis import EPOCH_UNITS, STANDARD_CALENDARS
from atmodist.files.errors import UnsupportedFileError
from atmodist.ingestion.recognition import Level, Selection, level_from_name

if TYPE_CHECKING:
    import xarray as xr

_LATITUDES = ("latitude", "lat", "nav_lat", "y", "g0_lat_1", "g0_lat_2")
_LONGITUDES = ("longitude", "lon", "nav_lon", "long", "x", "g0_lon_2", "g0_lon_3")
_VALID_TIMES = ("valid_time", "validtime")
_TIMES = ("time", "t", "times", "timestep", "datetime", "date", "forecast_reference_time")
_LEADS = ("step", "lead_time", "leadtime", "forecast_period", "prediction_timedelta")
LEVEL_NAMES = (
    "pressure_level", "level", "lev", "plev", "levels", "isobaricinhpa", "isobaric", "pressure",
    "p", "plevel", "hybrid", "model_level", "height", "heightaboveground", "z",
)  # fmt: skip
_PRESSURES = {"pa": 0.01, "hpa": 1.0, "mb": 1.0, "mbar": 1.0, "millibar": 1.0, "millibars": 1.0}
_DURATIONS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "s": 1,
    "h": 3600,
    "d": 86_400,
}


def horizontal_axes(path: str, dataset: "xr.Dataset", array: "xr.DataArray") -> tuple[str, str]:
    """Names of the latitude and of the longitude axis of a variable.

    Raises:
        UnsupportedFileError: If it has none, as on curvilinear grids.
    """
    dims = []
    for axis, letter, names in (("latitude", "Y", _LATITUDES), ("longitude", "X", _LONGITUDES)):
        candidates = [
            dim
            for dim in array.dims
            if dim in dataset.coords and _is_axis(dataset[dim], str(dim), axis, letter, names)
        ]
        if len(candidates) != 1:
            raise UnsupportedFileError(
                f"{path}: {array.name} {tuple(array.dims)} has no 1-D {axis} axis that can be "
                "told (curvilinear and rotated grids are not read; interpolate first)"
            )
        dims.append(str(candidates[0]))
    return dims[0], dims[1]


def _is_axis(
    coordinate: "xr.DataArray", name: str, axis: str, letter: str, names: tuple[str, ...]
) -> bool:
    attributes = {key: str(value).lower() for key, value in coordinate.attrs.items()}
    if "standard_name" in attributes:
        return attributes["standard_name"] == axis
    degrees = {"latitude": "degrees_n", "longitude": "degrees_e"}[axis]
    units = attributes.get("units", "")
    if units.startswith("degree") and "_" in units:
        return units.startswith((degrees, degrees.replace("degrees", "degree")))
    # x and y in metres are no longitude and latitude
    plain = units in ("", "degrees", "degree", "deg")
    return plain and (name.lower() in names or attributes.get("axis") == letter.lower())


def _coordinate(
    dataset: "xr.Dataset", array: "xr.DataArray", names: tuple[str, ...], standard_name: str
) -> "xr.DataArray | None":
    """The variable of the file that is a coordinate of `array` under one of these names."""
    for name in dataset.variables:
        candidate = dataset[name]
        told = candidate.attrs.get("standard_name") == standard_name
        known = str(name).lower() in names
        if (told or known) and set(candidate.dims) <= set(array.dims) and name != array.name:
            return candidate
    return None


def valid_times(
    path: str,
    dataset: "xr.Dataset",
    array: "xr.DataArray",
    outer: list[Hashable],
    selection: Selection,
) -> tuple[np.ndarray, list[Hashable], str]:
    """Valid times, the axes they run along, and their calendar (empty if there is no time)."""
    valid = _coordinate(dataset, array, _VALID_TIMES, "no standard name")
    time = valid if valid is not None else _coordinate(dataset, array, _TIMES, "time")
    if time is None:
        long = [dim for dim in outer if array.sizes[dim] > 1 and str(dim).lower() in _TIMES]
        if selection.time is None or long:
            raise UnsupportedFileError(
                f"{path}: {array.name} has no time; give its valid time, for instance "
                "--time 2025-12-01T00:00"
            )
        return np.array([selection.time]), [], ""
    seconds, calendar = _decoded(path, time, selection)
    dims = list(time.dims)
    lead = None if valid is not None else _coordinate(dataset, array, _LEADS, "forecast_period")
    if lead is not None:
        seconds = seconds.reshape(seconds.shape + (1,) * lead.ndim) + _lead_seconds(path, lead)
        dims += list(lead.dims)
    return seconds, dims, calendar


def _decoded(path: str, time: "xr.DataArray", selection: Selection) -> tuple[np.ndarray, str]:
    import cftime

    calendar = str(time.attrs.get("calendar", "standard")).lower()
    calendar = "standard" if calendar in STANDARD_CALENDARS else calendar
    calendar = {"365_day": "noleap", "366_day": "all_leap"}.get(calendar, calendar)
    units = selection.time_units or str(time.attrs.get("units", ""))
    values = np.asarray(time.values)
    try:
        if not np.issubdtype(values.dtype, np.number) or not np.isfinite(values).all():
            raise ValueError("values are not numbers")
        dates = cftime.num2date(values, units, calendar)
        seconds = np.asarray(cftime.date2num(dates, EPOCH_UNITS, calendar), np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise UnsupportedFileError(
            f"{path}: the times {time.name!r} (units {units!r}) cannot be read ({error}); say what "
            "they count, for instance --time_units 'hours since 1996-01-05 00:00'"
        ) from None
    return np.rint(seconds).astype(np.int64), calendar


def _lead_seconds(path: str, lead: "xr.DataArray") -> np.ndarray:
    if np.issubdtype(lead.dtype, np.timedelta64):
        return lead.values.astype("timedelta64[s]").astype(np.int64)
    units = str(lead.attrs.get("units", "")).lower().strip()
    factor = _DURATIONS.get(units, _DURATIONS.get(units.rstrip("s")))
    if factor is None:
        raise UnsupportedFileError(f"{path}: {lead.name} has the unknown units {units!r}")
    return np.rint(np.asarray(lead.values, np.float64) * factor).astype(np.int64)


def vertical_levels(
    dataset: "xr.Dataset", array: "xr.DataArray", dims: list[Hashable]
) -> tuple[Hashable | None, list[Level]]:
    """The vertical axis, if any, and the levels along it."""
    named = level_from_name(str(array.name))
    for name in [*dims, *(n for n in dataset.coords if dataset[n].ndim == 0)]:
        coordinate = dataset[name] if name in dataset.variables else None
        if coordinate is None or not np.issubdtype(coordinate.dtype, np.number):
            continue
        attributes = {key: str(value).lower() for key, value in coordinate.attrs.items()}
        if str(name).lower() not in LEVEL_NAMES and attributes.get("axis") != "z":
            continue
        unit, factor = _level_unit(str(name).lower(), attributes)
        levels = [Level(float(value) * factor, unit) for value in np.atleast_1d(coordinate.values)]
        return (name if name in dims else None), levels
    return None, [named]


def _level_unit(name: str, attributes: dict[str, str]) -> tuple[str, float]:
    units = attributes.get("units", "")
    if units in _PRESSURES:
        return "hPa", _PRESSURES[units]
    if units in ("m", "metre", "metres", "meter", "meters"):
        return "m", 1.0
    if "model" in attributes.get("long_name", "") or name in ("hybrid", "model_level"):
        return "model level", 1.0
    return units if units not in ("1", "") else "", 1.0
