"""Zarr stores, versions 2 and 3, in local folders or zip files: telling, checking and opening them.

A store is many small files, which makes for faults of its own. A chunk that is absent stands for
its fill value, so that an incomplete copy would read as zeros; and its metadata name the codecs
that decode it, one of which (`pickle`) runs whatever code the store holds. So a store is looked
through before anything in it is decoded: only codecs that are known to be harmless are used.
"""

import hashlib
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.files.errors import BrokenFileError, UnsupportedFileError
from atmodist.files.outputs import FINGERPRINT_PLACES, FINGERPRINT_WHOLE, fingerprint

if TYPE_CHECKING:
    import xarray as xr
    from zarr.abc.store import Store

MARKERS = ("zarr.json", ".zgroup", ".zmetadata", ".zarray")
_NUMCODECS = (
    "adler32", "astype", "base64", "bitround", "blosc", "bz2", "crc32", "crc32c", "delta",
    "fixedscaleoffset", "fletcher32", "gzip", "jenkins_lookup3", "lz4", "lzma", "packbits",
    "pcodec", "quantize", "shuffle", "vlen-bytes", "vlen-utf8", "zfpy", "zlib", "zstd",
)  # fmt: skip
HARMLESS_CODECS = frozenset(
    {"bytes", "endian", "transpose", "sharding_indexed"}
    | {*_NUMCODECS}
    | {f"numcodecs.{name}" for name in _NUMCODECS}
)


def is_zarr(path: str | Path) -> bool:
    """Whether a path is a Zarr store: by its metadata, or a folder by its name."""
    path = Path(path)
    if path.is_dir():
        return path.suffix == ".zarr" or any((path / name).is_file() for name in MARKERS)
    if path.suffix != ".zip" or not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name in archive.namelist() for name in MARKERS)


def checked_store(path: str) -> "Store":
    """Opens a store for reading, of which every array may be decoded safely.

    Raises:
        BrokenFileError: If it has no metadata, or they are damaged.
        UnsupportedFileError: If an array has a codec that is not known to be harmless, or the
            store is no group of arrays.
        ImportError: If zarr is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise ImportError(
            f"{path} is a Zarr store, which needs zarr ({error}): pip install 'atmodist[zarr]'"
        ) from None
    store = _opened(path)
    try:
        group = zarr.open_group(store, mode="r", use_consolidated=False)
        for name, array in group.arrays():
            _require_harmless(path, name, array.metadata.to_dict())
    except zarr.errors.ContainsArrayError:
        store.close()
        raise UnsupportedFileError(
            f"{path} is a single Zarr array; a group of arrays with coordinates is needed"
        ) from None
    except FileNotFoundError:
        store.close()
        raise BrokenFileError(
            f"{path} lacks the metadata of a Zarr group (an incomplete copy?)"
        ) from None
    except ValueError as error:
        store.close()
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | UnsupportedFileError):
            raise
        # What zarr knows no type or codec for; among it most of what pickle would decode.
        text = " ".join(str(error).split())[:200]
        raise UnsupportedFileError(f"{path} has an array that is not read ({text})") from error
    except BaseException:
        store.close()
        raise
    return store


def require_chunks(path: str, name: str, array: "xr.DataArray") -> None:
    """Requires all chunks of a variable, where absent ones would read as numbers.

    Where the fill value means "missing", absent chunks are missing values, found in reading.
    Variables of other formats pass.

    Raises:
        BrokenFileError: If chunks are absent.
    """
    if not is_zarr(path):
        return
    import zarr

    store = _opened(path)
    try:
        stored = zarr.open_array(store, path=name, mode="r")
        missing = array.encoding.get("_FillValue")
        fill = np.asarray(stored.fill_value)
        if fill.dtype.kind == "f" and np.isnan(fill):
            return
        if missing is not None and fill == np.asarray(missing):
            return
        unit = stored.shards or stored.chunks
        expected = math.prod(-(-n // m) for n, m in zip(stored.shape, unit, strict=True))
        found = stored.nchunks_initialized * math.prod(stored.chunks) // math.prod(unit)
    finally:
        store.close()
    if found < expected:
        raise BrokenFileError(
            f"{path} lacks {expected - found} of the {expected} chunks of {name}, which would read "
            f"as {fill} (an incomplete copy?)"
        )


def store_state(path: str | Path) -> list[list[Any]]:
    """Names, sizes and times of change of all files of a store in a folder."""
    root = Path(path)
    entries = [(file.relative_to(root).as_posix(), file.stat()) for file in _files(root)]
    return [[name, state.st_size, state.st_mtime_ns] for name, state in entries]


def store_fingerprint(path: str | Path) -> str:
    """A digest of the files of a store in a folder, as `outputs.fingerprint` of one file.

    Names and sizes of all, and the content of the metadata; of the content of chunks all where the
    store is below 16 MiB, else of 16 of them spread evenly.
    """
    root = Path(path)
    files = list(_files(root))
    sizes = [file.stat().st_size for file in files]
    chunks = [file for file in files if not _is_metadata(file)]
    if sum(sizes) > FINGERPRINT_WHOLE and len(chunks) > FINGERPRINT_PLACES:
        places = np.linspace(0, len(chunks) - 1, FINGERPRINT_PLACES).round().astype(int)
        chunks = [chunks[i] for i in places]
    read = {*chunks, *(file for file in files if _is_metadata(file))}
    digest = hashlib.sha256()
    for file, size in zip(files, sizes, strict=True):
        content = fingerprint(file) if file in read else ""
        digest.update(f"{file.relative_to(root).as_posix()} {size} {content}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _opened(path: str) -> "Store":
    from zarr.storage import LocalStore, ZipStore

    folder = Path(path).is_dir()
    return LocalStore(path, read_only=True) if folder else ZipStore(path, mode="r")


def _files(root: Path) -> Iterator[Path]:
    return iter(sorted(file for file in root.rglob("*") if file.is_file()))


def _is_metadata(file: Path) -> bool:
    return file.name == "zarr.json" or file.name.startswith(".z")


def _require_harmless(path: str, name: str, metadata: Mapping[str, Any]) -> None:
    for codec in _codecs(metadata):
        if codec not in HARMLESS_CODECS:
            raise UnsupportedFileError(
                f"{path}: {name} is stored with the codec {codec!r}, which is not known to be safe "
                "to decode; write the store anew without it"
            )


def _codecs(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Names of all codecs of an array: in version 2 by `id`, in version 3 by `name`, nested."""
    listed = [metadata.get("compressor")]
    for key in ("filters", "codecs", "index_codecs"):
        listed += metadata.get(key) or ()
    for codec in listed:
        if codec is None:
            continue
        if isinstance(codec, Mapping):
            yield str(codec.get("id", codec.get("name")))
            yield from _codecs(codec.get("configuration") or {})
        else:
            yield str(getattr(codec, "codec_id", codec))
