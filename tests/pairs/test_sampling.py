import dataclasses
import os
import tracemalloc

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import kstest

from atmodist.fields.archive import Archive
from atmodist.fields.channels import Channel
from atmodist.fields.grid import Grid, make_grid
from atmodist.fields.normalization import Normalization
from atmodist.files.outputs import read_json
from atmodist.pairs.configuration import PairSamplerConfig
from atmodist.pairs.pair_records import PairRecords
from atmodist.pairs.sampling import write_pairs
from atmodist.records import making
from atmodist.records.configuration import suitable_patches_per_step
from tests.pairs.archives import STEP, hourly, read_pairs, shard_digests, write_archive

LAG = 4
LENGTHS = (30, 7, 3, 28)  # of the runs without a hole; the third is too short for any pair


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("a") / "archive.h5", seconds=hourly(*LENGTHS))


@pytest.fixture(scope="module")
def configure(archive):
    def make(output, **changes):
        settings = {
            "archive": str(archive),
            "patch_shape": (5, 8),
            "patches_per_step": 7,
            "max_temporal_distance": LAG,
            "evaluation_fraction": 0.3,
            "shard_megabytes": 0.04,
            "workers": 1,
            "seed": 11,
        }
        return PairSamplerConfig(output=str(output), **{**settings, **changes})

    return make


@pytest.fixture(scope="module")
def plain(configure, tmp_path_factory):
    """Records made in one go by one worker."""
    config = configure(tmp_path_factory.mktemp("plain"))
    write_pairs(config)
    return config


@pytest.fixture
def quick(monkeypatch):
    """Leaves out the metadata of TensorFlow Datasets: they take TensorFlow, and some time."""
    monkeypatch.setattr(making, "write_tfds_metadata", lambda records: None)


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


def kill_after(monkeypatch, name, calls):
    """Lets a function of the module work `calls` times, then ends the run."""
    real, count = getattr(making, name), 0

    def counted(*arguments, **keywords):
        nonlocal count
        if count == calls:
            raise Killed
        count += 1
        return real(*arguments, **keywords)

    monkeypatch.setattr(making, name, counted)


def kill_after_steps(monkeypatch, steps):
    def stream(recipe, work, workers, on_written):
        def counted(step):
            on_written(step)
            written.append(step)
            if len(written) == steps:
                raise Killed

        written = []
        real(recipe, work, workers, counted)

    real = making.stream_records
    monkeypatch.setattr(making, "stream_records", stream)


def partial(config):
    return config.folder.with_name(f".{config.folder.name}.partial")


def test_a_record_is_the_normalised_patch_of_the_archive_and_says_whence(plain):
    normalization = Normalization.load(plain.folder / "normalization.json")
    wrapped = 0
    with Archive(plain.archive) as archive:
        fields = np.stack([archive.read(step) for step in range(archive.shape[1])])
        grid, seconds = archive.grid, archive.time.seconds
    for split in ("train", "evaluation"):
        for pair in read_pairs(plain.folder, split):
            step, label = pair["step"], pair["label"]
            assert pair["time"] == seconds[step]
            assert seconds[step + label] - seconds[step] == label * STEP  # no hole between
            row = int(np.argmin(np.abs(grid.latitude - pair["lat_start"])))
            column = int(np.argmin(np.abs(grid.longitude - pair["long_start"])))
            rows, columns = row + np.arange(5), column + np.arange(8)
            for name, time in (("patch1", step), ("patch2", step + label)):
                cut = np.take(fields[time][:, rows], columns, axis=-1, mode="wrap")
                assert_array_equal(pair[name], normalization(np.moveaxis(cut, 0, -1)))
            assert pair["lat_start"] == np.float32(grid.latitude[row])
            assert pair["lat_end"] == np.float32(grid.latitude[row + 4])
            assert pair["long_end"] == pair["long_start"] + 7 * 15.0  # unwrapped, exact in float32
            assert (pair["H"], pair["W"], pair["C"], pair["T_max"]) == (5, 8, 2, LAG)
            wrapped += column + 8 > 24
    assert wrapped > 20  # the date line was not avoided


