"""What a kind of candidate is: how fields to be judged come to be.

A kind is one module in `evaluation/candidates/kinds`, which ends with a constant `KIND`; its name
is that of the module, and nothing else has to know of it. A candidate is written `name=KIND:VALUE`;
what is written without a kind are files of fields.

Whatever its fields are, they are read by valid time. A kind whose files know of init and lead times
turns them into valid times itself (valid = init + lead), and nobody after it adds a lead.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from evaluation.candidates.fields import Fields

FILES = "fields"  # the kind of what is written without one


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Fields to be judged, by the name that tables and figures show.

    Attributes:
        name: Unique within an evaluation.
        kind: How its fields come to be; the name of a module of `evaluation.candidates.kinds`.
        value: What stands after the kind; of files, their names or patterns of names.
    """

    name: str
    kind: str
    value: tuple[str, ...]

    def __str__(self) -> str:
        words = ", ".join(self.value)
        return words if self.kind == FILES else f"{self.kind}:{words}"


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
        unusual_values: Whether values that no atmosphere has are read.
    """

    reference: str
    candidates: tuple[Candidate, ...]
    channels: tuple[str, ...] | None = None
    factor: int | None = None
    low_archive: str | None = None
    members: int = 1
    seed: int = 0
    unusual_values: bool = False


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
        """Yields the fields (channel, latitude, longitude) of all members at one valid time."""


@dataclass(frozen=True)
class Opening:
    """What a kind opens its candidates with.

    Attributes:
        inputs: All that is to be opened.
        reference: The reference, open.
        series: Opens a file with the channels of the reference, until all is done.
        stack: Whatever has to be closed when all is done.
        notes: What the user should know; to be added to.
        factors: Points per coarse cell of the candidates that have a factor of their own.
        kept: For a kind to keep what it has opened, by the name of a candidate.
    """

    inputs: Inputs
    reference: "Fields"
    series: Callable[[str], AbstractContextManager[Any]]
    stack: ExitStack
    notes: list[str] = field(default_factory=list)
    factors: set[int] = field(default_factory=set)
    kept: dict[str, Any] = field(default_factory=dict)

    def fields(self, path: str, candidate: Candidate) -> "Fields":
        """Opens a file whose times mean the same as those of the reference.

        Raises:
            FileNotFoundError: If there is none; says whose.
            ValueError: If it does not fit to the reference, or holds several members; says whose.
        """
        found = self.members(path, candidate)
        if len(found) > 1:
            raise ValueError(
                f"candidate {candidate.name}: {path} holds {len(found)} members of an ensemble, of "
                "which one is needed: select it first"
            )
        return found[0]

    def members(self, path: str, candidate: Candidate) -> tuple["Fields", ...]:
        """Opens a file as `fields` does; an ensemble as its members."""
        from evaluation.candidates.fields import Fields

        what = f"candidate {candidate.name}"
        try:
            series = self.stack.enter_context(self.series(path))
            found = tuple(Fields(one, what) for one in series.by_member())
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{what}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
        self.notes.extend(f"{candidate.name}: {note}" for note in series.notes)
        for one in found:
            one.require_comparable(self.reference, what)
        return found


class Kind(ABC):
    """See the module.

    Attributes:
        usage: How it is written, for instance "persistence:STEPS".
        about: What it is, in a few words.
        has_networks: Whether neural networks have to be run for it.
    """

    usage: str
    about: str
    has_networks: bool = False

    def check(self, value: str) -> None:  # noqa: B027  most take any value
        """Raises `ValueError` if that can stand after no such kind; opens nothing."""

    def default_name(self, value: str) -> str:
        """What a candidate is called that was given no name."""
        return Path(value).name

    def factor(self, candidate: Candidate, opening: Opening) -> int | None:
        """Points per coarse cell in each direction, if it has a factor of its own."""
        return None

    @abstractmethod
    def open(self, candidate: Candidate, opening: Opening) -> Source:
        """Opens a candidate.

        Raises:
            FileNotFoundError: If a file is missing; says whose.
            ValueError: If something does not belong together; says whose.
        """
