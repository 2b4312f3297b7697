"""Judges atmospheric fields against a reference: one module for each statistic, and one report.

What the command `phire-eval` does, in Python:

    config = evaluation.EvaluationConfig(
        reference="truth.h5", candidates={"sr": "sr.h5", "past": "persistence:2"}
    )
    results = evaluation.evaluate(config)              # a folder of results, read again by
    results = evaluation.load_results("report")
    results.outcomes["power_spectrum"].dataset         # xarray, all candidates joined
    results.rows                                       # all numbers, with units and intervals
"""

from typing import TYPE_CHECKING

from atmodist.lazy import lazy_names

if TYPE_CHECKING:
    from evaluation.comparison import compare
    from evaluation.configuration import ComparisonConfig, EvaluationConfig
    from evaluation.results import Results, load_results
    from evaluation.runner import evaluate

_LAZY = {
    "ComparisonConfig": "evaluation.configuration",
    "EvaluationConfig": "evaluation.configuration",
    "Results": "evaluation.results",
    "compare": "evaluation.comparison",
    "evaluate": "evaluation.runner",
    "load_results": "evaluation.results",
}

__all__ = [
    "ComparisonConfig",
    "EvaluationConfig",
    "Results",
    "compare",
    "evaluate",
    "load_results",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
