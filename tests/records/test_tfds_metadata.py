import json

import pytest
from numpy.testing import assert_array_equal

from atmodist.pairs.pair_records import SIDECAR
from atmodist.records.tfds_metadata import write_tfds_metadata
from tests.pairs.test_pair_records import make_records, patches


@pytest.fixture
def records(tmp_path):
    return make_records(tmp_path)


def test_tensorflow_datasets_reads_plain_records_by_name_and_by_folder(tmp_path, records):
    import tensorflow_datasets as tfds

    write_tfds_metadata(records, configuration={"patches": 20})
    dataset, info = tfds.load("pairs", data_dir=tmp_path, with_info=True, shuffle_files=False)
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        "train": 17,
        "eval": 3,
    }
    assert info.metadata["configuration"] == {"patches": 20}
    assert info.metadata["seed"] == 3
    assert info.metadata["normalization"] == "0123abcd"
    for pair in dataset["eval"].as_numpy_iterator():
        patch1, patch2 = patches(pair["index"])
        assert_array_equal(pair["patch1"], patch1)
        assert_array_equal(pair["patch2"], patch2)
        assert pair["time"] == 3600 * pair["index"]
        assert pair["lat_end"] == 50.0 - pair["index"]

    builder = tfds.builder_from_directory(records.folder)
    indices = [int(p["index"]) for p in builder.as_dataset(split="train[5:9]")]
    assert indices == [5, 6, 7, 8]


def test_metadata_does_not_depend_on_the_folder_it_is_written_in(tmp_path):
    # A sampler writes beside its target and renames.
    import tensorflow_datasets as tfds

    records = make_records(tmp_path / "unfinished")
    write_tfds_metadata(records)
    (tmp_path / "unfinished").rename(tmp_path / "finished")
    builder = tfds.builder_from_directory(tmp_path / "finished" / "pairs" / "1.0.0")
    assert len(list(builder.as_dataset(split="eval"))) == 3


@pytest.mark.parametrize("compression", ["gzip", "zlib"])
def test_compressed_records_have_a_note_and_no_metadata_that_would_mislead(tmp_path, compression):
    records = make_records(tmp_path, compression=compression)
    write_tfds_metadata(records)
    assert not (records.folder / "features.json").exists()
    note = json.loads((records.folder / SIDECAR).read_text())["note"]
    assert "TensorFlow Datasets cannot read compressed shards" in note


def test_metadata_that_json_cannot_hold_is_refused(records):
    with pytest.raises(TypeError, match="cannot write a object as JSON"):
        write_tfds_metadata(records, thing=object())