def test_all_steps_that_can_have_pairs_have_them(plain):
    bases = {
        split: sorted({pair["step"] for pair in read_pairs(plain.folder, split)})
        for split in ("train", "evaluation")
    }
    # Times run to 73 steps; 0.7 of that is step 51, in the last run, which begins at 46 (row 40).
    assert bases["train"] == [*range(26), *range(30, 33), 40, 41]
    assert bases["evaluation"] == list(range(49, 64))
    for split, steps in bases.items():
        assert PairRecords.load(plain.folder).num_records(split) == 7 * len(steps)
        indices = [pair["index"] for pair in read_pairs(plain.folder, split)]
        assert sorted(indices) == list(range(7 * len(steps)))


def test_the_split_and_its_gap_are_written_down(plain):
    manifest = read_json(plain.folder / "manifest.json")
    records = read_json(plain.folder / "records.json")
    splits = manifest["splits"]
    assert splits == records["metadata"]["periods"]
    with Archive(plain.archive) as archive:
        seconds = archive.time.seconds
        for split in splits.values():
            assert split["start"] == archive.time.isoformat(split["first_step"])
            assert split["end"] == archive.time.isoformat(split["last_step"])
    gap = seconds[splits["evaluation"]["first_step"]] - seconds[splits["train"]["last_step"]]
    assert gap >= LAG * STEP
    for pair in read_pairs(plain.folder, "train"):
        assert pair["step"] + pair["label"] <= splits["train"]["last_step"]
    for pair in read_pairs(plain.folder, "evaluation"):
        assert pair["step"] >= splits["evaluation"]["first_step"]
    assert manifest["seed"] == 11
    assert manifest["config"]["max_temporal_distance"] == LAG


def test_each_shard_is_a_mixture_of_all_times(plain):
    pairs = read_pairs(plain.folder, "train")
    steps = np.array([pair["step"] for pair in pairs])
    shards = np.array([pair["shard"] for pair in pairs])
    assert shards.max() == 4
    position = np.arange(len(pairs))
    assert abs(np.corrcoef(position, steps)[0, 1]) < 4 / np.sqrt(len(pairs))
    for shard in range(shards.max() + 1):
        # Ranks of a shard's steps among all; ties make the test milder, not wrong.
        ranks = (np.searchsorted(np.sort(steps), steps[shards == shard]) + 0.5) / len(steps)
        assert kstest(ranks, "uniform").pvalue > 1e-4


def test_the_number_of_patches_suits_the_archive_unless_it_is_given(archive, tmp_path):
    config = PairSamplerConfig(
        archive=str(archive),
        output=str(tmp_path),
        patch_shape=(4, 6),
        max_temporal_distance=2,
        evaluation_fraction=0.0,
        workers=1,
    )
    text = write_pairs(config)
    with Archive(archive) as opened:
        steps = opened.shape[1]
        count = suitable_patches_per_step(steps, opened.grid.shape, (4, 6))
    assert f"{count} from each step, to suit the {steps} that there are" in text
    manifest = read_json(config.folder / "manifest.json")
    assert manifest["config"]["patches_per_step"] == count
    given = dataclasses.replace(config, patches_per_step=count)
    assert "exist already" in write_pairs(given)  # the same records
    assert "to suit" not in write_pairs(given)


def test_nothing_is_left_of_the_making(plain):
    names = {path.name for path in plain.folder.iterdir()}
    shards = {name for name in names if ".tfrecord-" in name}
    assert names - shards == {
        *("records.json", "manifest.json", "normalization.json"),
        *("features.json", "dataset_info.json", "metadata.json"),
    }
    assert {path.name for path in plain.folder.parent.iterdir()} == {"1.0.0"}


