import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from atmodist.pairs.pair_format import encode_pair
from atmodist.pairs.pair_records import (
    BARE_SPLIT,
    SIDECAR,
    PairRecords,
    Shard,
    open_records,
    records_folder,
)
from atmodist.records.example import encode_example, frame
from atmodist.records.frames import DamagedShardError, compress_shard, shard_name

SHAPE = (6, 5, 2)
MAX_LABEL = 4


def patches(index):
    """The patches of pair number `index`: constant, so that a mix-up shows."""
    return np.full(SHAPE, index, np.float32), np.full(SHAPE, -index, np.float32)


def framed_pair(index, max_label=MAX_LABEL, shape=SHAPE):
    patch1, patch2 = np.full(shape, index, np.float32), np.full(shape, -index, np.float32)
    return b"".join(
        encode_pair(
            patch1,
            patch2,
            index=index,
            label=1 + index % max_label,
            max_label=max_label,
            latitudes=(60.0, 50.0 - index),
            longitudes=(350.0, 10.0),
            time=3600 * index,
            step=index,
        )
    )


def make_records(root, counts=None, compression="none", **changes):
    """Writes records numbered from 0 through all splits, `counts` per shard, and `records.json`."""
    counts = counts or {"train": (5, 8, 4), "eval": (3,)}
    folder = records_folder(root, "pairs")
    folder.mkdir(parents=True)
    index, splits = 0, {}
    for split, lengths in counts.items():
        shards = []
        for i, length in enumerate(lengths):
            path = folder / shard_name("pairs", split, i, len(lengths))
            path.write_bytes(b"".join(framed_pair(index + k) for k in range(length)))
            index += length
            compress_shard(path, compression)
            shards.append(Shard.measure(path, length))
        splits[split] = tuple(shards)
    records = PairRecords(
        folder=folder,
        dataset="pairs",
        splits=splits,
        patch_shape=SHAPE[:2],
        channels=("divergence", "vorticity"),
        max_label=MAX_LABEL,
        compression=compression,
        normalization="0123abcd",
        metadata={"seed": 3, "archive": {"grid": "regular"}},
    )
    records = replace(records, **changes)
    records.save()
    return records


@pytest.fixture
def records(tmp_path):
    return make_records(tmp_path)


def edit(records, **changes):
    path = records.folder / SIDECAR
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("compression", ["none", "gzip", "zlib"])
def test_what_is_saved_is_loaded(tmp_path, compression):
    records = make_records(tmp_path, compression=compression)
    assert PairRecords.load(records.folder) == records
    assert open_records(str(records.folder)) == records
    assert records.shape == SHAPE
    assert records.num_records("train") == 17
    assert [path.name for path in records.paths("eval")] == ["pairs-eval.tfrecord-00000-of-00001"]
    assert list(records.find_damage()) == []


def test_the_root_is_enough_where_it_holds_one_set(tmp_path, records):
    assert open_records(tmp_path) == records
    assert open_records(tmp_path / "pairs") == records
    other = tmp_path / "pairs" / "2.0.0"
    other.mkdir()
    (other / SIDECAR).write_text("{}")
    with pytest.raises(ValueError, match=r"holds several sets of records; name one of .*1\.0\.0"):
        open_records(tmp_path)


def test_plain_tensorflow_reads_the_shards(records):
    dataset = tf.data.TFRecordDataset([str(path) for path in records.paths("train")])
    examples = [tf.train.Example.FromString(payload.numpy()) for payload in dataset]
    assert [e.features.feature["index"].int64_list.value[0] for e in examples] == list(range(17))


