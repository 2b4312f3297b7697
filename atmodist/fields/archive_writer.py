"""Writing archives so that a killed run loses little and never leaves half a file.

Steps go into *parts*, small HDF5 files in a folder beside the target, each closed, synced and
renamed when it is full. A run that was killed finds its parts again and goes on after them. When
all steps are there, the parts are joined (compressed chunks are copied as they are) and the result
is renamed to its place.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from atmodist.fields.archive import Archive, Compression, check_finite, create_data, create_layout
from atmodist.fields.channels import Channel
from atmodist.fields.grid import Grid
from atmodist.fields.time_axis import TimeAxis, format_seconds
from atmodist.files.hdf5_output import Hdf5Output
from atmodist.files.outputs import (
    digest,
    manifest_path,
    plain_config,
    read_json,
    remove,
    replace,
    write_json,
)

PART_BYTES = 256 << 20  # what a killed run may have to do again, before compression
IDENTITY = "atmodist_identity"  # attribute of an archive: digest of what decided its content


def parts_folder(path: Path) -> Path:
    """Where the parts of an archive lie until they are joined."""
    return path.with_name(f".{path.name}.parts")


class ArchiveExistsError(ValueError):
    """The file to be made is there already, and is something else."""


class ArchiveWriter:
    """Writes an archive step by step; use it in a `with` statement.

    At the end of the block the parts are joined to `path`. If the block raises, the finished parts
    stay, and the same writer opened again goes on after `written`. Where the finished archive is
    there already, all its steps are `written`, and nothing is left to do.

    Args:
        path: The archive to make.
        channels: Names and units of the channels.
        grid: The grid of every field.
        calendar: CF calendar of the times.
        compression: A lossless filter. The default needs hdf5plugin to be read; "gzip" does not.
        identity: Whatever else decides the content (sources, options). Parts left by a run with
            another identity are discarded.
        append: Keep the steps of the archive at `path` and add later ones.
        overwrite: Replace a file at `path`, whatever it is.
        attributes: Attributes of the file, for instance its source.

    Attributes:
        identity: Digest of all that decides the content; kept in the file.
        existed: Whether `path` is an archive of this identity, and there is nothing to do.
        discarded: Steps of an interrupted run with another identity that were removed.

    Raises:
        ArchiveExistsError: If there is another file at `path`, and neither `append` nor
            `overwrite`.
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
        overwrite: bool = False,
        attributes: dict[str, str] | None = None,
    ):
        self.path = Path(path)
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a folder; the output must be a file name")
        self.channels, self.grid, self.calendar = tuple(channels), grid, calendar
        self._compression = compression
        self._attributes = attributes or {}
        self._base = self._checked_base() if append and self.path.exists() else None
        self._folder = parts_folder(self.path)
        self._part: Hdf5Output | None = None
        self._part_seconds: list[int] = []
        field_bytes = 4 * len(self.channels) * grid.shape[0] * grid.shape[1]
        self._steps_per_part = max(1, PART_BYTES // field_bytes)
        self.identity = self._digest(identity)
        self.existed, self.discarded = False, 0
        if self.path.exists() and not (append or overwrite):
            self._base = self._existing(identity)
            self.existed = True
        else:
            self._prepare_folder()
        self._seconds = self._seconds_on_disk().tolist()

    @property
    def written(self) -> np.ndarray:
        """Times of the steps that need not be written again, in seconds. Shape (time,), int64."""
        return np.array(self._seconds, np.int64)

    @property
    def folder(self) -> Path:
        """Where parts lie until they are joined; other files of the making may lie there too.

        They are removed together with the parts, at the end or with those of another identity.
        """
        return self._folder

    @property
    def is_recorded(self) -> bool:
        """Whether the manifest beside the archive is that of this making."""
        manifest = manifest_path(self.path)
        return manifest.is_file() and read_json(manifest).get("identity") == self.identity

    def append(self, seconds: int, field: np.ndarray) -> None:
        """Adds one step, later than all before.

        Args:
            seconds: Its time, seconds since 1970-01-01 in the writer's calendar.
            field: (channel, latitude, longitude), in the units of the channels; finite.

        Raises:
            ValueError: If the time is not later, the shape differs, or values are missing.
        """
        if self.existed:
            raise ValueError(f"{self.path} is complete; no step can be added to it")
        time = format_seconds(seconds, self.calendar)
        if self._seconds and seconds <= self._seconds[-1]:
            last = format_seconds(self._seconds[-1], self.calendar)
            raise ValueError(f"steps must be added in time order; {time} is not after {last}")
        expected = (len(self.channels), *self.grid.shape)
        if field.shape != expected:
            raise ValueError(f"the field at {time} has shape {field.shape}; expected {expected}")
        field = np.asarray(field, np.float32)  # what is too large for it becomes infinite here
        check_finite(field, self.channels, time, self.path)
        part = self._part or self._open_part()
        with part.access() as file:
            file["data"][:, len(self._part_seconds)] = field
        self._part_seconds.append(int(seconds))
        self._seconds.append(int(seconds))
        if len(self._part_seconds) == self._steps_per_part:
            self._finish_part()

    def flush(self) -> None:
        """Closes the part, so that a kill loses nothing of what was appended so far."""
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
            self._save_last_part(error)
            if error is None and not self.existed:
                self._join()
        finally:
            if self._base:
                self._base.close()
        if self.existed:
            if self._parts_are_ours():  # a run that was killed at its very end left them
                remove(self._folder)
        elif error is None or not self._parts():
            remove(self._folder)

    def _save_last_part(self, error: BaseException | None) -> None:
        # After an error too: what is whole need not be made again. But that error is the one to
        # report, not its consequences (a full disk is full for the last part as well).
        if error is None:
            self._finish_part()
        else:
            with contextlib.suppress(Exception):
                self._finish_part()

    def _checked_base(self) -> Archive:
        base = Archive(self.path)
        for what, same, theirs, ours in (
            ("channels", base.channels == self.channels, base.channels, self.channels),
            ("calendar", base.time.calendar == self.calendar, base.time.calendar, self.calendar),
            ("grid", base.grid.matches(self.grid), base.grid, self.grid),
        ):
            if not same:
                base.close()
                raise ValueError(
                    f"cannot append to {self.path}, which has another {what}: {theirs}, not {ours}"
                )
        return base

    def _digest(self, identity: Any) -> str:
        content = {
            "channels": [repr(channel) for channel in self.channels],
            "latitude": self.grid.latitude,
            "longitude": self.grid.longitude,
            "calendar": self.calendar,
            "compression": self._compression,
            "base": self._base.fingerprint() if self._base else None,
            "identity": identity,
        }
        return digest(plain_config(content))

    def _existing(self, identity: Any) -> Archive:
        """The archive that is there, if it is the one to make."""
        with contextlib.suppress(ValueError):
            archive = Archive(self.path)
            if identity is not None and archive.attributes.get(IDENTITY) == self.identity:
                return archive
            archive.close()
        raise ArchiveExistsError(
            f"{self.path} exists already, and was not made from these sources and settings; give "
            "--overwrite to replace it, or choose another output"
        )

    def _prepare_folder(self) -> None:
        """Keeps the parts of an interrupted run of the same making; removes any others."""
        if not self._parts_are_ours():
            joined = self._base.time.seconds if self._base else np.empty(0, np.int64)
            lost = [int((~np.isin(s, joined)).sum()) for s in self._seconds_of_parts()]
            self.discarded = sum(lost)
            remove(self._folder)
            self._folder.mkdir(parents=True)
            write_json(self._label, {"identity": self.identity})
        for unfinished in self._folder.glob("*.tmp"):
            unfinished.unlink()

    @property
    def _label(self) -> Path:
        return self._folder / "identity.json"

    def _parts_are_ours(self) -> bool:
        return self._label.is_file() and read_json(self._label) == {"identity": self.identity}

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("part-*.h5"))

    def _seconds_on_disk(self) -> np.ndarray:
        times = [self._base.time.seconds] if self._base else []
        if not self.existed:
            times += self._seconds_of_parts()
        return np.concatenate(times) if times else np.empty(0, np.int64)

    def _seconds_of_parts(self) -> list[np.ndarray]:
        times = []
        for part in self._parts():
            with h5py.File(part, "r") as file:
                times.append(file["time"][...])
        return times

    def _open_part(self) -> Hdf5Output:
        self._part = Hdf5Output(self._folder / "next.tmp", name=self.path)
        shape = (len(self.channels), self._steps_per_part, *self.grid.shape)
        with self._part.access() as file:
            create_data(file, shape, self._compression, growing=True)
        return self._part

    def _finish_part(self) -> None:
        part, self._part = self._part, None
        seconds, self._part_seconds = self._part_seconds, []
        if part is None:
            return
        temporary = self._folder / "next.tmp"
        try:
            try:
                with part.access() as file:
                    file["data"].resize(len(seconds), axis=1)
                    file["time"] = np.array(seconds, np.int64)
            finally:
                part.close()
            if seconds:
                replace(temporary, self._folder / f"part-{len(self._parts()):06d}.h5")
        finally:
            remove(temporary)

    def _join(self) -> None:
        if not self._seconds:
            raise ValueError(f"nothing was written to {self.path}: there are no steps")
        TimeAxis(self.written, self.calendar)
        # Among the parts, so that what a kill leaves of it is removed with them.
        temporary = self._folder / "joined.tmp"
        output = Hdf5Output(temporary, name=self.path)
        try:
            try:
                self._write_joined(output)
            finally:
                output.close()
            replace(temporary, self.path)
        finally:
            remove(temporary)

    def _write_joined(self, output: Hdf5Output) -> None:
        shape = (len(self.channels), len(self._seconds), *self.grid.shape)
        with output.access() as file:
            file.attrs.update(self._base.attributes if self._base else {})
            create_layout(
                file,
                shape,
                self.channels,
                self.grid,
                self.written,
                self.calendar,
                self._compression,
            )
            file.attrs.update({**self._attributes, IDENTITY: self.identity})
        start = 0
        for path in ([self.path] if self._base else []) + self._parts():
            start = _copy(path, output, start)


