"""Streams an archive once, in time order, and writes the pairs of each step to their places.

Fields go into a ring of max_temporal_distance + 1 slots, and a few more to read ahead. As soon as
the last field that the pairs of a step may need is there, they are cut, normalised and written; a
slot is free again when no step that is still to be written needs it. With several workers the ring
is shared memory, and both reading and writing are spread over them.
"""

import concurrent.futures
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import shared_memory
from typing import Any

import numpy as np

from atmodist.fields.archive import Archive, check_finite
from atmodist.records.format import encode_pair
from atmodist.samples.configuration import PairSamplerConfig
from atmodist.samples.normalization import Normalization
from atmodist.samples.shards import write_at
from atmodist.workers import worker_pool

MAX_OPEN_FILES = 256  # per process, of perhaps thousands of shards; limits of 1024 are usual
READ_AHEAD = 8  # fields at most, however many workers there are: memory must not grow with cores


@dataclass(frozen=True)
class StepPairs:
    """The pairs of one step, and where they go: one unit of work."""

    step: int
    index: np.ndarray
    label: np.ndarray
    row: np.ndarray
    column: np.ndarray
    path: tuple[str, ...]  # shard of each pair
    offset: np.ndarray


class PairWriter:
    """Reads fields into a ring and writes the pairs of a step; one in each process."""

    def __init__(
        self,
        config: PairSamplerConfig,
        normalization: Normalization,
        ring: np.ndarray,
    ):
        self._config, self._normalization, self._ring = config, normalization, ring
        self._archive = Archive(config.archive)
        self._files: OrderedDict[str, int] = OrderedDict()  # the latest used last
        shape = (2, *config.patch_shape, self._archive.shape[0])
        self._patches = np.empty(shape, np.float32)

    def load(self, step: int, slot: int) -> None:
        """Reads the field of a step into a slot of the ring."""
        self._archive.read(step, out=self._ring[slot])

    def write(self, pairs: StepPairs, slots: dict[int, int]) -> int:
        """Cuts, normalises and writes all pairs of a step; returns its number.

        Args:
            pairs: What to cut, and where it goes.
            slots: Slot of the ring of each step that the pairs need.
        """
        for k in range(len(pairs.index)):
            label = int(pairs.label[k])
            row, column = int(pairs.row[k]), int(pairs.column[k])
            for patch, step in zip(self._patches, (pairs.step, pairs.step + label), strict=True):
                self._cut(step, self._ring[slots[step]], row, column, patch)
            buffers = encode_pair(
                self._patches[0],
                self._patches[1],
                index=int(pairs.index[k]),
                label=label,
                max_label=self._config.max_temporal_distance,
                time=int(self._archive.time.seconds[pairs.step]),
                step=pairs.step,
                **self._place(row, column),
            )
            write_at(self._file(pairs.path[k]), buffers, int(pairs.offset[k]))
        return pairs.step

    def close(self) -> None:
        """Closes all files."""
        for file in self._files.values():
            os.close(file)
        self._archive.close()

    def _cut(self, step: int, whole: np.ndarray, row: int, column: int, patch: np.ndarray) -> None:
        """Normalises the patch of a field (channel, latitude, longitude) into `patch`."""
        rows, columns = patch.shape[:2]
        band = np.moveaxis(whole[:, row : row + rows], 0, -1)
        first = min(columns, band.shape[1] - column)
        self._normalization(band[:, column : column + first], out=patch[:, :first])
        if first < columns:  # beyond the last column: wrap around
            self._normalization(band[:, : columns - first], out=patch[:, first:])
        if not np.isfinite(patch.sum(dtype=np.float64)):
            time = self._archive.time.isoformat(step)
            check_finite(whole, self._archive.channels, time, self._archive.path)
            raise ValueError(
                f"{self._archive.path}: the normalisation makes infinite numbers of the values at "
                f"{time}; it does not belong to this archive"
            )

    def _place(self, row: int, column: int) -> dict[str, Any]:
        grid, (rows, columns) = self._archive.grid, self._config.patch_shape
        west = float(grid.longitude[column])
        if grid.is_periodic:  # unwrapped, so that the last column is east of the first
            east = west + (columns - 1) * 360.0 / grid.shape[1]
        else:
            east = float(grid.longitude[column + columns - 1])
        south = float(grid.latitude[row + rows - 1])
        return {"latitudes": (float(grid.latitude[row]), south), "longitudes": (west, east)}

    def _file(self, path: str) -> int:
        if path not in self._files:
            if len(self._files) == MAX_OPEN_FILES:
                os.close(self._files.popitem(last=False)[1])
            self._files[path] = os.open(path, os.O_WRONLY)
        self._files.move_to_end(path)
        return self._files[path]


