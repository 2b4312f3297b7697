"""Reads pairs of patches for training; in which order, `atmodist.records.reading` decides."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from atmodist.pairs.pair_format import PAIR_FEATURES
from atmodist.pairs.pair_records import PairRecords
from atmodist.pairs.places import PLACE, places
from atmodist.records.reading import SHUFFLE_BUFFER, TF_DTYPES, read_batches


def read_pairs(
    records: PairRecords,
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
            are then (patches, label, extras), the last a dictionary of (batch,) arrays. Places are
            degrees north and east, in records of the reference implementation too.
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


def _label_filter(records: PairRecords, max_label: int) -> Callable[[Any], Any] | None:
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


def _parser(records: PairRecords, extras: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    converts = records.is_of_reference and not set(PLACE).isdisjoint(extras)
    names = {"patch1", "patch2", "label", "H", "W", "C", *extras, *(PLACE if converts else ())}
    spec = {name: tf.io.FixedLenFeature([], TF_DTYPES[PAIR_FEATURES[name]]) for name in names}
    shape = (-1, 2, *records.shape)

    def parse(serialized: Any) -> tuple[Any, ...]:
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
        if converts:
            features |= places(features, records.patch_shape)
        if extras:
            return patches, label, {name: features[name] for name in extras}
        return patches, label

    return parse


def _check_extras(records: PairRecords, extras: Sequence[str]) -> None:
    if isinstance(extras, str):
        raise TypeError(f"`extras` must be a sequence of names; got the string {extras!r}.")
    scalars = [n for n in records.features if PAIR_FEATURES.get(n, "bytes") != "bytes"]
    wrong = [name for name in extras if name not in scalars]
    if wrong:
        raise ValueError(
            f"`extras` names {wrong}, but the scalars in {records.folder} are {scalars}."
        )
