"""Making many steps of an archive in order, in this process or spread over several.

Results come back in time order and only a few are ever waiting, so that memory stays bounded
however fast the workers are.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import numpy as np

from atmodist.files.errors import BrokenFileError
from atmodist.files.workers import worker_pool
from atmodist.ingestion.plan import Step
from atmodist.ingestion.sources import FieldReader
from atmodist.ingestion.step import MissingValuesError, StepRecipe, make_step

BATCH_BYTES = 32 << 20  # of results that a worker returns at once
BATCH_STEPS = 16


def make_steps(
    steps: Sequence[Step], recipe: StepRecipe, workers: int
) -> Iterator[tuple[Step, np.ndarray | str]]:
    """Makes steps one after the other, or in several processes; the fields are the same.

    Args:
        steps: What to make.
        recipe: How.
        workers: Number of processes; 1 makes them in this one.

    Yields:
        Each step, in order, with its field (channel, latitude, longitude), or with what is wrong
        with its files where that may be left out.

    Raises:
        WorkerKilledError: If a worker was killed, perhaps for want of memory.
    """
    if workers == 1 or len(steps) < 2:
        reader = FieldReader()
        try:
            for step in steps:
                yield step, _attempt(step, recipe, reader)
        finally:
            reader.close()
        return
    size = 4 * len(recipe.channels) * recipe.crop.region.shape[0] * recipe.crop.region.shape[1]
    length = max(1, min(BATCH_STEPS, BATCH_BYTES // size, -(-len(steps) // workers)))
    batches = deque(steps[i : i + length] for i in range(0, len(steps), length))
    waiting: deque[tuple[Sequence[Step], Future[list[np.ndarray | str]]]] = deque()
    with worker_pool(workers, _start_worker, recipe) as submit:
        while batches or waiting:
            while batches and len(waiting) < 2 * workers:
                batch = batches.popleft()
                waiting.append((batch, submit(_work, batch)))
            batch, future = waiting.popleft()
            yield from zip(batch, future.result(), strict=True)


_worker: dict[str, tuple[StepRecipe, FieldReader]] = {}


def _start_worker(recipe: StepRecipe) -> None:
    _worker["state"] = (recipe, FieldReader())


def _work(steps: Sequence[Step]) -> list[np.ndarray | str]:
    recipe, reader = _worker["state"]
    return [_attempt(step, recipe, reader) for step in steps]


def _attempt(step: Step, recipe: StepRecipe, reader: FieldReader) -> np.ndarray | str:
    try:
        return make_step(step, recipe, reader)
    except (BrokenFileError, MissingValuesError) as error:
        return str(error)
