"""Settings that an entry of a registry brings into a configuration.

An entry declares them as a dataclass derived from `Options`, each with a default that means "not
given", and checks them in `__post_init__`. The configuration inherits those of all entries
(`merged`), so that they are flags and keys of YAML like its own; it makes those of the entry in use
(`own`), which checks them, and refuses what only other entries have (`refuse_foreign`).
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Self, TypeVar

# In the metadata of a setting that says where something lies: a run may go on from another place,
# for what lies there is compared by its content.
PLACE = {"place": True}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Settings of an entry; none, unless a derived class has some."""

    @classmethod
    def names(cls) -> list[str]:
        """Names of the settings."""
        return [field.name for field in dataclasses.fields(cls)]

    def resolved(self) -> Self:
        """The same with nothing left open."""
        return self


OptionsType = TypeVar("OptionsType", bound=Options)


def merged(kinds: Iterable[type[Options]]) -> type:
    """A base class of configurations with the settings of all of `kinds`.

    Raises:
        TypeError: If two of them have a setting of one name, and not from a common base.
    """
    classes = list(dict.fromkeys(kinds))
    declared: dict[str, type] = {}
    for each in (base for kind in classes for base in kind.__mro__ if issubclass(base, Options)):
        for name in vars(each).get("__annotations__", ()):
            if declared.setdefault(name, each) is not each:
                raise TypeError(f"{each} and {declared[name]} both have the setting {name!r}")
    finest = [k for k in classes if not any(k is not o and issubclass(o, k) for o in classes)]
    return type("MergedOptions", tuple(reversed(finest)) or (Options,), {"__module__": __name__})


def own(kind: type[OptionsType], config: Any) -> OptionsType:
    """The settings of an entry, as a configuration has them."""
    return kind(**{name: getattr(config, name) for name in kind.names()})


def refuse_foreign(
    config: Any,
    kinds: Mapping[str, type[Options]],
    used: Collection[str],
    *,
    owners: Callable[[list[str]], str],
    given: str,
) -> None:
    """Raises `ValueError` for a setting that none of the entries in use has.

    Args:
        config: With the settings of all entries.
        kinds: Settings of all entries, by name of the entry.
        used: Names of the entries in use.
        owners: From names of entries to words, such as "the tasks a and b".
        given: What decided which entries are in use, such as "task='a'".
    """
    names = {entry: kind.names() for entry, kind in kinds.items()}
    known = {name for entry in used for name in names[entry]}
    for kind in kinds.values():
        for field in dataclasses.fields(kind):
            name, value = field.name, getattr(config, field.name)
            if name not in known and value != field.default:
                having = owners([entry for entry in kinds if name in names[entry]])
                raise ValueError(f"`{name}` is for {having}; got {name}={value!r} with {given}.")


def places(kinds: Iterable[type[Options]]) -> list[str]:
    """Names of settings that say where something lies; see `PLACE`."""
    fields = (field for kind in kinds for field in dataclasses.fields(kind))
    return list(dict.fromkeys(field.name for field in fields if field.metadata.get("place")))
