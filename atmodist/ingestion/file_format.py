"""What a format of files is to ingestion: how it is told, searched and read."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from atmodist.ingestion.recognition import Contents, Selection


class FileReader:
    """Reads single fields of one file; the base of readers, which may keep what they have read."""

    held_bytes: int = 0
    """Memory of what is kept for later reads."""

    def read(self, name: str, place: tuple[int, ...]) -> np.ndarray:
        """Returns the field at a place, (latitude, longitude), oriented as in `Series.grid`.

        Args:
            name: Name of the variable in the file.
            place: Where the field is, as in `Series.places`.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Frees what is kept."""

    def close(self) -> None:
        """Closes the file."""


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """A format that can be ingested: the constant `FORMAT` of a module in `readers`.

    Attributes:
        words: What it is called in messages.
        recognises: Whether a file or folder is of this format; best told from its first bytes,
            for names prove nothing (`files.file_kinds` knows many kinds).
        scan: Lists the wanted fields of a file without reading them. `BrokenFileError` if it cannot
            be read, `UnsupportedFileError` if what is wanted of it cannot be used, `ImportError` if
            a package is missing, and which.
        open: Opens a file.
    """

    words: str
    recognises: Callable[[str], bool]
    scan: Callable[[str, Selection], Contents]
    open: Callable[[str], FileReader]
