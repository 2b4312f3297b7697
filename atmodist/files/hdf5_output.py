"""HDF5 files written so that a full disk is an error like any other.

When a write fails, the HDF5 library cannot close the file any more, and takes the process down with
a segmentation fault at its exit, after the message if there was one. So HDF5 writes through an
object that tells it all is well, remembers the first failure, and drops everything after it; we
look at that failure as soon as HDF5 returns. Ctrl-C waits for the same moment, for an interrupt in
the middle of a write is a failed write to HDF5.
"""

import contextlib
import io
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py


class Hdf5Output:
    """A new HDF5 file; everything is done with it inside `access`.

    Args:
        path: The file to write; one that exists is overwritten.
        name: What errors call it, where the user asked for another path than `path`.

    Raises:
        OSError: If it cannot be made. Any later method raises it when a write has failed (no
            space left, file too large, ...); the file is then worthless, and can only be closed.
    """

    def __init__(self, path: str | Path, *, name: str | Path | None = None):
        self._name = str(name or path)
        self._raw = _ForgivingFile(path)
        self._file: h5py.File | None = None
        with self._checked():
            self._file = h5py.File(self._raw, "w")

    @contextlib.contextmanager
    def access(self) -> Iterator[h5py.File]:
        """Yields the file for a few operations; raises what went wrong in writing on leaving."""
        with self._checked():
            yield self._file

    def close(self) -> None:
        """Closes the file; it is complete unless this raises."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            with self._checked():
                file.close()
        finally:
            self._raw.close()

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            with _interrupts_deferred():
                yield
        finally:
            # Whatever HDF5 made of a dropped write, the failure itself is what to report.
            error = self._raw.error
            if error is not None:
                raise OSError(error.errno, os.strerror(error.errno or 0), self._name) from None


class _ForgivingFile(io.RawIOBase):
    """A file whose writes never fail: the first error is kept, and later writes are dropped."""

    def __init__(self, path: str | Path):
        self._file = Path(path).open("w+b", buffering=0)  # noqa: SIM115 - closed in `close`
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view) and self.error is None:  # a disk that fills up takes some first
                done += self._file.write(view[done:])
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            if self.error is None:
                self._file.truncate(size)
        except OSError as error:
            self.error = error
        return size or 0

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view)
        view[count:] = bytes(len(view) - count)  # of a dropped write there is nothing to read
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        super().close()
        self._file.close()


@contextlib.contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Holds back Ctrl-C until the block ends; other threads than the main one never get it."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    pending: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: pending.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if pending:
            signal.raise_signal(signal.SIGINT)
