"""Inpainting: to tell the part of a field that is hidden; a baseline of AtmoDist."""

from atmodist.pretext.reconstruction.options import InpaintingOptions
from atmodist.pretext.task import PretextTask, Task, TaskFields, TaskSettings


def _make(config: TaskSettings, fields: TaskFields) -> Task:
    from atmodist.pretext.reconstruction.task import Reconstruction

    return Reconstruction(config, fields.input_shape, normalization=fields.normalization)


TASK = PretextTask(
    asks="to tell what is hidden of a field; both fields of a pair are samples",
    learnt="tell what is hidden of a field",
    make=_make,
    options=InpaintingOptions,
)
