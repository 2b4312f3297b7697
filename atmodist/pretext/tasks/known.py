"""The pretext tasks by name."""

from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.pair_source import PairSource
from atmodist.pretext.tasks.task import Task


def make_task(config: TrainingConfig, source: PairSource) -> Task:
    """Makes the task of a resolved configuration, for the fields of a source."""
    if config.task != "temporal_distance":
        from atmodist.pretext.tasks.reconstruction import Reconstruction

        normalization = source.normalization
        channels = None if normalization is None else normalization.channels
        return Reconstruction(
            config, source.input_shape, channels=channels, normalization=normalization
        )
    from atmodist.pretext.tasks.temporal_distance import TemporalDistance

    return TemporalDistance(config, source.input_shape, source.num_classes)
