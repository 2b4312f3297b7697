"""Content losses, one module each, found in `CONTENT_LOSSES`."""

from atmodist.files.discovery import Registry
from srgan.losses.content_kind import ContentKind

CONTENT_LOSSES: Registry[ContentKind] = Registry(
    __name__, "CONTENT", what="content loss", kind=ContentKind
)
