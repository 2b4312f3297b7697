"""Extension points: packages whose modules each add one thing, found by looking.

A statistic, a pretext task, an architecture ... is one module that defines one constant
(`STATISTIC`, `TASK` ...). Nobody keeps a list: a `Registry` looks into the package, and at what
other installed distributions offer as entry points in a group of the package's name. The name that
users type is that of the module, so that names are known, and wrong ones refused, without importing
anything. Modules whose names begin with an underscore are helpers.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """What the modules of a package define, by name, in alphabetical order.

    A module is imported when its entry is asked for, not before.

    Args:
        package: Full name of the package.
        constant: The name that each module gives its entry.
        what: An entry in words, for errors, such as "statistic".
        kind: The class of entries, to be checked.
        hyphens: Whether users type hyphens where modules have underscores.
    """

    def __init__(
        self, package: str, constant: str, *, what: str, kind: type = object, hyphens: bool = False
    ):
        self._package, self._constant, self._what = package, constant, what
        self._kind, self._hyphens = kind, hyphens

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._modules(), *_offered(self._package)}))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in set(self)

    def __getitem__(self, name: str) -> T:
        """The entry of that name, imported.

        Raises:
            KeyError: If there is none; see `find` for a message to users.
            TypeError: If its module does not define what it should.
        """
        if name in (modules := self._modules()):
            module = importlib.import_module(f"{self._package}.{modules[name]}")
        elif name in (offered := _offered(self._package)):
            module = offered[name].load()
        else:
            raise KeyError(name)
        return self._entry(module)

    def find(self, name: str) -> T:
        """The entry of a name that somebody typed.

        Raises:
            ValueError: If there is none; says which there are.
        """
        if name not in self:
            raise ValueError(f"there is no {self._what} {name!r}; there are {', '.join(self)}")
        return self[name]

    @property
    def literal(self) -> Any:
        """The names as a type, for configurations."""
        return Literal[tuple(self)]

    def _modules(self) -> dict[str, str]:
        """Names of modules by the names that users type."""
        found = pkgutil.iter_modules(importlib.import_module(self._package).__path__)
        names = [module.name for module in found if not module.name.startswith("_")]
        return {name.replace("_", "-") if self._hyphens else name: name for name in names}

    def _entry(self, module: ModuleType) -> T:
        if not hasattr(module, self._constant):
            raise TypeError(
                f"{module.__name__} defines no {self._constant}, and so is no {self._what}; "
                "begin its name with an underscore if it is not meant to be one"
            )
        entry: T = getattr(module, self._constant)
        if not isinstance(entry, self._kind):
            raise TypeError(
                f"{module.__name__}.{self._constant} must be a {self._kind.__name__}; got {entry!r}"
            )
        return entry


@cache
def _offered(package: str) -> dict[str, EntryPoint]:
    """Modules of other distributions; entry points cannot change while a program runs."""
    return {point.name: point for point in entry_points(group=package)}
