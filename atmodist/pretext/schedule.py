"""The learning rate of a phase of pretext training."""

from atmodist.pretext.configuration import TrainingConfig
from atmodist.training.schedules import Constant, Cosine, Plateau, Schedule


def make_schedule(config: TrainingConfig, num_steps: int) -> Schedule:
    """Makes the schedule of a resolved configuration.

    Args:
        config: With no setting left open.
        num_steps: Steps of the whole phase.
    """
    if config.learning_rate is None:
        raise ValueError("the learning rate is not set; call `resolved()` on the configuration.")
    if config.schedule == "plateau":
        return Plateau(
            peak=config.learning_rate,
            min_delta=config.plateau_min_delta,
            patience=config.plateau_patience,
            factor=config.plateau_factor,
            min_learning_rate=config.plateau_min_learning_rate,
        )
    if config.schedule == "cosine":
        return Cosine(peak=config.learning_rate, num_steps=num_steps, rise_steps=config.rise_steps)
    return Constant(peak=config.learning_rate, rise_steps=config.rise_steps)
