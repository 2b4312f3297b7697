import json

import h5py
import numpy as np
import pytest

from atmodist.fields.normalization import Normalization
from atmodist.files.outputs import read_json, write_manifest
from atmodist.inspection import inspect_path
from atmodist.pairs.configuration import PairSamplerConfig
from atmodist.pairs.sampling import write_pairs
from tests.ingestion import made_files
from tests.pairs.archives import hourly, write_archive
from tests.srgan.samples.sources import write_records as write_patches


@pytest.fixture
def archive(tmp_path):
    return write_archive(tmp_path / "archive.h5", seconds=hourly(12, 6))


@pytest.fixture
def records(archive, tmp_path):
    config = PairSamplerConfig(
        archive=str(archive),
        output=str(tmp_path / "records"),
        patch_shape=(4, 6),
        patches_per_step=10,
        max_temporal_distance=2,
        evaluation_fraction=0.0,
        shard_megabytes=0.03,
        compression="gzip",
        workers=1,
    )
    write_pairs(config)
    return config.folder


def flip_bit(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_an_archive(archive):
    lines = inspect_path(archive).splitlines()
    assert lines[0] == f"archive   {archive}"
    assert lines[1] == "channels  divergence (s-1), vorticity (s-1)"
    assert lines[2].startswith("grid      13 x 24 regular (90N..90S")
    assert lines[3].endswith(
        "18 steps, 1970-01-01T00:00:00 .. 1970-01-03T09:00:00 every 3 h, 1 hole"
    )
    assert "verified" not in "".join(lines)
    assert inspect_path(str(archive), verify=True).endswith("verified  every value is finite")


def test_missing_values_of_an_archive_are_found(archive):
    with h5py.File(archive, "r+") as file:
        file["data"][0, 3, 0, 0] = np.inf
    inspect_path(archive)
    with pytest.raises(ValueError, match="1 of 312 values of divergence at 1970-01-01T09:00:00"):
        inspect_path(archive, verify=True)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_records_by_their_folder_or_those_above(records, level):
    folder = [records, records.parent, records.parent.parent][level]
    text = inspect_path(folder, verify=True)
    assert f"records   {records}" in text
    assert "dataset   atmodist_pairs 1.0.0, compression gzip" in text
    assert "2 patches of 4 x 6 x 2 (divergence, vorticity), labels 1..2" in text
    identity = Normalization.load(records / "normalization.json").identity
    assert f"normal.   {identity}" in text
    assert "train     140 pairs in 3 shards" in text
    assert text.endswith("every record is intact")


def test_a_single_shard(records):
    text = inspect_path(records / "atmodist_pairs-train.tfrecord-00001-of-00003", verify=True)
    assert "2 patches of 4 x 6 x 2" in text
    assert "uncounted pairs in 1 shard, " in text


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_a_flipped_bit_is_found_and_its_shard_named(records, place):
    shard = records / "atmodist_pairs-train.tfrecord-00002-of-00003"
    flip_bit(shard, int(shard.stat().st_size * place))
    inspect_path(records)
    with pytest.raises(ValueError, match=r"00002-of-00003: record .* is damaged"):
        inspect_path(records, verify=True)


def test_a_missing_shard_is_found(records):
    (records / "atmodist_pairs-train.tfrecord-00000-of-00003").unlink()
    with pytest.raises(ValueError, match="00000-of-00003"):
        inspect_path(records, verify=True)


PATCHES = """\
dataset   sr 1.0.0, compression none
kind      super resolution
patches   8 x 12 x 2 (divergence, vorticity)
factors   2, 2
alignment centred
degradation physical
static    latitude
"""


def test_patches_at_two_resolutions(tmp_path):
    folder = write_patches(tmp_path, static=("latitude",)).folder
    for path in (folder, folder.parent, tmp_path):
        text = inspect_path(path, verify=True)
        assert f"records   {folder}\n{PATCHES}" in text
        assert "train     11 records in 2 shards, " in text
        assert text.endswith("every record is intact")
    shard = folder / "sr-train.tfrecord-00001-of-00002"
    text = inspect_path(shard)
    assert "patches   8 x 12 x 2 (divergence, vorticity)" in text
    assert "degradation" not in text  # a shard alone does not say it
    shard.rename(tmp_path / "sr_train_1.tfrecords")
    assert "kind      super resolution" in inspect_path(tmp_path / "sr_train_1.tfrecords")
    with pytest.raises(ValueError, match=r"00001-of-00002"):
        inspect_path(folder, verify=True)


def test_all_sets_below_a_folder_are_told(records, tmp_path):
    patches = write_patches(tmp_path / "records").folder
    text = inspect_path(tmp_path / "records")
    first, second = text.split("\n\n")
    assert first.startswith(f"records   {records}\n")
    assert second.startswith(f"records   {patches}\n")
    edited = {**read_json(patches / "records.json"), "kind": "soundings"}
    (patches / "records.json").write_text(json.dumps(edited))
    with pytest.raises(ValueError, match="records of the kind 'soundings', which is not known"):
        inspect_path(patches)


def test_a_normalisation(records):
    text = inspect_path(records / "normalization.json")
    assert text.startswith("normalization ")
    assert "archive.h5, 1970-01-01T00:00:00 .. 1970-01-03T09:00:00, 18 steps" in text


def test_a_manifest(records, tmp_path):
    text = inspect_path(records / "manifest.json")
    assert text.startswith("manifest of rplearn-data (python 3")
    assert "  max_temporal_distance: 2" in text
    write_manifest(tmp_path / "m.json", command="atmodist x", config={"a": 1})
    assert inspect_path(tmp_path / "m.json").endswith("\n  a: 1")


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("page.grib", "<html>", r"is an HTML page .* nor is it an archive"),
        ("empty.h5", "", "is empty, .* nor is it an archive"),
        ("a.json", "{", "is not valid JSON"),
        ("a.json", "[1]", "is JSON, but neither a normalisation nor a manifest"),
        ("a.json", '{"command": "x", "config": [1]}', "is JSON, but neither"),
        ("a.json", '{"command": "x", "config": {}, "versions": 3}', "is JSON, but neither"),
        ("a.json", '{"format": "atmodist-normalization"}', "version None"),
        ("a.tfrecords", "", "record 1 is damaged"),
        ("a.tfrecords", "junk " * 100, "is text .*, not TFRecords"),
    ],
)
def test_junk_is_said_to_be_junk(tmp_path, name, content, text):
    (tmp_path / name).write_text(content)
    for verify in (False, True):
        with pytest.raises(ValueError, match=text) as error:
            inspect_path(tmp_path / name, verify=verify)
        assert name in str(error.value)