def test_wrong_places_say_what_was_expected(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        open_records(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"neither records.json nor \*.tfrecords files"):
        open_records(tmp_path)
    with pytest.raises(ValueError, match="at least one TFRecord file"):
        open_records([])


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\x89HDF\r\n\x1a\n", r"is an HDF5 file, not TFRecords; .* first: rplearn-data .*/a.h5$"),
        (b"GRIB\x00\x00", r"is a GRIB file, not TFRecords, .*first \(atmodist ingest\)$"),
        (
            b"# Notes\n",
            r"is text \(it begins '# Notes'\), not TFRecords, which rplearn-data makes$",
        ),
    ],
)
def test_files_of_other_kinds_are_not_called_damaged_records(tmp_path, head, message):
    (tmp_path / "a.h5").write_bytes(head)
    with pytest.raises(ValueError, match=message):
        open_records(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "format_version is 2, this atmodist reads 1"),
        ({"compression": "lzma"}, "compression is 'lzma'"),
        ({"patch_shape": [6, -5]}, "patch_shape must be an integer >= 1; got -5"),
        ({"patch_shape": 6}, "patch_shape must be two integers; got 6"),
        ({"patch_shape": [6, 5, 2]}, r"patch_shape must be two integers; got \[6, 5, 2\]"),
        ({"metadata": [1]}, r"metadata must be a dictionary; got \[1\]"),
        ({"max_label": True}, "max_label must be an integer"),
        ({"speed": 1}, "missing or unknown: speed"),
        ({"splits": {"train": [{"name": "x"}]}}, "num_bytes"),
        ({"splits": [1]}, "'list' object has no attribute"),
    ],
)
def test_a_sidecar_that_was_edited_is_refused(records, changes, message):
    edit(records, **changes)
    with pytest.raises(ValueError, match=rf"records.json does not describe records .*{message}"):
        PairRecords.load(records.folder)


@pytest.mark.parametrize("name", ["format_version", "compression", "splits", "patch_shape"])
def test_an_absent_entry_is_named(records, name):
    path = records.folder / SIDECAR
    content = json.loads(path.read_text())
    del content[name]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=name):
        PairRecords.load(records.folder)


def test_a_sidecar_that_is_cut_is_refused(records):
    os.truncate(records.folder / SIDECAR, 100)
    with pytest.raises(ValueError, match=r"records\.json is not valid JSON"):
        PairRecords.load(records.folder)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../1.0.0/pairs-train.tfrecord-00000-of-00001", "..", "", 5, "a\0b"],
)
def test_names_that_lead_out_of_the_folder_are_refused(records, name):
    edit(records, splits={"train": [{"name": name, "num_records": 1, "num_bytes": 1}]})
    with pytest.raises(ValueError, match="is not the name of a shard"):
        PairRecords.load(records.folder)


def test_an_unknown_split_is_answered_with_the_known_ones(records):
    with pytest.raises(ValueError, match=r"no split 'test'; it has eval, train"):
        records.paths("test")


def test_missing_and_shortened_shards_are_noticed_without_reading_them(records):
    first, second, _ = records.paths("train")
    os.truncate(second, second.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"00001-of-00003 has [\d,]+ bytes, but was written with"):
        records.require_complete("train")
    first.unlink()
    with pytest.raises(ValueError, match="00000-of-00003 is missing, although"):
        records.require_complete("train")
    records.require_complete("eval")
    assert len(list(records.find_damage())) == 2


def test_a_shard_with_fewer_records_than_listed_is_damage(records):
    path = records.paths("train")[1]
    path.write_bytes(b"".join(framed_pair(5 + k) for k in range(7)))
    (damage,) = records.find_damage("train")
    assert isinstance(damage, DamagedShardError)
    assert f"{path}: record 8 of 8 is damaged (the shard ends before it)" in str(damage)


def test_another_file_in_place_of_a_shard_is_damage(records):
    path = records.paths("eval")[0]
    path.write_bytes(b"".join(framed_pair(30 + k) for k in range(3)))
    (damage,) = records.find_damage()
    assert "not the file that was written (its digest differs" in str(damage)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (5, 6, 2)}, r"record 2 of 3 .*its shape is \(5, 6, 2\), that of the set"),
        ({"max_label": 9}, r"record 2 of 3 .*its label is 5, not in 1 to 4"),
    ],
)
def test_pairs_of_another_kind_are_damage(records, changes, message):
    path = records.paths("eval")[0]
    path.write_bytes(framed_pair(4) + framed_pair(4, **changes) + framed_pair(4))
    (damage,) = records.find_damage()
    with pytest.raises(DamagedShardError, match=message):
        raise damage


