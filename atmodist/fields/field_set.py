"""Fields with levels, times and members: what cores, forecasters and evaluation hand each other.

A field set has named variables on one grid. A variable has some of the axes

    (member, time, level, latitude, longitude)

in this order and always the last two; latitudes run from north to south, longitudes eastward, and
levels from the top down. Values are NumPy arrays, or dask arrays that are computed when needed. A
set is immutable: what changes it makes another one, which shares the values.

Times are valid times (`TimeAxis`) or those of a forecast (`ForecastTimes`), whose valid times are
derived from init and lead and so cannot contradict them. Missing values (NaN) are allowed, for
sea has no soil; what needs complete fields asks `require_complete`.

`field_set_xarray` turns sets to and from xarray, `field_set_files` keeps them as NetCDF or Zarr,
and `field_set_archive` joins them to archives, which know channels alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from atmodist.fields.channels import Channel
from atmodist.fields.grid import Grid
from atmodist.fields.time_axis import TimeAxis

LevelKind = Literal["pressure", "model_level", "sigma"]
LEVEL_UNITS: dict[LevelKind, str] = {"pressure": "hPa", "model_level": "1", "sigma": "1"}
AXES = ("member", "time", "level", "latitude", "longitude")
_RELATIVE = 1e-6  # within which levels are the same


@dataclass(frozen=True, eq=False)
class Levels:
    """Where fields lie in the vertical.

    Attributes:
        values: Pressure in hPa, numbers of model levels, or σ = pressure / surface pressure; they
            increase, from the top down. Shape (level,).
        kind: "pressure", "model_level" or "sigma".

    Raises:
        ValueError: If values do not increase or cannot be, or the kind is unknown.
    """

    values: np.ndarray
    kind: LevelKind

    def __post_init__(self) -> None:
        if self.kind not in LEVEL_UNITS:
            raise ValueError(
                f"the kind of levels must be one of {', '.join(LEVEL_UNITS)}; got {self.kind!r}"
            )
        values = np.array(self.values, np.float64)
        if values.ndim != 1 or not values.size or not np.isfinite(values).all():
            raise ValueError(
                f"levels must be a row of finite numbers; got {np.asarray(self.values)!r}"
            )
        if (np.diff(values) <= 0).any():
            raise ValueError(f"levels must increase, from the top down; got {_few(values)}")
        largest = 1.0 + _RELATIVE if self.kind == "sigma" else np.inf
        if values[0] < 0 or values[-1] > largest:
            raise ValueError(
                f"{self} cannot be: {'σ lies in 0..1' if self.kind == 'sigma' else 'negative'}"
            )
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return len(self.values)

    def __str__(self) -> str:
        after = " hPa" if self.kind == "pressure" else ""
        before = {"pressure": "", "model_level": "model level ", "sigma": "σ "}[self.kind]
        return f"{before}{_few(self.values)}{after}"

    def index(self, value: float) -> int:
        """Place of a level.

        Raises:
            ValueError: If there is no such level; says which there are.
        """
        place = self.nearest(value)
        if abs(self.values[place] - value) > _RELATIVE * max(1.0, abs(value)):
            raise ValueError(f"there is no level {value:g}, only {self}")
        return place

    def nearest(self, value: float) -> int:
        """Place of the level that is nearest to a value."""
        return int(np.abs(self.values - value).argmin())

    def matches(self, other: "Levels") -> bool:
        """Whether both are the same levels."""
        return (
            self.kind == other.kind
            and len(self) == len(other)
            and bool(np.allclose(self.values, other.values, rtol=_RELATIVE, atol=0))
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """What names of channels end in: "850" hPa, "137", or thousandths of σ as "833"."""
        if self.kind == "sigma":
            return tuple(f"{1000 * value:03.0f}" for value in self.values)
        return tuple(f"{value:g}" for value in self.values)


@dataclass(frozen=True, eq=False)
class ForecastTimes:
    """Times of forecasts: when each began, and how far ahead each field lies.

    Attributes:
        init_time: Seconds since 1970-01-01 in `calendar`. Shape (time,), int64.
        lead_time: Seconds from there on, none negative. Shape (time,), int64.
        calendar: A CF calendar.

    Raises:
        ValueError: If shapes differ, a lead is negative, or valid times do not increase.
    """

    init_time: np.ndarray
    lead_time: np.ndarray
    calendar: str = "standard"

    def __post_init__(self) -> None:
        both = np.broadcast_arrays(
            np.asarray(self.init_time, np.int64), np.asarray(self.lead_time, np.int64)
        )
        for name, values in zip(("init_time", "lead_time"), both, strict=True):
            values = np.atleast_1d(values).copy()
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.lead_time.ndim != 1:
            raise ValueError(
                f"init and lead times must lie along one axis; got shape {self.lead_time.shape}: "
                "choose one of either"
            )
        if (self.lead_time < 0).any():
            raise ValueError(f"lead times must not be negative; got {self.lead_time.min()} s")
        self.valid_time  # noqa: B018  complains where times do not increase

    @property
    def valid_time(self) -> TimeAxis:
        """init_time + lead_time."""
        return TimeAxis(self.init_time + self.lead_time, self.calendar)

    def __len__(self) -> int:
        return len(self.lead_time)


@dataclass(frozen=True, eq=False)
class Variable:
    """One variable of a field set.

    Attributes:
        values: NumPy or dask array, in `units`.
        dims: Names of its axes: some of `AXES`, in their order, the last two always.
        units: For instance "m s-1"; empty if unknown.
        standard_name: CF; empty if there is none.
        levels: Where it has an axis of levels.

    Raises:
        ValueError: If axes, shape and levels do not fit.
    """

    values: Any
    dims: tuple[str, ...]
    units: str = ""
    standard_name: str = ""
    levels: Levels | None = None

    def __post_init__(self) -> None:
        dims = tuple(self.dims)
        object.__setattr__(self, "dims", dims)
        if dims != tuple(axis for axis in AXES if axis in dims) or dims[-2:] != AXES[-2:]:
            raise ValueError(f"axes must be some of {AXES}, in this order; got {dims}")
        if len(np.shape(self.values)) != len(dims):
            raise ValueError(
                f"values must have the axes {dims}; got shape {tuple(np.shape(self.values))}"
            )
        if (self.levels is not None) != ("level" in dims):
            raise ValueError(
                f"levels are for an axis of levels; got axes {dims} and levels {self.levels}"
            )
        if self.levels is not None and self.size("level") != len(self.levels):
            raise ValueError(f"values have {self.size('level')} levels; given are {self.levels}")

    def size(self, dim: str) -> int:
        """Length of an axis."""
        return int(np.shape(self.values)[self.dims.index(dim)])

    def at(self, dim: str, place: int) -> "Variable":
        """The variable at a place along an axis that it may have; without that axis."""
        if dim not in self.dims:
            return self
        axis = self.dims.index(dim)
        values = self.values[(slice(None),) * axis + (place,)]
        dims = self.dims[:axis] + self.dims[axis + 1 :]
        return replace(
            self, values=values, dims=dims, levels=None if dim == "level" else self.levels
        )


@dataclass(frozen=True, eq=False)
class FieldSet:
    """Variables on one grid, at the same times, of the same members.

    Attributes:
        variables: By name; read-only.
        grid: Of all of them.
        times: Where they have an axis of time: valid times, or those of forecasts.
        members: Numbers of the members, where there is an axis of them. A single field without
            that axis may have its time alone: its `times` then are of length one.

    Raises:
        ValueError: If variables do not fit each other; says which and how.
    """

    variables: Mapping[str, Variable]
    grid: Grid
    times: TimeAxis | ForecastTimes | None = None
    members: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", MappingProxyType(dict(self.variables)))
        object.__setattr__(self, "members", tuple(int(member) for member in self.members))
        if not self.variables:
            raise ValueError("a field set needs a variable")
        if len(set(self.members)) < len(self.members):
            raise ValueError(f"members must have different numbers; got {self.members}")
        sizes = {"latitude": self.grid.shape[0], "longitude": self.grid.shape[1]}
        sizes |= {"time": 0 if self.times is None else len(self.times)}
        sizes |= {"member": len(self.members)}
        for name, variable in self.variables.items():
            for dim in variable.dims:
                if dim in sizes and variable.size(dim) != sizes[dim]:
                    raise ValueError(
                        f"{name} has {variable.size(dim)} along {dim}; the set has {sizes[dim]}"
                    )
        kinds = {variable.levels.kind for variable in self.variables.values() if variable.levels}
        if len(kinds) > 1:
            raise ValueError(f"a field set has one kind of levels; got {', '.join(sorted(kinds))}")

    def __getitem__(self, name: str) -> Variable:
        if name not in self.variables:
            raise ValueError(f"there is no variable {name!r}; there are {', '.join(self)}")
        return self.variables[name]

    def __contains__(self, name: object) -> bool:
        return name in self.variables

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables)

    def __len__(self) -> int:
        return len(self.variables)

    @property
    def time(self) -> TimeAxis | None:
        """Valid times; None where there are no times."""
        return self.times.valid_time if isinstance(self.times, ForecastTimes) else self.times

    @property
    def level_kind(self) -> LevelKind | None:
        """Kind of the levels, where any variable has some."""
        kinds = [variable.levels.kind for variable in self.variables.values() if variable.levels]
        return kinds[0] if kinds else None

    def at(self, dim: Literal["time", "member"], place: int) -> "FieldSet":
        """The fields of one time, which is kept as the set's single time, or of one member."""
        variables = {name: variable.at(dim, place) for name, variable in self.variables.items()}
        if dim == "member":
            return replace(self, variables=variables, members=())
        return replace(
            self, variables=variables, times=part_of(self.times, slice(place, place + 1))
        )

    def part(self, places: slice) -> "FieldSet":
        """The set at some of its times."""
        variables = {}
        for name, variable in self.variables.items():
            where = tuple(places if dim == "time" else slice(None) for dim in variable.dims)
            variables[name] = replace(variable, values=variable.values[where])
        return replace(self, variables=variables, times=part_of(self.times, places))

    def loaded(self) -> "FieldSet":
        """The set with NumPy arrays: what is lazy is computed."""
        return replace(
            self,
            variables={
                name: replace(variable, values=np.asarray(variable.values))
                for name, variable in self.variables.items()
            },
        )

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What archives call them: names, with the level behind where there is one."""
        return tuple(
            Channel(name if label is None else f"{name}_{label}", one.units, one.standard_name)
            for name, one in self.variables.items()
            for label in (one.levels.labels if one.levels else (None,))
        )

    def select(self, channels: Sequence[str], *, level: float | None = None) -> Any:
        """Fields of some channels.

        Args:
            channels: Names of variables, with the label of a level ("temperature_850") where they
                have levels.
            level: Where variables with levels are named without one: the nearest level is taken.

        Returns:
            (..., channel, latitude, longitude); `...` are the axes of member and time, where the
            variables have them. A dask array if any of them is.

        Raises:
            ValueError: If a variable or level is missing, or their axes differ.
        """
        chosen = [self._channel(name, level) for name in channels]
        dims = {variable.dims for variable in chosen}
        if len(dims) > 1:
            raise ValueError(f"channels must have the same axes; {list(channels)} have {dims}")
        return np.stack([variable.values for variable in chosen], axis=-3)

    def described(self, channel: str) -> tuple[str, str]:
        """Units and standard name of a channel, named as for `select`."""
        name = channel if channel in self.variables else split_label(channel)[0]
        return self[name].units, self[name].standard_name

    def require_complete(self, where: str = "a field set") -> None:
        """Reads all values, and raises `ValueError` if any are missing or infinite."""
        for name, variable in self.variables.items():
            bad = int((~np.isfinite(np.asarray(variable.values))).sum())
            if bad:
                raise ValueError(
                    f"{where}: {bad} of {np.size(variable.values)} values of {name} are missing "
                    "(NaN) or infinite; fields must be complete"
                )

    def _channel(self, name: str, level: float | None) -> Variable:
        if name in self.variables:
            variable = self.variables[name]
            if variable.levels is None:
                return variable
            if level is None:
                raise ValueError(f"say which level of {name}; there are {variable.levels}")
            return variable.at("level", variable.levels.nearest(level))
        base, _, label = name.rpartition("_")  # as in `split_label`
        levels = self.variables[base].levels if base in self.variables else None
        if levels is None:
            names = ", ".join(self)
            raise ValueError(f"there is no channel {name!r}; there are the variables {names}")
        if label not in levels.labels:
            raise ValueError(f"there is no {name}; levels of {base} are {levels}")
        return self.variables[base].at("level", levels.labels.index(label))


def part_of(
    times: TimeAxis | ForecastTimes | None, places: slice
) -> TimeAxis | ForecastTimes | None:
    """Some of the times."""
    if isinstance(times, ForecastTimes):
        return ForecastTimes(times.init_time[places], times.lead_time[places], times.calendar)
    return None if times is None else TimeAxis(times.seconds[places], times.calendar)


def split_label(name: str) -> tuple[str, float | None]:
    """A channel's name without its level, and the number of that: ("temperature", 850.0)."""
    match = re.fullmatch(r"(.+?)_(\d+(?:\.\d+)?)", name)
    return (match[1], float(match[2])) if match else (name, None)


def _few(values: np.ndarray) -> str:
    texts = [f"{value:g}" for value in values]
    return ", ".join(texts if len(texts) <= 8 else [*texts[:4], "...", *texts[-2:]])
