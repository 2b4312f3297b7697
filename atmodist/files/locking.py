"""One writer at a time: a lock on an output, freed by the system when its holder dies.

The lock is the system's (`flock`) on a small file, not the file itself: a file that a killed
process left behind locks nothing. File systems without such locks get none.
"""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(lock: Path, target: Path) -> Iterator[None]:
    """Holds the file `lock`, while `target` is being written.

    The folder of the lock is made if need be, and removed again if nothing was put into it.

    Raises:
        ValueError: If another process holds it.
    """
    folder = lock.parent
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    descriptor = _acquire(lock, target)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # before others may have it
        os.close(descriptor)
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


def _acquire(lock: Path, target: Path) -> int:
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            raise ValueError(
                f"another process ({holder or 'just started'}) is writing {target}; wait for its "
                "end, or choose another --output."
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                os.close(descriptor)
                raise
            return descriptor
        if _is_still(descriptor, lock):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()} on {socket.gethostname()}\n".encode())
            return descriptor
        os.close(descriptor)  # its holder removed it in between


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