def write_as_reference(path, indices, max_label=MAX_LABEL, shape=SHAPE, compression="ZLIB"):
    """What the reference implementation writes: no `time`, no `step`, no sidecar."""
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for index in indices:
            payload = framed_pair(index, max_label, shape)[12:-4]
            example = tf.train.Example.FromString(payload)
            for name in ("time", "step"):
                del example.features.feature[name]
            writer.write(example.SerializeToString())


def test_files_of_the_reference_implementation_are_described_by_themselves(tmp_path):
    for i in range(2):
        write_as_reference(tmp_path / f"rplearn_train.{i}.tfrecords", range(3 * i, 3 * i + 3))
    records = open_records(tmp_path)
    assert records.compression == "zlib"
    assert records.shape == SHAPE
    assert records.max_label == MAX_LABEL
    assert records.normalization is None
    assert "time" not in records.features
    assert records.num_records("train") is None
    assert len(records.paths("train")) == 2
    assert all(path.is_file() for path in records.paths("train"))
    assert list(records.find_damage()) == []


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("rplearn_train_1979_1998.0.tfrecords", "train"),
        ("rplearn_train.tfrecords", "train"),
        ("rplearn_eval_2000_2005.3.tfrecords", "evaluation"),
        ("rplearn_evaluations.0.tfrecords", BARE_SPLIT),
        ("era5_train.0.tfrecords", BARE_SPLIT),
    ],
)
def test_names_of_the_reference_implementation_tell_the_split(tmp_path, name, split):
    write_as_reference(tmp_path / name, [1])
    records = open_records(tmp_path)
    assert list(records.splits) == [split]
    with pytest.raises(ValueError, match=r"rplearn_train\*\.tfrecords \(train\)"):
        records.paths("test")


def test_a_sidecar_that_is_no_dictionary_is_refused(records):
    (records.folder / SIDECAR).write_text('"records"')
    with pytest.raises(ValueError, match=r"records\.json .*expected a dictionary; got str"):
        PairRecords.load(records.folder)


def test_a_file_and_a_list_of_files_are_accepted(tmp_path, records, monkeypatch):
    (records.folder / SIDECAR).unlink()
    one = open_records(records.paths("eval")[0])
    assert list(one.splits) == ["eval"]  # its name says so
    assert "time" in one.features
    (tmp_path / "elsewhere").mkdir()
    write_as_reference(tmp_path / "elsewhere" / "b.tfrecords", [1], compression="")
    monkeypatch.chdir(tmp_path)
    paths = [*records.paths("train"), Path("elsewhere/b.tfrecords")]
    several = open_records(paths)
    assert {split: len(shards) for split, shards in several.splits.items()} == {
        "train": 3,
        BARE_SPLIT: 1,
    }
    assert several.paths(BARE_SPLIT) == [tmp_path / "elsewhere" / "b.tfrecords"]
    assert list(several.find_damage()) == []


def test_features_that_only_some_files_have_are_not_promised(tmp_path):
    write_as_reference(tmp_path / "a.tfrecords", [1], compression="")
    (tmp_path / "b.tfrecords").write_bytes(framed_pair(2))
    assert "time" not in open_records(tmp_path).features


@pytest.mark.parametrize("changes", [{"max_label": 9}, {"shape": (5, 6, 2)}, {"compression": ""}])
def test_files_that_do_not_belong_together_are_refused(tmp_path, changes):
    write_as_reference(tmp_path / "a.tfrecords", [1])
    write_as_reference(tmp_path / "b.tfrecords", [1], **changes)
    with pytest.raises(ValueError, match=r"all files must agree .* a\.tfrecords: .* b\.tfrecords"):
        open_records(tmp_path)


def test_files_that_hold_no_pairs_are_refused(tmp_path):
    (tmp_path / "a.tfrecords").write_bytes(b"".join(frame(encode_example({"data_LR": b"abc"}))))
    with pytest.raises(DamagedShardError, match=r"a\.tfrecords: record 1 .*not a pair of patches"):
        open_records(tmp_path)
    (tmp_path / "a.tfrecords").write_bytes(b"")
    with pytest.raises(DamagedShardError, match="the file is empty"):
        open_records(tmp_path)
