import dataclasses
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
from atmodist.fields.grid import Grid, make_grid
from atmodist.fields.normalization import Normalization
from atmodist.files.outputs import read_json
from atmodist.records import making
from atmodist.records.frames import read_payloads
from srgan.restoration.degradation import coarse_grid, coarsen
from srgan.samples.configuration import PatchSamplerConfig
from srgan.samples.format import decode_patches
from srgan.samples.reading import open_patches
from srgan.samples.record_set import PatchRecords
from srgan.samples.sampling import sample_patches
from tests.pairs.archives import STEP, hourly, shard_digests, write_archive

GRID = make_grid("regular", 25)  # both poles, and 25 rows are no multiple of 4
NUM_STEPS = 30
GAP = 3


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a")
    return write_archive(folder / "archive.h5", seconds=hourly(NUM_STEPS), grid=GRID)


@pytest.fixture(scope="module")
def configure(archive):
    def make(output, **changes):
        settings = {
            "archive": str(archive),
            "patch_shape": (8, 12),
            "patches_per_step": 5,
            "evaluation_fraction": 0.3,
            "gap": GAP,
            "shard_megabytes": 0.03,
            "workers": 1,
            "seed": 3,
        }
        return PatchSamplerConfig(output=str(output), **{**settings, **changes})

    return make


@pytest.fixture
def quick(monkeypatch):
    """Leaves out the metadata of TensorFlow Datasets: they take TensorFlow, and some time."""
    monkeypatch.setattr(making, "write_tfds_metadata", lambda records: None)


@pytest.fixture(scope="module")
def plain(configure, tmp_path_factory):
    """Records made in one go by one worker, whole fields too."""
    config = configure(tmp_path_factory.mktemp("plain"), whole_fields=True)
    sample_patches(config)
    return config


def fields_folder(config):
    return config.folder.parent.with_name(f"{config.dataset}_fields") / config.version


def read(folder, split):
    records = PatchRecords.load(folder)
    return [
        decode_patches(payload)
        for path in records.paths(split)
        for payload in read_payloads(path, compression=records.compression)
    ]


def read_fields(path):
    with Archive(path) as archive:
        return np.stack([archive.read(step) for step in range(archive.shape[1])])


def test_a_record_is_the_patch_of_the_archive_and_its_mean_over_area(plain):
    normalization = Normalization.load(plain.folder / "normalization.json")
    fields, wrapped = read_fields(plain.archive), 0
    for split in ("train", "evaluation"):
        for record in read(plain.folder, split):
            row, column = record["row"], record["column"]
            rows, columns = row + np.arange(8), column + np.arange(12)
            cut = np.take(fields[record["step"]][:, rows], columns, axis=-1, mode="wrap")
            assert_array_equal(record["data_HR"], normalization(np.moveaxis(cut, 0, -1)))
            low = coarsen(cut, 4, GRID.band_areas[rows])
            assert_array_equal(record["data_LR"], normalization(np.moveaxis(low, 0, -1)))
            assert record["time"] == record["step"] * STEP
            assert record["lat_start"] == np.float32(GRID.latitude[row])
            assert record["lat_end"] == np.float32(GRID.latitude[row + 7])
            assert record["long_start"] == np.float32(GRID.longitude[column])
            assert_allclose(record["long_end"] - record["long_start"], 11 * 7.5, rtol=1e-6)
            wrapped += column + 12 > 48
    assert wrapped > 10  # the date line was not avoided


def test_whole_fields_have_all_rows_and_columns_and_keep_the_mean(plain):
    patches = open_patches(fields_folder(plain))
    assert patches.splits == ("evaluation",)
    assert (patches.hr_shape, patches.lr_shape) == ((25, 48), (7, 12))
    fields, inverse = read_fields(plain.archive), patches.normalization.inverse
    records = read(fields_folder(plain), "evaluation")
    assert [r["step"] for r in records] == list(range(21 + GAP - 1, NUM_STEPS))
    areas = GRID.band_areas
    low_areas = np.array([areas[i : i + 4].sum() for i in range(0, 25, 4)])
    for record in records:
        field = np.moveaxis(fields[record["step"]], 0, -1)
        assert_array_equal(record["data_HR"], patches.normalization(field))
        low = inverse(record["data_LR"].astype(np.float64))
        # float32 rounding of normalised values of order one, in units of their spread 1e-5
        assert_allclose(low_areas @ low.mean(1), areas @ field.mean(1), atol=1e-11)
    (batch,) = patches.evaluation_batches(16)
    assert_allclose(batch["row_weights"][0, -1], 1)  # the last block is one row, the pole
    other = Normalization.load(plain.folder / "normalization.json")
    assert other.identity == patches.normalization.identity


