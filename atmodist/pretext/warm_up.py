"""The phases of pretext training: a warm-up on a fixed part of the records, then the main phase.

A deep network without a good start may learn nothing for long; the reference implementation first
trains 20 epochs on 2,000 batches. Here these are the first batches of one order of the records, in
every epoch of the warm-up the same, in the same order: to shuffle them again, they would all have
to be in memory.
"""

import dataclasses

from tqdm import tqdm

from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.pair_source import PairSource
from atmodist.training.phases import Phase


def fit_warmup(config: TrainingConfig, source: PairSource) -> TrainingConfig:
    """Leaves out a warm-up of the recipe that would be no smaller part of the records.

    Args:
        config: As the user gave it.
        source: The records.

    Returns:
        The resolved configuration of what really runs.

    Raises:
        ValueError: If there are no records, or the user asks for more batches than there are.
    """
    resolved = config.resolved()
    available = _num_batches(resolved, source)
    batches = int(resolved.warmup_batches or 0)
    if not resolved.warmup_epochs:
        return resolved
    if config.warmup_epochs is None and config.warmup_batches is None:
        if batches < min(available, resolved.steps_per_epoch or available):
            return resolved
        tqdm.write(
            f"note: no warm-up, for its {batches} batches would be all of an epoch; "
            "give --warmup_epochs and --warmup_batches to have one."
        )
        return dataclasses.replace(resolved, warmup_epochs=0, warmup_batches=0)
    if batches > available:
        raise ValueError(
            f"`warmup_batches` is {batches}, but {config.records} has {source.num_train} pairs for "
            f"training, {available} batches of {resolved.batch_size}; ask for fewer, or none by "
            "--warmup_epochs 0."
        )
    return resolved


def plan_phases(config: TrainingConfig, source: PairSource) -> tuple[Phase, ...]:
    """The phases of a run.

    Args:
        config: From `fit_warmup`.
        source: The records.

    Raises:
        ValueError: If there are fewer records than asked for.
    """
    available = _num_batches(config, source)
    asked = config.steps_per_epoch or available
    if asked > available:
        raise ValueError(
            f"`steps_per_epoch` is {asked}, but {config.records} has {source.num_train} pairs for "
            f"training, {available} batches of {config.batch_size}; ask for fewer, or make more "
            "records."
        )
    main = Phase(name="main", epochs=int(config.epochs or 1), steps_per_epoch=asked)
    if not config.warmup_epochs:
        return (main,)
    warmup = Phase(
        name="warm-up",
        epochs=config.warmup_epochs,
        steps_per_epoch=int(config.warmup_batches or 1),
        is_fixed=True,
    )
    main = dataclasses.replace(main, first_epoch=warmup.end, first_step=warmup.num_steps)
    return warmup, main


def _num_batches(config: TrainingConfig, source: PairSource) -> int:
    batch_size = int(config.batch_size or 1)
    available = source.num_train // batch_size
    if available < 1 or source.num_evaluation < 1:
        raise ValueError(
            f"{config.records} has {source.num_train} pairs for training and "
            f"{source.num_evaluation} for evaluation; needed are at least one batch "
            f"({batch_size}) and one pair. Try a smaller --batch_size, or more records."
        )
    return available
