"""Telling levels: by units, standard names and direction; by usual names only as the last resort.

Levels in files are called `lev`, `isobaric3`, `plev` or anything else. What makes a coordinate one
of levels (CF 4.3) is a unit of pressure, the attribute `positive`, `axis: Z`, or a standard name;
lengths are heights where nothing says that they run along the ground.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atmodist.fields.cf.describe import is_number, standard_name, text

if TYPE_CHECKING:
    import xarray as xr

    from atmodist.fields.cf.describe import Variables

_PRESSURES = {
    "pa": 0.01, "pascal": 0.01, "pascals": 0.01, "kpa": 10.0, "bar": 1000.0,
    **dict.fromkeys(("hpa", "mb", "mbar", "mbars", "millibar", "millibars"), 1.0),
    **dict.fromkeys(("hectopascal", "hectopascals"), 1.0),
}  # fmt: skip
_LENGTHS = {"km": 1000.0, "cm": 0.01} | dict.fromkeys(("m", "metre", "meter"), 1.0)
_COUNTS = ("level", "levels", "layer", "layers", "model_level", "hybrid_sigma_pressure")
_STANDARD_NAMES = {
    "air_pressure", "pressure", "height", "altitude", "depth", "geopotential_height",
    "height_above_geopotential_datum", "height_above_mean_sea_level", "air_potential_temperature",
    "height_above_reference_ellipsoid", "model_level_number", "ocean_sigma_coordinate",
}  # fmt: skip
_STANDARD_PATTERN = re.compile(r"(atmosphere|ocean)_\w*coordinate")
_AXIS_TYPES = ("pressure", "height", "geoz")  # of netCDF-Java
_NAMES = re.compile(
    r"(p|pressure|isobaric|model|hybrid|sigma)?_?(lev|level|levels|levelist)\d*|p|z|lv_\w+|nlev"
    r"|pressure\d*|plevs?|isobaric\w*|hybrid\d*|sigma\d*|altitude|height\w*|heightaboveground\w*"
)
_ALONG = ("projection_x_coordinate", "projection_y_coordinate", "grid_longitude", "grid_latitude")


@dataclass(frozen=True)
class Level:
    """Height of a field.

    Attributes:
        value: In `unit`; None if the file does not say.
        unit: "hPa", "m", "model level", "sigma", or another kind of level; empty if the file is
            silent.
    """

    value: float | None = None
    unit: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return "unknown"
        after = self.unit in ("hPa", "m", "")
        return f"{self.value:g} {self.unit}".strip() if after else f"{self.unit} {self.value:g}"

    def is_at(self, value: float) -> bool:
        """Whether this is the level of a value, to rounding of single precision."""
        return self.value is not None and abs(self.value - value) <= 1e-6 * max(1.0, abs(value))


def vertical_levels(
    variables: "Variables", dims: Sequence[Hashable]
) -> tuple[Hashable | None, tuple[Level, ...]]:
    """The axis of levels, and the levels along it.

    Args:
        variables: Of the file.
        dims: Axes that are neither latitude nor longitude nor time.

    Returns:
        The axis, None where a single level stands beside the field; and levels, none where the
        file names none.
    """
    for dim in dims:
        own = [name for name, v in variables.items() if v.dims == (dim,) and is_level(name, v)]
        if own:
            name = dim if dim in own else own[0]
            return dim, levels_along(name, variables[name])
    scalars = [n for n, v in variables.items() if v.ndim == 0 and is_level(n, v, scalar=True)]
    return (None, levels_along(scalars[0], variables[scalars[0]])) if scalars else (None, ())


def is_level(name: Hashable, variable: "xr.Variable", *, scalar: bool = False) -> bool:
    """Whether a variable holds levels.

    Args:
        name: Its name.
        variable: With its attributes.
        scalar: Of a single number, which may be a constant of physics, a unit does not say enough.
    """
    if not is_number(variable):
        return False
    attributes = variable.attrs
    standard, units, axis = (standard_name(attributes), *_of(attributes, "units", "axis"))
    if " since " in units or standard in _ALONG or axis in ("x", "y", "t", "e"):
        return False
    if standard:
        if standard in _STANDARD_NAMES or _STANDARD_PATTERN.fullmatch(standard):
            return True
        if standard in ("time", "realization", "latitude", "longitude", "forecast_period"):
            return False
    positive, kind = _of(attributes, "positive", "_coordinateaxistype")
    kind = kind or text(attributes, "_CoordinateAxisType")
    if positive in ("up", "down") or axis == "z" or kind in _AXIS_TYPES:
        return True
    named = bool(_NAMES.fullmatch(str(name).lower()))
    if scalar:
        return named and (
            units in ("", "1")
            or units in _COUNTS
            or units in _PRESSURES
            or _length(units) is not None
        )
    if units in _PRESSURES or units in _COUNTS or units == "sigma_level":
        return True
    if _length(units) is not None:
        return named or str(name).lower() not in ("x", "y", "east", "north")
    return named and units in ("", "1")


def levels_along(name: Hashable, variable: "xr.Variable") -> tuple[Level, ...]:
    """The levels that a coordinate holds, pressures in hPa and heights in m."""
    unit, factor = _unit(str(name).lower(), variable)
    return tuple(Level(float(value) * factor, unit) for value in np.atleast_1d(variable.values))


def _unit(name: str, variable: "xr.Variable") -> tuple[str, float]:
    units, long_name = _of(variable.attrs, "units", "long_name")
    standard = standard_name(variable.attrs)
    if units in _PRESSURES:
        return "hPa", _PRESSURES[units]
    if (length := _length(units)) is not None:
        return "m", length
    if standard == "atmosphere_sigma_coordinate" or "sigma_level" in (units, name):
        return "sigma", 1.0
    hybrid = "hybrid" in standard or standard == "model_level_number"
    if hybrid or "model" in long_name or re.fullmatch(r"hybrid\d*|model_?levels?", name):
        return "model level", 1.0
    if "inhpa" in name or (standard == "air_pressure" and not units):
        return "hPa", 1.0
    return units if units not in ("1", "level", "levels") else "", 1.0


def _length(units: str) -> float | None:
    return _LENGTHS.get(units, _LENGTHS.get(units.rstrip("s")) if len(units) > 2 else None)


def _of(attributes: "dict[Hashable, object]", *keys: str) -> tuple[str, ...]:
    return tuple(text(attributes, key) for key in keys)
