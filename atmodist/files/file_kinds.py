"""What a file is, told from its first bytes, so that a wrong one is named for what it is.

Names prove nothing: a failed download leaves a web page called `era5.nc`. Zarr stores, mostly
folders, are told in `atmodist.fields.zarr_store`; records have no mark of their own.
"""

import codecs
from pathlib import Path
from typing import Literal

Kind = Literal[
    "hdf5", "classic NetCDF", "CDF-5", "grib", "html", "compressed", "text", "empty", "unknown"
]

_HEAD_BYTES = 1024
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")


def file_kind(path: str | Path) -> Kind:
    """Tells the kind of a file."""
    return _kind(_head(path))


def description(path: str | Path) -> str:
    """What a file is, in words that follow its name, such as "is text (it begins 'Not found')"."""
    head = _head(path)
    kind = _kind(head)
    if kind == "text":
        return f"is text (it begins {_first_line(head)!r})"
    words: dict[Kind, str] = {
        "hdf5": "is an HDF5 file",
        "classic NetCDF": "is a classic NetCDF file",
        "CDF-5": "is a NetCDF file of the variant CDF-5",
        "grib": "is a GRIB file",
        "html": "is an HTML page (a download that failed?)",
        "compressed": "is compressed (unpack it first)",
        "empty": "is empty",
    }
    return words.get(kind, f"is of a kind that is not known here (it begins {head[:4]!r})")


def mismatch(path: str | Path, wanted: str) -> str:
    """Says in a line that a file is not what was wanted, and what to do about it if that is known.

    Args:
        path: The file.
        wanted: What it should have been, such as "an archive".
    """
    advice: dict[Kind, str] = {
        "grib": "; make an archive of it first (atmodist ingest)",
        "classic NetCDF": "; make an archive of it first (atmodist ingest)",
        "CDF-5": "; convert it first (nccopy -k nc4)",
    }
    return f"{path} {description(path)}, not {wanted}{advice.get(file_kind(path), '')}"


def _head(path: str | Path) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(_HEAD_BYTES)


def _kind(head: bytes) -> Kind:
    text = head.lstrip().lower()
    if not head:
        return "empty"
    if head.startswith(b"\x89HDF"):
        return "hdf5"
    if head.startswith((b"CDF\x01", b"CDF\x02")):
        return "classic NetCDF"
    if head.startswith(b"CDF\x05"):
        return "CDF-5"
    if text.startswith(b"<") and b"html" in text:
        return "html"
    if head.startswith(_COMPRESSED):
        return "compressed"
    is_text = _text(head) is not None
    if head.startswith(b"GRIB") or (b"GRIB" in head and not is_text):
        return "grib"  # some centres put lines of their own before the first message
    return "text" if is_text else "unknown"


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