def test_statistics_are_of_the_training_steps_alone(plain):
    source = Normalization.load(plain.folder / "normalization.json").source
    period = read_json(plain.folder / "manifest.json")["splits"]["train"]
    assert (source["start"], source["end"]) == (period["start"], period["end"])
    assert source["num_steps"] == period["last_step"] + 1


def test_records_are_intact_and_described(plain):
    records = PairRecords.load(plain.folder)
    assert not list(records.find_damage())
    assert records.shape == (5, 8, 2)
    assert records.max_label == LAG
    assert records.channels == ("divergence", "vorticity")
    assert records.metadata["step_seconds"] == STEP
    normalization = Normalization.load(plain.folder / "normalization.json")
    assert records.normalization == normalization.identity


def test_tensorflow_datasets_reads_the_result(plain):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(plain.folder)
    for split in ("train", "evaluation"):
        expected = {pair["index"]: pair for pair in read_pairs(plain.folder, split)}
        dataset = builder.as_dataset(split=split)
        pairs = {int(pair["index"]): pair for pair in dataset.as_numpy_iterator()}
        assert builder.info.splits[split].num_examples == len(expected)
        assert pairs.keys() == expected.keys()
        for index, pair in pairs.items():
            assert_array_equal(pair["patch2"], expected[index]["patch2"])
            assert pair["label"] == expected[index]["label"]


@pytest.mark.parametrize("workers", [2, 3])
def test_bytes_do_not_depend_on_the_number_of_workers_or_the_folder(
    plain, configure, tmp_path, quick, workers
):
    config = configure(tmp_path, workers=workers)
    write_pairs(config)
    assert shard_digests(config.folder) == shard_digests(plain.folder)


def test_another_seed_makes_other_bytes(plain, configure, tmp_path, quick):
    config = configure(tmp_path, seed=12)
    write_pairs(config)
    ours, theirs = shard_digests(plain.folder), shard_digests(config.folder)
    assert not set(ours.values()) & set(theirs.values())


@pytest.mark.parametrize("steps", [1, 13, 30, 46])  # of 46
def test_a_killed_run_goes_on_to_the_same_bytes(
    plain, configure, tmp_path, quick, monkeypatch, steps
):
    config = configure(tmp_path)
    with monkeypatch.context() as context:
        kill_after_steps(context, steps)
        with pytest.raises(Killed):
            write_pairs(config)
    assert not config.folder.exists()
    with (partial(config) / "journal").open("ab") as journal:
        journal.write(b"\1\2\3")  # killed within an entry
    written = []
    real = making.stream_records

    def stream(recipe, work, workers, on_written):
        written.extend(unit.step for unit in work)
        real(recipe, work, workers, on_written)

    monkeypatch.setattr(making, "stream_records", stream)
    write_pairs(config)
    assert len(written) == 46 - steps
    assert shard_digests(config.folder) == shard_digests(plain.folder)
    assert {path.name for path in config.folder.parent.iterdir()} == {"1.0.0"}


def test_a_run_killed_within_an_entry_of_its_journal_can_be_killed_again(
    plain, configure, tmp_path, quick, monkeypatch
):
    config = configure(tmp_path)
    for _ in range(2):
        with monkeypatch.context() as context:
            kill_after_steps(context, 10)
            with pytest.raises(Killed):
                write_pairs(config)
        with (partial(config) / "journal").open("ab") as journal:
            journal.write(b"\1\2\3")
    assert len(making.read_journal(partial(config) / "journal")) == 20
    assert set(making.read_journal(partial(config) / "journal")) <= set(range(64))
    write_pairs(config)
    assert shard_digests(config.folder) == shard_digests(plain.folder)


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("compress_shard", 0),
        ("compress_shard", 4),
        ("write_tfds_metadata", 0),
        ("write_manifest", 0),
        ("replace", 0),
    ],
)
def test_a_run_killed_at_its_end_does_only_the_end_again(
    configure, tmp_path, quick, monkeypatch, name, calls
):
    once, killed = (
        configure(tmp_path / folder, compression="gzip") for folder in ("once", "killed")
    )
    write_pairs(once)
    with monkeypatch.context() as context:
        kill_after(context, name, calls)
        with pytest.raises(Killed):
            write_pairs(killed)
    stray = [
        partial(killed) / name for name in (".x.tfrecord.1234.tmp", "features.json.incomplete")
    ]
    for path in stray:
        path.write_text("half")
    if name != "replace":  # then all traces of the making are gone, and it is made anew
        monkeypatch.setattr(making, "stream_records", lambda recipe, work, *_: work and 1 / 0)
    write_pairs(killed)
    assert shard_digests(killed.folder) == shard_digests(once.folder)
    assert {p.name for p in killed.folder.iterdir()} == {p.name for p in once.folder.iterdir()}
    assert not list(PairRecords.load(killed.folder).find_damage())


