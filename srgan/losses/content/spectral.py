"""Squared difference of log power spectra; see `srgan.losses.spectral`."""

from atmodist.fields.normalization import Normalization
from atmodist.files.options import Options
from srgan.losses.content_kind import ContentKind, Loss


def _make(options: Options, normalization: Normalization | None) -> Loss:
    from srgan.losses.spectral import SpectralLoss

    return SpectralLoss()


CONTENT = ContentKind(about="squared difference of log power spectra", make=_make)
