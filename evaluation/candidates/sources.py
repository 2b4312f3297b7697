"""Fields by valid time: of files, and made on the fly.

What is made on the fly (generators, interpolations, persistence) sees nothing of the reference but
its block means, a file of low resolution, or its past.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from atmodist.fields.archive import check_finite
from atmodist.fields.series import FieldSeries
from atmodist.fields.time_axis import NO_CALENDAR, STANDARD_CALENDARS
from atmodist.ingestion.sources import file_fingerprint
from srgan.restoration.geometry import Refinement
from srgan.restoration.restoration import Restoration

EVERYDAY = "standard"  # what calendars that agree for today's dates are called here


class Source(Protocol):
    """Fields of one candidate."""

    @property
    def seconds(self) -> np.ndarray:
        """Its valid times, in seconds since 1970-01-01."""

    @property
    def num_members(self) -> int:
        """Members of an ensemble; 1 if it is none."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides its fields beside the reference, as JSON."""

    @property
    def about(self) -> str:
        """What it is, in words."""

    def read(self, second: int) -> Iterator[np.ndarray]:
        """Yields the fields (channel, latitude, longitude) of all members at one time."""


class Fields:
    """Fields of a file by valid time, found complete.

    Attributes:
        series: As it was opened.
        time: Its valid times.

    Args:
        series: As it was opened.
        what: Whose they are, for complaints: "reference", or "candidate sr".
    """

    def __init__(self, series: FieldSeries, what: str):
        self.series = series
        self._what = what
        try:
            self.time = series.time
        except ValueError as error:
            raise ValueError(f"{what}: {series.path}: {error}") from None
        self._steps = {int(second): i for i, second in enumerate(self.time.seconds)}
        self._latest: tuple[int, np.ndarray] | None = None

    @property
    def calendar(self) -> str:
        """The calendar; all that agree for today's dates are one."""
        calendar = self.time.calendar
        return EVERYDAY if calendar in STANDARD_CALENDARS else calendar

    def step(self, second: int) -> int:
        """Number of the field of a time."""
        return self._steps[second]

    def read(self, second: int) -> np.ndarray:
        """Reads the field of a time; the latest one is kept, and must not be changed.

        Raises:
            ValueError: If values are missing; says where.
        """
        latest = self._latest
        if latest is not None and latest[0] == second:
            return latest[1]
        step = self._steps[second]
        values = self.series.read(step)
        where = f"{self._what}: {self.series.path}"
        check_finite(values, self.series.channels, self.series.times[step], where)
        values.flags.writeable = False
        self._latest = (second, values)
        return values

    def require_comparable(self, reference: "Fields", what: str) -> None:
        """Refuses series whose times do not mean the same.

        Raises:
            ValueError: Says in one line how they differ.
        """
        ours, theirs = self.calendar, reference.calendar
        if ours != theirs:
            said = [
                "no dates" if calendar == NO_CALENDAR else f"the calendar {calendar!r}"
                for calendar in (ours, theirs)
            ]
            raise ValueError(
                f"{what}: {self.series.path} has {said[0]}, and the reference "
                f"{reference.series.path} {said[1]}: it is not known which fields belong together"
            )
        if ours == NO_CALENDAR and len(self.time) != len(reference.time):
            raise ValueError(
                f"{what}: {self.series.path} has {len(self.time)} fields and the reference "
                f"{len(reference.time)}, and without dates it is not known which belong together"
            )


@dataclass(frozen=True)
class StoredFields:
    """A candidate whose fields are in files, one for each member."""

    members: tuple[Fields, ...]

    @cached_property
    def seconds(self) -> np.ndarray:
        """Times that all members have."""
        return common_times([member.time.seconds for member in self.members])

    @property
    def num_members(self) -> int:
        """How many files."""
        return len(self.members)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Fingerprints of the files."""
        return {"fields": [file_fingerprint(member.series.path) for member in self.members]}

    @property
    def about(self) -> str:
        """Names of the files."""
        first, last = self.members[0].series.path, self.members[-1].series.path
        return f"{first} ... {last}" if len(self.members) > 1 else str(first)

    def read(self, second: int) -> Iterator[np.ndarray]:
        """Reads the members one by one."""
        for member in self.members:
            yield member.read(second)


@dataclass(frozen=True)
class RestoredFields:
    """A candidate made on the fly from fields of low resolution.

    Attributes:
        restoration: The generator or interpolation.
        refinement: The grids.
        begins: The reference, whose block means are taken, or fields of low resolution.
        is_low: Whether these are of low resolution.
        num_members: Of a stochastic generator.
        seed: Of its noise.
        about: What it is, in words.
    """

    restoration: Restoration
    refinement: Refinement
    begins: Fields
    is_low: bool
    num_members: int
    seed: int
    about: str

    @property
    def seconds(self) -> np.ndarray:
        """Times of what it begins from."""
        return self.begins.time.seconds

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The generator, and what it begins from."""
        restoration = self.restoration
        return {
            "restoration": restoration.identity or restoration.name,
            "factor": restoration.factor,
            "low": file_fingerprint(self.begins.series.path) if self.is_low else "block means",
            "noise": [self.seed, self.num_members] if restoration.is_stochastic else None,
        }

    def read(self, second: int) -> Iterator[np.ndarray]:
        """Makes the members one by one."""
        low = self.begins.read(second)
        if not self.is_low:
            low = self.restoration.degraded(low, self.refinement.high)
        step = self.begins.step(second)
        for member in range(self.num_members):
            yield self.restoration.field(
                low, self.refinement, seed=self.seed, member=member, step=step
            )


@dataclass(frozen=True)
class PersistentFields:
    """The reference as it was some steps earlier: a forecast that nothing changes.

    Attributes:
        reference: The reference, opened a second time: it keeps a field of its own.
        steps: How much earlier.
    """

    reference: Fields
    steps: int
    num_members: int = field(default=1, init=False)

    @property
    def _lag(self) -> int:
        return self.steps * self.reference.time.step

    @cached_property
    def seconds(self) -> np.ndarray:
        """Times whose past is known; a hole in time makes another one later."""
        seconds = self.reference.time.seconds
        return seconds[np.isin(seconds - self._lag, seconds)]

    @property
    def identity(self) -> dict[str, Any]:
        """The lag; the reference is known."""
        return {"persistence": self._lag}

    @property
    def about(self) -> str:
        """How much earlier."""
        if self.reference.calendar == NO_CALENDAR:
            return f"the reference {self.steps} steps earlier"
        return f"the reference {self._lag / 3600:g} h earlier"

    def read(self, second: int) -> Iterator[np.ndarray]:
        """Reads the past."""
        yield self.reference.read(second - self._lag)


def common_times(times: Sequence[np.ndarray]) -> np.ndarray:
    """Times that are in all of several series, in order."""
    common = times[0]
    for seconds in times[1:]:
        common = common[np.isin(common, seconds)]
    return common
