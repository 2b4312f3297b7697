"""What a pretext task is, to the configuration, to the training loop and to a model card.

A module of `atmodist.pretext.tasks` has a constant `TASK`, a `PretextTask`: what help, checks and
cards need, and how the task is made. It imports nothing heavy; what it makes is a `Task`, which
brings a network that holds an encoder, turns batches of pairs into inputs and targets, and says
what is wrong with the outputs. The loop knows nothing else of it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from atmodist.fields.normalization import Normalization
from atmodist.files.options import Options

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Scores = dict[str, Any]


class Task(Protocol):
    """A pretext task at work.

    Attributes:
        measures: Names of what `loss` returns besides, for the log.
        scores: Names of the numbers in what `evaluate` returns, for the log; "loss" is the first.
        next_commands: What to do with a run of it, in order; each takes the folder of the run.
    """

    measures: tuple[str, ...]
    scores: tuple[str, ...]
    next_commands: tuple[str, ...]

    def network(self) -> "keras.Model":
        """Builds the network with fresh weights; its layer "encoder" is what is learnt."""

    def prepare(self, batches: "tf.data.Dataset", epoch: int | None) -> "tf.data.Dataset":
        """Turns batches (pairs, labels) into batches (inputs, targets).

        Args:
            batches: As `PairSource` gives them.
            epoch: From 0; None for evaluation. What is drawn at random is a pure function of the
                seed, this and the number of the batch.
        """

    def loss(self, outputs: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
        """Mean loss of a batch, and its `measures`; scalars, by `keras.ops`."""

    def evaluate(self, batches: Iterable[tuple[np.ndarray, Any]]) -> Scores:
        """Scores all of the evaluation split from batches (outputs, targets)."""

    def mean_scores(self, evaluations: list[Scores]) -> Scores:
        """Averages what several calls of `evaluate` returned."""

    def describe(self) -> dict[str, Any]:
        """What evaluation.json says of the task itself."""

    def provenance(self) -> dict[str, str]:
        """Digests of what the loss is made from besides settings; a run cannot change it."""

    def report(self, last: Scores, num_last: int) -> str:
        """Lines for people about the mean scores of the last evaluations."""

    def illustrate(self, network: "keras.Model", batches: "tf.data.Dataset", folder: Path) -> None:
        """Draws what the network does with prepared evaluation batches, if that is worth a look."""


class TaskSettings(Protocol):
    """What a task may ask of the configuration of a run, in which no setting is left open."""

    @property
    def task(self) -> str:
        """Its name."""

    @property
    def options(self) -> Any:
        """Its own settings."""

    @property
    def architecture(self) -> str:
        """A name in `ARCHITECTURES`."""

    @property
    def batch_size(self) -> int | None:
        """Pairs per step."""

    @property
    def label_spread(self) -> float | None:
        """Width σ, in labels, of the bell around the true label."""

    @property
    def seed(self) -> int:
        """Of what is drawn at random."""


class TaskFields(Protocol):
    """What a task is told of the fields it learns from; every `PairSource` says it."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(latitude, longitude, channel) of one field."""

    @property
    def num_classes(self) -> int:
        """Number of labels."""

    @property
    def normalization(self) -> Normalization | None:
        """What the fields were normalised with; None if unknown."""


@dataclass(frozen=True, kw_only=True)
class PretextTask:
    """A pretext task that can be asked for.

    Attributes:
        asks: What the network is asked, for the help.
        learnt: The same where "an encoder that learnt to" goes before it, for the model card.
        make: Makes the task from a configuration and the fields to learn from.
        options: Its settings.
        uses_labels: Whether it learns from labels, so that settings about labels make sense.
    """

    asks: str
    learnt: str
    make: Callable[[TaskSettings, TaskFields], Task]
    options: type[Options] = Options
    uses_labels: bool = False
