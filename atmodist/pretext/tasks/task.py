"""What the training loop knows of a pretext task.

A task brings a network that holds an encoder, turns batches of pairs into inputs and targets, and
says what is wrong with the outputs. The loop knows nothing else of it. A new task is a module with
a class, and a line in `known.make_task`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

Scores = dict[str, Any]


class Task(Protocol):
    """A pretext task.

    Attributes:
        measures: Names of what `loss` returns besides, for the log.
        scores: Names of the numbers in what `evaluate` returns, for the log; "loss" is the first.
        next_commands: What to do with a run of it, in order; each takes the folder of the run.
    """

    measures: tuple[str, ...]
    scores: tuple[str, ...]
    next_commands: tuple[str, ...]

    def network(self) -> keras.Model:
        """Builds the network with fresh weights; its layer "encoder" is what is learnt."""

    def prepare(self, batches: tf.data.Dataset, epoch: int | None) -> tf.data.Dataset:
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

    def illustrate(self, network: keras.Model, batches: tf.data.Dataset, folder: Path) -> None:
        """Draws what the network does with prepared evaluation batches, if that is worth a look."""