def stream_pairs(
    config: PairSamplerConfig,
    normalization: Normalization,
    work: Sequence[StepPairs],
    num_workers: int,
    on_written: Callable[[int], None],
) -> None:
    """Writes all of `work`, which is in time order; `on_written` hears of each step written."""
    if not work:
        return
    with Archive(config.archive) as archive:
        channels, _, rows, columns = archive.shape
    lag = config.max_temporal_distance
    num_slots = lag + 1 + min(num_workers, READ_AHEAD)
    shape = (num_slots, channels, rows, columns)
    with _pool(config, normalization, shape, num_workers) as submit:
        _Schedule(work, lag, num_slots).run(submit, on_written)


class _Schedule:
    """Decides which field to read and which step to write next."""

    def __init__(self, work: Sequence[StepPairs], lag: int, num_slots: int):
        self._work = deque(work)
        self._lag = lag
        self._fields = deque(sorted({w.step + k for w in work for k in range(lag + 1)}))
        self._free = list(range(num_slots))
        self._slots: dict[int, int] = {}  # of the fields that are read, or being read
        self._loaded: set[int] = set()
        self._unwritten = deque(w.step for w in work)  # the first is really unwritten
        self._written: set[int] = set()  # of the others

    def run(self, submit: Callable[..., Any], on_written: Callable[[int], None]) -> None:
        """Keeps the workers busy until everything is written."""
        running: dict[concurrent.futures.Future[Any], int | None] = {}  # field read, or None
        try:
            while self._unwritten:
                for step, slot in self._next_reads():
                    running[submit("load", step, slot)] = step
                for pairs, slots in self._next_writes():
                    running[submit("write", pairs, slots)] = None
                done, _ = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in done:
                    self._finish(running.pop(future), future.result(), on_written)
        finally:
            for future in running:
                future.cancel()

    def _next_reads(self) -> Iterator[tuple[int, int]]:
        while self._free and self._fields:
            step, slot = self._fields.popleft(), self._free.pop()
            self._slots[step] = slot
            yield step, slot

    def _next_writes(self) -> Iterator[tuple[StepPairs, dict[int, int]]]:
        while self._work:
            needed = range(self._work[0].step, self._work[0].step + self._lag + 1)
            if not self._loaded.issuperset(needed):
                return
            yield self._work.popleft(), {step: self._slots[step] for step in needed}

    def _finish(self, read: int | None, result: Any, on_written: Callable[[int], None]) -> None:
        if read is not None:
            self._loaded.add(read)
            return
        on_written(result)
        self._written.add(result)
        while self._unwritten and self._unwritten[0] in self._written:
            self._written.discard(self._unwritten.popleft())
        if not self._unwritten:
            return
        for step in [s for s in self._loaded if s < self._unwritten[0]]:
            self._loaded.discard(step)
            self._free.append(self._slots.pop(step))


@contextmanager
def _pool(
    config: PairSamplerConfig,
    normalization: Normalization,
    shape: tuple[int, ...],
    num_workers: int,
) -> Iterator[Callable[..., Any]]:
    """Yields a function that has a method of `PairWriter` called, and returns a future."""
    if num_workers == 1:
        writer = PairWriter(config, normalization, np.empty(shape, np.float32))
        try:
            yield lambda name, *arguments: _call_now(getattr(writer, name), *arguments)
        finally:
            writer.close()
        return
    memory = _shared_memory(4 * int(np.prod(shape)))
    try:
        with worker_pool(
            num_workers, _start_worker, config, normalization, memory.name, shape
        ) as submit:
            yield lambda name, *arguments: submit(_call_worker, name, *arguments)
    finally:
        memory.close()
        memory.unlink()


def _shared_memory(size: int) -> shared_memory.SharedMemory:
    memory = None
    try:
        memory = shared_memory.SharedMemory(create=True, size=size)
        # Without this, a small /dev/shm would end a worker by a signal in the midst of its work.
        os.posix_fallocate(memory._fd, 0, size)  # type: ignore[attr-defined]
    except OSError as error:
        if memory is not None:
            memory.close()
            memory.unlink()
        raise OSError(
            f"no room for {size / 1e6:.0f} MB of shared memory ({error.strerror}); "
            "use --workers 1, which needs none, or a larger /dev/shm"
        ) from None
    return memory


def _call_now(function: Callable[..., Any], *arguments: Any) -> concurrent.futures.Future[Any]:
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.set_result(function(*arguments))
    return future


_worker: PairWriter | None = None
_worker_memory: shared_memory.SharedMemory | None = None  # must outlive the ring made on it


def _start_worker(
    config: PairSamplerConfig, normalization: Normalization, name: str, shape: tuple[int, ...]
) -> None:
    global _worker, _worker_memory
    _worker_memory = shared_memory.SharedMemory(name=name)
    ring = np.ndarray(shape, np.float32, buffer=_worker_memory.buf)
    _worker = PairWriter(config, normalization, ring)


def _call_worker(name: str, *arguments: Any) -> Any:
    return getattr(_worker, name)(*arguments)
