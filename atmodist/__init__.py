"""A learned ruler for the atmosphere.

A network learns, without labels, how far apart in time two fields of vorticity and divergence are;
its activations become a distance between atmospheric states (arXiv 2109.09076, 2202.01897).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atmodist.metric.content_loss import ContentLoss
    from atmodist.metric.distance import load_metric

__all__ = ["ContentLoss", "__version__", "load_metric"]

__version__ = "0.1.0"

_LAZY = {
    "ContentLoss": "atmodist.metric.content_loss",
    "load_metric": "atmodist.metric.distance",
}


def __getattr__(name: str) -> Any:
    """Imports what needs Keras only when somebody asks for it."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
