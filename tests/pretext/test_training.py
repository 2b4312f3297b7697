import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from atmodist.pretext.architectures import resnet_tiny
from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.pair_model import encoder_of
from atmodist.pretext.training import TrainingDivergedError, TrainingRun, train
from atmodist.training import checkpoints
from tests.pretext.sources import MICRO, array_source, normalization, write_records

EXACT = ("epoch", "step", "learning_rate", "loss", "penalty", "accuracy", "evaluation_loss")


def config(output, **options):
    defaults = {"architecture": "resnet-tiny", "batch_size": 32, "epochs": 2, "rise_steps": 4}
    return TrainingConfig(**{"records": "made-up", "output": output, **defaults, **options})


def log(output):
    with (output / "log.csv").open() as file:
        return list(csv.DictReader(file))


def numbers(output):
    return [[row[name] for name in EXACT] for row in log(output)]


@pytest.fixture
def micro(monkeypatch):
    monkeypatch.setattr(resnet_tiny, "ARCHITECTURE", MICRO)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    output = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet_tiny, "ARCHITECTURE", MICRO)
        yield output, train(config(output, epochs=4, ema=0.9), array_source())


@pytest.mark.slow
def test_resnet_tiny_learns_what_can_be_learnt(tmp_path):
    source = array_source(num_train=1024, mirror=True)
    result = train(config(tmp_path, epochs=4, ema=0.9), source)
    losses = [float(row["loss"]) for row in log(tmp_path)]
    assert losses[-1] < losses[0] - 0.05  # it cannot fall below the entropy of the bell
    assert result.best["accuracy"] > 0.75  # chance is 0.25; 0.95 when this was written
    assert result.best["within_one"] > 0.9


def test_even_a_few_weights_learn_something(micro, tmp_path):
    options = {"schedule": "constant", "learning_rate": 2e-2, "ema": 0.9}
    result = train(config(tmp_path, epochs=8, **options), array_source(num_train=512))
    losses = [float(row["loss"]) for row in log(tmp_path)]
    assert losses[-1] < losses[0] - 0.1
    assert result.best["accuracy"] > 0.4  # chance is 0.25


