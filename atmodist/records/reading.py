"""Reads records of any kind for training, through `tf.data`.

Records pass as bytes from disk through a shuffle buffer to a batch, which is parsed as a whole;
plain shards are read without a buffer, which would only be one more copy. The order is a function
of (seed, epoch) alone: shards are permuted and read in turns, and a buffer, seeded with both, does
the rest. TensorFlow's global seed has no part in it, so that a resumed run sees what it would have
seen.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from atmodist.records.record_set import RecordSet

SHUFFLE_BUFFER = 512  # records, 200 MB at 160 x 160 x 2; samplers have shuffled all of them before
PARALLEL_SHARDS = 4  # shards that are read in turns
PREFETCHED_BATCHES = 2

_TF_COMPRESSION = {"none": "", "gzip": "GZIP", "zlib": "ZLIB"}
TF_DTYPES = {"int64": tf.int64, "float32": tf.float32, "bytes": tf.string}


def read_batches(
    records: RecordSet,
    split: str,
    parse: Callable[[Any], Any],
    *,
    batch_size: int,
    shuffle: bool = True,
    seed: int = 0,
    epoch: int = 0,
    keep: Callable[[Any], Any] | None = None,
    drop_remainder: bool = False,
    shuffle_buffer: int = SHUFFLE_BUFFER,
) -> tf.data.Dataset:
    """Returns one pass over a split of records of any kind, in batches.

    Args:
        records: Its files are checked for their length before use.
        split: For instance "train".
        parse: Makes a batch of a vector of serialised records.
        batch_size: Records per batch.
        shuffle: False for the order of the files and of the records in them.
        seed: With `epoch`, decides the order.
        epoch: Number of the pass; each has its own order.
        keep: Tells of a serialised record whether it is wanted; None keeps all.
        drop_remainder: Whether to drop a last batch that is not full.
        shuffle_buffer: Records to draw from; the memory is this many times their size.
    """
    if batch_size < 1 or shuffle_buffer < 1:
        raise ValueError(
            "`batch_size` and `shuffle_buffer` must be positive; "
            f"got {batch_size} and {shuffle_buffer}."
        )
    records.require_complete(split)
    rng = np.random.default_rng([seed, epoch])
    dataset = _read_files(records, split, rng if shuffle else None)
    if keep is not None:
        dataset = dataset.filter(keep)
    if shuffle:
        dataset = _shuffle(dataset, shuffle_buffer, rng)
    dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
    dataset = dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.deterministic = True
    return dataset.with_options(options).prefetch(PREFETCHED_BATCHES)


@contextlib.contextmanager
def naming_damage(records: RecordSet, *splits: str) -> Iterator[None]:
    """Turns TensorFlow's errors about unreadable data into one that names shard and record.

    Wrap whatever consumes `read_batches`, for instance the whole of training. The
    splits are read again to find the damage, after an error only. Errors with another cause pass
    unchanged.
    """
    try:
        yield
    except (
        tf.errors.DataLossError,
        tf.errors.FailedPreconditionError,
        tf.errors.InvalidArgumentError,
        tf.errors.NotFoundError,
    ) as error:
        found = (damage for split in splits for damage in records.find_damage(split))
        damage = next(found, None)
        if damage is None:
            raise
        raise damage from error


def _read_files(records: RecordSet, split: str, rng: np.random.Generator | None) -> tf.data.Dataset:
    # Serialised records; in turns from several shards if there is a generator to permute these.
    paths = [str(path) for path in records.paths(split)]
    compression = _TF_COMPRESSION[records.compression]
    buffer_size = None if compression else 0

    def read(path: Any) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(path, compression, buffer_size=buffer_size)

    if rng is None:
        dataset = read(paths)
    else:
        shuffled = [paths[i] for i in rng.permutation(len(paths))]
        dataset = tf.data.Dataset.from_tensor_slices(shuffled).interleave(
            read,
            cycle_length=PARALLEL_SHARDS,
            num_parallel_calls=min(PARALLEL_SHARDS, len(paths)),
            deterministic=True,
        )
    count = records.num_records(split)
    if count is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    return dataset


def _shuffle(
    dataset: tf.data.Dataset, buffer_size: int, rng: np.random.Generator
) -> tf.data.Dataset:
    # Dataset.shuffle would mix TensorFlow's global seed into ours; the operation below it does not.
    seed, seed2 = (int(s) for s in rng.integers(1, 2**31, size=2))
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=buffer_size,
        seed=seed,
        seed2=seed2,
        output_types=[tf.string],
        output_shapes=[tf.TensorShape([])],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
