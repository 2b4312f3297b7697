"""The reference as it was some steps earlier: a forecast that nothing changes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from atmodist.fields.time_axis import NO_CALENDAR
from evaluation.candidates.fields import Fields
from evaluation.candidates.kind import Candidate, Kind, Opening


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


class Persistence(Kind):
    """See the module."""

    usage = "persistence:STEPS"
    about = "the reference so many of its time steps earlier"

    def check(self, value: str) -> None:
        """Steps are a positive number."""
        if not (value.isdecimal() and int(value) > 0):
            raise ValueError(
                "persistence needs a whole number of time steps, for instance persistence:2; got "
                f"{value!r}"
            )

    def default_name(self, value: str) -> str:
        """Says how many steps."""
        return f"persistence {value}"

    def open(self, candidate: Candidate, opening: Opening) -> PersistentFields:
        """Opens the reference once more."""
        again = opening.fields(opening.inputs.reference, candidate)
        return PersistentFields(again, int(candidate.value[0]))


KIND = Persistence()