def test_a_run_leaves_all_that_is_needed_later(trained):
    output, result = trained
    encoder = keras.models.load_model(output / "encoder.keras")
    assert [*encoder.output] == ["stage1"]
    pretext = keras.models.load_model(output / "pretext.keras")
    for a, b in zip(encoder.get_weights(), encoder_of(pretext).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert json.loads((output / "normalization.json").read_text())["identity"]
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["command"] == "rplearn-train"
    assert manifest["config"]["learning_rate"] == 2e-3  # the recipe's, written out
    best = json.loads((output / "best.json").read_text())
    assert best["epoch"] == result.best["epoch"]
    assert (output / best["checkpoint"] / "pretext.keras").is_file()
    if importlib.util.find_spec("tensorboard") is not None:
        assert list((output / "tensorboard").glob("events*"))
    assert "encoder.keras" in result.summary()
    following = f"Next: rplearn-eval {result.output}, then atmodist calibrate {result.output}"
    assert result.summary().splitlines()[-1].endswith(following)


def test_the_evaluation_tells_recall_per_label_and_the_mean_of_the_last(trained):
    output, _ = trained
    evaluation = json.loads((output / "evaluation.json").read_text())
    assert evaluation["labels"] == [1, 2, 3, 4]
    mean = evaluation["mean_of_last"]
    assert mean["epochs"] == [1, 2, 3, 4]
    rows = log(output)
    assert mean["accuracy"] == pytest.approx(
        np.mean([float(row["evaluation_accuracy"]) for row in rows])
    )
    assert len(mean["recall"]) == 4
    assert np.sum(evaluation["best"]["confusion"]) == 64


def test_the_saved_network_scores_what_the_log_says(trained):
    output, result = trained
    pretext = keras.models.load_model(output / "pretext.keras")
    pairs, labels = array_source().evaluation
    guesses = np.argmax(pretext.predict(pairs, verbose=0), axis=1)
    assert (guesses == labels).mean() == pytest.approx(result.best["accuracy"])


@pytest.mark.parametrize(
    "options",
    [
        {"ema": 0.9, "schedule": "constant"},
        {"optimizer": "sgd", "learning_rate": 2e-3}
        | {"schedule": "plateau", "plateau_patience": 1, "mirror": True},
    ],
)
def test_a_run_in_two_parts_repeats_the_losses_of_one(micro, tmp_path, options):
    mirror = options.get("mirror", False)
    train(config(tmp_path / "whole", epochs=2, **options), array_source(mirror=mirror))
    train(config(tmp_path / "parts", epochs=1, **options), array_source(mirror=mirror))
    train(config(tmp_path / "parts", epochs=2, **options), array_source(mirror=mirror))
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")  # digit by digit


def test_not_a_number_stops_and_keeps_the_last_good_checkpoint(micro, tmp_path):
    source = array_source()
    train(config(tmp_path, epochs=1, schedule="constant"), source)
    source.train[0][:40] = np.nan
    message = r"broke down in epoch 2: .*gradient nan .*last good checkpoint is .*epoch-0001"
    with pytest.raises(TrainingDivergedError, match=message) as info:
        train(config(tmp_path, epochs=3, schedule="constant"), source)
    assert "\n" not in str(info.value)
    assert checkpoints.epochs(tmp_path) == [1]
    assert len(log(tmp_path)) == 1


def test_missing_values_in_the_evaluation_are_no_score(micro, tmp_path):
    source = array_source(num_train=64, num_evaluation=16)
    source.evaluation[0][:] = np.inf
    with pytest.raises(TrainingDivergedError, match="evaluation loss of epoch 1 is nan"):
        train(config(tmp_path, epochs=1), source)
    assert checkpoints.epochs(tmp_path) == []


def test_records_of_another_normalisation_are_refused(trained):
    output, _ = trained
    source = array_source()
    source.normalization = normalization(std=(3e-5, 4e-5))
    with pytest.raises(
        ValueError, match=r"the records in made-up and the network in .*run"
    ) as info:
        TrainingRun(config(output, epochs=4, ema=0.9), source)
    theirs = json.loads((output / "normalization.json").read_text())["identity"]
    assert theirs in str(info.value)
    assert source.normalization.identity in str(info.value)


@pytest.mark.parametrize("before", [None, normalization()])
def test_a_normalisation_that_comes_or_goes_is_refused(micro, tmp_path, before):
    source = array_source(num_train=64, num_evaluation=16)
    source.normalization = before
    train(config(tmp_path, epochs=1, schedule="constant"), source)
    source.normalization = normalization() if before is None else None
    with pytest.raises(ValueError, match=r"trained with .*, the records in made-up come with") as e:
        TrainingRun(config(tmp_path, schedule="constant"), source)
    assert "no normalisation" in str(e.value)
    assert f"normalisation {normalization().identity}" in str(e.value)
    # and the file in the output decides nothing: it may be gone
    (tmp_path / "normalization.json").unlink(missing_ok=True)
    source.normalization = normalization(std=(3e-5, 4e-5))
    with pytest.raises(ValueError, match=r"trained with .* come with"):
        TrainingRun(config(tmp_path, schedule="constant"), source)


def test_a_normalisation_of_another_run_does_not_stay_beside_a_network(micro, tmp_path):
    normalization().save(tmp_path / "normalization.json")
    source = array_source(num_train=64, num_evaluation=16)
    source.normalization = None
    train(config(tmp_path, epochs=1), source)
    assert not (tmp_path / "normalization.json").exists()


def test_other_records_are_refused_but_not_the_same_ones_elsewhere(micro, tmp_path):
    first = write_records(tmp_path / "first", num_train=64)
    options = {"batch_size": 16, "schedule": "constant"}
    train(config(tmp_path / "run", epochs=1, records=first, **options))
    shutil.copytree(first, tmp_path / "copy")
    train(config(tmp_path / "run", epochs=2, records=tmp_path / "copy", **options))
    second = write_records(tmp_path / "second", num_train=64, seed=9)
    message = f"started with the records in {tmp_path / 'copy'}; the records in {second} are others"
    with pytest.raises(ValueError, match=message):
        train(config(tmp_path / "run", epochs=2, records=second, **options))


def test_records_of_another_shape_are_refused(micro, tmp_path):
    source = array_source(num_train=64, num_evaluation=16)
    train(config(tmp_path, epochs=1, schedule="constant"), source)
    source.input_shape = (64, 64, 2)
    message = r"takes fields of shape \(32, 32, 2\), the records in made-up hold \(64, 64, 2\)"
    with pytest.raises(ValueError, match=message):
        TrainingRun(config(tmp_path, schedule="constant"), source)


def test_a_run_on_records_in_two_parts_repeats_the_losses_of_one(micro, tmp_path):
    folder = write_records(tmp_path / "records", num_train=64)
    options = {"records": folder, "batch_size": 16, "schedule": "constant", "max_label": 3}
    train(config(tmp_path / "whole", epochs=2, **options))
    train(config(tmp_path / "parts", epochs=1, **options))
    train(config(tmp_path / "parts", epochs=2, **options))
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")  # digit by digit


def test_the_log_has_the_learning_rate_that_was_used(micro, tmp_path):
    options = {"schedule": "plateau", "plateau_patience": 1, "plateau_min_delta": 1e3}
    source = array_source(num_train=64, num_evaluation=16)
    train(config(tmp_path, epochs=4, learning_rate=1e-2, **options), source)
    rates = [float(row["learning_rate"]) for row in log(tmp_path)]
    # the first epoch always improves; then none does, and the rate falls after each
    np.testing.assert_allclose(rates, [1e-2, 1e-2, 1e-3, 1e-4], rtol=1e-12)


def empty_archive(path):
    np.savez(path)


def no_schedule(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "schedule": {}}))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (checkpoints.STATE, lambda path: path.write_text("{}")),
        (checkpoints.STATE, no_schedule),
        (checkpoints.ARRAYS, lambda path: path.write_text("")),
        (checkpoints.ARRAYS, empty_archive),
        (checkpoints.ARRAYS, lambda path: path.unlink()),
    ],
)
def test_after_a_damaged_checkpoint_is_removed_the_one_before_goes_on(
    micro, tmp_path, name, damage
):
    source = array_source(num_train=64, num_evaluation=16)
    run = config(tmp_path, epochs=2, schedule="plateau")
    train(run, source)
    before = numbers(tmp_path)
    latest = checkpoints.path(tmp_path, 2)
    damage(latest / name)
    with pytest.raises(ValueError, match=r"epoch-0002 is damaged .*remove it to go on") as info:
        train(run, source)
    assert "\n" not in str(info.value)
    shutil.rmtree(latest)
    train(run, source)
    assert numbers(tmp_path) == before


