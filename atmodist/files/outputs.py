"""Files that are either whole or not there, and the manifest that says how they were made.

Everything is written beside its target and renamed into place, so that a run which is killed, or
runs out of disk, leaves what was there before. A manifest records what is needed to make the
output again: the merged configuration, the seed, the versions, and fingerprints of the inputs.
"""

import contextlib
import csv
import dataclasses
import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FINGERPRINT_WHOLE = 16 << 20  # bytes; up to here files are read whole
FINGERPRINT_BLOCK = 256 << 10  # bytes read at each place of larger ones
FINGERPRINT_PLACES = 16
VERSIONED_PACKAGES = (
    "atmodist", "tensorflow", "keras", "numpy", "scipy", "xarray", "pyshtools", "ducc0", "h5py",
    "hdf5plugin", "dask",
)  # fmt: skip


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it on success, removes it on failure.

    What is made at the temporary path may be a file or a folder. An existing file is replaced by a
    file; an existing folder is removed once a new folder is complete. A file never replaces a
    folder, nor a folder a file: that would be a mistake in a path, and it could cost much.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        replace(temporary, path)
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary)):
            # A full disk raises without a name; a name with a process number in it helps nobody.
            error.filename = str(path)
        raise
    finally:
        remove(temporary)


def replace(source: Path, target: Path) -> None:
    """Renames `source` to `target`, both files or both folders, after syncing to disk."""
    if target.is_dir() and source.is_file():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    _sync(source)
    if target.is_dir():
        retired = target.with_name(f".{target.name}.{os.getpid()}.old")
        target.rename(retired)
        source.rename(target)
        remove(retired)
    else:
        source.replace(target)
    _sync_one(target.parent)


def remove(path: Path) -> None:
    """Removes a file or a folder; does nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: str | Path, content: Any) -> None:
    """Writes `content` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, default=_plain, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )


def write_csv(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows with the same keys, atomically; missing values are empty, no rows no file."""
    rows = list(rows)
    if not rows:
        return
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read_json(path: str | Path) -> Any:
    """Reads JSON; a file that is none raises `ValueError` with its name."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); was it edited or cut?") from None


def fingerprint(path: str | Path) -> str:
    """Returns a digest of a file's size and content.

    Of files above 16 MiB, 16 blocks of 256 KiB spread evenly over them stand for the content. That
    tells versions of a file apart without reading hundreds of gigabytes; it is no proof against
    somebody who wants two files to look alike.
    """
    path = Path(path)
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    if size <= FINGERPRINT_WHOLE:
        offsets = list(range(0, size, FINGERPRINT_BLOCK))
    else:
        last = size - FINGERPRINT_BLOCK
        offsets = [last * i // (FINGERPRINT_PLACES - 1) for i in range(FINGERPRINT_PLACES)]
    with path.open("rb", buffering=0) as file:
        for offset in offsets:
            file.seek(offset)
            digest.update(file.read(FINGERPRINT_BLOCK))
    return f"sha256:{digest.hexdigest()}"


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape results; absent ones are left out."""
    versions = {"python": platform.python_version()}
    for package in VERSIONED_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def manifest_path(output: str | Path) -> Path:
    """Where the manifest of a single file lies: beside it, under its full name."""
    return Path(output).with_name(f"{Path(output).name}.manifest.json")


def write_manifest(
    path: str | Path,
    *,
    command: str,
    config: Any,
    seed: int | None = None,
    inputs: Iterable[str | Path] | Mapping[str, str] = (),
    **results: Any,
) -> None:
    """Writes what is needed to make an output again.

    Args:
        path: The manifest itself; by convention `manifest.json` in the folder of the output, or
            `manifest_path` of an output that is a file.
        command: The command that ran, for instance "rplearn-data".
        config: The merged configuration, a dataclass or a mapping.
        seed: The seed, where there is one.
        inputs: Files read; each is listed with its fingerprint, unless they are given with it.
        **results: Anything worth recording (split, counts, digests).
    """
    if not isinstance(inputs, Mapping):
        inputs = {str(item): fingerprint(item) for item in inputs}
    entries = {
        "command": command,
        "config": plain_config(config),
        "seed": seed,
        "versions": package_versions(),
        "inputs": dict(inputs),
        **results,
    }
    write_json(path, entries)


def plain_config(config: Any) -> Any:
    """Turns a configuration (dataclasses, paths, tuples, arrays) into plain JSON types."""
    return json.loads(json.dumps(config, default=_plain))


def require_format(content: Any, format: str, version: int, *, what: str) -> None:
    """Raises `ValueError` unless JSON says that it is of a format, in the version that we read.

    Args:
        content: What `read_json` returned.
        format: Its entry "format" must be this, for instance "atmodist-normalization".
        version: Its entry "version" must be this.
        what: What such a file is called, for instance "normalisation".
    """
    if not isinstance(content, dict) or content.get("format") != format:
        raise ValueError(f'this is no {what} (it lacks "format": "{format}")')
    if content.get("version") != version:
        raise ValueError(
            f"version {content.get('version')!r} of this format is unknown; "
            f"this release reads version {version}"
        )


def digest(content: Any) -> str:
    """A short hex digest of plain content, the same on every machine."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot write a {type(value).__name__} as JSON: {value!r}")


def _sync(path: Path) -> None:
    # A rename must not overtake the data it names (power cuts, not only killed processes).
    if path.is_dir() and not path.is_symlink():
        for item in path.iterdir():
            _sync(item)
    if path.is_dir() or path.is_file():
        _sync_one(path)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Some network file systems cannot sync folders; none fails to sync a healthy file.
        with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
