"""What an evaluation has summed so far, kept on disk so that it is never computed twice.

A part belongs to one statistic of one candidate, and is named by a digest of all that decides it:
the reference, the candidate, times, regions, options. So a run that was killed goes on where it
was, another candidate leaves those before it alone, and nothing outdated is ever taken for valid.
What a finished run has no use for is removed, lest a folder grow with each change of its inputs.
"""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from atmodist.files.outputs import atomic_path

_ARRAY = "array."  # before names, which are the statistics' own
_DONE, _IDENTITY = "done", "identity"
_SUFFIX = ".npz"


class Parts:
    """A folder of parts.

    Args:
        folder: Made when the first one is saved.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, name: str, identity: str, done: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keeps arrays, atomically.

        Args:
            name: Of the statistic.
            identity: Digest of all that decides them.
            done: How many blocks of time they sum up.
            arrays: Plain arrays; objects, which would run code when read, are refused.
        """
        plain = {key: np.asarray(values) for key, values in arrays.items()}
        for key, values in plain.items():
            if values.dtype.hasobject:
                raise TypeError(f"the statistic {name} keeps objects in {key!r}; expected numbers")
        with atomic_path(self._path(name, identity)) as temporary, temporary.open("wb") as file:
            named = {_ARRAY + key: values for key, values in plain.items()}
            np.savez(file, **{_DONE: np.int64(done), _IDENTITY: np.array(identity)}, **named)  # type: ignore[arg-type]

    def done(self, name: str, identity: str) -> int:
        """How many blocks of time a part sums up; 0 where there is none that may be used."""
        return self._read(name, identity, whole=False)[0]

    def load(self, name: str, identity: str) -> tuple[int, dict[str, np.ndarray]]:
        """Reads what `save` kept; 0 and nothing where there is nothing that may be used."""
        return self._read(name, identity, whole=True)

    def keep_only(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Removes all parts but those of the names and identities that are given."""
        kept = {self._path(name, identity) for name, identity in wanted}
        for path in self.folder.glob(f"*{_SUFFIX}"):
            if path not in kept:
                path.unlink()

    def _read(self, name: str, identity: str, *, whole: bool) -> tuple[int, dict[str, np.ndarray]]:
        try:
            with np.load(self._path(name, identity), allow_pickle=False) as file:
                if str(file[_IDENTITY]) != identity:
                    return 0, {}
                keys = [key for key in file.files if key.startswith(_ARRAY)] if whole else []
                arrays = {key.removeprefix(_ARRAY): file[key] for key in keys}
                return int(file[_DONE]), arrays
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return 0, {}

    def _path(self, name: str, identity: str) -> Path:
        return self.folder / f"{name}-{identity}{_SUFFIX}"
