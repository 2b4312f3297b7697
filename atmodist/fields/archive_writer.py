"""Writing archives so that a killed run loses little and never leaves half a file.

Steps go into *parts*, small HDF5 files in a folder beside the target, each closed, synced and
renamed when it is full. A run that was killed finds its parts again and goes on after them. When
all steps are there, the parts are joined (compressed chunks are copied as they are) and the result
is renamed to its place.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from atmodist.fields.archive import (
    Archive,
    Channel,
    Compression,
    check_finite,
    create_data,
    create_layout,
)
from atmodist.fields.grid import Grid
from atmodist.fields.time_axis import TimeAxis, format_seconds
from atmodist.outputs import (
    atomic_path,
    digest,
    plain_config,
    read_json,
    remove,
    replace,
    write_json,
)

PART_BYTES = 256 << 20  # what a killed run may have to do again, before compression


class ArchiveWriter:
    """Writes an archive step by step; use it in a `with` statement.

    At the end of the block the parts are joined to `path`. If the block raises, the finished parts
    stay, and the same writer opened again goes on after `written`.

    Args:
        path: The archive to make. One that exists is replaced, or continued if `append`.
        channels: Names and units of the channels.
        grid: The grid of every field.
        calendar: CF calendar of the times.
        compression: A lossless filter. The default needs hdf5plugin to be read; "gzip" does not.
        identity: Whatever else decides the content (sources, options). Parts left by a run with
            another identity are discarded.
        append: Keep the steps of the archive at `path` and add later ones.
        attributes: Attributes of the file, for instance its source.

    Raises:
        ValueError: If `append` and the archive at `path` has other channels, grid or calendar.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        channels: Sequence[Channel],
        grid: Grid,
        calendar: str = "standard",
        compression: Compression = "blosc2",
        identity: Any = None,
        append: bool = False,
        attributes: dict[str, str] | None = None,
    ):
        self.path = Path(path)
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a folder; the output must be a file name")
        self.channels, self.grid, self.calendar = tuple(channels), grid, calendar
        self._compression = compression
        self._attributes = attributes or {}
        self._base = self._checked_base() if append and self.path.exists() else None
        self._folder = self.path.with_name(f".{self.path.name}.parts")
        self._part: h5py.File | None = None
        self._part_seconds: list[int] = []
        field_bytes = 4 * len(self.channels) * grid.shape[0] * grid.shape[1]
        self._steps_per_part = max(1, PART_BYTES // field_bytes)
        self._prepare_folder(identity)
        self.written = self._seconds_on_disk()

    def append(self, seconds: int, field: np.ndarray) -> None:
        """Adds one step, later than all before.

        Args:
            seconds: Its time, seconds since 1970-01-01 in the writer's calendar.
            field: (channel, latitude, longitude), in the units of the channels; finite.

        Raises:
            ValueError: If the time is not later, the shape differs, or values are missing.
        """
        time = format_seconds(seconds, self.calendar)
        if len(self.written) and seconds <= self.written[-1]:
            last = format_seconds(int(self.written[-1]), self.calendar)
            raise ValueError(f"steps must be added in time order; {time} is not after {last}")
        expected = (len(self.channels), *self.grid.shape)
        if field.shape != expected:
            raise ValueError(f"the field at {time} has shape {field.shape}; expected {expected}")
        check_finite(field, self.channels, time, self.path)
        part = self._part or self._open_part()
        part["data"][:, len(self._part_seconds)] = field
        self._part_seconds.append(int(seconds))
        self.written = np.append(self.written, np.int64(seconds))
        if len(self._part_seconds) == self._steps_per_part:
            self._finish_part()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._part is not None:
                self._finish_part()  # after an error too: what is whole need not be made again
        except OSError:
            if error is None:  # otherwise the first error is the one to report (a full disk, say)
                raise
        if error is None:
            self._join()
            remove(self._folder)
        elif not self._parts():
            remove(self._folder)

    def _checked_base(self) -> Archive:
        base = Archive(self.path)
        for what, theirs, ours in (
            ("channels", base.channels, self.channels),
            ("calendar", base.time.calendar, self.calendar),
        ):
            if theirs != ours:
                raise ValueError(
                    f"cannot append to {self.path}: its {what} are {theirs}, not {ours}"
                )
        if not base.grid.matches(self.grid):
            raise ValueError(
                f"cannot append to {self.path}: its grid is {base.grid}, not {self.grid}"
            )
        return base

    def _prepare_folder(self, identity: Any) -> None:
        """Keeps the parts of an interrupted run of the same making; removes any others."""
        content = {
            "channels": [repr(channel) for channel in self.channels],
            "latitude": self.grid.latitude,
            "longitude": self.grid.longitude,
            "calendar": self.calendar,
            "compression": self._compression,
            "base": self._base.fingerprint() if self._base else None,
            "identity": identity,
        }
        mark = {"identity": digest(plain_config(content))}
        label = self._folder / "identity.json"
        if not label.is_file() or read_json(label) != mark:
            remove(self._folder)
            self._folder.mkdir(parents=True)
            write_json(label, mark)
        for unfinished in self._folder.glob("*.tmp"):
            unfinished.unlink()

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("part-*.h5"))

    def _seconds_on_disk(self) -> np.ndarray:
        times = [self._base.time.seconds] if self._base else []
        for part in self._parts():
            with h5py.File(part, "r") as file:
                times.append(file["time"][...])
        return np.concatenate(times) if times else np.empty(0, np.int64)

    def _open_part(self) -> h5py.File:
        self._part = h5py.File(self._folder / "next.tmp", "w")
        shape = (len(self.channels), self._steps_per_part, *self.grid.shape)
        create_data(self._part, shape, self._compression, growing=True)
        return self._part

    def _finish_part(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        try:
            part["data"].resize(len(self._part_seconds), axis=1)
            part["time"] = np.array(self._part_seconds, np.int64)
        finally:
            self._part_seconds = []
            part.close()
        replace(self._folder / "next.tmp", self._folder / f"part-{len(self._parts()):06d}.h5")

    def _join(self) -> None:
        if not len(self.written):
            raise ValueError(f"nothing was written to {self.path}: there are no steps")
        TimeAxis(self.written, self.calendar)
        shape = (len(self.channels), len(self.written), *self.grid.shape)
        with atomic_path(self.path) as temporary:
            with h5py.File(temporary, "w") as file:
                data = create_layout(
                    file,
                    shape,
                    self.channels,
                    self.grid,
                    self.written,
                    self.calendar,
                    self._compression,
                )
                file.attrs.update(self._attributes)
                start = self._copy(self.path, data, 0) if self._base else 0
                for part in self._parts():
                    start = self._copy(part, data, start)
            if self._base:
                self._base.close()

    def _copy(self, path: Path, target: h5py.Dataset, start: int) -> int:
        """Copies all steps of a file to `target` from step `start` on; returns where it ended."""
        with h5py.File(path, "r") as file:
            source = file["data"]
            if _stored_alike(source, target):
                _copy_chunks(source, target, start)
            else:
                for step in range(source.shape[1]):
                    target[:, start + step] = source[:, step]
            return start + int(source.shape[1])


def _stored_alike(a: h5py.Dataset, b: h5py.Dataset) -> bool:
    if a.chunks is None or a.chunks != b.chunks:
        return False
    pipelines = []
    for dataset in (a, b):
        plist = dataset.id.get_create_plist()
        pipelines.append([plist.get_filter(i) for i in range(plist.get_nfilters())])
    return bool(pipelines[0] == pipelines[1])


def _copy_chunks(source: h5py.Dataset, target: h5py.Dataset, start: int) -> None:
    """Copies compressed chunks as they are, shifted by `start` steps."""
    offsets: list[tuple[int, ...]] = []
    source.id.chunk_iter(lambda info: offsets.append(info.chunk_offset))
    for offset in offsets:
        mask, content = source.id.read_direct_chunk(offset)
        channel, step, row, column = offset
        target.id.write_direct_chunk((channel, start + step, row, column), content, mask)
