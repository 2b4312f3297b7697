from .metric.content_loss import ContentLoss
from .metric.distance import load_metric

__all__ = [
    "ContentLoss",
    "load_metric",
]
__version__: str
