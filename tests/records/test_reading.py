import os
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal

from atmodist.pairs.pair_records import BARE_SPLIT, open_records
from atmodist.pairs.reading import read_pairs
from atmodist.records.example import FRAME_OVERHEAD
from atmodist.records.frames import DamagedShardError
from atmodist.records.reading import naming_damage
from tests.pairs.test_pair_records import (
    MAX_LABEL,
    SHAPE,
    framed_pair,
    make_records,
    patches,
    write_as_reference,
)
from tests.pretext.sources import relabelled


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return make_records(tmp_path_factory.mktemp("records"), {"train": (20, 15, 25), "eval": (7,)})


def indices(dataset):
    """Numbers of the pairs in the order in which they come; patch1 holds them."""
    return [int(i) for batch in dataset for i in batch[0][:, 0, 0, 0, 0]]


def read_indices(records, split="train", **options):
    return indices(read_pairs(records, split, **{"batch_size": 8} | options))


@pytest.mark.parametrize("compression", ["none", "gzip", "zlib"])
def test_pairs_come_as_written_with_labels_from_zero(tmp_path, compression):
    records = make_records(tmp_path, compression=compression)
    seen = []
    for x, label in read_pairs(records, "train", batch_size=4, epoch=3):
        assert x.shape[1:] == (2, *SHAPE)
        assert (x.dtype, label.dtype) == (tf.float32, tf.int32)
        for pair, temporal_distance in zip(x.numpy(), label.numpy(), strict=True):
            index = int(pair[0, 0, 0, 0])
            assert_array_equal(pair, np.stack(patches(index)))
            assert temporal_distance == index % MAX_LABEL
            seen.append(index)
    assert sorted(seen) == list(range(17))


def test_patches_keep_the_order_of_their_axes(tmp_path):
    records = make_records(tmp_path, {"train": (1,)})
    path = records.paths("train")[0]
    patch = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    content = path.read_bytes().replace(patches(0)[0].tobytes(), patch.tobytes(), 1)
    path.write_bytes(content)
    with tf.io.TFRecordWriter(str(path)) as writer:  # a checksum for what was changed
        writer.write(content[12:-4])
    ((x, _),) = read_pairs(records, "train", batch_size=1)
    assert_array_equal(x[0, 0], patch)


def test_the_order_is_a_function_of_seed_and_epoch_alone(records):
    order = read_indices(records, seed=1, epoch=2)
    assert sorted(order) == list(range(60))
    tf.random.set_seed(99)
    np.random.seed(99)  # noqa: NPY002 - the point is that it makes no difference
    assert read_indices(records, seed=1, epoch=2) == order
    assert read_indices(records, seed=1, epoch=2, batch_size=3) == order
    assert read_indices(records, seed=1, epoch=3) != order
    assert read_indices(records, seed=2, epoch=2) != order
    assert read_indices(records, seed=2, epoch=1) != order


def test_one_dataset_read_twice_gives_one_order(records):
    dataset = read_pairs(records, "train", batch_size=8, seed=5)
    assert indices(dataset) == indices(dataset)


def test_a_small_buffer_still_mixes_shards_and_reorders_them(records):
    starts = {read_indices(records, shuffle_buffer=1, epoch=epoch)[0] for epoch in range(20)}
    assert starts == {0, 20, 35}  # the first record of each shard, so shards are permuted
    first = read_indices(records, shuffle_buffer=1)[:9]
    shard_of = np.searchsorted([20, 35], first, side="right")
    assert sorted(shard_of) == [0, 0, 0, 1, 1, 1, 2, 2, 2]  # and read in turns


def test_shuffled_places_do_not_depend_on_where_a_record_lies(records):
    # A rank correlation of 60 places has sd 0.13, its mean over 12 epochs 0.038; we allow 4 sd.
    orders = [read_indices(records, epoch=epoch) for epoch in range(12)]
    correlations = [np.corrcoef(order, np.arange(60))[0, 1] for order in orders]
    assert abs(np.mean(correlations)) < 0.15


def test_without_shuffling_the_order_is_that_of_the_files(records):
    assert read_indices(records, shuffle=False) == list(range(60))
    assert read_indices(records, shuffle=False, seed=4, epoch=7) == list(range(60))


def test_larger_labels_are_left_out(records):
    kept = [i for i in range(60) if 1 + i % MAX_LABEL <= 2]
    assert read_indices(records, shuffle=False, max_label=2) == kept
    assert sorted(read_indices(records, max_label=2)) == kept
    assert sorted(read_indices(records, max_label=MAX_LABEL)) == list(range(60))


def test_batches_and_their_number(records):
    dataset = read_pairs(records, "train", batch_size=16)
    assert [len(x) for x, _ in dataset] == [16, 16, 16, 12]
    assert len(dataset) == 4  # known in advance, for progress bars
    dataset = read_pairs(records, "train", batch_size=16, drop_remainder=True)
    assert [len(x) for x, _ in dataset] == [16, 16, 16]
    assert dataset.element_spec[0].shape == (16, 2, *SHAPE)  # static, for compilers


def test_extras_belong_to_their_pairs(records):
    dataset = read_pairs(records, "train", batch_size=8, extras=("time", "lat_end"))
    for x, _, extras in dataset:
        assert set(extras) == {"time", "lat_end"}
        assert_array_equal(extras["time"], 3600 * x[:, 0, 0, 0, 0].numpy().astype(int))
        assert_array_equal(extras["lat_end"], 50 - x[:, 0, 0, 0, 0])


