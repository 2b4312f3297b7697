"""Squared difference of features of an AtmoDist encoder, with its calibrated α."""

from dataclasses import dataclass, field

from atmodist.fields.normalization import Normalization
from atmodist.files.options import PLACE, Options
from srgan.losses.content._features import feature_loss, parse_stages, require_network
from srgan.losses.content_kind import ContentKind, Loss


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(Options):
    """Which encoder, and which of its features."""

    encoder: str | None = field(default=None, metadata=PLACE)
    """Run or package of rplearn-train, or hf:// address, for content atmodist."""
    stages: str | None = None
    """Stage of the encoder that is compared, or a weighted sum, written stage3=1,stage4=0.5; null
    for the metric's."""

    def __post_init__(self) -> None:
        require_network(self.encoder, "atmodist", "encoder")
        parse_stages(self.stages)


def _make(options: EncoderOptions, normalization: Normalization | None) -> Loss:
    return feature_loss("atmodist", "encoder", str(options.encoder), options.stages, normalization)


CONTENT = ContentKind(
    about="squared difference of features of an AtmoDist encoder",
    make=_make,
    options=EncoderOptions,
    network="encoder",
)
