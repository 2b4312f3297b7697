"""`phire-eval`: fields judged against a reference; `phire-eval compare`: finished runs joined."""

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from atmodist.cli.common import command_parser, require_paths, run_command
from atmodist.files.quiet_tensorflow import load_tensorflow
from evaluation.candidates.kinds import KINDS
from evaluation.contract.configuration import ComparisonConfig, EvaluationConfig
from evaluation.statistics import STATISTICS

RUNS = ("generator",)  # kinds of candidates whose value is a folder, or is fetched

if TYPE_CHECKING:
    from evaluation.running.results import Results

LISTS = ("--candidates", "--statistics", "--regions", "--channels", "--picture_times")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["compare"]:
        parser = command_parser(
            "phire-eval compare", ComparisonConfig, positional="runs", nargs="+"
        )
        return run_command(parser, ComparisonConfig, words[1:], _compare)
    parser = command_parser("phire-eval", EvaluationConfig, positional="reference")
    parser.epilog = (
        f"Candidates: {'; '.join(f'{kind.usage} ({kind.about})' for kind in KINDS.values())}. "
        f"Statistics: {', '.join(STATISTICS)}. "
        "phire-eval compare RUN RUN ... joins finished runs (phire-eval compare --help)."
    )
    return run_command(parser, EvaluationConfig, gathered(words), _evaluate)


def gathered(words: Sequence[str]) -> list[str]:
    """Flags that take a list may have its items after them: `--regions europe tropics`."""
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        flag = "--" + word[2:].replace("-", "_")
        items: list[str] = []
        while flag in LISTS and rest and not rest[0].startswith("--"):
            items.append(rest.pop(0))
        is_whole = len(items) == 1 and items[0][:1] in ("[", "{")
        if not items or is_whole:
            found += [word, *items]
        else:
            found += [flag, json.dumps(items)]
    return found


def _evaluate(config: EvaluationConfig) -> str:
    if config.has_networks:
        generators = {f"candidate {c.name}": c.value[0] for c in config.parsed if c.kind in RUNS}
        require_paths(reference=config.reference, encoder=config.encoder, **generators)
        load_tensorflow()
    from evaluation.running.runner import evaluate

    return _closing(evaluate(config), config.workers)


def _compare(config: ComparisonConfig) -> str:
    from evaluation.running.comparison import compare

    return _closing(compare(config), None)


def _closing(results: "Results", workers: int | None) -> str:
    """Writes the report; says where it is."""
    from evaluation.report.report import write_report

    path = write_report(results, workers=workers or len(os.sched_getaffinity(0)))
    return (
        f"{results.summary()}\nWrote {path}. Next: open it, or join runs with phire-eval compare "
        f"{results.folder} RUN"
    )
