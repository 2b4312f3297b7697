"""Recognising what files hold: variables under their many names, units, levels and orientations.

Files name the same wind `u`, `10u`, `U_10_MOD` or `uas`, give levels in Pa or hPa, and run from
pole to pole or from date line to date line in either direction. By the table of
`variables` they become one; the modules that read a format use what is here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atmodist.fields.cf.levels import Level
from atmodist.fields.cf.quantities import contradiction
from atmodist.fields.grid import Grid
from atmodist.files.errors import UnsupportedFileError
from atmodist.ingestion.variables import MOTION, VARIABLES


@dataclass(frozen=True)
class Selection:
    """What is wanted of each file.

    Attributes:
        names: Name in the file, for those of `VARIABLES` that the user named.
        variables: What is looked for.
        level: Value of the level in the file's units (pressure in hPa); None for any.
        time_units: CF units for time axes that have none, for instance
            "hours since 1996-01-05".
        time: Seconds since 1970-01-01 for files that have no time at all.
        member: What the file calls the member of an ensemble that is wanted; None for any.
        lead_hours: Hours from the start of the forecast; None for any.
    """

    names: dict[str, str] = field(default_factory=dict)
    level: float | None = None
    time_units: str | None = None
    time: int | None = None
    variables: tuple[str, ...] = MOTION
    member: int | None = None
    lead_hours: float | None = None

    def variable(self, name: str, standard_name: str = "", alias: str = "") -> str | None:
        """Which wanted variable a name in a file means; None if it is none of them.

        Args:
            name: Name of the variable in the file.
            standard_name: Its CF standard name, if any.
            alias: Another name by which the user may know it, for instance a GRIB paramId.
        """
        for variable, chosen in self.names.items():
            if chosen in (name, alias):
                return variable
        known = {variable: VARIABLES[variable] for variable in self.variables}
        found = [v for v, facts in known.items() if standard_name in facts.standard_names]
        found += [v for v, facts in known.items() if facts.pattern.fullmatch(name.lower())]
        return found[0] if found and found[0] not in self.names else None

    def contradiction(self, variable: str, attributes: Mapping[Any, Any]) -> str:
        """Why a variable is not what its name says, unless the user named it; empty if it is."""
        return "" if variable in self.names else contradiction(variable, attributes)

    def accepts(self, level: Level) -> bool:
        """Whether a level is wanted; one that the file does not name is."""
        return self.level is None or level.value is None or level.is_at(self.level)

    def accepts_member(self, member: Any) -> bool:
        """Whether a member is wanted; a field that is none is."""
        return self.member is None or member is None or str(member) == str(self.member)

    def accepted_leads(self, leads: np.ndarray) -> np.ndarray:
        """Which leads, in seconds, are wanted; to the second."""
        if self.lead_hours is None:
            return np.ones(leads.shape, bool)
        return np.abs(leads - 3600 * self.lead_hours) < 1.0


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
        member: What the file calls the member of an ensemble that this is; None if it is none.
        leads: Seconds from the start of forecasts, where the file tells them. Shape (time,).
        kind: "analysis" or "forecast", where the file tells.
    """

    variable: str
    name: str
    level: Level
    grid: Grid
    flipped: bool
    seconds: np.ndarray
    places: np.ndarray
    member: Any = None
    leads: np.ndarray | None = None
    kind: str = ""


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
        UnsupportedFileError: If they are others than those of the variable.
    """
    known = VARIABLES[variable]
    text = re.sub(r"\bmet(er|re)s?\b", "m", str(units or "").lower())
    text = re.sub(r"\bsec(ond)?s?\b", "s", text).replace("per", "/")
    text = re.sub(r"[\s*.{}()^]", "", text)
    if not text:
        return f"{place} has no units; taken as {known.units}"
    if text not in (known.units.lower().replace(" ", ""), *known.spellings):
        raise UnsupportedFileError(
            f"{place} is in {units!r}; {variable} must be in {known.units}: convert the file, "
            "or name another variable"
        )
    return None


def level_from_name(name: str) -> Level:
    """The height that a name like `10u` or `v100` carries."""
    for variable in VARIABLES.values():
        if match := variable.pattern.fullmatch(name.lower()):
            groups = match.groupdict()
            height = next((groups[h] for h in ("h1", "h2", "h3") if groups.get(h)), None)
            if height or groups.get("surface"):
                return Level(float(height or 10), "m")
    return Level()
