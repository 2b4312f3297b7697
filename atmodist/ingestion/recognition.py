"""Recognising what files hold: variables under their many names, units, levels and orientations.

Files name the same wind `u`, `10u`, `U_10_MOD` or `uas`, give levels in Pa or hPa, and run from
pole to pole or from date line to date line in either direction. Here are the tables that make one
of them all; the modules that read a format use them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.files.errors import UnsupportedFileError

STANDARD_NAMES = {
    "eastward_wind": "eastward_wind",
    "northward_wind": "northward_wind",
    "atmosphere_relative_vorticity": "vorticity",
    "atmosphere_upward_relative_vorticity": "vorticity",
    "divergence_of_wind": "divergence",
}
VARIABLES = ("eastward_wind", "northward_wind", "vorticity", "divergence")
UNITS = {
    "eastward_wind": "m s-1",
    "northward_wind": "m s-1",
    "vorticity": "s-1",
    "divergence": "s-1",
}

# `{}` is u or v. Names are compared in lower case; standard names go first.
_WIND_NAMES = (
    r"{0}|{0}a|{0}wnd|{0}grd|{0}wind|{0}_wind|wind_{0}|{0}_?component_of_wind|{0}_velocity|"
    r"{0}[-_]component_of_wind_\w+|{0}_?(?P<h1>10|100|200)(m|_mod|n)?|(?P<h2>10|100|200){0}|"
    r"(?P<h3>10|100|200)m_{0}_component_of_wind|(?P<surface>{0}as)"
)
_NAMES = {
    "eastward_wind": re.compile(_WIND_NAMES.format("u")),
    "northward_wind": re.compile(_WIND_NAMES.format("v")),
    "vorticity": re.compile(r"vo|vor|vort|vorticity|rv|relv|(atmosphere_)?relative_vorticity"),
    "divergence": re.compile(r"d|dv|div|divg|divergence|divergence_of_wind|relative_divergence"),
}
_SPEED = {"ms-1", "m/s", "mps"}
_RATE = {"s-1", "1/s", "/s"}


@dataclass(frozen=True)
class Level:
    """Height of a field.

    Attributes:
        value: In `unit`; None if the file does not say.
        unit: "hPa", "m", "model level", or another kind of level; empty if the file is silent.
    """

    value: float | None = None
    unit: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return "unknown"
        after = self.unit in ("hPa", "m", "")
        return f"{self.value:g} {self.unit}".strip() if after else f"{self.unit} {self.value:g}"


@dataclass(frozen=True)
class Selection:
    """What is wanted of each file.

    Attributes:
        names: Name in the file, for those of `VARIABLES` that the user named.
        level: Value of the level in the file's units (pressure in hPa); None for any.
        time_units: CF units for time axes that have none, for instance
            "hours since 1996-01-05".
        time: Seconds since 1970-01-01 for files that have no time at all.
    """

    names: dict[str, str] = field(default_factory=dict)
    level: float | None = None
    time_units: str | None = None
    time: int | None = None

    def variable(self, name: str, standard_name: str = "", alias: str = "") -> str | None:
        """Which of `VARIABLES` a name in a file means; None if it is none of them.

        Args:
            name: Name of the variable in the file.
            standard_name: Its CF standard name, if any.
            alias: Another name by which the user may know it, for instance a GRIB paramId.
        """
        for variable, chosen in self.names.items():
            if chosen in (name, alias):
                return variable
        found = STANDARD_NAMES.get(standard_name)
        if found is None:
            found = next((v for v, names in _NAMES.items() if names.fullmatch(name.lower())), None)
        return None if found in self.names else found

    def accepts(self, level: Level) -> bool:
        """Whether a level is wanted; one that the file does not name is."""
        if self.level is None or level.value is None:
            return True
        return abs(level.value - self.level) <= 1e-6 * max(1.0, abs(self.level))


@dataclass(frozen=True)
class Series:
    """One variable of one file at one level.

    Attributes:
        variable: One of `VARIABLES`.
        name: Its name in the file.
        level: Where it is.
        grid: Its points, in the orientation in which they are read.
        flipped: Whether the file says that its rows run from south to north.
        seconds: Valid times, since 1970-01-01 in the calendar of the file. Shape (time,).
        places: Where each field lies in the file; its meaning is the reader's. Shape (time, n).
    """

    variable: str
    name: str
    level: Level
    grid: Grid
    flipped: bool
    seconds: np.ndarray
    places: np.ndarray


@dataclass(frozen=True)
class Contents:
    """What a file holds, as far as it is wanted.

    Attributes:
        path: The file.
        calendar: CF calendar of its times.
        series: What was found; empty if nothing was.
        others: Names of what else it holds.
        notes: What had to be assumed.
    """

    path: str
    calendar: str
    series: tuple[Series, ...]
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_units(variable: str, units: str | None, place: str) -> str | None:
    """Checks units; returns a note if the file has none.

    Raises:
        ValueError: If they are others than m s⁻¹ for winds or s⁻¹ for their derivatives.
    """
    text = re.sub(r"\bmet(er|re)s?\b", "m", str(units or "").lower())
    text = re.sub(r"\bsec(ond)?s?\b", "s", text).replace("per", "/")
    text = re.sub(r"[\s*.{}()^]", "", text)
    if not text:
        return f"{place} has no units; taken as {UNITS[variable]}"
    if text not in (_SPEED if variable.endswith("wind") else _RATE):
        raise UnsupportedFileError(
            f"{place} is in {units!r}; {variable} must be in {UNITS[variable]}: convert the file, "
            "or name another variable"
        )
    return None


def level_from_name(name: str) -> Level:
    """The height that a name like `10u` or `v100` carries."""
    for variable in ("eastward_wind", "northward_wind"):
        match = _NAMES[variable].fullmatch(name.lower())
        if match:
            groups = match.groupdict()
            height = groups["h1"] or groups["h2"] or groups["h3"]
            if height or groups["surface"]:
                return Level(float(height or 10), "m")
    return Level()


def some(items: Iterable[Any], limit: int = 10) -> str:
    """A list in words that stays readable: the first few, and how many more."""
    texts = [str(item) for item in items]
    more = f", and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more
