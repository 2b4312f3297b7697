"""Tables of features, written row by row to an HDF5 file or a Zarr store that CF readers know.

Rows go into *parts* in a folder beside the target, each synced and renamed when it is full or a
minute old. A run that was killed finds its parts again and goes on after them. When all rows are
there, the parts are joined to the file or store, and that is renamed to its place: it is either
complete or not there.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from atmodist.files.hdf5_output import Hdf5Output
from atmodist.files.outputs import digest, plain_config, read_json, remove, replace, write_json

PART_BYTES = 64 << 20
PART_SECONDS = 60.0
CHUNK_BYTES = 4 << 20  # of a Zarr store, where each chunk is a file
MARK = "atmodist_embedding"  # attribute of what we wrote, and may replace


@dataclass(frozen=True)
class Coordinate:
    """Values along the axis that bears its name.

    Attributes:
        values: (n,).
        attributes: CF attributes.
    """

    values: np.ndarray
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Variable:
    """Values that come row by row, float32.

    Attributes:
        dims: Names of coordinates; the first counts the rows.
        attributes: CF attributes.
    """

    dims: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class TableLayout:
    """What a file holds beside the values of its variables."""

    attributes: Mapping[str, Any]
    coordinates: Mapping[str, Coordinate]
    variables: Mapping[str, Variable]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a variable, all rows."""
        return tuple(len(self.coordinates[dim].values) for dim in self.variables[name].dims)


class RowWriter:
    """Collects rows, in a `with` statement, and writes them where all are there.

    If the block raises, the rows so far stay for the next run of the same identity.

    Args:
        path: The file, or the store if its suffix is .zarr; one that exists is replaced if it is
            an embedding.
        identity: Whatever decides the rows. Those of a run with another identity are discarded.

    Attributes:
        num_rows: Rows that are there, among them those of an interrupted run.

    Raises:
        OSError: If it cannot be written.
        ValueError: If something else lies at `path`, or zarr is not installed.
    """

    def __init__(self, path: str | Path, *, identity: Any):
        self.path = Path(path)
        if is_store(self.path):
            _require_zarr(self.path)
        require_replaceable(self.path)
        self._folder = self.path.with_name(f".{self.path.name}.parts")
        label = {"identity": digest(plain_config(identity))}
        if not self._label.is_file() or read_json(self._label) != label:
            remove(self._folder)
            self._folder.mkdir(parents=True)
            write_json(self._label, label)
        for unfinished in self._folder.glob("*.tmp"):
            remove(unfinished)
        self.num_rows = sum(_num_rows(part) for part in self._parts())
        self._layout: TableLayout | None = None
        self._rows: list[dict[str, np.ndarray]] = []
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._save_part()
            return
        # That error is the one to report, not its consequences.
        with contextlib.suppress(Exception):
            self._save_part()
        if not self._parts():
            remove(self._folder)

    def append(self, row: Mapping[str, np.ndarray]) -> None:
        """Adds one row of each variable, without its first axis."""
        self._rows.append({name: np.asarray(values, np.float32) for name, values in row.items()})
        self.num_rows += 1
        size = len(self._rows) * sum(values.nbytes for values in self._rows[0].values())
        if size >= PART_BYTES or time.monotonic() - self._started >= PART_SECONDS:
            self._save_part()

    def discard(self) -> None:
        """Forgets all rows; the next run begins anew."""
        self._rows, self.num_rows = [], 0
        remove(self._folder)

    def finish(self, layout: TableLayout) -> None:
        """Joins all rows to what was asked for; nothing else of them is left."""
        self._save_part()
        temporary = self._folder / "joined.tmp"
        with _naming(self.path):
            join = _join_zarr if is_store(self.path) else _join_hdf5
            join(temporary, layout, self._parts(), self.path)
            replace(temporary, self.path)
        remove(self._folder)

    @property
    def _label(self) -> Path:
        return self._folder / "identity.json"

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("part-*.npz"))

    def _save_part(self) -> None:
        rows, self._rows, self._started = self._rows, [], time.monotonic()
        if not rows:
            return
        temporary = self._folder / "next.tmp"
        with _naming(self.path):
            with temporary.open("wb") as file:
                columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
                np.savez(file, allow_pickle=False, **columns)
            replace(temporary, self._folder / f"part-{len(self._parts()):06d}.npz")


