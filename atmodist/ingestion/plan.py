"""Deciding, from what many files hold, which fields make up each step of an archive.

Files come in any order, with one variable or many, one time or many; they are joined by valid
time. One way to vorticity and divergence is chosen for all steps, since fields that were given and
fields that were computed from winds differ at small scales.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from atmodist.fields.cf.describe import some
from atmodist.fields.cf.levels import Level
from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
from atmodist.fields.grid import Grid
from atmodist.fields.time_axis import format_seconds
from atmodist.ingestion.recognition import Contents, Selection, Series
from atmodist.ingestion.variables import MOTION, VARIABLES, channel

if TYPE_CHECKING:
    Variables = str
else:
    Variables = Literal[("auto", "winds", "given", *VARIABLES)]


class Address(NamedTuple):
    """Where one field lies.

    Attributes:
        path: The file.
        name: Name of the variable in it.
        place: Where in the file, as in `Series.places`.
        flipped: Whether the file says that its rows run from south to north.
        lead: Seconds from the start of a forecast; None if the file does not say.
        kind: "analysis" or "forecast", where the file tells.
    """

    path: str
    name: str
    place: tuple[int, ...]
    flipped: bool
    lead: int | None = None
    kind: str = ""


@dataclass(frozen=True)
class Step:
    """One valid time and its fields.

    Attributes:
        seconds: Valid time, since 1970-01-01 in the calendar of the plan.
        fields: Where its variables lie.
        check: Whether to compare its winds with its vorticity: on first meeting these files.
    """

    seconds: int
    fields: dict[str, Address]
    check: bool = False


@dataclass(frozen=True)
class StepPlan:
    """What to make of the files.

    Attributes:
        steps: In time order, all of them complete.
        grid: The grid of the files.
        calendar: CF calendar.
        channels: What will be written.
        from_winds: Whether it is computed from winds; else taken as it is.
        incomplete: Times that lack a variable, in words; they are not among the steps.
        notes: What had to be assumed.
    """

    steps: tuple[Step, ...]
    grid: Grid
    calendar: str
    channels: tuple[Channel, ...]
    from_winds: bool
    incomplete: tuple[str, ...]
    notes: tuple[str, ...]


class _Way(NamedTuple):
    needs: tuple[str, ...]
    channels: tuple[Channel, ...]
    from_winds: bool


_WAYS = {name: _Way((name,), (channel(name),), False) for name in VARIABLES} | {
    "given": _Way(("divergence", "vorticity"), (DIVERGENCE, VORTICITY), False),
    "winds": _Way(("eastward_wind", "northward_wind"), (DIVERGENCE, VORTICITY), True),
}
_ALLOWED = {name: ((name,), ()) for name in VARIABLES} | {
    "auto": (("given", "winds"), ("vorticity", "divergence")),
    "winds": (("winds",), ()),
    "given": (("given",), ("vorticity", "divergence")),
}


def looked_for(variables: Variables) -> tuple[str, ...]:
    """The variables that files are searched for."""
    return (variables,) if variables in VARIABLES else MOTION


def plan_steps(
    contents: Sequence[Contents], selection: Selection, variables: Variables
) -> StepPlan:
    """Joins what files hold into steps.

    Args:
        contents: What each file holds.
        selection: What was asked for.
        variables: "auto" takes vorticity and divergence as they are if both are there at all
            times, else computes them from winds; "winds" always computes; "given" never does. One
            of the two alone makes an archive of one channel. The name of a variable takes that one
            as it is.

    Raises:
        ValueError: If there is nothing, or several levels, grids or calendars, or the same field
            twice.
    """
    used = [item for item in contents if item.series]
    if not used:
        _refuse_nothing(contents, selection)
    _require_one_member([series for item in used for series in item.series])
    _require_one_level([(item.path, series) for item in used for series in item.series])
    grid = _common_grid([(item.path, series) for item in used for series in item.series])
    calendars = {item.calendar: item.path for item in reversed(used)}
    if len(calendars) > 1:
        pairs = some(f"{calendar} in {path}" for calendar, path in calendars.items())
        raise ValueError(f"the files use several calendars: {pairs}; ingest them one by one")
    calendar = used[0].calendar
    table = _join(used, calendar)
    way = _choose(table, variables)
    steps, incomplete, met = [], [], set()
    for seconds in sorted(table):
        fields = table[seconds]
        missing = [name for name in way.needs if name not in fields]
        if missing:
            time = format_seconds(seconds, calendar)
            incomplete.append(f"{time} lacks {' and '.join(missing)}")
            continue
        files = frozenset((name, address.path) for name, address in fields.items())
        checkable = {"eastward_wind", "northward_wind", "vorticity"} <= fields.keys()
        steps.append(Step(seconds, fields, check=checkable and files not in met))
        met.add(files)
    notes = [note for item in used for note in item.notes]
    empty = [item.path for item in contents if not item.series]
    if empty:
        notes.append(f"nothing of use in {len(empty)} files: {some(empty, 3)}")
    return StepPlan(
        tuple(steps), grid, calendar, way.channels, way.from_winds, tuple(incomplete), tuple(notes)
    )


def _join(used: Sequence[Contents], calendar: str) -> dict[int, dict[str, Address]]:
    table: dict[int, dict[str, Address]] = {}
    for item in used:
        for series in item.series:
            places = series.places.tolist()
            leads = [None] * len(places) if series.leads is None else series.leads.tolist()
            for seconds, place, lead in zip(series.seconds.tolist(), places, leads, strict=True):
                fields = table.setdefault(seconds, {})
                address = Address(
                    item.path, series.name, tuple(place), series.flipped, lead, series.kind
                )
                if series.variable in fields:
                    _refuse_twice(
                        series.variable, fields[series.variable], address, seconds, calendar
                    )
                fields[series.variable] = address
    return table


def _choose(table: dict[int, dict[str, Address]], variables: Variables) -> _Way:
    counts = Counter(
        name
        for fields in table.values()
        for name, way in _WAYS.items()
        if {*way.needs} <= {*fields}
    )
    for names in _ALLOWED[variables]:
        best = max(names, key=lambda name: counts[name], default=None)  # the first if they tie
        if best is not None and counts[best]:
            return _WAYS[best]
    present = sorted({name for fields in table.values() for name in fields})
    wanted = "winds" if variables == "winds" else "vorticity or divergence"
    if variables in VARIABLES:
        wanted = VARIABLES[variables].words
    if variables == "auto":
        wanted = "both winds at one time, vorticity or divergence"
    raise ValueError(f"the files hold {some(present)} only; expected {wanted}")


def _refuse_nothing(contents: Sequence[Contents], selection: Selection) -> None:
    others = sorted({name for item in contents for name in item.others})
    wanted = "" if selection.level is None else f" at level {selection.level:g}"
    wanted += "" if selection.member is None else f" of member {selection.member}"
    wanted += "" if selection.lead_hours is None else f" {selection.lead_hours:g} h ahead"
    names = selection.variables
    what = "winds, vorticity or divergence" if names == MOTION else VARIABLES[names[0]].words
    flags = ", ".join(f"--{name}" for name in names)
    raise ValueError(
        f"no {what}{wanted} in {len(contents)} files, which hold {some(others) or 'nothing'}; "
        f"name variables by {flags}, levels by --level, members by --member, leads by "
        "--lead_hours"
    )


def _refuse_twice(
    variable: str, first: Address, second: Address, seconds: int, calendar: str
) -> None:
    ways = "leave one out"
    names = [first.name, second.name]
    if first.lead is not None and second.lead is not None and first.lead != second.lead:
        names = [_run(address) for address in (first, second)]
        hours = min(first.lead, second.lead) / 3600
        ways = f"choose by --lead_hours, for instance --lead_hours {hours:g}"
    elif first.kind != second.kind and first.kind and second.kind:
        names = [f"{address.name} of the {address.kind}" for address in (first, second)]
    where = (
        f"twice in {first.path} (as {names[0]} and {names[1]})"
        if first.path == second.path
        else f"in {first.path}{_as(names[0], first)} and in {second.path}{_as(names[1], second)}"
    )
    raise ValueError(
        f"{variable} at {format_seconds(seconds, calendar)} is given {where}; {ways} (or name the "
        f"variable by --{variable})"
    )


def _as(name: str, address: Address) -> str:
    return "" if name == address.name else f" (as {name})"


def _run(address: Address) -> str:
    """A field by how far it lies ahead, for instance "u, analysis" or "u, 6 h ahead"."""
    if not address.lead:
        return f"{address.name}, {address.kind or 'start of a forecast'}"
    return f"{address.name}, {address.lead / 3600:g} h ahead"


def _require_one_member(found: Sequence[Series]) -> None:
    members = list(dict.fromkeys(series.member for series in found if series.member is not None))
    if len(members) > 1:
        raise ValueError(
            f"the files hold {len(members)} members of an ensemble, of which an archive takes one: "
            f"{some(members, 40)}; choose by --member, for instance --member {members[0]}"
        )


def _require_one_level(found: Sequence[tuple[str, Series]]) -> None:
    levels: dict[Level, list[str]] = {}
    for _, series in found:
        if series.level.value is not None:
            names = levels.setdefault(series.level, [])
            names += [] if series.name in names else [series.name]
    if len({level.value for level in levels}) > 1:
        listed = sorted(levels, key=lambda level: (level.unit, level.value))
        text = some((f"{level} ({some(levels[level], 3)})" for level in listed), 40)
        raise ValueError(
            f"the files hold several levels, of which an archive takes one: {text}; choose by "
            "--level, for instance --level 850"
        )


def _common_grid(found: Sequence[tuple[str, Series]]) -> Grid:
    path, first = found[0]
    for other, series in found[1:]:
        if series.grid is not first.grid and not series.grid.matches(first.grid):
            raise ValueError(
                f"the files are on several grids: {first.grid} ({first.name} in {path}), "
                f"{series.grid} ({series.name} in {other}); ingest them one by one, or interpolate"
            )
    return first.grid
