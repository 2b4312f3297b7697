"""The architectures, one module each, found in `ARCHITECTURES`."""

from atmodist.files.discovery import Registry
from atmodist.pretext.architecture import Architecture

ARCHITECTURES: Registry[Architecture] = Registry(
    __name__, "ARCHITECTURE", what="architecture", kind=Architecture, hyphens=True
)
