from . import scores as scores
from .contract.configuration import ComparisonConfig, EvaluationConfig
from .running.comparison import compare
from .running.results import Results, load_results
from .running.runner import evaluate

__all__ = [
    "ComparisonConfig",
    "EvaluationConfig",
    "Results",
    "compare",
    "evaluate",
    "load_results",
    "scores",
]
