"""Worker processes that are no trouble: they leave Ctrl-C to their parent, and end when it does.

Each is a fresh interpreter, for forked ones would share open files and locks of HDF5 and eccodes.
It knows nothing of the script that started it: what workers do lies in our modules, so that scripts
need no `if __name__ == "__main__":`, without which each worker would run the script again.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from types import ModuleType
from typing import Any


class WorkerKilledError(OSError):
    """A worker process is gone before its work was done."""


@contextmanager
def worker_pool(
    num_workers: int, start: Callable[..., None], *arguments: Any
) -> Iterator[Callable[..., Future[Any]]]:
    """Yields a function that has another one called in a worker, and returns a future.

    Args:
        num_workers: How many processes.
        start: Called first in each worker, with `arguments`.
        *arguments: Like all that is sent to workers, they must pickle.

    Raises:
        WorkerKilledError: If a worker was killed; says what to do.
    """
    context = get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, context, _start_worker, (start, *arguments))

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        # Workers start here, and keep what is blocked now: a terminal sends Ctrl-C to all.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        script = sys.modules["__main__"]  # would be run again by each worker that begins now
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return pool.submit(function, *arguments)
        finally:
            sys.modules["__main__"] = script
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        yield submit
    except BrokenProcessPool:
        raise WorkerKilledError(
            "a worker process was killed, perhaps for want of memory; run the same command again "
            "to go on, with fewer --workers if need be"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(start: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start(*arguments)


def _end_with_parent() -> None:
    """Ends this process with its parent; a parent that is killed has no chance to do it."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
