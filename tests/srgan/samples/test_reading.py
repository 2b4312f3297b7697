import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.pairs.pair_records import PairRecords
from atmodist.records.frames import DamagedShardError, read_payloads
from srgan.samples.format import decode_patches
from srgan.samples.reading import open_patches
from srgan.samples.record_set import PatchRecords
from tests.srgan.samples.sources import GRID, NORMALIZATION, write_records
from tests.srgan.samples.test_format import patch, reference_payload


@pytest.fixture
def records(tmp_path):
    return write_records(tmp_path)


def decoded(records, split):
    return [decode_patches(p) for path in records.paths(split) for p in read_payloads(path)]


def test_a_folder_is_what_was_written(records, tmp_path):
    patches = open_patches(tmp_path)
    assert PatchRecords.load(records.folder) == records
    assert (patches.num_train, patches.num_evaluation) == (11, 4)
    assert (patches.lr_shape, patches.hr_shape) == ((2, 3), (8, 12))
    assert (patches.factor, patches.factors) == (4, (2, 2))
    assert (patches.alignment, patches.degradation) == ("centred", "physical")
    assert patches.channels == ("divergence", "vorticity")
    assert patches.static_names == ()
    assert patches.normalization.identity == NORMALIZATION.identity
    assert patches.grid.matches(GRID)
    assert_allclose(patches.spacing_degrees, (7.5, 7.5))


def test_a_batch_holds_the_records_with_the_weights_of_their_rows(records):
    expected = decoded(records, "evaluation")
    (batch,) = open_patches(records.folder).evaluation_batches(8)
    assert set(batch) == {"low", "high", "row_weights"}
    assert_array_equal(batch["low"], [record["data_LR"] for record in expected])
    assert_array_equal(batch["high"], [record["data_HR"] for record in expected])
    for weights, record in zip(batch["row_weights"], expected, strict=True):
        areas = GRID.band_areas[record["row"] : record["row"] + 8].reshape(2, 4)
        assert_allclose(weights, (areas / areas.mean(1, keepdims=True)).ravel(), rtol=1e-6)


def test_static_channels_are_cut_where_the_patch_lies_and_wrap(tmp_path):
    records = write_records(tmp_path, static=("latitude",))
    expected = decoded(records, "evaluation")
    patches = open_patches(records.folder)
    assert patches.static_names == ("latitude",)
    patches.static.values[..., 0] += np.arange(48)  # so that columns show
    (batch,) = patches.evaluation_batches(8)
    sine = np.sin(np.radians(GRID.latitude))
    for static, record in zip(batch["static"], expected, strict=True):
        rows, columns = record["row"] + np.arange(8), record["column"] + np.arange(12)
        field = sine[rows, None] + columns % 48
        assert_allclose(static[..., 0], field, rtol=1e-6, atol=1e-6)
    assert max(record["column"] for record in expected) + 12 > 48


def test_the_order_of_training_is_a_function_of_seed_and_epoch(records):
    patches = open_patches(records.folder)

    def order(seed, epoch):
        tf.random.set_seed(np.random.default_rng().integers(1000))  # has no part in it
        batches = patches.training_batches(seed, epoch, 4)
        return np.concatenate([batch["high"][:, 0, 0, 0] for batch in batches]).tolist()

    assert order(1, 2) == order(1, 2)
    assert len(order(1, 2)) == 8  # of 11, in batches of 4
    assert len({tuple(order(*which)) for which in ((1, 2), (1, 3), (2, 2))}) == 3
    everything = patches.training_batches(0, 0, 4, drop_remainder=False)
    found = np.concatenate([batch["high"][:, 0, 0, 0] for batch in everything])
    expected = [record["data_HR"][0, 0, 0] for record in decoded(records, "train")]
    assert sorted(found) == sorted(expected)


def test_shapes_of_training_batches_are_static(records):
    spec = open_patches(records.folder).training_batches(0, 0, 4).element_spec
    assert spec["low"].shape == (4, 2, 3, 2)
    assert spec["high"].shape == (4, 8, 12, 2)
    assert spec["row_weights"].shape == (4, 8)


def test_fewer_records_than_a_batch_are_refused(records):
    with pytest.raises(ValueError, match="has 11 records for training, fewer than one batch of 64"):
        open_patches(records.folder).training_batches(0, 0, 64)


@pytest.mark.parametrize("compression", ["", "ZLIB", "GZIP"])
def test_files_of_the_reference_are_read(tmp_path, compression):
    for split in ("train", "eval"):
        with tf.io.TFRecordWriter(str(tmp_path / f"sr_{split}_1.0.tfrecords"), compression) as out:
            for index in range(5):
                low, high, _ = patch()
                out.write(reference_payload(low + index, high + index, index))
    patches = open_patches(tmp_path)
    assert (patches.num_train, patches.num_evaluation) == (5, 5)
    assert (patches.lr_shape, patches.hr_shape, patches.factors) == ((3, 4), (6, 8), (2,))
    assert patches.degradation == "normalized"
    assert patches.normalization is patches.grid is patches.spacing_degrees is None
    (batch,) = patches.evaluation_batches(8)
    assert_array_equal(batch["high"], [high + index for index in range(5)])
    assert_array_equal(batch["row_weights"], np.ones((5, 6)))
    assert len(list(patches.training_batches(0, 0, 5))) == 1


def test_a_damaged_shard_is_named(records):
    path = records.paths("train")[1]
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    patches = open_patches(records.folder)
    with (
        pytest.raises(DamagedShardError, match=r"sr-train\.tfrecord-00001-of-00002: record 6 of 6"),
        patches.naming_damage(),
    ):
        list(patches.training_batches(0, 0, 4))


def test_a_shard_that_is_cut_off_is_noticed_at_once(records):
    path = records.paths("train")[0]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="but was written with"):
        open_patches(records.folder).training_batches(0, 0, 4)


def test_records_of_pairs_are_no_patches_and_the_other_way_round(records):
    with pytest.raises(ValueError, match=r"'super_resolution'; expected 'pairs', which rplearn-d"):
        PairRecords.load(records.folder)
    (records.folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no folder of records: .* with phire-data"):
        open_patches(records.folder / "empty")


def test_what_lies_beside_must_belong_to_the_records(records):
    (records.folder / "grid.npz").unlink()
    with pytest.raises(ValueError, match=r"grid.npz is missing"):
        open_patches(records.folder)
    dataclasses.replace(NORMALIZATION, alpha=0.3).save(records.folder / "normalization.json")
    with pytest.raises(ValueError, match=r"is not the one the records were made with"):
        open_patches(records.folder)
