"""Field sets to and from xarray, however files are laid out.

What axes, times, levels and missing values of a file are, `atmodist.fields.cf` tells; here they
become those of a field set, in their order. A file that gives the valid times, the start and the
lead of a forecast must do so without contradiction.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from atmodist.fields.cf.axes import FieldAxes, field_axes
from atmodist.fields.cf.describe import some, variables_of
from atmodist.fields.cf.horizontal import horizontal_axes
from atmodist.fields.cf.levels import Level
from atmodist.fields.cf.time_values import decode_times
from atmodist.fields.cf.valid_times import ValidTimes, time_role
from atmodist.fields.field_set import (
    AXES,
    LEVEL_UNITS,
    FieldSet,
    ForecastTimes,
    LevelKind,
    Levels,
    Variable,
)
from atmodist.fields.labelled import invalid_of, oriented
from atmodist.fields.orientation import Orientation
from atmodist.fields.time_axis import (
    EPOCH_UNITS,
    NO_CALENDAR,
    STANDARD_CALENDARS,
    TimeAxis,
    format_seconds,
)

if TYPE_CHECKING:
    import xarray as xr

STANDARD_NAMES: dict[LevelKind, str] = {
    "pressure": "air_pressure",
    "model_level": "model_level_number",
    "sigma": "atmosphere_sigma_coordinate",
}
_KINDS: dict[str, LevelKind] = {
    "hPa": "pressure",
    "model level": "model_level",
    "sigma": "sigma",
}
# ERA5's, of which all usual sets are part: so a bare `level` is known for what it is
_USUAL_PRESSURES = (
    1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 125, 150, 175, 200, 225, 250, 300, 350, 400, 450, 500,
    550, 600, 650, 700, 750, 775, 800, 825, 850, 875, 900, 925, 950, 975, 1000,
)  # fmt: skip


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
    gridded = _gridded(dataset)
    axes = {name: field_axes(dataset, array) for name, array in gridded.items()}
    first = next(iter(axes.values()))
    orientation = oriented(first.latitude, first.longitude)
    times = _shared_times(dataset, gridded, axes)
    variables: dict[str, Variable] = {}
    members: tuple[int, ...] = ()
    for name, array in gridded.items():
        read = _Reader(dataset, name, array, axes[name], level_kind)
        variables[name] = read.variable(orientation)
        members = read.members or members
    return FieldSet(variables, orientation.grid, times, members)


def _gridded(dataset: "xr.Dataset") -> dict[str, "xr.DataArray"]:
    """Variables on the axes of the first one that has latitude and longitude."""
    found: dict[str, Any] = {}
    dims, failure = None, None
    for name, array in dataset.data_vars.items():
        if array.ndim < 2 or not np.issubdtype(array.dtype, np.number):
            continue
        try:
            rows, columns = horizontal_axes(variables_of(dataset), array.dims, name)
        except ValueError as error:
            failure = failure or error
            continue
        dims = dims or (rows.dim, columns.dim)
        if dims == (rows.dim, columns.dim):
            found[str(name)] = array
    if not found:
        raise failure or ValueError("the dataset has no variable with latitude and longitude")
    return found


@dataclass(frozen=True, eq=False)
class _Reader:
    """Makes a variable of an array whose axes are known."""

    dataset: "xr.Dataset"
    name: str
    array: "xr.DataArray"
    axes: FieldAxes
    level_kind: LevelKind | None

    @property
    def members(self) -> tuple[int, ...]:
        """Numbers of the members, or of their places where they have names."""
        if self.axes.member_dim is None:
            return ()
        labels = self.axes.members
        whole = all(isinstance(label, int) for label in labels)
        return tuple(labels) if whole else tuple(range(len(labels)))

    def variable(self, orientation: Orientation) -> Variable:
        """The variable, turned as `orientation` says."""
        axes = self.axes
        if axes.others:
            self._refuse(axes.others[0])
        places: dict[Hashable, Any] = {axes.longitude.dim: orientation.columns}
        if orientation.flipped:
            places[axes.latitude.dim] = slice(None, None, -1)
        dims = {axes.latitude.dim: "latitude", axes.longitude.dim: "longitude"}
        dims |= {self._time_dim: "time", axes.member_dim: "member"}
        levels = self._levels()
        if levels is not None and axes.level_dim is not None:
            order = np.argsort(_values(axes.levels))
            places |= {} if (np.diff(order) == 1).all() else {axes.level_dim: order}
            dims[axes.level_dim] = "level"
        places |= {dim: 0 for dim in self.array.dims if dim not in dims}
        invalid = invalid_of(self.array)
        variable = self.array.variable.isel(places)  # without coordinates, whose names may be ours
        variable = variable.transpose(*sorted(variable.dims, key=lambda d: AXES.index(dims[d])))
        names = [dims[dim] for dim in variable.dims]
        data = variable.data
        is_lazy = not isinstance(data, np.ndarray)
        data = data.map_blocks(invalid.apply) if is_lazy else invalid.apply(data)
        if levels is not None and "level" not in names:
            data, names = data[..., np.newaxis, :, :], [*names[:-2], "level", *names[-2:]]
        units, standard_name = (
            str(self.array.attrs.get(key, "")) for key in ("units", "standard_name")
        )
        return Variable(data, tuple(names), units, standard_name, levels)

    def _refuse(self, dim: Hashable) -> NoReturn:
        known = variables_of(self.dataset)
        own = [name for name, v in known.items() if v.dims == (dim,)]
        if any(time_role(name, known[name]) == "lead" for name in own):
            raise ValueError(
                f"{dim} says how far ahead fields are, and nothing when forecasts began: add a "
                "coordinate `init_time`"
            )
        raise ValueError(
            f"{self.name} has {self.array.sizes[dim]} entries along {str(dim)!r}, which is not "
            "known as time, member, level, latitude or longitude: choose one first "
            "(`dataset.isel`)"
        )

    @property
    def _time_dim(self) -> Hashable:
        """The axis along which times lie, one of length one too."""
        times = self.axes.times
        if times is not None and times.dims:
            return times.dims[0]
        known = variables_of(self.dataset)
        alone = [
            dim
            for dim in self.array.dims
            if self.array.sizes[dim] == 1
            and any(v.dims == (dim,) and time_role(name, v) for name, v in known.items())
        ]
        return alone[0] if alone else None

    def _levels(self) -> Levels | None:
        levels, dim = self.axes.levels, self.axes.level_dim
        if not levels:
            return None
        values = _values(levels)
        kind = _KINDS.get(levels[0].unit) or (None if levels[0].unit else self.level_kind)
        if kind is None and not levels[0].unit:
            usual = bool(np.isin(values, _USUAL_PRESSURES).all()) and values.max() >= 100
            kind = "pressure" if usual else None
        if kind is None and dim is not None and len(levels) > 1:
            raise ValueError(
                f"{self.name} has levels along {str(dim)!r} ({some(map(str, levels), 4)}) that are "
                "not known as pressure, model levels or σ: choose one (`dataset.isel`)"
                + ("" if levels[0].unit else ", or say what they are (`level_kind`)")
            )
        return None if kind is None else Levels(np.sort(values), kind)


def _values(levels: tuple[Level, ...]) -> np.ndarray:
    return np.array([level.value for level in levels], np.float64)


# ----------------------------------------------------------------------------------------- times


def _shared_times(
    dataset: "xr.Dataset", arrays: dict[str, "xr.DataArray"], axes: dict[str, FieldAxes]
) -> TimeAxis | ForecastTimes | None:
    """The times of all variables; those without an axis of time may be of any."""
    found = {name: _single(one.times) for name, one in axes.items() if one.times is not None}
    if not found:
        return None
    name = max(found, key=lambda name: found[name].seconds.size)
    times = found[name]
    for other, theirs in found.items():
        if theirs.dims and not np.array_equal(theirs.seconds, times.seconds):
            raise ValueError(f"{name} and {other} are at other times; choose one of both")
    return _checked(dataset, arrays[name], times)


def _single(times: ValidTimes) -> ValidTimes:
    """Times that lie along one axis at most."""
    if len(times.dims) > 1 or times.lead_dim is not None:
        dims = [*times.dims, *([times.lead_dim] if times.lead_dim is not None else [])]
        raise ValueError(
            f"there are several starts of forecasts and several lead times, along {some(dims)}: "
            f"choose one of either first, for instance `dataset.isel({dims[-1]}=0)`"
        )
    return times


def _checked(
    dataset: "xr.Dataset", array: "xr.DataArray", times: ValidTimes
) -> TimeAxis | ForecastTimes:
    seconds = times.seconds.ravel()
    if times.calendar == NO_CALENDAR or times.leads is None:
        return TimeAxis(seconds, times.calendar)
    leads = times.leads.ravel()
    known = {**variables_of(dataset), **variables_of(array)}
    for name, variable in known.items():
        if variable.size in (1, seconds.size) and time_role(name, variable) == "start":
            start = decode_times(name, variable)[0].ravel()
            wrong = np.flatnonzero(start + leads != seconds)
            if wrong.size:
                both = [
                    format_seconds(int(x[wrong[0]]), times.calendar)
                    for x in (start + leads, seconds)
                ]
                raise ValueError(
                    f"the lead does not fit: {name} and lead give {both[0]}, the valid time is "
                    f"{both[1]}"
                )
    return ForecastTimes(seconds - leads, leads, times.calendar)


# ------------------------------------------------------------------------------------------ rest


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
