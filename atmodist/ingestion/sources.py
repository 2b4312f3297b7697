"""Files of winds, or of vorticity and divergence: which there are, and what each of them holds.

Which formats there are say the modules of `readers`. They are told from the first bytes, not from
names; a Zarr store, though a folder, counts as
one file. Files that cannot be read, such as the error pages that failed downloads leave, are
*broken*, with a short reason; sound files of kinds that are not read (yet) are *unsupported*.
"""

import glob
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.fields.zarr_store import store_fingerprint, store_state
from atmodist.files.errors import BrokenFileError
from atmodist.files.file_kinds import mismatch
from atmodist.files.outputs import digest, fingerprint
from atmodist.ingestion.file_format import FileFormat, FileReader
from atmodist.ingestion.readers import FORMATS
from atmodist.ingestion.recognition import Contents, Selection

OPEN_FILES = 8  # kept open at once by one reader
HELD_BYTES = 256 << 20  # of what all open files keep for later reads: a block of either wind
_IGNORED = (".idx", ".json", ".txt", ".md", ".md5", ".xml", ".py", ".csv", ".html", ".log")


def find_files(sources: Sequence[str]) -> list[str]:
    """Lists the files that names, patterns and folders stand for, each once, in order.

    Args:
        sources: Files and Zarr stores; patterns like "data/*.grib"; folders, of which all visible
            files and stores count but those that are known not to be data (.idx, .txt, ...).

    Raises:
        FileNotFoundError: If a name or a pattern stands for no file.
    """
    found: dict[str, None] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir() and _recognised(path) is None:
            entries = [str(p) for p in sorted(path.iterdir()) if _may_be_data(p)]
        elif path.exists():
            entries = [source]
        else:
            matches = glob.glob(source, recursive=True)  # noqa: PTH207 - may be absolute
            entries = sorted(m for m in matches if Path(m).is_file() or _recognised(m))
        if not entries:
            what = "no data files in the folder" if path.is_dir() else "there is no file"
            raise FileNotFoundError(f"{what} {source}")
        found.update(dict.fromkeys(entries))
    return list(found)


def scan_file(path: str, selection: Selection) -> Contents:
    """Lists the wanted fields of a file without reading them.

    Raises:
        BrokenFileError: If it cannot be read.
        UnsupportedFileError: If it is sound, but what is wanted of it cannot be used.
        ImportError: If its format needs a package that is not installed; says which.
    """
    return file_format(path).scan(path, selection)


def file_format(path: str) -> FileFormat:
    """Tells the format of a file.

    Raises:
        BrokenFileError: If it is of none, and what it is instead.
    """
    found = _recognised(path)
    if found is None:
        words = [kind.words for kind in FORMATS.values()]
        raise BrokenFileError(mismatch(path, ", ".join(words)))
    return found


def file_state(path: str | Path) -> list[Any]:
    """What tells whether a file or store was changed, without reading it."""
    path = Path(path).resolve()  # for a path may be typed in many ways
    if path.is_dir():
        return [str(path), digest(store_state(path))]
    state = path.stat()
    return [str(path), state.st_size, state.st_mtime_ns]


def file_fingerprint(path: str | Path) -> str:
    """A digest of the size and content of a file or store."""
    return store_fingerprint(path) if Path(path).is_dir() else fingerprint(path)


class FieldReader:
    """Reads fields of many files, keeping the latest few open, within a bound of memory."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, FileReader] = OrderedDict()

    def read(self, path: str, name: str, place: tuple[int, ...]) -> np.ndarray:
        """Reads one field.

        Args:
            path: The file.
            name: Name of the variable in it.
            place: Where the field is, as in `Series.places`.

        Returns:
            (latitude, longitude), oriented as in `Series.grid`; missing values are NaN.

        Raises:
            BrokenFileError: If the file is damaged there.
        """
        if path not in self._open:
            while len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[path] = file_format(path).open(path)
        self._open.move_to_end(path)
        field = self._open[path].read(name, place)
        self._release_oldest()
        return field

    def close(self) -> None:
        """Closes all files."""
        while self._open:
            self._open.popitem()[1].close()

    def _release_oldest(self) -> None:
        held = {path: reader.held_bytes for path, reader in self._open.items()}
        for path in list(held)[:-1]:
            if sum(held.values()) <= HELD_BYTES:
                return
            self._open[path].release()
            held[path] = 0


def _recognised(path: str | Path) -> FileFormat | None:
    return next((kind for kind in FORMATS.values() if kind.recognises(str(path))), None)


def _may_be_data(path: Path) -> bool:
    if path.name.startswith(".") or path.stem in ("README", "MD5SUMS", "LICENSE"):
        return False
    if path.is_dir() or path.suffix.lower() in _IGNORED:
        return _recognised(path) is not None
    return path.is_file()
