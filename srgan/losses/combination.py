"""Content losses by name, and weighted sums of them.

    mse          mean squared error of the normalised fields
    mae          mean absolute error
    atmodist     squared difference of features of an AtmoDist encoder, with its calibrated α
    autoencoder  the same of an encoder that was trained to reconstruct its input
    spectral     squared difference of log power spectra

A combination is written "atmodist", or "atmodist=1,mse=0.1". Each part keeps its name, so that it
can be logged. Reading a combination needs no Keras; making the losses does.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from atmodist.fields.normalization import Normalization

NAMES = ("mse", "mae", "atmodist", "autoencoder", "spectral")
LEARNED = {"atmodist": "encoder", "autoencoder": "autoencoder"}  # which argument names the network


@dataclass(frozen=True)
class ContentTerm:
    """A part of a content loss.

    Attributes:
        name: One of `NAMES`.
        weight: Its factor in the sum, positive.
        loss: From (y_true, y_pred), (batch, latitude, longitude, channel) and normalised, to the
            mean over the batch, a scalar.
    """

    name: str
    weight: float
    loss: Callable[[Any, Any], Any]


class ContentParts(NamedTuple):
    """A content loss and what it is made of.

    Attributes:
        total: Σ weight · part, a scalar.
        parts: Each part by name, without its weight.
    """

    total: Any
    parts: dict[str, Any]


def parse_content(text: str | Mapping[str, float]) -> dict[str, float]:
    """Reads a combination.

    Args:
        text: "atmodist", "atmodist=1,mse=0.1" (a weight left out is one), or weights by name.

    Returns:
        Positive weights by name, in the order given.

    Raises:
        ValueError: If a name is unknown or comes twice, or a weight is not a positive number.
    """
    if isinstance(text, Mapping):
        pairs = list(text.items())
    elif isinstance(text, str):
        pairs = [_pair(part) for part in text.split(",")]
    else:
        raise ValueError(f"a content loss must be text or weights by name; got {text!r}")
    weights: dict[str, float] = {}
    for name, weight in pairs:
        if name not in NAMES:
            raise ValueError(f"there is no content loss {name!r}; there are {', '.join(NAMES)}")
        if name in weights:
            raise ValueError(f"the content loss {name!r} was given twice")
        weights[name] = _positive(name, weight)
    if not weights:
        raise ValueError(f"a content loss needs at least one of {', '.join(NAMES)}")
    return weights


def make_content_loss(
    weights: str | Mapping[str, float],
    *,
    encoder: str | Path | None = None,
    autoencoder: str | Path | None = None,
    stages: str | Mapping[str, float] | None = None,
    autoencoder_stages: str | Mapping[str, float] | None = None,
    normalization: Normalization | None = None,
) -> tuple[ContentTerm, ...]:
    """Makes the losses of a combination.

    Args:
        weights: As of `parse_content`.
        encoder: Folder or hf:// address of the encoder, for "atmodist".
        autoencoder: The same for "autoencoder".
        stages: Stage of the encoder, or weights by stage; by default the metric's.
        autoencoder_stages: The same of the autoencoder.
        normalization: Of the fields that will be compared. An encoder with another one is refused.

    Raises:
        ValueError: If the combination is wrong, a network is missing, or has another normalisation.
    """
    from srgan.losses.content import mean_absolute_error, mean_squared_error
    from srgan.losses.spectral import SpectralLoss

    paths = {"atmodist": encoder, "autoencoder": autoencoder}
    chosen = {"atmodist": stages, "autoencoder": autoencoder_stages}
    terms = []
    for name, weight in parse_content(weights).items():
        loss: Callable[[Any, Any], Any]
        if name in LEARNED:
            loss = _feature_loss(name, paths[name], chosen[name], normalization)
        elif name == "spectral":
            loss = SpectralLoss()
        else:
            loss = {"mse": mean_squared_error, "mae": mean_absolute_error}[name]
        terms.append(ContentTerm(name, weight, loss))
    return tuple(terms)


def content_loss(terms: Sequence[ContentTerm], y_true: Any, y_pred: Any) -> ContentParts:
    """Returns the weighted sum and its parts."""
    parts = {term.name: term.loss(y_true, y_pred) for term in terms}
    return ContentParts(sum(term.weight * parts[term.name] for term in terms), parts)


def _feature_loss(
    name: str,
    path: str | Path | None,
    stages: str | Mapping[str, float] | None,
    normalization: Normalization | None,
) -> Callable[[Any, Any], Any]:
    from atmodist.metric.content_loss import ContentLoss

    if path is None:
        raise ValueError(f"the content loss {name!r} needs `{LEARNED[name]}`, the folder of one")
    loss = ContentLoss.from_package(path, stages=stages, name=f"{name}_loss")
    if normalization is not None and loss.normalization is not None:
        normalization.require_same(
            loss.normalization, ours="the records", theirs=f"the {LEARNED[name]} in {path}"
        )
    return loss


def _pair(part: str) -> tuple[str, Any]:
    name, equals, weight = part.partition("=")
    return name.strip(), weight.strip() if equals else 1.0


def _positive(name: str, weight: Any) -> float:
    try:
        number = float(weight)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(weight, bool) or not (math.isfinite(number) and number > 0):
        raise ValueError(f"the weight of {name!r} must be a positive number; got {weight!r}")
    return number
