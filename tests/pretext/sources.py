"""Made-up pairs in memory, for tests of training."""

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from atmodist.fields.normalization import Normalization
from atmodist.pairs.pair_format import encode_pair
from atmodist.pairs.pair_format import frame as framed
from atmodist.pairs.pair_records import PairRecords, Shard, records_folder
from atmodist.pretext.architecture import HeadSpec, ResidualSpec, Stage
from atmodist.pretext.architectures import resnet_tiny
from atmodist.pretext.augmentation import mirror_north_south, random_symmetries
from atmodist.pretext.pair_source import numbered_map
from atmodist.records.frames import shard_name

# Two convolutions each: for tests of how a run goes, not of what it learns.
MICRO = dataclasses.replace(
    resnet_tiny.ARCHITECTURE,
    spec=ResidualSpec(
        stem_filters=4,
        stem_kernel=3,
        stem_stride=4,
        stages=(Stage(filters=4, blocks=1),),
        momentum=0.9,
    ),
    head=HeadSpec(stages=(Stage(filters=8, blocks=0),), pool=True),
)

CHANNELS = ("divergence", "vorticity")


def normalization(mean=(0.0, 0.0), std=(1e-5, 2e-5)):
    return Normalization(
        channels=CHANNELS, mean=mean, std=std, log_mean=(0.01, 0.02), log_std=(0.16, 0.15)
    )


def decorrelating_pairs(count, num_classes=4, size=32, seed=0):
    """Pairs of coarse random fields whose correlation falls from 1 towards 0 with the label."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, count).astype(np.int32)
    correlation = (1.0 - labels / num_classes)[:, None, None, None]
    first, other = (
        rng.standard_normal((2, count, size // 4, size // 4, 2)).repeat(4, axis=2).repeat(4, axis=3)
    )
    second = correlation * first + np.sqrt(1 - correlation**2) * other
    return np.stack([first, second], axis=1).astype(np.float32), labels


class ArraySource:
    """Pairs from arrays; the order is a function of (seed, epoch), as for records."""

    def __init__(self, train, evaluation, *, batch_size, seed=0, num_classes=4, mirror=False):
        self.train, self.evaluation = train, evaluation
        self.batch_size, self.seed, self.mirror = batch_size, seed, mirror
        self.input_shape = train[0].shape[2:]
        self.num_classes = num_classes
        self.normalization = normalization()
        self.num_train, self.num_evaluation = len(train[1]), len(evaluation[1])
        self.files: tuple[Path, ...] = ()

    def training_batches(self, epoch):
        order = np.random.default_rng([self.seed, epoch]).permutation(self.num_train)
        pairs, labels = self.train
        batches = tf.data.Dataset.from_tensor_slices((pairs[order], labels[order]))
        batches = batches.batch(self.batch_size, drop_remainder=True)
        if self.mirror:
            augment = random_symmetries([self._mirrored], seed=self.seed, epoch=epoch)
            return numbered_map(batches, augment)
        return batches

    def _mirrored(self, pairs):
        return mirror_north_south(pairs, CHANNELS, self.normalization)

    def evaluation_batches(self):
        return tf.data.Dataset.from_tensor_slices(self.evaluation).batch(self.batch_size)

    def guard(self):
        return contextlib.nullcontext()


def array_source(num_train=256, num_evaluation=64, batch_size=32, **options):
    return ArraySource(
        decorrelating_pairs(num_train, seed=1),
        decorrelating_pairs(num_evaluation, seed=2),
        batch_size=batch_size,
        **options,
    )


def framed_pairs(count, seed=0, wrong_label=None):
    """Decorrelating pairs as framed records; `wrong_label` goes into the seventh of them."""
    for index, (pair, label) in enumerate(zip(*decorrelating_pairs(count, seed=seed), strict=True)):
        replaced = wrong_label is not None and index == 6
        buffers = encode_pair(
            np.ascontiguousarray(pair[0]),
            np.ascontiguousarray(pair[1]),
            index=index,
            label=int(label) + 1,
            max_label=4,
            latitudes=(40.0, 9.0),
            longitudes=(0.0, 31.0),
            time=index * 3600,
            step=index,
        )
        frame = b"".join(map(bytes, buffers))
        yield relabelled(frame, wrong_label) if replaced else frame


def relabelled(frame, label):
    """A framed pair with another label, which `encode_pair` would refuse."""
    example = tf.train.Example.FromString(frame[12:-4])
    example.features.feature["label"].int64_list.value[:] = [label]
    return b"".join(map(bytes, framed([example.SerializeToString()])))


def write_records(folder, num_train=48, num_evaluation=16, *, seed=0, wrong_label=None, **changes):
    """Writes records of decorrelating pairs with their normalisation; returns their folder."""
    folder = records_folder(folder, "pairs")
    folder.mkdir(parents=True)
    scheme = normalization()
    scheme.save(folder / "normalization.json")
    splits = {}
    for split, count in (("train", num_train), ("evaluation", num_evaluation)):
        path = folder / shard_name("pairs", split, 0, 1)
        path.write_bytes(b"".join(framed_pairs(count, seed, wrong_label)))
        splits[split] = (Shard.measure(path, count),)
    records = PairRecords(
        folder=folder,
        dataset="pairs",
        splits=splits,
        patch_shape=(32, 32),
        channels=CHANNELS,
        max_label=4,
        normalization=scheme.identity,
    )
    dataclasses.replace(records, **changes).save()
    return folder


def write_as_reference(path, count, row=50, column=0):
    """Writes a file as the reference implementation does: ZLIB, no `time`, no `step`.

    Places are colatitudes, and ends one past the last; patches of 32 x 32 of 180 x 360 points.
    """
    place = {"lat_start": row, "lat_end": row + 32, "long_start": column, "long_end": column + 32}
    with tf.io.TFRecordWriter(str(path), "ZLIB") as writer:
        for frame in framed_pairs(count):
            example = tf.train.Example.FromString(frame[12:-4])
            for name in ("time", "step"):
                del example.features.feature[name]
            for name, value in place.items():
                example.features.feature[name].float_list.value[:] = [float(value)]
            writer.write(example.SerializeToString())
