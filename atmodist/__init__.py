"""A learned ruler for the atmosphere.

A network learns, without labels, how far apart in time two fields of vorticity and divergence are;
its activations become a distance between atmospheric states (arXiv 2109.09076, 2202.01897).
"""

from typing import TYPE_CHECKING

from atmodist.lazy import lazy_names

if TYPE_CHECKING:
    from atmodist.metric.content_loss import ContentLoss
    from atmodist.metric.distance import load_metric

__all__ = ["ContentLoss", "__version__", "load_metric"]

__version__ = "0.1.0"

_LAZY = {
    "ContentLoss": "atmodist.metric.content_loss",
    "load_metric": "atmodist.metric.distance",
}

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
