"""The axes of a variable: latitude, longitude, time, level and member, and what else there is."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.cf.describe import standard_name, text, variables_of
from atmodist.fields.cf.horizontal import HorizontalAxis, horizontal_axes
from atmodist.fields.cf.levels import Level, vertical_levels
from atmodist.fields.cf.valid_times import ValidTimes, valid_times

if TYPE_CHECKING:
    from atmodist.fields.cf.describe import Variables

_MEMBERS = (
    "number", "realization", "realisation", "member", "members", "ensemble", "ens",
    "ensemble_member", "ensmem", "mem", "perturbation", "member_id", "ens_member",
    "ensemble_number",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class FieldAxes:
    """What the axes of a variable mean.

    Attributes:
        latitude: Its axis and where the rows lie.
        longitude: The same of columns.
        times: When fields are valid; None where nothing says.
        level_dim: The axis of levels, if there is one.
        levels: Along it, or the one beside the field; none where the file is silent.
        member_dim: The axis of members of an ensemble, if there is one.
        members: What they are called, mostly their numbers; the one beside the field; or none.
        others: Remaining axes of more than one entry.
    """

    latitude: HorizontalAxis
    longitude: HorizontalAxis
    times: ValidTimes | None
    level_dim: Hashable | None
    levels: tuple[Level, ...]
    member_dim: Hashable | None
    members: tuple[Any, ...]
    others: tuple[Hashable, ...]


def field_axes(
    data: Any, array: Any, *, time_units: str | None = None, without: Sequence[Hashable] = ()
) -> FieldAxes:
    """Tells the axes of a variable.

    Args:
        data: The xarray.Dataset of the file, or the array itself where there is none.
        array: The variable, an xarray.DataArray.
        time_units: What times count, where the file does not say.
        without: Axes whose meaning is known, such as that of channels.

    Raises:
        ValueError: If latitude, longitude or times are not understood; in one line.
    """
    variables = {**variables_of(data), **variables_of(array)}
    variables.pop(array.name, None) if array.name not in array.dims else None
    dims = [dim for dim in array.dims if dim not in without]
    rows, columns = horizontal_axes(variables, dims, array.name or "the field")
    outer = [dim for dim in dims if dim not in (rows.dim, columns.dim)]
    times = valid_times(variables, outer, time_units)
    along = () if times is None else times.dims
    rest = [dim for dim in outer if dim not in along]
    member_dim, members = _members(variables, rest, array)
    rest = [dim for dim in rest if dim != member_dim]
    level_dim, levels = vertical_levels(variables, rest)
    others = tuple(d for d in rest if d != level_dim and array.sizes[d] > 1)
    return FieldAxes(rows, columns, times, level_dim, levels, member_dim, members, others)


def is_member_axis(variables: "Variables", name: Hashable) -> bool:
    """Whether an axis, or a number beside the field, tells members of an ensemble."""
    if name in variables:
        attributes = variables[name].attrs
        standard = standard_name(attributes)
        if standard:
            return standard == "realization"
        kind = text(attributes, "_CoordinateAxisType")
        if kind == "ensemble" or text(attributes, "axis") == "e":
            return True
    return str(name).lower() in _MEMBERS


def _members(
    variables: "Variables", dims: Sequence[Hashable], array: Any
) -> tuple[Hashable | None, tuple[Any, ...]]:
    for dim in dims:
        own = [name for name, v in variables.items() if v.dims == (dim,)]
        if is_member_axis(variables, dim) or any(is_member_axis(variables, n) for n in own):
            told = [n for n in own if variables[n].dtype.kind in "iuSUO"]
            name = dim if dim in told else (told[0] if told else None)
            if name is None:
                return dim, tuple(range(array.sizes[dim]))
            return dim, tuple(_label(value) for value in variables[name].values)
    for name, variable in variables.items():
        if variable.ndim == 0 and is_member_axis(variables, name):
            return None, (_label(np.asarray(variable.values)[()]),)
    return None, ()


def _label(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if hasattr(value, "item") else value
