"""Autoencoder: to give a field again from its deepest features; a baseline of AtmoDist."""

from atmodist.pretext.reconstruction.options import ReconstructionOptions
from atmodist.pretext.task import PretextTask, Task, TaskFields, TaskSettings


def _make(config: TaskSettings, fields: TaskFields) -> Task:
    from atmodist.pretext.reconstruction.task import Reconstruction

    return Reconstruction(config, fields.input_shape, normalization=fields.normalization)


TASK = PretextTask(
    asks="to give a field again from its features; both fields of a pair are samples",
    learnt="give fields again from its features",
    make=_make,
    options=ReconstructionOptions,
)
