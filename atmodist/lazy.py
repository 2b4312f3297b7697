"""Public names of a package that are imported only when somebody asks for them (PEP 562).

Keras, matplotlib and their like take seconds to import; `import atmodist` and every `--help` do
without them.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Makes `__getattr__` and `__dir__` of a package.

    Args:
        package: Its `__name__`.
        modules: Public names, and the modules that have them.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807  what it is for
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    def __dir__() -> list[str]:  # noqa: N807
        return sorted({*vars(sys.modules[package]), *modules})

    return __getattr__, __dir__