def test_training_and_evaluation_are_apart(plain):
    steps = {s: {r["step"] for r in read(plain.folder, s)} for s in ("train", "evaluation")}
    assert steps["train"] == set(range(21))
    assert steps["evaluation"] == set(range(20 + GAP, NUM_STEPS))
    manifest = read_json(plain.folder / "manifest.json")
    assert manifest["command"] == "phire-data"
    assert manifest["splits"]["train"]["last_step"] == 20
    assert Normalization.load(plain.folder / "normalization.json").source["num_steps"] == 21


def test_the_gap_is_three_days_unless_given(configure, tmp_path, quick):
    path = write_archive(tmp_path / "a.h5", seconds=hourly(80), grid=GRID)
    config = configure(tmp_path, archive=str(path), gap=None)
    sample_patches(config)
    periods = PatchRecords.load(config.folder).metadata["periods"]
    steps = periods["evaluation"]["first_step"] - periods["train"]["last_step"]
    assert steps * STEP == 3 * 86_400


def test_records_are_intact_and_described(plain):
    for folder in (plain.folder, fields_folder(plain)):
        assert not list(PatchRecords.load(folder).find_damage())
    records = PatchRecords.load(plain.folder)
    assert records.num_records("train") == 21 * 5
    assert records.factors == (2, 2)
    assert records.alignment == "centred"
    assert {path.name for path in plain.folder.iterdir() if ".tfrecord-" not in path.name} == {
        *("records.json", "manifest.json", "normalization.json", "grid.npz"),
        *("features.json", "dataset_info.json", "metadata.json"),
    }


def test_tensorflow_datasets_reads_the_result(plain):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(plain.folder)
    expected = {record["index"]: record for record in read(plain.folder, "train")}
    found = builder.as_dataset(split="train").as_numpy_iterator()
    for example in found:
        record = expected.pop(int(example["index"]))
        assert_array_equal(example["data_LR"], record["data_LR"])
        assert_array_equal(example["data_HR"], record["data_HR"])
    assert not expected


@pytest.mark.parametrize("workers", [2, 3])
def test_bytes_do_not_depend_on_the_number_of_workers(plain, configure, tmp_path, quick, workers):
    config = configure(tmp_path, workers=workers, whole_fields=True)
    sample_patches(config)
    for ours, theirs in ((config.folder, plain.folder), map(fields_folder, (config, plain))):
        assert shard_digests(ours) == shard_digests(theirs)


def test_another_seed_makes_other_patches_but_the_same_fields(plain, configure, tmp_path, quick):
    config = configure(tmp_path, seed=4, whole_fields=True)
    sample_patches(config)
    ours, theirs = shard_digests(config.folder), shard_digests(plain.folder)
    assert not set(ours.values()) & set(theirs.values())
    assert shard_digests(fields_folder(config)) == shard_digests(fields_folder(plain))


def test_what_is_there_already_is_kept_and_fields_can_be_added(configure, tmp_path, quick):
    config = configure(tmp_path)
    assert sample_patches(config).endswith(f"\nNext: phire-train {config.folder}")
    stamp = (config.folder / "records.json").stat().st_mtime_ns
    more = dataclasses.replace(config, whole_fields=True, whole_field_stride=3)
    said = sample_patches(more)
    assert said.startswith("These records exist already.")
    assert said.count("Next: ") == 1
    assert said.endswith(f"\nNext: phire-train {config.folder}")
    assert (config.folder / "records.json").stat().st_mtime_ns == stamp
    assert PatchRecords.load(fields_folder(config)).num_records("evaluation") == 3
    with pytest.raises(ValueError, match="made from another archive or with other settings"):
        sample_patches(dataclasses.replace(config, degradation="normalized"))


def test_what_is_trained_on_is_found_beside_whole_fields(plain):
    assert open_patches(plain.output).folder == plain.folder
    with pytest.raises(ValueError, match="is no folder of records"):
        open_patches(f"{plain.output}/absent")


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_bytes(configure, tmp_path, archive):
    path = write_archive(tmp_path / "long.h5", seconds=hourly(400), grid=GRID)
    settings = {"archive": str(path), "patches_per_step": 60, "workers": 2}
    killed, once = (configure(tmp_path / n, **settings) for n in ("killed", "once"))
    journal = killed.folder.with_name(f".{killed.version}.partial") / making.JOURNAL
    process = multiprocessing.get_context("spawn").Process(target=sample_patches, args=(killed,))
    process.start()
    while not journal.exists() or journal.stat().st_size < 8 * 20:
        assert process.is_alive()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done = len(making.read_journal(journal))
    assert 0 < done < 350
    sample_patches(killed)
    sample_patches(once)
    assert shard_digests(killed.folder) == shard_digests(once.folder)


