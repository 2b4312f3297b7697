"""The work of an evaluation: units that run anywhere, and come back in the order of time.

The unit of work is one candidate over one block of times, with all statistics, so that each field
is read once. A unit depends on nothing but the plan: it may run in this process, in another one, or
on a cluster, and what it returns is the same.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from atmodist.files.outputs import digest, plain_config
from atmodist.files.workers import worker_pool
from evaluation.candidates.candidates import Sources, open_sources
from evaluation.candidates.kind import Inputs
from evaluation.contract.configuration import EvaluationConfig
from evaluation.contract.statistic import Accumulator, Sample, Statistic
from evaluation.numerics.setting import REFERENCE, Setting

MANY_BLOCKS = 16  # blocks of a candidate, at least, so that there is work for all cores
MAX_BLOCK = 32  # times in a block
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "DUCC0_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)  # fmt: skip
SCHEDULER_WAIT = "10s"
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class WorkPlan:
    """All that a unit of work depends on; pickles.

    Attributes:
        inputs: What to open.
        setting: What all statistics have in common.
        seconds: Times used. Shape (time,).
        statistics: By name.
        options: Of each statistic, by its name.
    """

    inputs: Inputs
    setting: Setting
    seconds: np.ndarray
    statistics: Mapping[str, Statistic]
    options: Mapping[str, Mapping[str, Any]]

    @cached_property
    def blocks(self) -> list[np.ndarray]:
        """The times in blocks; they depend on the number of times alone."""
        num = len(self.seconds)
        size = min(-(-num // MANY_BLOCKS), MAX_BLOCK)
        return [self.seconds[first : first + size] for first in range(0, num, size)]

    def accumulator(self, name: str) -> Accumulator:
        """A new accumulator of a statistic."""
        setting = replace(self.setting, options=dict(self.options.get(name, {})))
        return self.statistics[name].accumulator(setting)


@dataclass(frozen=True)
class Unit:
    """Work for one process: statistics of one candidate over one block."""

    candidate: str
    block: int
    names: tuple[str, ...]


def compute(
    plan: WorkPlan, units: Sequence[Unit], config: EvaluationConfig, sources: Sources
) -> Iterator[tuple[Unit, dict[str, Arrays]]]:
    """Computes units in this process, in several, or on a cluster.

    Yields:
        Each unit, in order, with what its accumulators hold.
    """
    cores = len(os.sched_getaffinity(0))
    workers = min(config.workers or cores, len(units))
    if config.scheduler is not None and units:
        with _cluster(config.scheduler) as (submit, workers):
            yield from _in_order(plan, units, submit, workers)
    elif workers > 1:
        with (
            _environment(max(1, cores // workers)),
            worker_pool(workers, _start_worker, config.has_networks) as submit,
        ):
            yield from _in_order(plan, units, submit, workers)
    else:
        for unit in units:
            yield unit, compute_unit(plan, unit, sources)


def compute_unit(plan: WorkPlan, unit: Unit, sources: Sources) -> dict[str, Arrays]:
    """Reads the fields of a block and hands them to all its statistics."""
    sums = {name: plan.accumulator(name) for name in unit.names}
    for second in map(int, plan.blocks[unit.block]):
        candidate, members = read_fields(sources, unit.candidate, second)
        itself = unit.candidate == REFERENCE  # one array, so that nothing is computed twice
        sample = Sample(
            setting=plan.setting,
            candidate=candidate,
            reference=candidate if itself else sources.reference.read(second),
            seconds=second,
            members=members,
        )
        for accumulator in sums.values():
            accumulator.update(sample)
    return {name: accumulator.arrays() for name, accumulator in sums.items()}


def read_fields(
    sources: Sources, candidate: str, second: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Fields of a candidate, or of the reference, and of its members; see `Sources.read`."""
    if candidate == REFERENCE:
        return sources.reference.read(second), None
    return sources.read(candidate, second)


def _in_order(
    plan: WorkPlan, units: Sequence[Unit], submit: Callable[..., Any], workers: int
) -> Iterator[tuple[Unit, dict[str, Arrays]]]:
    """Keeps workers busy; results wait for those before them, so few are ever under way."""
    left = deque(units)
    waiting: deque[tuple[Unit, Any]] = deque()
    while left or waiting:
        while left and len(waiting) < workers + 2:
            unit = left.popleft()
            waiting.append((unit, submit(_work, plan, unit)))
        unit, future = waiting.popleft()
        yield unit, future.result()


class _Opened(threading.local):
    """The inputs of the latest plan; of each thread, for a cluster's workers have several."""

    key = ""
    sources: Sources
    stack: ExitStack


_opened = _Opened()


def _work(plan: WorkPlan, unit: Unit) -> dict[str, Arrays]:
    key = digest(plain_config(plan.inputs))
    if _opened.key != key:
        if _opened.key:
            _opened.stack.close()
        _opened.stack, _opened.key = ExitStack(), ""
        _opened.sources = _opened.stack.enter_context(open_sources(plan.inputs))
        _opened.key = key
    return compute_unit(plan, unit, _opened.sources)


def _start_worker(needs_tensorflow: bool) -> None:
    if needs_tensorflow:
        from atmodist.files.quiet_tensorflow import load_tensorflow

        load_tensorflow()


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Lets worker processes share the cores and the memory of an accelerator."""
    added = {name: str(threads) for name in THREADS} | {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    added = {name: value for name, value in added.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Callable[..., Any], int]]:
    """Yields what submits work to a cluster, and how many workers it has."""
    try:
        from dask.distributed import Client
    except ImportError:
        raise ValueError(
            "--scheduler needs dask.distributed: pip install 'atmodist[distributed]'"
        ) from None
    try:
        client = Client(address, timeout=SCHEDULER_WAIT)
    except OSError as error:
        raise ValueError(f"there is no dask scheduler at {address} ({error})") from None
    with client:
        threads = sum(client.nthreads().values())
        yield (lambda *work: client.submit(*work, pure=False)), max(threads, 1)
