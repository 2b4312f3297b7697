"""What a variable says of itself: its attributes, as text that can be compared."""

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

    Variables = Mapping[Hashable, xr.Variable]

_SILENT = ("", "unknown", "none", "undefined", "~", "no_standard_name", "no standard name")


def text(attributes: Mapping[Any, Any], key: str) -> str:
    """An attribute in lower case without blanks around it; empty where there is none."""
    value = attributes.get(key, "")
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    return str(value).strip().lower()


def standard_name(attributes: Mapping[Any, Any]) -> str:
    """The standard name, words joined by underscores; empty where there is none."""
    name = text(attributes, "standard_name")
    return "" if name in _SILENT else re.sub(r"\s+", "_", name)


def is_number(variable: "xr.Variable") -> bool:
    """Whether values are plain numbers, neither dates nor durations."""
    return np.issubdtype(variable.dtype, np.number) and variable.dtype.kind not in "mM"


def variables_of(data: Any) -> "Variables":
    """All variables of a Dataset, or the coordinates of a DataArray."""
    if hasattr(data, "data_vars"):
        variables: Variables = data.variables
        return variables
    return {name: coordinate.variable for name, coordinate in data.coords.items()}


def some(items: Iterable[Any], limit: int = 10) -> str:
    """A list in words that stays readable: the first few, and how many more."""
    texts = [str(item) for item in items]
    more = f", and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more
