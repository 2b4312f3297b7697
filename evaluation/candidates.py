"""The fields of an evaluation: the reference, and candidates from files or made on the fly.

All are read by valid time, in physical units, on the grid of the reference and with its channels.
What is made on the fly (generators, interpolations, persistence) sees nothing of the reference but
its block means, a file of low resolution, or its past.
"""

import glob
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from atmodist.fields.archive import Archive, Channel, check_finite
from atmodist.fields.grid import Grid
from atmodist.fields.time_axis import NO_CALENDAR, STANDARD_CALENDARS, TimeAxis, format_seconds
from atmodist.ingestion.sources import file_fingerprint
from atmodist.metric.series import FieldSeries, open_series
from evaluation.configuration import Candidate, EvaluationConfig
from srgan.degradation import coarse_grid
from srgan.inference.geometry import Refinement
from srgan.inference.labelled import plain_normalization
from srgan.inference.restoration import Restoration
from srgan.interpolation import Interpolation

DEFAULT_CHANNELS = ("divergence", "vorticity")  # of files that are no archives
EVERYDAY = "standard"  # what calendars that agree for today's dates are called here


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What to open; pickles, so that each worker can open it for itself.

    Attributes:
        reference: File of the reference.
        candidates: What is judged.
        channels: Names of the channels; None for those of the file.
        factor: Of interpolations; None for that of the generators.
        low_archive: File that restorations begin from; None for block means of the reference.
        members: Members of each stochastic generator.
        seed: Of their noise.
    """

    reference: str
    candidates: tuple[Candidate, ...]
    channels: tuple[str, ...] | None = None
    factor: int | None = None
    low_archive: str | None = None
    members: int = 1
    seed: int = 0

    @classmethod
    def of(cls, config: EvaluationConfig) -> "Inputs":
        """The inputs of a configuration."""
        return cls(
            reference=config.reference,
            candidates=config.parsed,
            channels=None if config.channels is None else tuple(config.channels),
            factor=config.factor,
            low_archive=config.low_archive,
            members=config.members,
            seed=config.seed,
        )


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
    """

    def __init__(self, series: FieldSeries, what: str):
        self.series = series
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
        if self._latest is None or self._latest[0] != second:
            step = self._steps[second]
            values = self.series.read(step)
            check_finite(values, self.series.channels, self.series.times[step], self.series.path)
            values.flags.writeable = False
            self._latest = (second, values)
        return self._latest[1]

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
        if len(self.members) == 1:
            return str(first)
        return f"{len(self.members)} members, {first} ... {last}"

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


