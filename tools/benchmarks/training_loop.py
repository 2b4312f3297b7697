"""The whole loop of `rplearn-train` beside the bare training step, in one run.

    python tools/benchmarks/training_loop.py

The loop reads records from disk through `tf.data`, shuffles, trains, looks at the loss, shows and
logs; the bare step takes the same network's steps on one batch that stays in memory. Both take
turns, a block of steps each, so that a noisy machine is unfair to none; the time of processors,
which company disturbs less, is compared as well. The loop enters a block with a few batches that
wait for it, so that a tenth of what reading costs is not in its time.

The first step of an epoch is not counted: it fills the shuffle buffer, once for thousands of steps.
It is listed by itself, as are a checkpoint within an epoch and how fast a resumed run skips the
batches that it has seen. Memory is that of one process that first has the bare step alone.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from common import machine, peak_memory, print_table

MAX_LABEL = 23
SIZE = 160  # grid points of a patch, in both directions
FILLING = 0.5  # seconds until the input pipeline has filled its buffers and rests
BLOCK = 20  # steps; the loop looks at the loss once in as many


def main() -> None:
    """Makes records, runs both, prints a table, and JSON for the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=6, help="of 20 steps, for each contender")
    parser.add_argument("--blocks_per_epoch", type=int, default=2)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as folder:
        steps = 1 + BLOCK * options.blocks_per_epoch
        records = make_records(Path(folder), steps * options.batch_size)
        result = measure(records, Path(folder) / "run", steps, options)
    print(machine())
    rows = [[k, f"{value:.3g}"] for k, value in result.items() if not isinstance(value, list)]
    print_table(["", f"batch {options.batch_size}"], rows)
    for name in ("ratios", "processor ratios"):
        print(f"{name}, block by block:", " ".join(f"{ratio:.3f}" for ratio in result[name]))
    print(json.dumps(result))


def make_records(folder: Path, num_pairs: int) -> Path:
    """Writes at least so many pairs for training, cut from made-up fields."""
    from atmodist.fields.synthetic import generate_archive
    from atmodist.pairs.configuration import PairSamplerConfig
    from atmodist.pairs.sampling import write_pairs

    archive = folder / "archive.h5"
    generate_archive(archive, num_steps=200, num_rows=SIZE + 32, compression="none")
    config = PairSamplerConfig(
        archive=archive,
        output=folder / "records",
        patch_shape=(SIZE, SIZE),
        max_temporal_distance=MAX_LABEL,
        evaluation_fraction=0.25,
        patches_per_step=-(-num_pairs // 64),  # at least 64 steps are for training
    )
    write_pairs(config)
    return config.folder


def measure(records: Path, output: Path, steps: int, options: argparse.Namespace) -> dict[str, Any]:
    """Runs the loop, with the bare steps in its pauses."""
    from atmodist.pretext.configuration import TrainingConfig
    from atmodist.pretext.optimization import Optimization
    from atmodist.pretext.training import TrainingRun

    config = TrainingConfig(
        records=records,
        output=output,
        warmup_epochs=0,
        epochs=-(-options.blocks // options.blocks_per_epoch),
        steps_per_epoch=steps,
        batch_size=options.batch_size,
        evaluation_steps=1,
    )
    run = TrainingRun(config)
    bare = Optimization(run.task.network(), run.task, run.config)
    turns = Turns(run, bare, steps)
    bare_memory = peak_memory()
    run.loop.go_on()
    memory = peak_memory()
    loop, alone = (statistics.median(t for t, _ in blocks) for blocks in (turns.loop, turns.bare))
    pairs = list(zip(turns.loop, turns.bare, strict=True))
    ratios, processor = ([a[k] / b[k] for a, b in pairs] for k in (0, 1))
    run.loop.epoch_step = 1  # as within an epoch
    return {
        "loop, steps/s": BLOCK / loop,
        "bare step, steps/s": BLOCK / alone,
        "time of loop : bare, median of the ratios": statistics.median(ratios),
        "processor time of loop : bare, likewise": statistics.median(processor),
        "first step of an epoch, s longer": statistics.median(turns.first[1:]) - loop / BLOCK,
        "checkpoint within an epoch, s": seconds(run.loop.save_within),
        "skipping, pairs/s": skipping(run, steps),
        "peak memory of bare steps, GB": bare_memory / 1e9,
        "peak memory with the loop, its network and its input, GB": memory / 1e9,
        "ratios": ratios,
        "processor ratios": processor,
    }


class Turns:
    """Interrupts a loop after each block of steps for as many bare ones.

    Attributes:
        loop: Seconds, and seconds of processors, of each block of the loop.
        bare: The same of the block of bare steps that followed it.
        first: Seconds until the end of the first step of each epoch.
    """

    def __init__(self, run: Any, bare: Any, steps_per_epoch: int):
        self.loop: list[tuple[float, float]] = []
        self.bare: list[tuple[float, float]] = []
        self.first: list[float] = []
        self._trained, self._bare, self._steps_per_epoch = run.optimization, bare, steps_per_epoch
        self._batch = next(iter(run.source.training_batches(0)))
        self._bare_block(2)  # traced and warm
        self._step, self._reset = self._trained.step, self._trained.reset
        self._trained.step, self._trained.reset = self.step, self.reset
        self._done = 0

    def reset(self, *arguments: Any) -> None:
        """An epoch begins."""
        self._reset(*arguments)
        self._done, self._started = 0, now()

    def step(self, inputs: Any, targets: Any, **options: Any) -> None:
        """A step of the loop, and if a block of it has ended, bare steps."""
        self._step(inputs, targets, **options)
        self._done += 1
        if self._done % BLOCK != 1:
            return
        self._trained.losses()  # waits for the end of the step
        taken = since(self._started)
        if self._done == 1:
            self.first.append(taken[0])
        else:
            self.loop.append(taken)
            time.sleep(FILLING)
            started = now()
            self._bare_block(BLOCK)
            self.bare.append(since(started))
        self._started = now()

    def _bare_block(self, count: int) -> None:
        for number in range(count):
            self._bare.step(*self._batch, number=number, learning_rate=0.01)
        self._bare.losses()


def skipping(run: Any, steps: int) -> float:
    """Pairs per second that a resumed run leaves out."""
    skipped = run.source.training_batches(0).skip(steps - 1).take(1)
    return (steps - 1) * run.config.batch_size / seconds(lambda: list(skipped))


def now() -> tuple[float, float]:
    """Seconds, and seconds of processors."""
    return time.perf_counter(), time.process_time()


def since(started: tuple[float, float]) -> tuple[float, float]:
    """What has passed since `now`."""
    return now()[0] - started[0], now()[1] - started[1]


def seconds(function: Any) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