def test_the_reference_averages_the_normalised_field(configure, tmp_path, quick):
    config = configure(tmp_path, degradation="normalized", factor=2)
    sample_patches(config)
    for record in read(config.folder, "train"):
        mean = record["data_HR"].reshape(4, 2, 6, 2, 2).mean((1, 3), dtype=np.float64)
        assert_allclose(record["data_LR"], mean, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("factor", "steps"), [(3, (3,)), ((2, 5), (2, 5)), ("6", (2, 3))])
def test_any_factor(configure, tmp_path, quick, factor, steps):
    factor = int(factor) if isinstance(factor, str) else factor
    total = int(np.prod(steps))
    config = configure(tmp_path, factor=factor, patch_shape=(2 * total, 2 * total))
    sample_patches(config)
    patches = open_patches(config.folder)
    assert (patches.factors, patches.lr_shape) == (steps, (2, 2))


def low_of(path, target, *, shared):
    """An archive of the low resolution of another: block means, or every fourth point."""
    with Archive(path) as high:
        grid = Grid(high.grid.latitude[::4], high.grid.longitude[::4])
        grid = grid if shared else coarse_grid(high.grid, 4)
        writer = ArchiveWriter(target, channels=high.channels, grid=grid, compression="none")
        with writer:
            for step, seconds in enumerate(high.time.seconds):
                field = high.read(step)
                low = field[:, ::4, ::4] if shared else coarsen(field, 4, high.grid.band_areas)
                writer.append(int(seconds), low)
    return target


@pytest.mark.parametrize("shared", [True, False])
def test_pairs_of_archives_are_cut_alike(configure, archive, tmp_path, quick, shared):
    low = low_of(archive, tmp_path / "low.h5", shared=shared)
    config = configure(tmp_path, low_archive=str(low), whole_fields=True, workers=2)
    sample_patches(config)
    patches = open_patches(config.folder)
    assert patches.alignment == ("shared" if shared else "centred")
    assert patches.degradation == "archive"
    rows = set()
    for record in read(config.folder, "train"):
        assert record["row"] % 4 == record["column"] % 4 == 0
        rows.add(record["row"])
        if shared:
            assert_array_equal(record["data_LR"], record["data_HR"][::4, ::4])
        else:
            high = patches.normalization.inverse(record["data_HR"].astype(np.float64))
            areas = GRID.band_areas[record["row"] + np.arange(8)]
            mean = np.moveaxis(coarsen(np.moveaxis(high, -1, 0), 4, areas), 0, -1)
            assert_allclose(patches.normalization(mean), record["data_LR"], atol=1e-5)
    assert rows == {0, 4, 8, 12, 16}
    whole = read(fields_folder(config), "evaluation")[0]
    assert whole["data_LR"].shape == (7, 12, 2)
    fields = read_fields(low)[whole["step"]]
    assert_array_equal(whole["data_LR"], patches.normalization(np.moveaxis(fields, 0, -1)))


def test_archives_that_do_not_belong_together_say_how(configure, archive, tmp_path):
    def low(name, **changes):
        settings = {"seconds": hourly(NUM_STEPS), "grid": coarse_grid(GRID, 4), **changes}
        return str(write_archive(tmp_path / f"{name}.h5", **settings))

    shifted = hourly(NUM_STEPS) + 3600 * (np.arange(NUM_STEPS) > 4)
    for path, message in (
        (low("short", seconds=hourly(7)), "both archives must have the same times"),
        (low("shifted", seconds=shifted), r"the same times; at step 5 .*T15:00:00.*T16:00:00"),
        (low("other", channels=[VORTICITY]), "the same channels in the same order"),
        (
            low("scaled", channels=[DIVERGENCE, Channel("vorticity", "1e-5 s-1")]),
            r"same units; vorticity is in 's-1' in .*archive\.h5, in '1e-5 s-1' in .*scaled\.h5",
        ),
        (low("coarse", grid=coarse_grid(GRID, 3)), r"does not belong to .* needs 7 x 12"),
        (low("moved", grid=moved(coarse_grid(GRID, 4))), "neither centred .* nor shared"),
    ):
        with pytest.raises(ValueError, match=message):
            sample_patches(configure(tmp_path, low_archive=path))


