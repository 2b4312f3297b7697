"""Pairs per second that `tf.data` delivers from records, beside what training consumes.

Records of 160 x 160 x 2 are drawn from a generated archive. One pass over them is timed as training
reads them (shuffled, batched, nothing done with them), turn by turn with training steps of the
reference network on a batch in memory; medians are reported.

    python tools/benchmarks/delivery.py [--folder DIR] [--batch_size 32] [--repeats 5]
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from common import machine, print_table
from sampling import make_archive

from atmodist.pairs.configuration import PairSamplerConfig
from atmodist.pairs.pair_records import PairRecords, open_records
from atmodist.pairs.sampling import write_pairs

SHAPE = (160, 160, 2)
NUM_CLASSES = 31


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to work (needs 2 GB)")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=96, help="time steps of the archive")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(machine())
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        archive = make_archive(Path(folder), 640, options.steps, "none")
        config = PairSamplerConfig(
            archive=str(archive),
            output=folder,
            max_temporal_distance=NUM_CLASSES,
            evaluation_fraction=0.0,
            workers=1,
        )
        write_pairs(config)
        rows = measure(config.folder, options.batch_size, options.repeats)
    print_table(["", "pairs/s", "against training"], rows)


def measure(folder: Path, batch_size: int, repeats: int) -> list[list[str]]:
    """Times passes and training steps in turns."""
    from atmodist.pairs.reading import read_pairs

    records = open_records(folder)
    step = training_step(batch_size)
    step()
    rates: dict[str, list[float]] = {}
    for epoch in range(repeats):
        ours = read_pairs(records, "train", batch_size=batch_size, epoch=epoch, drop_remainder=True)
        rates.setdefault("delivery, shuffled", []).append(rate(lambda x=ours: count(x)))
        plain = read_pairs(records, "train", batch_size=batch_size, shuffle=False)
        rates.setdefault("delivery in order", []).append(rate(lambda x=plain: count(x)))
        batched = batch_parsing(records, batch_size)
        rates.setdefault("in order, whole batches parsed", []).append(
            rate(lambda x=batched: count(x))
        )
        rates.setdefault(f"training step, batch {batch_size}", []).append(
            rate(lambda: step() or batch_size)
        )
    medians = {name: statistics.median(values) for name, values in rates.items()}
    training = medians[f"training step, batch {batch_size}"]
    return [[name, f"{value:.0f}", f"{value / training:.0f}"] for name, value in medians.items()]


def rate(function: Callable[[], int]) -> float:
    """Pairs per second of a function that returns how many pairs it saw."""
    start = time.perf_counter()
    return function() / (time.perf_counter() - start)


def count(batches: Iterable) -> int:
    """Goes through batches."""
    return sum(len(labels) for _, labels in batches)


def batch_parsing(records: PairRecords, batch_size: int):
    """The alternative: records are batched as bytes, and a batch is parsed at once."""
    import tensorflow as tf

    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in ("patch1", "patch2")}
    spec["label"] = tf.io.FixedLenFeature([], tf.int64)

    def parse(serialized):
        features = tf.io.parse_example(serialized, spec)
        patches = tf.stack([features["patch1"], features["patch2"]], axis=1)
        shape = (-1, 2, *records.shape)
        return tf.reshape(tf.io.decode_raw(patches, tf.float32), shape), features["label"] - 1

    files = [str(path) for path in records.paths("train")]
    dataset = tf.data.TFRecordDataset(files, buffer_size=0).batch(batch_size)
    return dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def training_step(batch_size: int):
    """A step of the reference network on a batch that stays in memory."""
    import tensorflow as tf

    from atmodist.pretext.configuration import TrainingConfig
    from atmodist.pretext.optimization import Optimization
    from atmodist.pretext.tasks.temporal_distance import TemporalDistance

    config = TrainingConfig(records=Path("unused"), architecture="resnet-small").resolved()
    task = TemporalDistance(config, SHAPE, NUM_CLASSES)
    trained = Optimization(task.network(), task, config)
    pairs = tf.random.normal((batch_size, 2, *SHAPE))
    labels = tf.random.uniform((batch_size,), 0, NUM_CLASSES, tf.int32)

    def step() -> None:
        trained.step(pairs, labels, number=0, learning_rate=0.01)
        trained.losses()  # waits for the end of the step

    return step


if __name__ == "__main__":
    main()