def test_random_bytes_under_any_known_name_never_crash(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.h5", "a.json", "a.tfrecord-00000-of-00001", "a.bin"):
        for size in (1, 7, 12, 500):
            (tmp_path / name).write_bytes(rng.bytes(size))
            with pytest.raises(ValueError, match=name):
                inspect_path(tmp_path / name)


def test_a_cut_archive_is_not_taken_for_one(archive):
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(ValueError, match="is damaged or cut short"):
        inspect_path(archive)


def test_edited_records_are_refused(records):
    sidecar = records / "records.json"
    content = json.loads(sidecar.read_text())
    del content["splits"]
    sidecar.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="does not describe records"):
        inspect_path(records)


def test_nothing_and_an_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file or folder"):
        inspect_path(tmp_path / "none")
    with pytest.raises(ValueError, match="holds neither records nor networks"):
        inspect_path(tmp_path)


def test_a_network_and_its_normalisation(records, tmp_path):
    keras = pytest.importorskip("keras")
    saving = pytest.importorskip("atmodist.training.saving")
    inputs = keras.Input((4, 6, 2), name="patch")
    network = keras.Model(inputs, keras.layers.Conv2D(3, 3, name="stage1")(inputs), name="tiny")
    folder = tmp_path / "run"
    folder.mkdir()
    saving.save_network(network, folder / "encoder.keras")
    Normalization.load(records / "normalization.json").save(folder / "normalization.json")
    for path in (folder, folder / "encoder.keras"):
        text = inspect_path(path)
        assert f"network   {folder / 'encoder.keras'} (tiny)" in text
        assert "input     (None, 4, 6, 2)" in text
        assert "output    stage1 (None, 2, 4, 3)" in text
        assert "57 parameters" in text  # 3 * 3 * 2 * 3 + 3
        assert "18 steps" in text
    assert "verified" not in inspect_path(folder)
    assert "verified  nothing: networks carry no checksums" in inspect_path(folder, verify=True)
    (folder / "encoder.keras").write_text("junk")
    with pytest.raises(ValueError, match=r"encoder\.keras"):
        inspect_path(folder)


