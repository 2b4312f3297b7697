"""The fields of an evaluation: the reference and the candidates, open together.

All are read by valid time, in physical units, on the grid of the reference and with its channels.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from atmodist.fields.archive import channel_names
from atmodist.fields.channels import Channel, named_channels
from atmodist.fields.grid import Grid
from atmodist.fields.series import FieldSeries, open_series
from atmodist.fields.time_axis import TimeAxis, format_seconds
from evaluation.candidates.fields import Fields, common_times
from evaluation.candidates.kind import Inputs, Opening, Source
from evaluation.candidates.kinds import KINDS


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
        unusual = inputs.unusual_values
        series = stack.enter_context(open_series(inputs.reference, unknown, unusual_values=unusual))
        reference, channels = Fields(series, "reference"), series.channels
        labels = named_channels(names, tuple(channel.units for channel in channels))

        def opened(path: str) -> AbstractContextManager[FieldSeries]:
            return open_series(path, labels, ensemble=True, unusual_values=unusual)

        opening = Opening(inputs, reference, opened, stack)
        opening.notes.extend(f"reference: {note}" for note in series.notes)
        kinds = {candidate: KINDS[candidate.kind] for candidate in inputs.candidates}
        factors = (kind.factor(candidate, opening) for candidate, kind in kinds.items())
        opening.factors.update(factor for factor in factors if factor is not None)
        candidates = {c.name: kind.open(c, opening) for c, kind in kinds.items()}
        yield Sources(reference, channels, candidates, tuple(opening.notes))


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


def _range(seconds: np.ndarray, time: TimeAxis) -> str:
    if not len(seconds):
        return "none"
    return " to ".join(format_seconds(int(second), time.calendar) for second in seconds[[0, -1]])
