"""Checks of configurations: of all settings by their types, and of numbers by their ranges.

Types are those that dataclasses declare. A setting of type `int | None` may be left open; one of a
`Literal` must be among its values; whole numbers are numbers, booleans are not.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin


class Range(NamedTuple):
    """Which numbers are allowed, in words and as a test."""

    words: str
    holds: Callable[[float], bool]


POSITIVE = Range("a positive number", lambda v: v > 0)
NOT_NEGATIVE = Range("a number of at least 0", lambda v: v >= 0)
FRACTION = Range("between 0 and 1", lambda v: 0 < v < 1)
MOMENTUM = Range("at least 0 and below 1", lambda v: 0 <= v < 1)


def whole(least: int) -> Range:
    """Whole numbers from `least` up."""
    words = "a positive integer" if least == 1 else f"an integer of at least {least}"
    return Range(words, lambda v: isinstance(v, int) and v >= least)


def check_settings(config: Any, ranges: Mapping[str, Range]) -> None:
    """Raises `ValueError` for the first setting of a dataclass with a wrong type or value.

    Args:
        config: A dataclass whose fields are annotated with types, not with text.
        ranges: Of its numbers, by name.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if wanted := _wanted(field.type, ranges.get(field.name), value):
            raise ValueError(f"`{field.name}` must be {wanted}; got {field.name}={value!r}.")


def _wanted(declared: Any, allowed: Range | None, value: Any) -> str | None:
    """What a value should have been, in words; None if it is that."""
    parts = [declared] if get_origin(declared) is Literal else get_args(declared) or [declared]
    if value is None and NoneType in parts:
        return None
    choices = [c for part in parts if get_origin(part) is Literal for c in get_args(part)]
    if choices:
        return None if value in choices else f"one of {', '.join(map(str, choices))}"
    if bool in parts:
        return None if isinstance(value, bool) else "true or false"
    if str in parts:
        return None if isinstance(value, str) else "text"
    if allowed is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = number and math.isfinite(value) and allowed.holds(value)
    return None if fits else allowed.words
