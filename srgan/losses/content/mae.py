"""Mean absolute error of the normalised fields."""

from atmodist.fields.normalization import Normalization
from atmodist.files.options import Options
from srgan.losses.content_kind import ContentKind, Loss


def _make(options: Options, normalization: Normalization | None) -> Loss:
    from srgan.losses.pixel import mean_absolute_error

    return mean_absolute_error


CONTENT = ContentKind(about="mean absolute error", make=_make)
