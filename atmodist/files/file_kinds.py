"""What a file is, told from its first bytes, so that a wrong one is named for what it is.

Names prove nothing: a failed download leaves a web page called `era5.nc`. Zarr stores, mostly
folders, are told in `atmodist.fields.zarr_store`; records have no mark of their own.
"""

import codecs
from pathlib import Path
from typing import NamedTuple

_HEAD_BYTES = 1024
_HDF5 = b"\x89HDF\r\n\x1a\n"
_EDITIONS = (1, 2)
_SEARCH_BYTES = 64 << 20  # within which data may begin, behind text or a user block
_BLOCK_BYTES = 1 << 20


class _Kind(NamedTuple):
    """What such a file is in words that follow its name, its first bytes, and what to do of it."""

    words: str
    begins: tuple[bytes, ...] = ()
    advice: str = ""


_INGEST = "; make an archive of it first (atmodist ingest)"
_KINDS = {
    "hdf5": _Kind("is an HDF5 file", (b"\x89HDF",)),
    "classic NetCDF": _Kind("is a classic NetCDF file", (b"CDF\x01", b"CDF\x02"), _INGEST),
    "CDF-5": _Kind(
        "is a NetCDF file of the variant CDF-5",
        (b"CDF\x05",),
        "; convert it first (nccopy -k nc4)",
    ),
    "grib": _Kind("is a GRIB file", (b"GRIB",), _INGEST),
    "compressed": _Kind(
        "is compressed (unpack it first)", (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")
    ),
    "html": _Kind("is an HTML page (a download that failed?)"),
    "empty": _Kind("is empty"),
}


def file_kind(path: str | Path) -> str:
    """Tells the kind of a file: one of the table, "text" or "unknown"."""
    kind = _kind(_head(path))
    if kind not in ("text", "unknown", "compressed"):
        return kind
    if _has_user_block(path):
        return "hdf5"
    return "grib" if kind != "compressed" and find_grib(path) is not None else kind


def find_grib(path: str | Path, start: int = 0) -> int | None:
    """Where the first GRIB message from `start` on begins, whatever text stands before it.

    A message is "GRIB", three bytes, and the number of its edition, a byte that no text has.

    Returns:
        Its offset; None if there is none.
    """
    with Path(path).open("rb") as file:
        file.seek(start)
        offset, block = start, file.read(_HEAD_BYTES)  # mostly enough
        while block:
            place = block.find(b"GRIB")
            while 0 <= place <= len(block) - 8:
                if block[place + 7] in _EDITIONS or offset + place == start:
                    return offset + place
                place = block.find(b"GRIB", place + 4)
            if offset - start > _SEARCH_BYTES:
                return None
            tail = block[-7:]  # may hold the beginning of a message
            more = file.read(_BLOCK_BYTES)
            if not more:
                return None
            offset, block = offset + len(block) - len(tail), tail + more
    return None


def _has_user_block(path: str | Path) -> bool:
    """Whether an HDF5 file begins behind a block of something else, of 512, 1024, ... bytes."""
    size, offset = Path(path).stat().st_size, 512
    with Path(path).open("rb") as file:
        while offset < min(size, _SEARCH_BYTES):
            file.seek(offset)
            if file.read(len(_HDF5)) == _HDF5:
                return True
            offset *= 2
    return False


def description(path: str | Path) -> str:
    """What a file is, in words that follow its name, such as "is text (it begins 'Not found')"."""
    head, kind = _head(path), file_kind(path)
    if kind == "text":
        return f"is text (it begins {_first_line(head)!r})"
    if kind in _KINDS:
        return _KINDS[kind].words
    return f"is of a kind that is not known here (it begins {head[:4]!r})"


def mismatch(path: str | Path, wanted: str) -> str:
    """Says in a line that a file is not what was wanted, and what to do about it if that is known.

    Args:
        path: The file.
        wanted: What it should have been, such as "an archive".
    """
    kind = _KINDS.get(file_kind(path))
    return f"{path} {description(path)}, not {wanted}{kind.advice if kind else ''}"


def _head(path: str | Path) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(_HEAD_BYTES)


def _kind(head: bytes) -> str:
    if not head:
        return "empty"
    for name, kind in _KINDS.items():
        if kind.begins and head.startswith(kind.begins):
            return name
    text = head.lstrip().lower()
    if text.startswith(b"<") and b"html" in text:
        return "html"
    return "unknown" if _text(head) is None else "text"


def _text(head: bytes) -> str | None:
    """The characters of printable text; the last one may be cut. None for anything else."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\t\n\r\f" for c in text) else None


def _first_line(head: bytes) -> str:
    lines = (_text(head) or "").strip().splitlines()
    return lines[0][:40] if lines else ""
