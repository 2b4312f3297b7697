"""Types in the words of users, who type values in YAML and need not know Python."""

import argparse
import re
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import DefaultHelpFormatter

_WORDS = {
    bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path",
    Any: "anything", type(None): "null",
}  # fmt: skip


def in_words(hint: Any) -> str:
    """A type as a user writes its values.

    For instance, `tuple[int, int] | None` is "[whole number, whole number] or null".
    """
    if hint in _WORDS:
        return _WORDS[hint]
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Literal, Union, types.UnionType):
        *first, last = _alternatives(hint)
        return f"{', '.join(first)} or {last}" if first else last
    if origin is dict:
        key, value = map(in_words, parts)
        return f"{{{key}: {value}, ...}}"
    if origin is tuple and Ellipsis not in parts:
        return f"[{', '.join(map(in_words, parts))}]"
    if origin in (tuple, list):
        return f"[{in_words(parts[0])}, ...]"
    return str(getattr(hint, "__name__", hint))


def complaint(message: str, actions: Iterable[argparse.Action]) -> str:
    """What jsonargparse says of a wrong value, in one line that names no types of Python.

    Args:
        message: Its message.
        actions: The options of the parser.
    """
    text = " ".join(message.replace("Parser key", "option").split())
    match = re.match(r'option "([\w.]+)":.*?\b(?:Expected|Does not validate|Not )', text)
    hints = {action.dest: type_of(action) for action in actions}
    given = re.findall(r"Given value: (.*)$", text) or re.findall(r"Got value: (.*)$", text)
    if match and given and hints.get(match[1]) is not None:
        wanted = re.sub(r"^(?=number|whole|path)", "a ", in_words(hints[match[1]]))
        return f"option --{match[1]} must be {wanted}; got {given[-1]}"
    return text


def type_of(action: argparse.Action) -> Any:
    """The type of the values of an option, or None."""
    return getattr(action, "_typehint", None) or action.type


class WordingHelpFormatter(DefaultHelpFormatter):
    """Help with types in words; choices that stand beside the name are not said again."""

    def _get_type_str(self, action: argparse.Action) -> str | None:
        hint = type_of(action)
        return None if hint is None or get_origin(hint) is Literal else in_words(hint)


def _alternatives(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(value) for value in get_args(hint)]
    if get_origin(hint) in (Union, types.UnionType):
        return [words for part in get_args(hint) for words in _alternatives(part)]
    return [in_words(hint)]
