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
    from evaluation.contract.configuration import ComparisonConfig, EvaluationConfig
    from evaluation.running.comparison import compare
    from evaluation.running.results import Results, load_results
    from evaluation.running.runner import evaluate

_LAZY = {
    "ComparisonConfig": "evaluation.contract.configuration",
    "EvaluationConfig": "evaluation.contract.configuration",
    "Results": "evaluation.running.results",
    "compare": "evaluation.running.comparison",
    "evaluate": "evaluation.running.runner",
    "load_results": "evaluation.running.results",
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
