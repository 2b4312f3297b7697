"""What a statistic is to the runner and the report.

A statistic is one module in `evaluation/statistics`, in three parts kept apart: functions of arrays
with its formula; an accumulator that sees one time step after the other and merges with others, so
that work can be spread; a function that draws its result. The module ends with a constant
`STATISTIC`; nothing else has to know of it.

Results are `xarray.Dataset`s. A variable whose dimensions are all among "time", "region" and
"channel" is a number that goes to tables (averaged over time), to `metrics.json` and, where it has
"time", to the tests of differences. Its attributes say what it is:

    long_name, units    as CF has them; "1" for pure numbers
    better              "lower", "higher", or "reference" if closer to the reference's own value is
    main                for the few that belong into the report's first table, where in it, from 1
                        for what says most; where a statistic marks none, its first one with
                        `better` comes last
    short_name          how that table calls it; by default by its long_name
    at_least            name of the number that says at which share of times it is a lower bound

Everything else (spectra, maps, histograms) has dimensions of its own, for NetCDF and figures.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

import numpy as np

from evaluation.numerics.setting import Setting

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

Need = Literal["sphere", "members", "encoder", "winds"]
T = TypeVar("T")


@dataclass(kw_only=True)
class Sample:
    """A candidate and the reference at one time; keeps what several statistics need.

    Attributes:
        candidate: Shape (channel, latitude, longitude), physical units. The mean of the members
            where there are any.
        reference: The same of the reference.
        seconds: Since 1970-01-01.
        members: (member, channel, latitude, longitude), or None.
    """

    setting: Setting
    candidate: np.ndarray
    reference: np.ndarray
    seconds: int
    members: np.ndarray | None = None

    _shared: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def shared(
        self, function: Callable[[np.ndarray, Setting], T], *, of_reference: bool = False
    ) -> T:
        """What several statistics make of a field, made once; must not be changed.

        Args:
            function: Of (channel, latitude, longitude) and the setting, such as those of
                `numerics.shared`. It is the key: hand over the same function each time.
            of_reference: Whether of the reference instead of the candidate.
        """
        own = self.reference if of_reference else self.candidate
        key = function, of_reference and self.reference is not self.candidate
        if key not in self._shared:
            self._shared[key] = function(own, self.setting)
        found: T = self._shared[key]
        return found


class Accumulator(Protocol):
    """Sums over time steps, of one candidate."""

    def update(self, sample: Sample) -> None:
        """Adds a time step; steps of one accumulator come in time order."""

    def merge(self, later: Self) -> None:
        """Adds what another one has seen of the same candidate, later in time."""

    def arrays(self) -> dict[str, np.ndarray]:
        """All it has summed, for `restore`."""

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `arrays` returned."""

    def result(self) -> "xr.Dataset":
        """The statistic; see the module for what its variables say of themselves."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: Of its files, without suffix; unique within the statistic.
        title: A short line above.
        caption: What is to be seen, with units and how it was computed.
        figure: Drawn, not saved.
    """

    name: str
    title: str
    caption: str
    figure: "Figure"


class Statistic(ABC):
    """What it is called, what it needs, how it is accumulated and drawn; see the module.

    Attributes:
        name: As users type it; the name of the module.
        title: Heading in the report.
        needs: Without these it is left out, and the report says why.
        of_reference: Whether it also describes the reference by itself.
        default: Whether it runs if nobody asks for it.
        version: Raised when the same input gives another result.
        columns: What `rows` adds to tables, beside the columns that all have.
    """

    name: str
    title: str
    needs: frozenset[Need] = frozenset()
    of_reference: bool = False
    default: bool = True
    version: int = 1
    columns: tuple[str, ...] = ()

    @abstractmethod
    def accumulator(self, setting: Setting) -> Accumulator:
        """Starts to accumulate; `ValueError` names options that are wrong."""

    def rows(self, result: "xr.Dataset", *, seed: int) -> list[dict[str, Any]]:
        """Numbers that are no variable over time, region and channel: tests of its own, say.

        Args:
            result: Of all candidates, joined along a first dimension "candidate".
            seed: Of what is drawn.

        Returns:
            Rows of tables; see `significance.summary_numbers`.
        """
        return []

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """Draws the results of all candidates, joined along a first dimension "candidate".

        The reference, where it is described, is the candidate called `REFERENCE`.
        """
        return iter(())