def test_more_steps_than_there_are_records_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`steps_per_epoch` is 9, but made-up has 256 .* 8 batch"):
        train(config(tmp_path / "run", steps_per_epoch=9), array_source())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.5}, r"learning_rate=0.002 \(now 0.5\)"),
        ({"epochs": 9}, r"epochs=4 \(now 9\)"),  # a cosine depends on its end
        ({"resume": False}, "already holds a run of 4 epochs"),
    ],
)
def test_a_run_does_not_go_on_under_other_settings(trained, options, message):
    output, _ = trained
    with pytest.raises(ValueError, match=message):
        TrainingRun(
            config(output, **{"epochs": 4, "ema": 0.9, **options}), array_source(num_train=1024)
        )


def test_too_few_pairs_are_named(tmp_path):
    with pytest.raises(ValueError, match="has 16 pairs for training and 64 for evaluation"):
        train(config(tmp_path), array_source(num_train=16))


def test_only_the_latest_and_the_best_checkpoints_stay(micro, tmp_path):
    source = array_source(num_train=64, num_evaluation=16)
    result = train(config(tmp_path, epochs=4, keep_checkpoints=1, evaluate_every=3), source)
    assert set(checkpoints.epochs(tmp_path)) == {4, result.best["epoch"]}
    assert [row["evaluation_loss"] != "" for row in log(tmp_path)] == [False, False, True, True]


KILLED = """
import sys
from tests.pretext.sources import MICRO, array_source
from atmodist.pretext.architectures import resnet_tiny
resnet_tiny.ARCHITECTURE = MICRO
from tests.pretext.test_training import config
from atmodist.pretext.training import train
from pathlib import Path
train(config(Path(sys.argv[1]), epochs=300, schedule="constant"), array_source(num_train=64))
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_by_the_same_command(micro, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not checkpoints.epochs(tmp_path / "killed") and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = checkpoints.epochs(tmp_path / "killed")[-1]
    assert 1 <= done < 298
    for name in ("killed", "whole"):
        train(
            config(tmp_path / name, epochs=done + 2, schedule="constant"),
            array_source(num_train=64),
        )
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "whole")
    names = [item.name for item in checkpoints.folder(tmp_path / "killed").iterdir()]
    assert not [name for name in names if name.startswith(".")]
