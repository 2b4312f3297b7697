"""Field sets and what knows channels alone: archives, and series of fields to compare.

A channel `temperature_850` of an archive is the variable `temperature` at the level 850: hPa,
unless the archive is a simulation, whose levels are thousandths of σ. Levels come back as exact as
the names are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import Channel
from atmodist.fields.field_set import FieldSet, LevelKind, Levels, Variable, part_of, split_label
from atmodist.fields.labelled import require_units
from atmodist.fields.series import FieldSeries
from atmodist.fields.time_axis import NO_CALENDAR

SIMULATED = "simulated atmosphere"  # how the source of archives with levels in σ begins
DIMS = ("time", "level", "latitude", "longitude")


def from_archive(
    archive: Archive, steps: range | None = None, *, level_kind: LevelKind | None = None
) -> FieldSet:
    """The fields of an archive, read into memory.

    A channel that is called as a variable with levels is left out: simulated archives begin with
    one of the levels once more.

    Args:
        archive: Open for reading.
        steps: Which ones; all by default.
        level_kind: What the numbers at the ends of names are; by default they are thousandths of σ
            in simulations, and pressures in hPa else.
    """
    steps = range(len(archive.time)) if steps is None else steps
    if level_kind is None:
        source = str(archive.attributes.get("source", ""))
        level_kind = "sigma" if source.startswith(SIMULATED) else "pressure"
    data = np.stack([archive.read(step) for step in steps], axis=1)
    columns: dict[str, list[tuple[float, int]]] = {}
    for place, channel in enumerate(archive.channels):
        name, level = split_label(channel.name)
        if level is not None:
            columns.setdefault(name, []).append((level, place))
    variables = {}
    for place, channel in enumerate(archive.channels):
        name, level = split_label(channel.name)
        said = (channel.units, channel.standard_name)
        if level is None and name not in columns:
            variables[name] = Variable(data[place], (DIMS[0], *DIMS[2:]), *said)
        elif level is not None and name not in variables:
            ordered = sorted(columns[name])
            values = np.array([value for value, _ in ordered])
            levels = Levels(values / 1000 if level_kind == "sigma" else values, level_kind)
            stacked = np.stack([data[place] for _, place in ordered], axis=1)
            variables[name] = Variable(stacked, DIMS, *said, levels)
    return FieldSet(variables, archive.grid, part_of(archive.time, slice(steps.start, steps.stop)))


def write_archive(fields: FieldSet, path: str | Path, **options: Any) -> None:
    """Writes an archive of all channels by valid time; init and lead times are not kept.

    Args:
        fields: With times, without members; complete.
        path: The archive.
        **options: Of `ArchiveWriter`, such as `compression` and `overwrite`.

    Raises:
        ValueError: If there are members, no times, or values are missing.
    """
    if fields.members:
        raise ValueError("an archive has no members; write one of each (`fields.at('member', 0)`)")
    if fields.time is None:
        raise ValueError("an archive needs times, and these fields have none")
    names = [channel.name for channel in fields.channels]
    calendar = fields.time.calendar
    with ArchiveWriter(
        path, channels=fields.channels, grid=fields.grid, calendar=calendar, **options
    ) as writer:
        for step, second in enumerate(fields.time.seconds):
            writer.append(int(second), np.asarray(fields.at("time", step).select(names)))


def series_of(
    fields: FieldSet,
    channels: Sequence[Channel],
    *,
    path: str | Path = "",
    level: float | None = None,
) -> FieldSeries:
    """Some channels as a series by valid time, for whatever compares series.

    Args:
        fields: Without members, with times.
        channels: What to read, in this order ("vorticity", "temperature_850"). Units must agree
            where both are known.
        path: Where they come from, for messages.
        level: Which level, where a channel with levels is named without one: the nearest.

    Raises:
        ValueError: If a channel is missing, or has other units.
    """
    if fields.members:
        raise ValueError("a series has no members; choose one (`fields.at('member', 0)`)")
    if fields.time is None:
        raise ValueError("a series needs times, and these fields have none")
    names = [channel.name for channel in channels]
    own = []
    for channel in channels:
        units, standard_name = fields.described(channel.name)
        require_units(channel.name, units, channel.units)
        own.append(Channel(channel.name, units, standard_name))
    fields.select(names, level=level)  # complains now of what is missing
    time = fields.time

    def read(step: int) -> np.ndarray:
        return np.asarray(fields.at("time", step).select(names, level=level), np.float32)

    return FieldSeries(
        path=Path(path),
        grid=fields.grid,
        times=tuple(time.isoformat(i) for i in range(len(time))),
        is_dated=time.calendar != NO_CALENDAR,
        seconds=None if time.calendar == NO_CALENDAR else time.seconds,
        read=read,
        channels=tuple(own),
        calendar=time.calendar,
    )