def moved(grid):
    return Grid(grid.latitude, grid.longitude + 2.5)


@pytest.mark.parametrize("side", ["archive", "low"])
def test_missing_values_are_named(configure, archive, tmp_path, quick, side):
    paths = {"archive": tmp_path / "high.h5", "low": tmp_path / "low.h5"}
    paths["archive"].write_bytes(archive.read_bytes())
    low_of(archive, paths["low"], shared=True)
    with h5py.File(paths[side], "r+") as file:
        file["data"][1, 5, ::2] = np.nan
    normalization = tmp_path / "n.json"
    with Archive(archive) as opened:
        making.compute_statistics(opened).normalization.save(normalization)
    config = configure(
        tmp_path,
        archive=str(paths["archive"]),
        low_archive=str(paths["low"]),
        normalization=str(normalization),
    )
    name = re.escape(str(paths[side]))
    with pytest.raises(ValueError, match=rf"{name}: \d+ of \d+ values of vorticity at .*T15"):
        sample_patches(config)
    assert not config.folder.exists()


@pytest.mark.parametrize("variable", ["", ":z"])
def test_static_channels_travel_with_the_records(configure, tmp_path, quick, variable):
    with h5py.File(tmp_path / "orography.nc", "w") as file:
        file["z"] = np.random.default_rng(0).normal(500, 200, (1, *GRID.shape))
    sources = ("latitude", f"{tmp_path}/orography.nc{variable}")
    config = configure(tmp_path, static=sources)
    sample_patches(config)
    patches = open_patches(config.folder)
    assert patches.static_names == ("latitude", "z")
    assert f"{tmp_path}/orography.nc" in read_json(config.folder / "manifest.json")["inputs"]
    (batch,) = patches.evaluation_batches(100)
    records = read(config.folder, "evaluation")
    sine = np.sin(np.radians(GRID.latitude))
    for static, record in zip(batch["static"], records, strict=True):
        rows = sine[record["row"] + np.arange(8)]
        assert_allclose(static[..., 0], np.repeat(rows[:, None], 12, 1), rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="with other settings"):
        sample_patches(dataclasses.replace(config, static=("latitude",)))


def test_regional_archives(configure, tmp_path, quick):
    grid = Grid(np.linspace(60, 40, 21), np.linspace(-20, 10, 30))
    path = write_archive(tmp_path / "a.h5", seconds=hourly(NUM_STEPS), grid=grid)
    config = configure(tmp_path, archive=str(path), whole_fields=True)
    sample_patches(config)
    assert max(record["column"] for record in read(config.folder, "train")) == 18
    assert open_patches(fields_folder(config)).lr_shape == (6, 8)


@pytest.mark.parametrize(("gap", "count"), [(9, 1), (7, 3), (6, 4)])
def test_few_times_for_evaluation_are_told(configure, tmp_path, quick, gap, count):
    said = sample_patches(configure(tmp_path, gap=gap)).splitlines()
    told = f"only {count} of 30 times are for evaluation; a larger --evaluation_fraction or"
    assert (told in said[-2]) == (count < 4)
    assert said[-1].startswith("Next: phire-train ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"patch_shape": (26, 12)},
            r"patch_shape must be multiples of the factor 4; .* --patch_shape '\[28,12\]'",
        ),
        ({"patch_shape": (28, 12)}, r"28 rows do not fit a grid of 25 rows; .* --patch_shape"),
        ({"factor": 1}, "factor must be at least 2"),
        ({"factor": 5, "patch_shape": (10, 10), "whole_fields": True}, "48 columns .* a seam"),
        ({"whole_fields": True, "evaluation_fraction": 0.0}, "whole_fields are for evaluation"),
        ({"low_archive": "x", "degradation": "normalized"}, "with low_archive it is given"),
        (
            {"gap": 20},
            r"--evaluation_fraction 0\.3 and a --gap of 20 steps leave none",
        ),
        ({"gap": 0}, "gap must be positive"),
    ],
)
def test_settings_that_do_not_fit_are_refused(configure, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        sample_patches(configure(tmp_path, **changes))


@pytest.mark.slow
def test_the_command_says_what_to_run_next(archive, tmp_path):
    command = [
        *(sys.executable, "-c", "from srgan.cli.phire_data import main; raise SystemExit(main())"),
        *(str(archive), "--output", str(tmp_path), "--patch_shape", "[8,12]", "--gap", "3"),
    ]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == f"Next: phire-train {tmp_path}/phire_patches/1.0.0"
    run = subprocess.run([*command, "--seed", "1"], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("phire-data: error: ")
