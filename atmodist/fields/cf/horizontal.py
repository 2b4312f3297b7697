"""Telling latitude and longitude: coordinates of one axis each, in degrees.

What counts is the standard name, then units such as `degrees_north`; names as the last resort, and
never for `x` and `y` that merely count the points of a curvilinear grid.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atmodist.fields.cf.describe import is_number, standard_name, text

if TYPE_CHECKING:
    import xarray as xr

    from atmodist.fields.cf.describe import Variables

_NAMES = {
    "latitude": ("latitude", "lat", "nav_lat", "y", "g0_lat_1", "g0_lat_2", "lats", "xlat"),
    "longitude": ("longitude", "lon", "nav_lon", "long", "x", "g0_lon_2", "g0_lon_3", "lons"),
}
_UNITS = {
    axis: tuple(f"degree{s}{between}{d}" for s in ("", "s") for between in ("_", "") for d in ends)
    for axis, ends in (("latitude", ("north", "n")), ("longitude", ("east", "e")))
}
_LETTERS = {"latitude": "y", "longitude": "x"}
_SURE, _MAYBE = 2, 1


@dataclass(frozen=True, eq=False)
class HorizontalAxis:
    """An axis of latitude or longitude.

    Attributes:
        dim: The axis of the field.
        name: The coordinate that tells where its points are.
        degrees: Where they are.
    """

    dim: Hashable
    name: Hashable
    degrees: np.ndarray


def horizontal_axes(
    variables: "Variables", dims: Sequence[Hashable], field: object = "the field"
) -> tuple[HorizontalAxis, HorizontalAxis]:
    """The axes of latitude and of longitude of a variable; see `horizontal_axis`."""
    return (
        horizontal_axis(variables, dims, "latitude", field),
        horizontal_axis(variables, dims, "longitude", field),
    )


def horizontal_axis(
    variables: "Variables", dims: Sequence[Hashable], axis: str, field: object = "the field"
) -> HorizontalAxis:
    """One of both axes of a variable.

    Args:
        variables: Of the file.
        dims: Axes of the variable.
        axis: "latitude" or "longitude".
        field: What the variable is called, for messages.

    Raises:
        ValueError: If it has none, as on curvilinear grids.
    """
    graded = [
        (grade, variable.dims == (name,), name)
        for name, variable in variables.items()
        if variable.ndim == 1 and variable.dims[0] in dims and is_number(variable)
        if (grade := _evidence(name, variable, axis))
    ]
    best = max((grade for grade, _, _ in graded), default=0)
    axes = {
        variables[name].dims[0]: name
        for grade, _, name in sorted(graded, key=lambda g: g[:2])
        if grade == best
    }
    words = f"{field} {tuple(map(str, dims))}"
    if best < _SURE and (two := _of_two_axes(variables, dims)):
        raise ValueError(
            f"{words} lies on a curvilinear grid ({', '.join(two)} have two axes), which is not "
            "read; interpolate it to latitudes and longitudes first"
        )
    if len(axes) != 1:
        raise ValueError(
            f"{words} has no 1-D {axis} axis that can be told (curvilinear and rotated grids are "
            "not read; interpolate first)"
        )
    ((dim, name),) = axes.items()
    degrees = np.asarray(variables[name].values, np.float64)
    if best < _SURE and str(name).lower() in ("x", "y") and _counts(degrees):
        raise ValueError(
            f"{words}: {name} counts the points and is no {axis} in degrees; give the file "
            "coordinates with units degrees_north and degrees_east"
        )
    return HorizontalAxis(dim, name, degrees)


def _of_two_axes(variables: "Variables", dims: Sequence[Hashable]) -> list[str]:
    """Names of latitudes and longitudes that change along both axes of a field."""
    return [
        str(name)
        for name, v in variables.items()
        if v.ndim >= 2 and set(v.dims) <= set(dims) and any(_evidence(name, v, a) for a in _NAMES)
    ]


def _evidence(name: Hashable, variable: "xr.Variable", axis: str) -> int:
    """How surely a variable holds an axis: 0, `_MAYBE` or `_SURE`."""
    attributes = variable.attrs
    if standard := standard_name(attributes):
        return _SURE if standard == axis else 0
    units = text(attributes, "units").replace(" ", "_")
    if any(units in known for known in _UNITS.values()):
        return _SURE if units in _UNITS[axis] else 0
    # x and y in metres are no longitude and latitude
    if units not in ("", "degrees", "degree", "deg"):
        return 0
    own = str(name).lower() in _NAMES[axis] or text(attributes, "axis") == _LETTERS[axis]
    return _MAYBE if own else 0


def _counts(values: np.ndarray) -> bool:
    return (
        len(values) > 1
        and bool(np.array_equal(values - values[0], np.arange(len(values))))
        and (values[0] in (0, 1))
    )
