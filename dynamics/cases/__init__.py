"""Published cases: their constants, initial states and, where there are any, solutions.

One module each: `galewsky` and `williamson` in shallow water; `held_suarez` and
`jablonowski_williamson` in primitive equations. `cases.held_suarez.equation(...)` imports it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynamics.cases import galewsky, held_suarez, jablonowski_williamson, williamson

__all__ = ["galewsky", "held_suarez", "jablonowski_williamson", "williamson"]


def __getattr__(name: str) -> Any:
    """Imports a case, which needs Keras, only when somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"dynamics.cases.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
