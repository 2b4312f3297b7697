"""Who takes part in a training: what the loop asks of its plan, its learner and its judge.

A `Plan` says how long the phases are and what comes in, a `Learner` takes the steps, a `Judge` says
how good it became. The loop knows nothing else, so that one loop serves all trainings.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from atmodist.training import checkpoints
from atmodist.training.phases import Phase
from atmodist.training.run_log import RunLog
from atmodist.training.schedules import Schedule

Scores = dict[str, Any]


class LoopConfig(Protocol):
    """What the loop reads of the configuration of a run, a dataclass."""

    @property
    def output(self) -> Path:
        """The folder of the run."""

    @property
    def batch_size(self) -> int | None:
        """Samples per step."""

    @property
    def evaluate_every(self) -> int:
        """Epochs between evaluations."""

    @property
    def resume(self) -> bool:
        """Whether to go on with a run that is there."""

    @property
    def checkpoint_minutes(self) -> float | None:
        """Minutes between checkpoints within an epoch."""

    @property
    def keep_checkpoints(self) -> int | None:
        """How many of the latest checkpoints to keep."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run does, and on what; known before a network is built.

    Attributes:
        phases: In their order; the last one decides how many epochs there are.
        batches: The batches of an epoch of a phase, from (phase, epoch, start): epochs are counted
            from 0 over the run, and `start` batches have been seen and are left out. Each is the
            positional arguments of a step.
        schedule: Makes the schedule of the learning rate of a phase.
        described: What a checkpoint keeps of the data, plain content.
        check: Raises `ValueError` if a checkpoint, given its state, is of another run.
        unit: What there are `batch_size` of in a batch, in the plural.
        network_name: File of the evaluated network in checkpoints.
    """

    phases: tuple[Phase, ...]
    batches: Callable[[Phase, int, int], Iterable[Any]]
    schedule: Callable[[Phase], Schedule]
    described: dict[str, Any]
    check: Callable[[dict[str, Any]], None]
    unit: str
    network_name: str = checkpoints.NETWORK


class Learner(Protocol):
    """What is being trained.

    Attributes:
        network: What is evaluated and saved; `synchronize` makes it ready.
        columns: Names of all losses of all phases, for the log; "loss" and "gradient_norm" are
            among them.
        shown: Names of those that are shown while it trains.
    """

    network: Any
    columns: tuple[str, ...]
    shown: tuple[str, ...]

    def begin(self, phase: Phase) -> None:
        """A phase begins, or goes on; `restore` follows then."""

    @property
    def step(self) -> Callable[..., None]:
        """Takes a step, `step(*batch, number=steps before it in all phases, learning_rate=...)`."""

    def losses(self) -> dict[str, float]:
        """Means of the losses of this phase since `reset`; waits for the steps to end."""

    def reset(self, sums: Sequence[float] | None = None) -> None:
        """Starts the means anew, or goes on with `sums`."""

    def sums(self) -> list[float]:
        """What the means are made of."""

    def synchronize(self) -> None:
        """Makes `network` ready for evaluation and saving."""

    def state(self) -> dict[str, np.ndarray]:
        """Everything a step of this phase changes, as arrays."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Takes up what `state` returned."""


class Judge(Protocol):
    """Who says how good the network is.

    Attributes:
        scores: Names of the numbers that `evaluate` gives, for the log; "loss" is the first.
    """

    scores: tuple[str, ...]

    def evaluate(self, phase: Phase, watch: Callable[[Iterable[Any]], Iterable[Any]]) -> Scores:
        """Scores the evaluated network.

        Args:
            phase: The one that is being trained.
            watch: To be put around what is iterated over, so that signals end an evaluation.
        """

    def best(self, evaluations: list[Scores]) -> Scores:
        """Which of the evaluations, each with its "epoch", is the best."""

    def show(self, epoch: int, step: int, log: RunLog) -> None:
        """Shows more than numbers of the latest evaluation, if there is more; on one worker."""

    def phase_ended(self, phase: Phase) -> None:
        """Keeps what shall be kept of a phase that ended; on one worker."""

    def tell(self, row: dict[str, Any], num_epochs: int) -> str:
        """One line about an epoch that ended, from its row of the log."""
