"""Runs that are ended within epochs, and repeat digit by digit those that were not."""

import os
import signal
import threading

import numpy as np
import pytest

from atmodist.cli.rplearn_train import main
from atmodist.pretext.architectures import resnet_tiny
from atmodist.pretext.optimization import Optimization
from atmodist.pretext.training import TrainingDivergedError, train
from atmodist.training import checkpoints
from atmodist.training.interruption import StopSignals, TrainingInterrupted
from tests.pretext.sources import MICRO, array_source, write_records
from tests.pretext.test_training import config, log

MEASURED = ("seconds", "pairs_per_second")


class KilledError(Exception):
    pass


@pytest.fixture(autouse=True)
def micro(monkeypatch):
    monkeypatch.setattr(resnet_tiny, "ARCHITECTURE", MICRO)


def numbers(output):
    return [{k: v for k, v in row.items() if k not in MEASURED} for row in log(output)]


def names(output):
    return sorted(item.name for item in checkpoints.folder(output).iterdir())


def after(steps, event, monkeypatch):
    """Has `event` happen when so many steps are done."""
    plain, done = Optimization.step, []

    def step(self, *args, **options):
        if len(done) == steps:
            event()
        done.append(plain(self, *args, **options))

    monkeypatch.setattr(Optimization, "step", step)


def kill():
    raise KilledError


@pytest.mark.parametrize(
    "options",
    [
        {"ema": 0.9, "schedule": "cosine"},
        {"optimizer": "sgd", "learning_rate": 2e-3}
        | {"schedule": "plateau", "plateau_patience": 1, "mirror": True},
    ],
)
def test_a_run_killed_within_both_phases_repeats_one_that_was_not(tmp_path, monkeypatch, options):
    def go(name, **more):
        source = array_source(128, 32, mirror=options.get("mirror", False))
        phases = {"warmup_epochs": 2, "warmup_batches": 3, "epochs": 2}
        train(config(tmp_path / name, **phases, **options, **more), source)

    go("whole")
    for steps in (2, 2, 4, 3):  # ends after 2 (first epoch), 4 (second), 8 and 11 (main phase)
        with monkeypatch.context() as patch:
            after(steps, kill, patch)
            with pytest.raises(KilledError):
                go("parts", checkpoint_minutes=0)
        assert len([name for name in names(tmp_path / "parts") if "step" in name]) == 1
    go("parts")
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")
    assert names(tmp_path / "parts") == [f"epoch-000{k}" for k in (1, 2, 3, 4)]
    rows = log(tmp_path / "parts")
    assert [row["phase"] for row in rows] == ["warm-up", "warm-up", "main", "main"]
    assert [row["step"] for row in rows] == ["3", "6", "10", "14"]
    best = [checkpoints.load_arrays(tmp_path / name, 4) for name in ("parts", "whole")]
    for key in best[0]:
        np.testing.assert_array_equal(best[0][key], best[1][key])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_after_its_step_with_a_checkpoint_and_one_line(
    tmp_path, monkeypatch, capsys, number, status
):
    folder = write_records(tmp_path / "records")
    tiny = ["--architecture", "resnet-tiny", "--batch_size", "16", "--epochs", "1"]
    arguments = [str(folder), *tiny, "--output", str(tmp_path / "run")]
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        after(1, lambda: os.kill(os.getpid(), number), patch)
        assert main(arguments) == status
    assert signal.getsignal(number) is before
    place = tmp_path / "run" / "checkpoints" / "epoch-0001-step-00000002"
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error == (
        "rplearn-train: interrupted in epoch 1 after step 2 of 3; run the same command again to go "
        f"on from {place}."
    )
    assert main(arguments) == 0
    assert "going on after step 2 of epoch 1" in "".join(capsys.readouterr())
    assert not place.exists()


def test_a_signal_during_evaluation_loses_no_step(tmp_path, monkeypatch):
    options = {"schedule": "constant", "ema": 0.9}
    train(config(tmp_path / "whole", **options), array_source(64, 64))
    plain = Optimization.predict
    with monkeypatch.context() as patch:
        patch.setattr(
            Optimization,
            "predict",
            lambda self, x: (os.kill(os.getpid(), signal.SIGTERM), plain(self, x))[1],
        )
        with pytest.raises(TrainingInterrupted, match="in epoch 1 after step 2 of 2"):
            train(config(tmp_path / "parts", **options), array_source(64, 64))
    train(config(tmp_path / "parts", **options), array_source(64, 64))
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")


def test_a_run_told_to_be_shorter_than_it_is_ends_with_an_evaluation(tmp_path, monkeypatch):
    options = {"schedule": "constant", "evaluate_every": 4, "epochs": 4}
    with monkeypatch.context() as patch:
        after(7, kill, patch)
        with pytest.raises(KilledError):
            train(config(tmp_path, **options), array_source(64, 64))
    assert names(tmp_path) == [f"epoch-000{k}" for k in (1, 2, 3)]
    result = train(config(tmp_path, **{**options, "epochs": 2}), array_source(64, 64))
    assert (result.epochs, result.best["epoch"]) == (3, 3)


def test_what_lies_beyond_the_last_epoch_or_is_null_is_left_alone(tmp_path, monkeypatch):
    options = {"schedule": "constant"}
    with monkeypatch.context() as patch:
        after(3, kill, patch)
        with pytest.raises(KilledError):
            train(config(tmp_path, **options, checkpoint_minutes=0), array_source(64, 64))
    assert names(tmp_path) == ["epoch-0001", "epoch-0002-step-00000001"]
    result = train(config(tmp_path, **options, epochs=1), array_source(64, 64))
    assert result.epochs == 1
    with monkeypatch.context() as patch:
        after(0, kill, patch)
        with pytest.raises(KilledError):
            train(config(tmp_path, **options, checkpoint_minutes=None), array_source(64, 64))
    assert names(tmp_path) == ["epoch-0001", "epoch-0002-step-00000001"]


def test_a_step_that_broke_down_is_not_kept(tmp_path):
    source = array_source(96, 32)
    order = np.random.default_rng([0, 0]).permutation(96)
    source.train[0][order[40]] = np.nan  # in the second batch
    message = r"last good checkpoint is .*epoch-0001-step-00000001\. Try"
    with pytest.raises(TrainingDivergedError, match=message):
        train(config(tmp_path, checkpoint_minutes=0), source)
    assert names(tmp_path) == ["epoch-0001-step-00000001"]


def test_signals_are_noted_once_and_ignored_ones_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGINT)
            assert signals.received is None
    finally:
        signal.signal(signal.SIGINT, before)
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(StopSignals().__enter__().received))
    thread.start()
    thread.join()
    assert seen == [None]
