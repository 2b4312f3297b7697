"""One writer at a time: a lock on an output, freed by the system when its holder dies.

The lock is on a small file beside the output: one that a killed process left behind locks nothing.
Where the file system has no such locks, there is none.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(lock: Path, target: Path) -> Iterator[None]:
    """Holds the file `lock`, while `target` is being written.

    The folder of the lock is made if need be, and removed again if nothing was put into it.

    Raises:
        ValueError: If another process holds it.
    """
    import filelock  # takes longer than many a command's --help

    folder = lock.parent
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    held = filelock.FileLock(lock, timeout=0)
    try:
        with contextlib.suppress(NotImplementedError):  # the file system has no locks
            held.acquire()
    except filelock.Timeout:
        raise ValueError(
            f"another process is writing {target}; wait for its end, or choose another --output."
        ) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)  # before others may have it
        held.release()
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()