def _copy(path: Path, output: Hdf5Output, start: int) -> int:
    """Copies all steps of a file to `output` from step `start` on; returns where it ended."""
    with h5py.File(path, "r") as file:
        source = file["data"]
        with output.access() as joined:
            alike = _stored_alike(source, joined["data"])
        copy = _copy_chunks if alike else _copy_fields
        copy(source, output, start)
        return start + int(source.shape[1])


def _stored_alike(a: h5py.Dataset, b: h5py.Dataset) -> bool:
    if a.chunks is None or a.chunks != b.chunks:
        return False
    pipelines = []
    for dataset in (a, b):
        plist = dataset.id.get_create_plist()
        pipelines.append([plist.get_filter(i) for i in range(plist.get_nfilters())])
    return bool(pipelines[0] == pipelines[1])


def _copy_fields(source: h5py.Dataset, output: Hdf5Output, start: int) -> None:
    for step in range(source.shape[1]):
        field = source[:, step]
        with output.access() as file:
            file["data"][:, start + step] = field


def _copy_chunks(source: h5py.Dataset, output: Hdf5Output, start: int) -> None:
    """Copies compressed chunks as they are, shifted by `start` steps."""
    offsets: list[tuple[int, ...]] = []
    source.id.chunk_iter(lambda info: offsets.append(info.chunk_offset))
    # In time order, so that the bytes of the whole do not depend on where parts ended.
    for offset in sorted(offsets, key=lambda o: (o[1], o)):
        mask, content = source.id.read_direct_chunk(offset)
        channel, step, row, column = offset
        with output.access() as file:
            target = file["data"].id
            target.write_direct_chunk((channel, start + step, row, column), content, mask)
