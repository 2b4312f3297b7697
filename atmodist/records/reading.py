"""Reads records for training, through `tf.data`: of any kind, and pairs in particular.

Records pass as bytes from disk through a shuffle buffer to a batch, which is parsed as a whole;
plain shards are read without a buffer, which would only be one more copy. The order is a function
of (seed, epoch) alone: shards are permuted and read in turns, and a buffer, seeded with both, does
the rest. TensorFlow's global seed has no part in it, so that a resumed run sees what it would have
seen.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from atmodist.pairs.pair_format import PAIR_FEATURES
from atmodist.pairs.pair_records import RecordSet
from atmodist.records.record_set import ShardedRecords

SHUFFLE_BUFFER = 512  # records, 200 MB at 160 x 160 x 2; samplers have shuffled all of them before
PARALLEL_SHARDS = 4  # shards that are read in turns
PREFETCHED_BATCHES = 2

_TF_COMPRESSION = {"none": "", "gzip": "GZIP", "zlib": "ZLIB"}
_TF_DTYPES = {"int64": tf.int64, "float32": tf.float32, "bytes": tf.string}


def read_pairs(
    records: RecordSet,
    split: str,
    *,
    batch_size: int,
    shuffle: bool = True,
    seed: int = 0,
    epoch: int = 0,
    max_label: int | None = None,
    drop_remainder: bool = False,
    extras: Sequence[str] = (),
    shuffle_buffer: int = SHUFFLE_BUFFER,
) -> tf.data.Dataset:
    """Returns one pass over a split, as batches (patches, label) for training.

    Both patches of a pair come in one array, for networks that pass them through a shared encoder
    at once: patches is (batch, 2, latitude, longitude, channel) float32, normalised as in the
    records; label is (batch,) int32 and counts from 0, so that class k is a temporal distance of
    k + 1 archive time steps.

    Args:
        records: From `open_records`; its files are checked for their length before use.
        split: For instance "train".
        batch_size: Pairs per batch.
        shuffle: False for the order of the files and of the records in them.
        seed: With `epoch`, decides the order.
        epoch: Number of the pass; each has its own order.
        max_label: Leaves out pairs with larger labels; None keeps all.
        drop_remainder: Whether to drop a last batch that is not full.
        extras: Names of scalar features to return as well, such as "lat_start" or "time". Batches
            are then (patches, label, extras), the last a dictionary of (batch,) arrays.
        shuffle_buffer: Records to draw from; the memory is this many times their size.
    """
    _check_extras(records, extras)
    return read_batches(
        records,
        split,
        _parser(records, extras),
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        epoch=epoch,
        keep=None if max_label is None else _label_filter(records, max_label),
        drop_remainder=drop_remainder,
        shuffle_buffer=shuffle_buffer,
    )


def read_batches(
    records: ShardedRecords,
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
def naming_damage(records: ShardedRecords, *splits: str) -> Iterator[None]:
    """Turns TensorFlow's errors about unreadable data into one that names shard and record.

    Wrap whatever consumes `read_batches` or `read_pairs`, for instance the whole of training. The
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


def _read_files(
    records: ShardedRecords, split: str, rng: np.random.Generator | None
) -> tf.data.Dataset:
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


def _label_filter(records: RecordSet, max_label: int) -> Callable[[Any], Any] | None:
    if not 1 <= max_label <= records.max_label:
        raise ValueError(
            f"`max_label` must be 1 to {records.max_label}, the largest label in "
            f"{records.folder}; got {max_label}."
        )
    if max_label == records.max_label:
        return None
    spec = {"label": tf.io.FixedLenFeature([], tf.int64)}

    def is_kept(serialized: Any) -> Any:
        label = tf.io.parse_single_example(serialized, spec)["label"]
        return (label <= max_label) | (label > records.max_label)  # the parser refuses the latter

    return is_kept


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


def _parser(records: RecordSet, extras: Sequence[str]) -> Callable[[Any], tuple]:
    names = {"patch1", "patch2", "label", "H", "W", "C", *extras}
    spec = {name: tf.io.FixedLenFeature([], _TF_DTYPES[PAIR_FEATURES[name]]) for name in names}
    shape = (-1, 2, *records.shape)

    def parse(serialized: Any) -> tuple:
        features = tf.io.parse_example(serialized, spec)
        patches = tf.stack([features["patch1"], features["patch2"]], axis=1)
        patches = tf.reshape(tf.io.decode_raw(patches, tf.float32, little_endian=True), shape)
        patches = tf.ensure_shape(patches, (serialized.shape[0], *shape[1:]))
        own_shapes = tf.stack([features[name] for name in "HWC"], axis=1)
        label = features["label"]
        complaints = [
            tf.debugging.Assert(
                tf.reduce_all(own_shapes == tf.constant(records.shape, tf.int64)),
                [f"shape not {records.shape}; it is", own_shapes],
            ),
            tf.debugging.Assert(
                tf.reduce_all((label >= 1) & (label <= records.max_label)),
                [f"label not in 1 to {records.max_label}; it is", label],
            ),
        ]
        with tf.control_dependencies(complaints):
            label = tf.cast(label - 1, tf.int32)
            patches = tf.identity(patches)
        if extras:
            return patches, label, {name: features[name] for name in extras}
        return patches, label

    return parse


def _check_extras(records: RecordSet, extras: Sequence[str]) -> None:
    if isinstance(extras, str):
        raise TypeError(f"`extras` must be a sequence of names; got the string {extras!r}.")
    scalars = [n for n in records.features if PAIR_FEATURES.get(n, "bytes") != "bytes"]
    wrong = [name for name in extras if name not in scalars]
    if wrong:
        raise ValueError(
            f"`extras` names {wrong}, but the scalars in {records.folder} are {scalars}."
        )
