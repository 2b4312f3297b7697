"""The statistics, one module each; `known()` finds them."""

import importlib
import pkgutil

from evaluation.statistic import Statistic


def known() -> dict[str, Statistic]:
    """All statistics by name, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").STATISTIC for name in names}
