"""What benchmarks share: the machine in words, and a table."""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Step = Callable[[], tuple[float, float]]  # takes a step; its seconds, and those of processors


def machine() -> str:
    """Processor, cores and memory, in one line."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"machine: {model}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {python}"


def peak_memory() -> int:
    """The most memory this process ever had, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def timed(step: Callable[[], Any]) -> Step:
    """Makes a step tell the seconds it took, and those of all threads of the process."""

    def take() -> tuple[float, float]:
        start, processor = time.perf_counter(), time.process_time()
        step()
        return time.perf_counter() - start, time.process_time() - processor

    return take


class Worker:
    """A contender in a process of its own, that takes a step when it is called.

    Args:
        command: Starts the process; what it runs calls `serve`.
        environment: Variables besides those that there are.

    Raises:
        RuntimeError: If it does not come up.
    """

    def __init__(self, command: Sequence[Any], **environment: str):
        self._process = subprocess.Popen(
            [*map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        if self._process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"it did not start: {' '.join(map(str, command))}")

    def __call__(self) -> tuple[float, float]:
        """Has the worker take a step; see `Step`."""
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        taken, processor = map(float, self._process.stdout.readline().split())
        return taken, processor

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


def serve(step: Step) -> None:
    """Takes a step for every line that comes in."""
    print("ready", flush=True)
    for _ in sys.stdin:
        print(*step(), flush=True)


def take_turns(
    steps: dict[str, Step], *, warmup: int, repeats: int
) -> dict[str, list[tuple[float, float]]]:
    """Lets contenders take a step each in turn; times without those of the first turns."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for turn in range(warmup + repeats):
        for name, step in steps.items():
            taken = step()
            if turn >= warmup:
                times[name].append(taken)
    for step in steps.values():
        if isinstance(step, Worker):
            step.end()
    return times


def of_this_project(
    script: str, arguments: Sequence[Any], *, before: Path | None, jax: bool
) -> dict[str, Step]:
    """Contenders in processes of their own: the same step of another tree, and under JAX.

    Args:
        script: Path of the benchmark.
        arguments: That make it serve a step.
        before: Another working tree of this project, for instance of an earlier commit, that has
            this benchmark.
        jax: Whether to take the step under JAX.
    """
    steps: dict[str, Step] = {}
    if before is not None:
        other = before.resolve() / "tools" / "benchmarks" / Path(script).name
        steps["before"] = Worker([sys.executable, other, *arguments], PYTHONPATH=str(before))
    if jax:
        steps["jax"] = Worker([sys.executable, script, *arguments], KERAS_BACKEND="jax")
    return steps


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a Markdown table, columns aligned."""
    table = [list(head), *[list(map(str, row)) for row in rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    lines = [
        "| " + " | ".join(x.ljust(w) for x, w in zip(r, widths, strict=True)) + " |" for r in table
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    print("\n".join(lines))
