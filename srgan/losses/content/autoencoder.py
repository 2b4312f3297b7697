"""Squared difference of features of an encoder that was trained to reconstruct its input."""

from dataclasses import dataclass, field

from atmodist.fields.normalization import Normalization
from atmodist.files.options import PLACE, Options
from srgan.losses.content._features import feature_loss, parse_stages, require_network
from srgan.losses.content_kind import ContentKind, Loss


@dataclass(frozen=True, kw_only=True)
class AutoencoderOptions(Options):
    """Which autoencoder, and which of its features."""

    autoencoder: str | None = field(default=None, metadata=PLACE)
    """Run of rplearn-train with task autoencoder, for content autoencoder."""
    autoencoder_stages: str | None = None
    """Stages of the autoencoder, likewise."""

    def __post_init__(self) -> None:
        require_network(self.autoencoder, "autoencoder", "autoencoder")
        parse_stages(self.autoencoder_stages)


def _make(options: AutoencoderOptions, normalization: Normalization | None) -> Loss:
    return feature_loss(
        "autoencoder",
        "autoencoder",
        str(options.autoencoder),
        options.autoencoder_stages,
        normalization,
    )


CONTENT = ContentKind(
    about="squared difference of features of an autoencoder",
    make=_make,
    options=AutoencoderOptions,
    network="autoencoder",
)
