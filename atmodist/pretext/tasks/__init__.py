"""Pretext tasks, one module each, found in `TASKS`.

A task is what an encoder is asked so that its activations become useful.
"""

from atmodist.files.discovery import Registry
from atmodist.pretext.task import PretextTask

TASKS: Registry[PretextTask] = Registry(__name__, "TASK", what="pretext task", kind=PretextTask)
