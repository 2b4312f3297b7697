"""What a content loss is to those who ask for it by name; imports nothing heavy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atmodist.fields.normalization import Normalization
from atmodist.files.options import Options

# From (y_true, y_pred), (batch, latitude, longitude, channel) and normalised, to the mean over the
# batch, a scalar.
Loss = Callable[[Any, Any], Any]


@dataclass(frozen=True, kw_only=True)
class ContentKind:
    """A content loss that can be asked for: the constant `CONTENT` of a module in `content`.

    Attributes:
        about: What it compares, for the help.
        make: Makes the loss from its settings and the normalisation of the fields that will be
            compared, None if that is not known. Only this may import Keras.
        options: Its settings.
        network: Name of the setting that says which network it compares by, if it needs one.
    """

    about: str
    make: Callable[[Any, Normalization | None], Loss]
    options: type[Options] = Options
    network: str | None = None
