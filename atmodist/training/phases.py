"""The phases of a run, each with its number of epochs and of steps in each.

Weights and the optimiser's state pass from phase to phase; the schedule of the learning rate starts
anew. Epochs are counted over all of them.
"""

from dataclasses import dataclass


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

    def order(self, epoch: int) -> int:
        """The epoch whose order of the data an epoch of the run has, counted from 0."""
        return self.first_epoch if self.is_fixed else epoch
