import argparse
import re
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest

from atmodist.cli.wording import complaint, in_words
from tests.tools.loading import tool

PYTHON = re.compile(
    r"class '|NoneType|Optional|Union|Literal|\b(str|int|float|dict|tuple)\b|Path\b"
)


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "whole number"),
        (bool | None, "true or false or null"),
        (Optional[tuple[float, float]], "[number, number] or null"),  # noqa: UP045
        (tuple[str, ...] | str, "[text, ...] or text"),
        (Optional[Literal["sgd", "adamw"]], "sgd, adamw or null"),  # noqa: UP045
        (Union[dict[str, Any], list[Path], None], "{text: anything, ...}, [path, ...] or null"),  # noqa: UP007
    ],
)
def test_types_are_what_users_type(hint, words):
    assert in_words(hint) == words


def test_what_is_no_wrong_value_stays_as_it_is():
    action = argparse.Action(["--seed"], "seed", type=int)
    assert complaint("the following\n are required: seed", [action]) == (
        "the following are required: seed"
    )
    assert complaint('Parser key "other": Expected a x. Got value: 1', [action]) == (
        'option "other": Expected a x. Got value: 1'
    )


def test_no_help_names_types_of_python():
    pytest.importorskip("mkdocs", reason="pip install 'atmodist[docs]'")
    for command, text in tool("documentation").invocations():
        kinds = re.findall(r"\((?:required, )?type: (.*?)(?:, default: .*)?\)$", text, re.M)
        assert kinds or command == "atmodist" or "type: " not in text, command
        for kind in kinds:
            assert not PYTHON.search(kind), (command, kind)