@pytest.mark.parametrize("compression", ["", "ZLIB"])
def test_files_of_the_reference_implementation_are_read(tmp_path, compression):
    for i in range(2):
        path = tmp_path / f"rplearn_train.{i}.tfrecords"
        write_as_reference(path, range(5 * i, 5 * i + 5), compression=compression)
    records = open_records(tmp_path)
    assert sorted(read_indices(records, "train")) == list(range(10))
    with pytest.raises(ValueError, match=r"`extras` names \['time'\], but the scalars in"):
        read_pairs(records, "train", batch_size=2, extras=("time",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "must be positive; got 0 and 512"),
        ({"shuffle_buffer": 0}, "must be positive"),
        ({"max_label": 0}, r"`max_label` must be 1 to 4, the largest label in .*; got 0"),
        ({"max_label": 5}, "got 5"),
        ({"extras": ("patch1",)}, r"`extras` names \['patch1'\]"),
    ],
)
def test_wrong_arguments_are_refused(records, options, message):
    with pytest.raises(ValueError, match=message):
        read_pairs(records, "train", **{"batch_size": 4} | options)


def test_a_single_name_for_extras_is_refused(records):
    with pytest.raises(TypeError, match="sequence of names; got the string 'time'"):
        read_pairs(records, "train", batch_size=4, extras="time")


def test_a_shard_that_was_cut_is_noticed_before_training(tmp_path):
    records = make_records(tmp_path)
    path = records.paths("train")[0]
    os.truncate(path, path.stat().st_size - 3)
    with pytest.raises(ValueError, match=r"00000-of-00003 has [\d,]+ bytes, but was written with"):
        read_pairs(records, "train", batch_size=4)


def flip_in(path, record, offset=200):
    content = bytearray(path.read_bytes())
    start = 0
    for _ in range(record - 1):
        start += int.from_bytes(content[start : start + 8], "little") + FRAME_OVERHEAD
    content[start + offset] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("offset", [3, 200])  # in the length and in the payload
def test_damage_met_in_training_is_named(tmp_path, offset):
    records = make_records(tmp_path, {"train": (10, 10)})
    path = records.paths("train")[1]
    flip_in(path, record=7, offset=offset)
    with (
        pytest.raises(DamagedShardError, match=r"record 7 of 10 is damaged \(") as raised,
        naming_damage(records, "train"),
    ):
        read_indices(records)
    assert raised.value.path == path


@pytest.mark.parametrize("compression", ["gzip", "zlib"])
def test_damage_in_compressed_shards_is_named(tmp_path, compression):
    records = make_records(tmp_path, {"train": (10, 10)}, compression)
    path = records.paths("train")[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with (
        pytest.raises(DamagedShardError, match=r"00001-of-00002: record \d+ of 10 is damaged"),
        naming_damage(records, "train"),
    ):
        read_indices(records)


def test_damage_in_a_bare_file_that_was_cut_is_named(tmp_path):
    (tmp_path / "a.tfrecords").write_bytes(b"".join(map(framed_pair, range(5))))
    os.truncate(tmp_path / "a.tfrecords", 4 * len(framed_pair(0)) + 30)
    records = open_records(tmp_path)
    with (
        pytest.raises(DamagedShardError, match=r"a\.tfrecords: record 5 is damaged"),
        naming_damage(records, BARE_SPLIT),
    ):
        read_indices(records, BARE_SPLIT)


@pytest.mark.parametrize("shape", [(5, 6, 2), (6, 6, 2)])  # one has the right number of bytes
def test_a_pair_of_another_shape_is_named(tmp_path, shape):
    (tmp_path / "a.tfrecords").write_bytes(framed_pair(0) + framed_pair(1, shape=shape))
    records = open_records(tmp_path)
    with (
        pytest.raises(DamagedShardError, match=r"record 2 is damaged \(its shape is \("),
        naming_damage(records, BARE_SPLIT),
    ):
        read_indices(records, BARE_SPLIT)


def test_damage_is_searched_in_every_split_that_is_named(tmp_path):
    records = make_records(tmp_path)
    flip_in(records.paths("eval")[0], record=2)
    with (
        pytest.raises(DamagedShardError, match=r"pairs-eval.*record 2 of 3 is damaged"),
        naming_damage(records, "train", "eval"),
    ):
        read_indices(records, "eval")


@pytest.mark.parametrize("max_label", [None, 2])
@pytest.mark.parametrize("label", [0, MAX_LABEL + 1, 2**32])
def test_labels_that_cannot_be_are_refused_and_named(tmp_path, label, max_label):
    (tmp_path / "a.tfrecords").write_bytes(framed_pair(0) + relabelled(framed_pair(1), label))
    records = open_records(tmp_path)
    with (
        pytest.raises(DamagedShardError, match=f"record 2 .*its label is {label}, not in 1 to 4"),
        naming_damage(records, BARE_SPLIT),
    ):
        read_indices(records, BARE_SPLIT, max_label=max_label)


def test_a_shard_with_fewer_records_than_listed_is_named(tmp_path):
    records = make_records(tmp_path, {"train": (3,)})
    (shard,) = records.splits["train"]
    records = replace(records, splits={"train": (replace(shard, num_records=4, digest=None),)})
    with (
        pytest.raises(DamagedShardError, match=r"record 4 of 4 .*the shard ends before"),
        naming_damage(records, "train"),
    ):
        read_indices(records)


def test_other_errors_pass_unchanged(records):
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="mine"),
        naming_damage(records, "eval"),
    ):
        raise tf.errors.InvalidArgumentError(None, None, "mine")
