"""Mean squared error of the normalised fields."""

from atmodist.fields.normalization import Normalization
from atmodist.files.options import Options
from srgan.losses.content_kind import ContentKind, Loss


def _make(options: Options, normalization: Normalization | None) -> Loss:
    from srgan.losses.pixel import mean_squared_error

    return mean_squared_error


CONTENT = ContentKind(about="mean squared error", make=_make)
