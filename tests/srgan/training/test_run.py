"""What a generator learns, what a run leaves behind, and going on with it."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import srgan
from atmodist.fields.grid import make_grid
from atmodist.files.outputs import read_json, write_json
from atmodist.training import checkpoints
from atmodist.training.loop import TrainingDivergedError
from atmodist.training.saving import load_network, save_network
from srgan.training.configuration import GeneratorTrainingConfig
from srgan.training.run import GeneratorRun, train
from srgan.training.step import GeneratorTraining
from tests.metric.encoders import made_encoder
from tests.srgan.training.sources import NORMALIZATION, OTHER, write_records

SMALL = {"filters": 4, "blocks": 1, "batch_size": 8, "pretraining_epochs": 2, "epochs": 2}
MEASURED = ("seconds", "patches_per_second")


class KilledError(Exception):
    pass


def config(records, output, **options):
    return GeneratorTrainingConfig(records=records, output=output, **{**SMALL, **options})


def log(output):
    with (output / "log.csv").open() as file:
        return list(csv.DictReader(file))


def numbers(output):
    return [{k: v for k, v in row.items() if k not in MEASURED} for row in log(output)]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="module")
def whole(records, tmp_path_factory):
    """A run of both phases, and what it came to."""
    output = tmp_path_factory.mktemp("whole")
    return output, train(config(records, output, ema=0.9))


def test_pretraining_beats_bicubic_interpolation(tmp_path):
    folder = write_records(tmp_path / "records", num_train=256, num_evaluation=16)
    options = {"filters": 8, "batch_size": 16, "ema": 0.9, "samples": 0}
    rate = {"pretraining_learning_rate": 5e-3, "pretraining_epochs": 5, "epochs": 0}
    result = train(config(folder, tmp_path / "run", **options, **rate))
    assert result.phase == "pretraining"
    assert result.best["mse"] < 0.3 * result.bicubic["mse"]
    assert result.best["correlation"] > result.bicubic["correlation"]
    assert result.bicubic["small_scale_power"] < 0.2 < result.best["small_scale_power"]
    assert not (tmp_path / "run" / "samples").exists()


def write_encoder(folder, seed=0):
    folder.mkdir(exist_ok=True)
    save_network(made_encoder(patch=16, seed=seed), folder / "encoder.keras")
    NORMALIZATION.save(folder / "normalization.json")
    write_json(folder / "manifest.json", {"command": "rplearn-train"})
    return str(folder)


def test_a_learned_loss_may_be_moved_but_not_trained_again(records, tmp_path, capsys):
    options = {"content": "atmodist=1,mse=0.5", "pretraining_epochs": 0, "samples": 0}
    encoder = write_encoder(tmp_path / "encoder")
    train(config(records, tmp_path / "run", encoder=encoder, **{**options, "epochs": 1}))
    (note,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("phire-train: note")]
    assert f"the encoder in {encoder} is not calibrated" in note
    assert f"run `atmodist calibrate {encoder}` first" in note
    row = log(tmp_path / "run")[0]
    content = float(row["atmodist"]) + 0.5 * float(row["mse"])
    assert float(row["loss"]) == pytest.approx(
        content + 1e-3 * float(row["adversarial_loss"]), rel=1e-4
    )
    moved = write_encoder(tmp_path / "moved")
    train(config(records, tmp_path / "run", encoder=moved, **options))
    assert len(log(tmp_path / "run")) == 2
    other = write_encoder(tmp_path / "moved", seed=1)
    with pytest.raises(ValueError, match=r"the atmodist loss of the run in .* another encoder"):
        train(config(records, tmp_path / "run", encoder=other, **{**options, "epochs": 3}))


def test_a_run_folder_is_a_generator_package(whole):
    output, result = whole
    generator = srgan.load_generator(output)
    low = np.random.default_rng(0).normal(scale=1e-5, size=(2, 24, 48)).astype(np.float32)
    high = generator(low, grid=make_grid("cell-centred", 24, 48))
    assert high.shape == (2, 48, 96)
    assert np.isfinite(high).all()
    assert generator.facts.spacing_degrees == pytest.approx((3.75, 3.75))
    for name in ("pretrained.keras", "evaluation.json", "log.csv", "samples/epoch-0004.png"):
        assert (output / name).is_file()
    manifest = read_json(output / "manifest.json")
    assert (manifest["command"], manifest["best_epoch"]) == ("phire-train", result.best["epoch"])
    assert f"Next: phire-infer {output}" in result.summary()


def test_the_log_tells_of_both_phases(whole):
    rows = log(whole[0])
    assert [row["phase"] for row in rows] == ["pretraining"] * 2 + ["adversarial"] * 2
    assert [row["step"] for row in rows] == ["4", "8", "12", "16"]
    assert [row["learning_rate"] for row in rows] == ["0.0001"] * 2 + ["1e-05"] * 2
    for row in rows:
        assert (row["discriminator_loss"] == "") == (row["phase"] == "pretraining")
        assert float(row["evaluation_small_scale_power"]) > 0


def test_the_best_epoch_is_one_of_the_adversarial_phase(whole):
    output, result = whole
    assert result.best["epoch"] > 2
    assert result.phase == "adversarial"
    best = read_json(output / "best.json")
    assert best["checkpoint"] == f"checkpoints/epoch-{result.best['epoch']:04d}"
    assert "the best by content loss" in result.summary()


def after(steps, event, monkeypatch):
    """Has `event` happen when so many steps are done."""
    plain, done = GeneratorTraining.step, []

    def step(self, *args, **options):
        if len(done) == steps:
            event()
        done.append(plain(self, *args, **options))

    monkeypatch.setattr(GeneratorTraining, "step", step)


def kill():
    raise KilledError


@pytest.mark.parametrize("balance", [(0.46, 0.6), (0.0, 9.0)])
def test_a_run_killed_within_both_phases_repeats_one_that_was_not(
    records, tmp_path, monkeypatch, balance
):
    def go(name, **more):
        options = {"ema": 0.9, "balance": balance, "noise_channels": 1, "samples": 0}
        train(config(records, tmp_path / name, **options, **more))

    go("whole")
    for steps in (1, 5, 3):  # ends within the first epoch, the second, and after 9 of 16 steps
        with monkeypatch.context() as patch:
            after(steps, kill, patch)
            with pytest.raises(KilledError):
                go("parts", checkpoint_minutes=0)
    go("parts")
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")
    ends = [checkpoints.load_arrays(tmp_path / name, 4) for name in ("parts", "whole")]
    for key in ends[0]:
        np.testing.assert_array_equal(ends[0][key], ends[1][key])


KILLED = """
import sys
from pathlib import Path
from tests.srgan.training.test_run import config
from srgan.training.run import train
epochs = {"pretraining_epochs": int(sys.argv[3]), "epochs": 300}
train(config(Path(sys.argv[1]), Path(sys.argv[2]), checkpoint_minutes=0, samples=0, **epochs))
"""


@pytest.mark.slow
@pytest.mark.parametrize("pretraining_epochs", [400, 1])
def test_a_run_killed_from_outside_goes_on_to_the_same_losses(
    records, tmp_path, monkeypatch, pretraining_epochs
):
    command = [sys.executable, "-c", KILLED, records, tmp_path / "killed", str(pretraining_epochs)]
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while len(checkpoints.epochs(tmp_path / "killed")) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = checkpoints.epochs(tmp_path / "killed")[-1]
    assert 3 <= done < 290

    plain = GeneratorTraining.step

    def step(self, *batch, number, **options):
        if number == 4 * (done + 2):
            raise KilledError
        plain(self, *batch, number=number, **options)

    # The same command goes on from there; both runs are looked at after two more epochs.
    monkeypatch.setattr(GeneratorTraining, "step", step)
    epochs = {"pretraining_epochs": pretraining_epochs, "epochs": 300}
    for name in ("killed", "whole"):
        again = config(records, tmp_path / name, checkpoint_minutes=0, samples=0, **epochs)
        with pytest.raises(KilledError):
            train(again)
    found, expected = numbers(tmp_path / "killed"), numbers(tmp_path / "whole")
    assert len(found) == done + 2
    assert found == expected


def test_pretraining_alone_can_be_followed_by_the_adversarial_phase(whole, records, tmp_path):
    output, _ = whole
    assert train(config(records, tmp_path, ema=0.9, epochs=0)).phase == "pretraining"
    assert (tmp_path / "pretrained.keras").is_file()
    train(config(records, tmp_path, ema=0.9))
    rows, expected = numbers(tmp_path), numbers(output)
    for row, wanted in zip(rows[2:], expected[2:], strict=True):
        assert {k: row[k] for k in wanted if k in row} == wanted


def test_pretraining_alone_is_not_what_an_adversarial_run_goes_on_with(whole, records):
    output, _ = whole
    with pytest.raises(ValueError, match=r"has begun its adversarial phase; give `epochs`"):
        GeneratorRun(config(records, output, ema=0.9, epochs=0))


def test_runs_start_from_the_pretraining_of_another_one(whole, records, tmp_path):
    output, _ = whole
    options = {"start_from": str(output), "pretraining_epochs": None, "ema": 0.9}
    for content in ("mse", "spectral=0.1,mae=1"):
        result = train(config(records, tmp_path / content, content=content, epochs=1, **options))
        assert result.phase == "adversarial"
        assert not (tmp_path / content / "pretrained.keras").exists()
    run = GeneratorRun(config(records, tmp_path / "other", **options))
    pretrained = load_network(output / "pretrained.keras")
    for found, expected in zip(
        run.learner.trained.get_weights(), pretrained.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_run_goes_on_when_what_it_started_from_is_gone(whole, records, tmp_path):
    start, output = tmp_path / "start", tmp_path / "run"
    shutil.copytree(whole[0], start)
    options = {"start_from": str(start), "pretraining_epochs": None, "ema": 0.9, "samples": 0}
    train(config(records, output, **{**options, "epochs": 1}))
    start.rename(tmp_path / "moved")
    train(config(records, output, **options))
    options["start_from"] = str(tmp_path / "moved")
    train(config(records, tmp_path / "once", **options))
    assert numbers(output) == numbers(tmp_path / "once")
    with pytest.raises(FileNotFoundError, match=r"there is no .*start.pretrained\.keras"):
        GeneratorRun(config(records, tmp_path / "new", **{**options, "start_from": str(start)}))


def test_all_that_a_generator_may_take_is_trained_with_and_written(tmp_path):
    folder = write_records(tmp_path / "records", static=("latitude",), factors=(2, 2))
    options = {"noise_channels": 2, "consistency": "projection", "discriminator_head": "flatten"}
    train(config(folder, tmp_path / "run", pretraining_epochs=1, epochs=1, **options))
    generator = srgan.load_generator(tmp_path / "run")
    facts = generator.facts
    assert (facts.factors, facts.static) == ((2, 2), ("latitude",))
    assert (facts.noise_channels, facts.projection) == (2, True)
    # The projection makes block means right before anything is learnt.
    assert float(log(tmp_path / "run")[0]["evaluation_consistency"]) < 1e-4


def test_a_penalty_is_logged_and_records_of_the_reference_s_degradation_are_taken(tmp_path):
    folder = write_records(tmp_path / "records", degradation="normalized")
    options = {"consistency": "penalty", "pretraining_epochs": 1, "epochs": 1}
    train(config(folder, tmp_path / "run", **options))
    for row in log(tmp_path / "run"):
        assert float(row["consistency"]) > 0


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ({}, {"batch_size": 64}, "has 32 patches for training and 8 for evaluation"),
        ({"num_train": 0}, {}, "no patches for training; whole fields"),
        ({}, {"steps_per_epoch": 9}, "`steps_per_epoch` is 9, but .* 4 batches of 8"),
        ({"degradation": "archive"}, {"consistency": "projection"}, "are of another archive"),
        ({"alignment": "shared"}, {"consistency": "penalty"}, "shares its points with the fine"),
        ({}, {"start_from": "nowhere"}, "there is no nowhere/pretrained.keras to start from"),
        ({}, {"content": "atmodist", "encoder": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_trained_is_told_at_once(tmp_path, source, options, message):
    folder = write_records(tmp_path / "records", **source)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        GeneratorRun(config(folder, tmp_path / "run", **options))
    assert not checkpoints.epochs(tmp_path / "run")


def test_a_run_does_not_go_on_under_other_settings_or_records(whole, records, tmp_path):
    output, _ = whole
    with pytest.raises(ValueError, match=r"was started with learning_rate=1e-05 \(now 0.5\)"):
        GeneratorRun(config(records, output, ema=0.9, learning_rate=0.5))
    others = write_records(tmp_path / "others", seed=1)
    with pytest.raises(ValueError, match=r"are others\. Give those to go on"):
        GeneratorRun(config(others, output, ema=0.9))
    folder = write_records(tmp_path / "records", normalization=OTHER)
    with pytest.raises(ValueError, match=r"normali[sz]ation"):
        GeneratorRun(config(folder, output, ema=0.9))


def test_losses_that_are_no_numbers_end_a_run(tmp_path):
    folder = write_records(tmp_path / "records")
    with pytest.raises(TrainingDivergedError, match="smaller --pretraining_learning_rate"):
        train(config(folder, tmp_path / "run", pretraining_learning_rate=1e30))
