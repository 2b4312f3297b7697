"""Weighted sums of content losses, by name.

A combination is written "atmodist", or "atmodist=1,mse=0.1"; the losses are those of
`srgan.losses.content`. Each part keeps its name, so that it can be logged. Reading a combination
needs no Keras; making the losses does.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from atmodist.fields.normalization import Normalization
from srgan.losses.content import CONTENT_LOSSES
from srgan.losses.content_kind import Loss


@dataclass(frozen=True)
class ContentTerm:
    """A part of a content loss.

    Attributes:
        name: One of `CONTENT_LOSSES`.
        weight: Its factor in the sum, positive.
        loss: From (y_true, y_pred) to a scalar; see `Loss`.
    """

    name: str
    weight: float
    loss: Loss


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
        CONTENT_LOSSES.find(name)
        if name in weights:
            raise ValueError(f"the content loss {name!r} was given twice")
        weights[name] = _positive(name, weight)
    if not weights:
        raise ValueError(f"a content loss needs at least one of {', '.join(CONTENT_LOSSES)}")
    return weights


def make_content_loss(
    weights: str | Mapping[str, float],
    *,
    normalization: Normalization | None = None,
    **options: Any,
) -> tuple[ContentTerm, ...]:
    """Makes the losses of a combination.

    Args:
        weights: As of `parse_content`.
        normalization: Of the fields that will be compared. An encoder with another one is refused.
        **options: Settings of the losses, such as `encoder`; each takes its own.

    Raises:
        TypeError: If no loss has such a setting.
        ValueError: If the combination is wrong, a network is missing, or has another normalisation.
    """
    fields = {name: kind.options.names() for name, kind in CONTENT_LOSSES.items()}
    if unknown := options.keys() - {name for names in fields.values() for name in names}:
        raise TypeError(f"no content loss has the settings {', '.join(sorted(unknown))}")
    terms = []
    for name, weight in parse_content(weights).items():
        kind = CONTENT_LOSSES[name]
        given = {key: options[key] for key in fields[name] if key in options}
        terms.append(ContentTerm(name, weight, kind.make(kind.options(**given), normalization)))
    return tuple(terms)


def content_loss(terms: Sequence[ContentTerm], y_true: Any, y_pred: Any) -> ContentParts:
    """Returns the weighted sum and its parts."""
    parts = {term.name: term.loss(y_true, y_pred) for term in terms}
    return ContentParts(sum(term.weight * parts[term.name] for term in terms), parts)


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