def test_a_run_that_is_not_finished_says_how_far_it_is(tmp_path):
    def leave(name, epoch):
        folder = tmp_path / "checkpoints" / name
        folder.mkdir(parents=True)
        state = {"epoch": epoch, "config": {"warmup_epochs": 4, "epochs": 5}}
        (folder / "state.json").write_text(json.dumps(state))

    leave("epoch-0001-step-00000003", 0)
    assert "not finished: 0 of 9 epochs and 3 steps so far" in inspect_path(tmp_path)
    leave("epoch-0001", 1)
    leave("epoch-0002", 2)
    assert "not finished: 2 of 9 epochs so far" in inspect_path(tmp_path)
    best = {"epoch": 1, "loss": 1.25, "accuracy": 0.5}
    (tmp_path / "best.json").write_text(json.dumps(best))
    assert "best      epoch 1, evaluation loss 1.250, accuracy 0.500" in inspect_path(tmp_path)
    (tmp_path / "best.json").write_text("[]")
    with pytest.raises(ValueError, match=r"best\.json names no epoch and loss"):
        inspect_path(tmp_path)


def test_a_run_of_a_task_without_labels_tells_its_own_scores(tmp_path):
    folder = tmp_path / "checkpoints" / "epoch-0002"
    folder.mkdir(parents=True)
    state = {"epoch": 2, "config": {"warmup_epochs": 0, "epochs": 3, "task": "inpainting"}}
    (folder / "state.json").write_text(json.dumps(state))
    scores = {"loss": 0.25, "rmse": 0.5, "baseline_rmse": 1.0, "explained": 0.75}
    best = {"epoch": 2, **scores, "checkpoint": "checkpoints/epoch-0002"}
    (tmp_path / "best.json").write_text(json.dumps(best))
    text = inspect_path(tmp_path)
    assert "task      inpainting\n" in text
    assert text.splitlines()[2] == (
        "best      epoch 2, evaluation loss 0.250, rmse 0.500, baseline rmse 1.000, explained 0.750"
    )


@pytest.mark.parametrize(
    ("phases", "command"),
    [({"warmup_epochs": 2}, "rplearn-train"), ({"pretraining_epochs": 2}, "phire-train")],
)
def test_a_run_that_is_not_finished_says_how_to_go_on(tmp_path, phases, command):
    folder = tmp_path / "checkpoints" / "epoch-0001"
    folder.mkdir(parents=True)
    state = {"epoch": 1, "config": {**phases, "epochs": 3}}
    (folder / "state.json").write_text(json.dumps(state))
    text = inspect_path(tmp_path)
    assert "1 of 5 epochs so far" in text
    assert text.endswith(f"next      run the same {command} again to go on")


def test_a_run_killed_before_its_first_checkpoint_is_known(tmp_path):
    (tmp_path / ".lock").write_text("process 1")
    assert inspect_path(tmp_path).startswith(f"run       {tmp_path}, without a checkpoint so far")


@pytest.mark.parametrize("kind", ["netcdf", "zarr", "grib"])
def test_winds_that_can_be_ingested(tmp_path, kind):
    if kind == "grib":
        pytest.importorskip("eccodes")
        path = made_files.write_grib(tmp_path / "a.grib", range(3))
    elif kind == "zarr":
        pytest.importorskip("zarr")
        path = made_files.write_zarr(tmp_path / "a.zarr", made_files.dataset(range(3)))
    else:
        path = made_files.write_netcdf(tmp_path / "a.nc", made_files.dataset(range(3)))
    lines = inspect_path(path).splitlines()
    assert lines[0] == f"data      {path}"
    assert any("(eastward_wind)" in line for line in lines)
    assert any(line.startswith("grid      ") and "regular" in line for line in lines)
    assert any(line.startswith("time      3 steps, ") for line in lines)
    assert lines[-1] == f"next      atmodist ingest {path}"


def test_a_file_without_winds_says_what_it_has(tmp_path):
    content = made_files.dataset(range(2), names=("t2m", "sst"))
    path = made_files.write_netcdf(tmp_path / "a.nc", content)
    text = inspect_path(path)
    assert "others    " in text
    assert "t2m" in text
    assert text.splitlines()[-1] == "nothing here that atmodist ingest takes"


def test_text_is_nothing_that_is_known(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"is text .* nor is it an archive"):
        inspect_path(tmp_path / "notes.txt")
