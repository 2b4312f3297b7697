"""The statistics, one module each; `known()` finds them."""

import importlib
import pkgutil

from evaluation.contract.statistic import Statistic


def names() -> list[str]:
    """Names of all statistics, in alphabetical order; imports none of them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def known() -> dict[str, Statistic]:
    """All statistics by name, in alphabetical order."""
    return {name: importlib.import_module(f"{__name__}.{name}").STATISTIC for name in names()}
