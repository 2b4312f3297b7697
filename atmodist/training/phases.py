"""The phases of a run, each with its number of epochs and of steps in each.

Weights and the optimiser's state pass from phase to phase; the schedule of the learning rate starts
anew. Epochs are counted over all of them.
"""

from dataclasses import dataclass
from typing import Protocol

import tensorflow as tf


class BatchSource(Protocol):
    """Where batches come from."""

    def training_batches(self, epoch: int) -> tf.data.Dataset:
        """One pass over what there is for training, in the order of this epoch (from 0)."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Epochs of one kind.

    Attributes:
        name: For the log.
        epochs: How many there are.
        steps_per_epoch: Batches in each.
        first_epoch: Epochs of the run before it.
        first_step: Steps of the run before it.
        is_fixed: Whether all epochs have the same batches.
        rate_option: The setting of its learning rate.
    """

    name: str
    epochs: int
    steps_per_epoch: int
    first_epoch: int = 0
    first_step: int = 0
    is_fixed: bool = False
    rate_option: str = "learning_rate"

    @property
    def num_steps(self) -> int:
        """Steps of the whole phase."""
        return self.epochs * self.steps_per_epoch

    @property
    def end(self) -> int:
        """Epochs of the run when it is over."""
        return self.first_epoch + self.epochs

    def batches(self, source: BatchSource, epoch: int) -> tf.data.Dataset:
        """The batches of an epoch of the run, counted from 0."""
        order = self.first_epoch if self.is_fixed else epoch
        return source.training_batches(order).take(self.steps_per_epoch)
