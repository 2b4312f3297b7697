"""Streams archives once, in time order, and writes the records of each step to their places.

Fields go into a ring of slots, as many as the records of one step need and a few more to read
ahead. As soon as the last field that a step may need is there, its records are encoded and written;
a slot is free again when no step that is still to be written needs it. With several workers the
ring is shared memory, and both reading and writing are spread over them.

What a record is made of, a `RecordRecipe` says: which archives are read, how many steps a record
spans, and an encoder for each process.
"""

import concurrent.futures
import math
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import shared_memory
from typing import Any, Protocol

import numpy as np

from atmodist.fields.archive import Archive
from atmodist.files.workers import worker_pool
from atmodist.records.example import Buffer
from atmodist.records.shard_layout import write_at

MAX_OPEN_FILES = 256  # per process, of perhaps thousands of shards; limits of 1024 are usual
READ_AHEAD = 8  # fields at most, however many workers there are: memory must not grow with cores

Fields = Mapping[int, Sequence[np.ndarray]]  # by step; of each archive (channel, lat, lon)


@dataclass(frozen=True)
class StepWork:
    """The records of one step, and where they go: one unit of work.

    Attributes:
        step: Archive step of the records.
        index: Number of each record in its split. Shape (record,).
        draws: What was drawn for the records, by name. Each of shape (record,).
        path: Shard of each record.
        offset: Byte in its shard at which each begins. Shape (record,).
    """

    step: int
    index: np.ndarray
    draws: Mapping[str, np.ndarray]
    path: tuple[str, ...]
    offset: np.ndarray


class Encoder(Protocol):
    """Makes records of fields; one in each process."""

    def encode(self, work: StepWork, k: int, fields: Fields) -> Sequence[Buffer]:
        """The framed record `k` of a step; its buffers are written before the next is asked for."""
        ...


class RecordRecipe(Protocol):
    """What a record is made of; it is sent to each worker, so it must pickle."""

    @property
    def archives(self) -> tuple[str, ...]:
        """Paths of the archives whose fields a record needs."""
        ...

    @property
    def lag(self) -> int:
        """A record of step t may need the fields of t to t + lag."""
        ...

    def encoder(self, archives: Sequence[Archive]) -> Encoder:
        """Makes the encoder of a process, which has opened the archives."""
        ...


class RecordWriter:
    """Reads fields into a ring and writes the records of a step; one in each process."""

    def __init__(self, recipe: RecordRecipe, ring: np.ndarray):
        self._archives = [Archive(path) for path in recipe.archives]
        self._encoder = recipe.encoder(self._archives)
        self._files: OrderedDict[str, int] = OrderedDict()  # the latest used last
        shapes = [(a.shape[0], *a.shape[2:]) for a in self._archives]
        ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        self._slots = [
            [part.reshape(shape) for part, shape in zip(np.split(slot, ends), shapes, strict=True)]
            for slot in ring
        ]

    def load(self, step: int, slot: int) -> None:
        """Reads the fields of a step into a slot of the ring."""
        for archive, field in zip(self._archives, self._slots[slot], strict=True):
            archive.read(step, out=field)

    def write(self, work: StepWork, slots: dict[int, int]) -> int:
        """Makes and writes all records of a step; returns its number.

        Args:
            work: What to make, and where it goes.
            slots: Slot of the ring of each step that the records need.
        """
        fields = {step: self._slots[slot] for step, slot in slots.items()}
        for k in range(len(work.index)):
            buffers = self._encoder.encode(work, k, fields)
            write_at(self._file(work.path[k]), buffers, int(work.offset[k]))
        return work.step

    def close(self) -> None:
        """Closes all files."""
        for file in self._files.values():
            os.close(file)
        for archive in self._archives:
            archive.close()

    def _file(self, path: str) -> int:
        if path not in self._files:
            if len(self._files) == MAX_OPEN_FILES:
                os.close(self._files.popitem(last=False)[1])
            self._files[path] = os.open(path, os.O_WRONLY)
        self._files.move_to_end(path)
        return self._files[path]


def stream_records(
    recipe: RecordRecipe,
    work: Sequence[StepWork],
    num_workers: int,
    on_written: Callable[[int], None],
) -> None:
    """Writes all of `work`, which is in time order; `on_written` hears of each step written."""
    if not work:
        return
    num_slots = recipe.lag + 1 + min(num_workers, READ_AHEAD)
    with _pool(recipe, num_slots, num_workers) as submit:
        _Schedule(work, recipe.lag, num_slots).run(submit, on_written)


class _Schedule:
    """Decides which field to read and which step to write next."""

    def __init__(self, work: Sequence[StepWork], lag: int, num_slots: int):
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
                for unit, slots in self._next_writes():
                    running[submit("write", unit, slots)] = None
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

    def _next_writes(self) -> Iterator[tuple[StepWork, dict[int, int]]]:
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
def _pool(recipe: RecordRecipe, num_slots: int, num_workers: int) -> Iterator[Callable[..., Any]]:
    """Yields a function that has a method of `RecordWriter` called, and returns a future."""
    shapes = _field_shapes(recipe)
    shape = (num_slots, sum(math.prod(shape) for shape in shapes))
    if num_workers == 1:
        writer = RecordWriter(recipe, np.empty(shape, np.float32))
        try:
            yield lambda name, *arguments: _call_now(getattr(writer, name), *arguments)
        finally:
            writer.close()
        return
    memory = _shared_memory(4 * math.prod(shape))
    try:
        with worker_pool(num_workers, _start_worker, recipe, memory.name, shape) as submit:
            yield lambda name, *arguments: submit(_call_worker, name, *arguments)
    finally:
        memory.close()
        memory.unlink()


def _field_shapes(recipe: RecordRecipe) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = []
    for path in recipe.archives:
        with Archive(path) as archive:
            channels, _, rows, columns = archive.shape
            shapes.append((channels, rows, columns))
    return shapes


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


_worker: RecordWriter | None = None
_worker_memory: shared_memory.SharedMemory | None = None  # must outlive the ring made on it


def _start_worker(recipe: RecordRecipe, name: str, shape: tuple[int, ...]) -> None:
    global _worker, _worker_memory
    _worker_memory = shared_memory.SharedMemory(name=name)
    _worker = RecordWriter(recipe, np.ndarray(shape, np.float32, buffer=_worker_memory.buf))


def _call_worker(name: str, *arguments: Any) -> Any:
    return getattr(_worker, name)(*arguments)