@pytest.mark.parametrize("change", [{"seed": 3}, {"patches_per_step": 6}, {"gap": 6}])
def test_a_partial_folder_of_other_settings_is_discarded(
    configure, tmp_path, quick, monkeypatch, change
):
    killed, fresh = configure(tmp_path / "a"), configure(tmp_path / "b", **change)
    with monkeypatch.context() as context:
        kill_after_steps(context, 20)
        with pytest.raises(Killed):
            write_pairs(killed)
    changed = dataclasses.replace(killed, **change)
    write_pairs(changed)
    write_pairs(fresh)
    assert shard_digests(changed.folder) == shard_digests(fresh.folder)


def test_a_partial_folder_of_an_archive_changed_since_is_discarded(
    archive, configure, tmp_path, quick, monkeypatch
):
    copy = tmp_path / "archive.h5"
    copy.write_bytes(archive.read_bytes())
    killed, fresh = (configure(tmp_path / n, archive=str(copy)) for n in "ab")
    with monkeypatch.context() as context:
        kill_after_steps(context, 20)
        with pytest.raises(Killed):
            write_pairs(killed)
    with h5py.File(copy, "r+") as file:
        file["data"][:, 5] *= 0.5  # a step at which no fingerprint looks
    os.utime(copy, (1, 1))
    write_pairs(killed)
    write_pairs(fresh)
    assert shard_digests(killed.folder) == shard_digests(fresh.folder)


def test_a_finished_folder_is_kept(plain, configure, archive, tmp_path):
    before = shard_digests(plain.folder)
    moved = tmp_path / "elsewhere.h5"
    moved.write_bytes(archive.read_bytes())
    for same in (plain, dataclasses.replace(plain, workers=2, archive=str(moved))):
        assert write_pairs(same).startswith("These records exist already.")
    with pytest.raises(ValueError, match="made from another archive or with other settings"):
        write_pairs(dataclasses.replace(plain, seed=1))
    assert shard_digests(plain.folder) == before