def is_store(path: str | Path) -> bool:
    """Whether a name asks for a Zarr store."""
    return Path(path).suffix == ".zarr"


@contextlib.contextmanager
def open_rows(path: str | Path) -> Iterator[Any]:
    """Yields an HDF5 file or a Zarr group; both are mappings of arrays, with `attrs`."""
    if is_store(path):
        _require_zarr(path)
        import zarr

        yield zarr.open_group(path, mode="r")
        return
    import h5py

    with h5py.File(path, "r") as file:
        yield file


def require_replaceable(path: str | Path) -> None:
    """Raises `ValueError` if there is something that is no embedding."""
    path = Path(path)
    if path.exists() and not is_embedding(path):
        what = "folder" if path.is_dir() else "file"
        raise ValueError(
            f"{path} is a {what} that atmodist embed did not make, and will not be replaced; "
            "choose another output"
        )


def _require_zarr(path: str | Path) -> None:
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"{path} is a Zarr store, which needs zarr ({error}): pip install 'atmodist[zarr]'"
        ) from None


def is_embedding(path: Path) -> bool:
    """Whether `RowWriter.finish` made it."""
    if path.is_dir():
        attributes = path / ".zattrs"
        return is_store(path) and attributes.is_file() and MARK in read_json(attributes)
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return MARK in file.attrs
    except OSError:  # no HDF5, or damaged
        return False


def _num_rows(part: Path) -> int:
    with np.load(part) as columns:
        return len(columns[columns.files[0]])


def _blocks(parts: list[Path]) -> Iterator[tuple[slice, Mapping[str, np.ndarray]]]:
    """Rows of each part, and where they go."""
    start = 0
    for part in parts:
        with np.load(part) as columns:
            stop = start + len(columns[columns.files[0]])
            yield slice(start, stop), columns
            start = stop


def _join_hdf5(temporary: Path, layout: TableLayout, parts: list[Path], name: Path) -> None:
    output = Hdf5Output(temporary, name=name)
    try:
        with output.access() as file:
            file.attrs.update(layout.attributes)
            for key, coordinate in layout.coordinates.items():
                scale = file.create_dataset(key, data=coordinate.values)
                scale.make_scale(key)
                scale.attrs.update(coordinate.attributes)
            for key, variable in layout.variables.items():
                shape = layout.shape(key)
                chunks = (1, *shape[1:]) if len(shape) > 2 else None
                data = file.create_dataset(key, shape, np.float32, chunks=chunks)
                for axis, dim in enumerate(variable.dims):
                    data.dims[axis].attach_scale(file[dim])
                data.attrs.update(variable.attributes)
        for rows, columns in _blocks(parts):
            for key in layout.variables:
                with output.access() as file:
                    file[key][rows] = columns[key]
    finally:
        output.close()


def _join_zarr(temporary: Path, layout: TableLayout, parts: list[Path], name: Path) -> None:
    import zarr

    # Version 2 is what everything reads; absent fill values, for a time of 0 s is no missing one.
    group = zarr.create_group(temporary, zarr_format=2, attributes={**layout.attributes})
    for key, coordinate in layout.coordinates.items():
        attributes = {"_ARRAY_DIMENSIONS": [key], **coordinate.attributes}
        array = group.create_array(
            key,
            shape=coordinate.values.shape,
            chunks=(max(1, len(coordinate.values)),),
            dtype=coordinate.values.dtype,
            fill_value=None,
            attributes=attributes,
        )
        array[...] = coordinate.values
    arrays = {}
    for key, variable in layout.variables.items():
        shape = layout.shape(key)
        rows_per_chunk = CHUNK_BYTES // (4 * int(np.prod(shape[1:])))
        arrays[key] = group.create_array(
            key,
            shape=shape,
            chunks=(min(max(1, rows_per_chunk), shape[0]), *shape[1:]),
            dtype=np.float32,
            fill_value=np.nan,
            attributes={"_ARRAY_DIMENSIONS": list(variable.dims), **variable.attributes},
        )
    for rows, columns in _blocks(parts):
        for key in layout.variables:
            arrays[key][rows] = columns[key]
    zarr.consolidate_metadata(temporary, zarr_format=2)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A full disk raises without a name, or with that of a file that nobody asked for."""
    try:
        yield
    except OSError as error:
        if error.errno:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