@dataclass(frozen=True)
class Sources:
    """The reference and all candidates, open; see `open_sources`.

    Attributes:
        reference: The reference.
        channels: Its channels, with units.
        candidates: By name, in order.
        notes: What the user should know.
    """

    reference: Fields
    channels: tuple[Channel, ...]
    candidates: dict[str, Source]
    notes: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """The grid of all fields."""
        return self.reference.series.grid

    def read(self, name: str, second: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Reads a candidate at one time.

        Returns:
            (channel, latitude, longitude) float32, the mean of the members where there are any;
            and these, (member, channel, latitude, longitude), or None.
        """
        source = self.candidates[name]
        fields = source.read(second)
        if source.num_members == 1:
            return next(fields), None
        members = np.stack(list(fields))
        return members.mean(axis=0, dtype=np.float64).astype(np.float32), members


@contextmanager
def open_sources(inputs: Inputs) -> Iterator[Sources]:
    """Opens the reference and all candidates, and checks that they belong together.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If grids, channels, units or calendars differ; says whose.
    """
    with ExitStack() as stack:
        names = inputs.channels or _channels_of(inputs.reference)
        unknown = plain_normalization(names, ("",) * len(names))
        series = stack.enter_context(open_series(inputs.reference, unknown))
        reference, channels = Fields(series, "reference"), series.channels
        labels = plain_normalization(names, tuple(channel.units for channel in channels))
        opener = _Opener(inputs, reference, lambda path: open_series(path, labels), stack)
        candidates = opener.candidates()
        yield Sources(reference, channels, candidates, tuple(opener.notes))


def common_times(times: Sequence[np.ndarray]) -> np.ndarray:
    """Times that are in all of several series, in order."""
    common = times[0]
    for seconds in times[1:]:
        common = common[np.isin(common, seconds)]
    return common


def matched_times(sources: Sources, chosen: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Times of the reference that all candidates have.

    Args:
        sources: Reference and candidates.
        chosen: Times of the reference that are wanted.

    Returns:
        The times, and which candidates lack some of those chosen, in words.

    Raises:
        ValueError: If there is none; says what the candidates have.
    """
    lacking = []
    seconds = chosen
    for name, source in sources.candidates.items():
        there = common_times([chosen, source.seconds])
        if not len(there):
            time = sources.reference.time
            raise ValueError(
                f"candidate {name} ({source.about}) has no time in common with the reference "
                f"({_range(chosen, time)}); it has {_range(source.seconds, time)}"
            )
        if len(there) < len(chosen):
            lacking.append(f"{name} lacks {len(chosen) - len(there)}")
        seconds = common_times([seconds, source.seconds])
    if not len(seconds):
        raise ValueError(
            f"there is no time that the reference and all candidates have ({', '.join(lacking)} of "
            f"{len(chosen)})"
        )
    if not lacking:
        return seconds, None
    return seconds, (
        f"{len(seconds)} of {len(chosen)} times are used, those that all candidates have "
        f"({', '.join(lacking)})"
    )


class _Opener:
    """Opens candidates beside a reference."""

    def __init__(
        self, inputs: Inputs, reference: Fields, opened: Callable[[str], Any], stack: ExitStack
    ):
        self._inputs = inputs
        self._reference = reference
        self._opened = opened
        self._stack = stack
        self.notes: list[str] = []

    def candidates(self) -> dict[str, Source]:
        generators = {
            c.name: self._generator(c) for c in self._inputs.candidates if c.kind == "generator"
        }
        factors = {generator.factor for generator in generators.values()}
        found: dict[str, Source] = {}
        for candidate in self._inputs.candidates:
            if candidate.kind == "fields":
                found[candidate.name] = self._stored(candidate)
            elif candidate.kind == "persistence":
                again = self._fields(self._inputs.reference, candidate)
                found[candidate.name] = PersistentFields(again, int(candidate.value[0]))
            elif candidate.kind == "generator":
                found[candidate.name] = self._restored(candidate, generators[candidate.name])
            else:
                interpolation = self._interpolation(candidate, factors)
                found[candidate.name] = self._restored(candidate, interpolation)
        return found

    def _fields(self, path: str, candidate: Candidate) -> Fields:
        what = f"candidate {candidate.name}"
        try:
            fields = Fields(self._stack.enter_context(self._opened(path)), what)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{what}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
        fields.require_comparable(self._reference, what)
        return fields

    def _stored(self, candidate: Candidate) -> StoredFields:
        members = tuple(self._fields(path, candidate) for path in _files(candidate))
        expected = self._reference.series.grid
        for member in members:
            if not member.series.grid.matches(expected):
                raise ValueError(
                    f"candidate {candidate.name}: {member.series.path} is on the grid "
                    f"{member.series.grid}, and the reference on {expected}"
                )
        return StoredFields(members)

    def _generator(self, candidate: Candidate) -> Restoration:
        from srgan.package import load_generator

        try:
            generator = load_generator(candidate.value[0], factor=self._inputs.factor)
        except (ValueError, ImportError) as error:
            raise ValueError(f"candidate {candidate.name}: {error}") from None
        channels = tuple(channel.name for channel in self._reference.series.channels)
        if generator.channels not in (None, channels):
            raise ValueError(
                f"candidate {candidate.name}: the generator has the channels "
                f"{', '.join(generator.channels or ())}, and the reference {', '.join(channels)}"
            )
        return generator

    def _interpolation(self, candidate: Candidate, factors: set[int]) -> Restoration:
        factor = self._inputs.factor
        if factor is None:
            if len(factors) != 1:
                found = " and ".join(map(str, sorted(factors)))
                raise ValueError(
                    f"candidate {candidate.name} needs a factor, for instance --factor 4"
                    + (f"; the generators have {found}" if found else "")
                )
            (factor,) = factors
        return Interpolation(candidate.value[0], factor)  # type: ignore[arg-type]

    def _restored(self, candidate: Candidate, restoration: Restoration) -> RestoredFields:
        high, path = self._reference.series.grid, self._inputs.low_archive
        if path is None and restoration.alignment == "shared":
            raise ValueError(
                f"candidate {candidate.name}: the generator was trained with pairs of archives "
                "whose grids share points, not with block means: give --low_archive"
            )
        begins = self._reference if path is None else self._fields(path, candidate)
        try:
            low = coarse_grid(high, restoration.factor) if path is None else begins.series.grid
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UserWarning)
                refinement = restoration.refinement(low, high)
        except ValueError as error:
            raise ValueError(f"candidate {candidate.name}: {error}") from None
        self.notes += [f"{candidate.name}: {warning.message}" for warning in caught]
        name = candidate.value[0]
        num_members = self._inputs.members if restoration.is_stochastic else 1
        several = f", {num_members} members" if num_members > 1 else ""
        begun = f"block means over {restoration.factor} x {restoration.factor} points"
        return RestoredFields(
            restoration, refinement, begins, path is not None, num_members, self._inputs.seed,
            about=f"{name} from {path or begun}{several}",
        )  # fmt: skip


def _files(candidate: Candidate) -> list[str]:
    """Files of a candidate, patterns of names resolved."""
    paths = []
    for word in candidate.value:
        is_pattern = glob.has_magic(word) and not Path(word).exists()
        found = sorted(glob.glob(word)) if is_pattern else [word]  # noqa: PTH207  any folder
        if not found:
            raise FileNotFoundError(f"candidate {candidate.name}: no file matches {word}")
        paths += found
    return paths


def _channels_of(path: str) -> tuple[str, ...]:
    """All of an archive; the usual ones of anything else."""
    if Path(path).is_file() and h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            is_archive = "data" in file
        if is_archive:
            with Archive(path) as archive:
                return tuple(channel.name for channel in archive.channels)
    return DEFAULT_CHANNELS


def _range(seconds: np.ndarray, time: TimeAxis) -> str:
    if not len(seconds):
        return "none"
    return " to ".join(format_seconds(int(second), time.calendar) for second in seconds[[0, -1]])