def test_a_folder_of_something_else_is_kept(configure, tmp_path):
    config = configure(tmp_path)
    config.folder.mkdir(parents=True)
    (config.folder / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="exists and is no folder of records"):
        write_pairs(config)
    assert (config.folder / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("compression", ["gzip", "zlib"])
def test_compressed_records_hold_the_same_pairs(
    plain, configure, tmp_path, quick, monkeypatch, compression
):
    from atmodist.pairs import reading

    first, second = (configure(tmp_path / n, compression=compression) for n in "ab")
    write_pairs(first)
    monkeypatch.setattr(making.os, "sched_getaffinity", lambda _: {0, 1})
    write_pairs(dataclasses.replace(second, workers=0))
    assert shard_digests(first.folder) == shard_digests(second.folder)
    expected = read_pairs(plain.folder, "train")
    records = PairRecords.load(first.folder)
    assert records.compression == compression
    dataset = reading.read_pairs(records, "train", batch_size=len(expected), shuffle=False)
    patches, label = next(iter(dataset))
    assert_array_equal(patches[:, 0], [pair["patch1"] for pair in expected])
    assert_array_equal(label + 1, [pair["label"] for pair in expected])


def test_a_normalisation_that_is_given_is_used_and_kept(plain, configure, tmp_path, quick):
    given = Normalization(
        channels=("divergence", "vorticity"),
        mean=[0, 1e-6],
        std=[2e-5, 1e-5],
        log_mean=[0, 0.1],
        log_std=[0.5, 0.4],
    )
    given.save(tmp_path / "mine.json")
    config = configure(tmp_path / "a", normalization=str(tmp_path / "mine.json"))
    write_pairs(config)
    kept = Normalization.load(config.folder / "normalization.json")
    assert kept.identity == PairRecords.load(config.folder).normalization == given.identity
    ours, theirs = (read_pairs(c.folder, "train")[0] for c in (config, plain))
    inverse = Normalization.load(plain.folder / "normalization.json").inverse
    # Rounding of float32, twice.
    np.testing.assert_allclose(
        given.inverse(ours["patch1"]), inverse(theirs["patch1"]), rtol=2e-5, atol=1e-10
    )


def test_without_evaluation_there_is_one_split(configure, tmp_path, quick):
    config = configure(tmp_path, evaluation_fraction=0.0)
    write_pairs(config)
    assert list(PairRecords.load(config.folder).splits) == ["train"]


def test_regional_archives_and_any_channels(tmp_path, configure, quick):
    grid = Grid(np.linspace(60, 40, 9), np.linspace(-20, 10, 13))
    channels = [Channel("temperature", "K")]
    path = write_archive(tmp_path / "a.h5", seconds=hourly(30), grid=grid, channels=channels)
    config = configure(tmp_path, archive=str(path), latitude_range=(45.0, 60.0))
    write_pairs(config)
    pairs = read_pairs(config.folder, "train")
    assert {pair["lat_end"] for pair in pairs} == {47.5, 50.0, 45.0}
    assert max(pair["long_end"] for pair in pairs) == 10.0
    assert pairs[0]["patch1"].shape == (5, 8, 1)


def test_a_bare_file_of_the_reference_will_do(tmp_path, configure, quick):
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["data"] = np.random.default_rng(0).normal(size=(2, 30, 8, 16)).astype(np.float32)
    config = configure(tmp_path, archive=str(tmp_path / "bare.h5"))
    write_pairs(config)
    assert PairRecords.load(config.folder).metadata["calendar"] == "none"


def test_channels_of_one_name_are_refused(tmp_path, configure):
    path = write_archive(
        tmp_path / "a.h5", seconds=hourly(3), channels=[Channel("u"), Channel("u")]
    )
    with pytest.raises(ValueError, match=r"channels must have different names; got \['u', 'u'\]"):
        write_pairs(configure(tmp_path, archive=str(path)))


def test_memory_does_not_grow_with_the_archive(tmp_path, configure, quick):
    grid = make_grid("regular", 65)
    normalization = tmp_path / "n.json"
    peaks = {}
    for num_steps in (30, 240):
        path = write_archive(tmp_path / f"{num_steps}.h5", seconds=hourly(num_steps), grid=grid)
        if not normalization.exists():
            with Archive(path) as opened:
                making.compute_statistics(opened).normalization.save(normalization)
        config = configure(
            tmp_path / str(num_steps), archive=str(path), normalization=str(normalization)
        )
        tracemalloc.start()
        write_pairs(config)
        peaks[num_steps] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    field = 4 * 2 * 65 * 128
    # What grows is the plan, some bytes for each pair, not the 67 kB of each field. Apart from the
    # ring there is a block of 1 MiB for the fingerprint of the file (which has 16 MB).
    assert peaks[240] - peaks[30] < 210 * 7 * 400
    assert peaks[240] < (LAG + 5) * field + 2**20
