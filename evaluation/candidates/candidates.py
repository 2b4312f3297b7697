"""The fields of an evaluation: the reference, and candidates from files or made on the fly.

All are read by valid time, in physical units, on the grid of the reference and with its channels.
"""

import glob
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.fields.archive import Channel, channel_names, named_channels
from atmodist.fields.grid import Grid
from atmodist.fields.series import open_series
from atmodist.fields.time_axis import TimeAxis, format_seconds
from evaluation.candidates.sources import (
    Fields,
    PersistentFields,
    RestoredFields,
    Source,
    StoredFields,
    common_times,
)
from evaluation.contract.configuration import Candidate, EvaluationConfig
from srgan.restoration.degradation import coarse_grid
from srgan.restoration.interpolation import Interpolation
from srgan.restoration.restoration import Restoration


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
        names = inputs.channels or channel_names(inputs.reference)
        unknown = named_channels(names)
        series = stack.enter_context(open_series(inputs.reference, unknown))
        reference, channels = Fields(series, "reference"), series.channels
        labels = named_channels(names, tuple(channel.units for channel in channels))
        opener = _Opener(inputs, reference, lambda path: open_series(path, labels), stack)
        candidates = opener.candidates()
        yield Sources(reference, channels, candidates, tuple(opener.notes))


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
        from srgan.generators.package import load_generator

        try:
            generator = load_generator(candidate.value[0], factor=self._inputs.factor)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"candidate {candidate.name}: {error}") from None
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
        if path is None and restoration.is_paired:
            raise ValueError(
                f"candidate {candidate.name}: the generator was trained with pairs of archives, "
                "not with block means: give --low_archive"
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
        begun = f"block means over {restoration.factor} x {restoration.factor} points"
        return RestoredFields(
            restoration, refinement, begins, path is not None, num_members, self._inputs.seed,
            about=f"{name} from {path or begun}",
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


def _range(seconds: np.ndarray, time: TimeAxis) -> str:
    if not len(seconds):
        return "none"
    return " to ".join(format_seconds(int(second), time.calendar) for second in seconds[[0, -1]])
