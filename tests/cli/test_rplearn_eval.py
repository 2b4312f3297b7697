import json
import subprocess
import sys

import numpy as np
import pytest

from atmodist.cli.rplearn_eval import main


def test_help_comes_without_tensorflow():
    code = "import sys; from atmodist.cli.rplearn_eval import main; sys.exit(main(['--help']))"
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0
    assert "archive" in result.stdout
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert not imported & {"tensorflow", "keras", "matplotlib", "pyshtools", "xarray", "scipy"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An archive, records of it, and a run of two epochs with hardly any weights."""
    from atmodist.cli import rplearn_train
    from atmodist.pretext.architectures import resnet_tiny
    from tests.assessment import series
    from tests.pretext.sources import MICRO

    folder = tmp_path_factory.mktemp("eval")
    archive, records = series.write_series(folder, num_days=8)
    run = folder / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet_tiny, "ARCHITECTURE", MICRO)
        arguments = [str(records), "--architecture", "resnet-tiny", "--output", str(run)]
        assert rplearn_train.main([*arguments, "--epochs", "2", "--batch_size", "32"]) == 0
    return archive, records, run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere/run"], "/nowhere/run is no folder of a run"),
        (["RUN", "--checkpoints", "7"], "no checkpoint of epoch 7; it has 1, 2"),
        (["RUN", "--split", "test"], "has no split 'test'; it has evaluation, train"),
        (["RUN", "--records", "/nowhere"], "there is no folder /nowhere"),
        (["RUN", "--archive", "ARCHIVE", "--lag", "9"], "`lag` must be 1 to 8; got lag=9"),
        (["RUN", "--bin", "3"], "bin"),
    ],
)
def test_mistakes_end_with_one_line_and_status_2(trained, tmp_path, arguments, message, capsys):
    archive, _, run = trained
    words = {"RUN": str(run), "ARCHIVE": str(archive)}
    arguments = [words.get(word, word) for word in arguments]
    arguments += ["--output", str(tmp_path), "--audit", "false", "--figures", "false"]
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert status == 2
    assert error.startswith("rplearn-eval: error: ")
    assert message in error


def test_records_of_another_normalization_are_refused(trained, tmp_path, capsys):
    from atmodist.fields.normalization import Normalization
    from tests.cli.test_rplearn_train import write_records

    assert Normalization  # the made-up records have one of their own
    _, _, run = trained
    assert main([str(run), "--records", str(write_records(tmp_path / "others"))]) == 2
    assert "different normalisations" in capsys.readouterr().err


def test_the_archive_of_other_weather_is_refused_before_anything_is_judged(
    trained, tmp_path, capsys
):
    from atmodist.fields.archive import Archive
    from atmodist.fields.archive_writer import ArchiveWriter

    path, records, run = trained
    with Archive(path) as archive:
        channels, grid, seconds = archive.channels, archive.grid, archive.time.seconds
    with ArchiveWriter(tmp_path / "b.h5", channels=channels, grid=grid) as writer:
        for number, time in enumerate(seconds):
            writer.append(int(time), np.full((2, *grid.shape), number % 5, np.float32))
    capsys.readouterr()
    assert main([str(run), "--archive", str(tmp_path / "b.h5"), "--output", str(tmp_path)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"{tmp_path / 'b.h5'} is not the archive that {records}" in error
    assert "differs from it by" in error
    assert not (tmp_path / "metrics.json").exists()


def test_an_archive_in_place_of_records_is_called_one(trained, capsys):
    archive, _, run = trained
    assert main([str(run), "--records", str(archive)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.endswith(f"make records of it first: rplearn-data {archive}")


def test_a_run_is_judged_in_one_command_and_again_without_a_network(trained, capsys, monkeypatch):
    from atmodist.assessment import judged_run
    from atmodist.assessment import run as assessment_run

    archive, _, run = trained
    arguments = [str(run), "--checkpoints", "all"]
    assert main([*arguments, "--archive", str(archive), "--lag", "2"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert f"Everything is in {run / 'evaluation'}/" in lines[-1]
    assert lines[-1].endswith(f"Next: atmodist calibrate {run}")
    folder = run / "evaluation"
    metrics = json.loads((folder / "metrics.json").read_text())
    trained_scores = json.loads((run / "evaluation.json").read_text())["last"]
    ours = {r["score"]: r["value"] for r in metrics["checkpoints"]["2"]["scores"]}
    for name in ("loss", "accuracy", "within_one", "top3"):
        assert ours[name] == pytest.approx(trained_scores[name], abs=1e-5)
    assert metrics["checkpoints"]["2"]["confusion"] == trained_scores["confusion"]
    assert metrics["map"]["lag_steps"] == 2
    assert {row["control"] for row in metrics["audit"]["controls"]} >= {"same hour", "any hour"}
    names = ["scores", "by_lag", "by_latitude", "confusion", "reliability", "audit", "map_lag02"]
    for name in names:
        assert len((folder / f"{name}.csv").read_text().splitlines()) > 4
    for name in ("confusion", "reliability", "accuracy_over_lag", "epochs", "audit", "map_lag02"):
        assert (folder / "figures" / f"{name}.png").is_file()
        assert (folder / "figures" / f"{name}.pdf").is_file()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["command"] == "rplearn-eval"
    assert manifest["epochs"] == [1, 2]

    monkeypatch.setattr(assessment_run, "predict_split", None)
    monkeypatch.setattr(judged_run, "load_network", None)
    assert main([*arguments, "--audit", "false"]) == 0
    again = json.loads((folder / "metrics.json").read_text())
    assert again["checkpoints"] == metrics["checkpoints"]
    out = capsys.readouterr().out
    assert "  With --archive ARCHIVE there are maps, and the audit is exact.\n" in out
    assert out.endswith(f"Next: atmodist calibrate {run}\n")


def test_a_run_with_an_ordinal_head_is_judged_as_any_other(trained, tmp_path, monkeypatch):
    from atmodist.cli import rplearn_train
    from atmodist.pretext.architectures import resnet_tiny
    from tests.pretext.sources import MICRO

    _, records, _ = trained
    run = tmp_path / "ordinal"
    monkeypatch.setattr(resnet_tiny, "ARCHITECTURE", MICRO)
    arguments = [str(records), "--architecture", "resnet-tiny", "--output", str(run)]
    arguments += ["--epochs", "1", "--batch_size", "32", "--head", "ordinal"]
    assert rplearn_train.main(arguments) == 0
    assert main([str(run), "--figures", "false", "--audit", "false"]) == 0
    metrics = json.loads((run / "evaluation" / "metrics.json").read_text())
    trained_scores = json.loads((run / "evaluation.json").read_text())["last"]
    entry = metrics["checkpoints"]["1"]
    ours = {row["score"]: row["value"] for row in entry["scores"]}
    assert ours["loss"] == pytest.approx(trained_scores["loss"], abs=1e-5)
    assert entry["calibration"]["temperature"] > 0


def test_the_run_of_another_task_has_no_labels_to_judge_but_an_encoder(
    trained, tmp_path, monkeypatch, capsys
):
    from atmodist.cli import calibrate, rplearn_train
    from atmodist.metric.content_loss import ContentLoss
    from atmodist.pretext.architectures import resnet_tiny
    from tests.pretext.sources import MICRO

    _, records, _ = trained
    run = tmp_path / "inpainting"
    monkeypatch.setattr(resnet_tiny, "ARCHITECTURE", MICRO)
    arguments = [str(records), "--architecture", "resnet-tiny", "--output", str(run)]
    arguments += ["--epochs", "1", "--batch_size", "32", "--task", "inpainting"]
    assert rplearn_train.main(arguments) == 0
    out = capsys.readouterr().out
    assert "visible part's mean gives" in out
    assert out.endswith(f"Next: atmodist calibrate {run}\n")  # rplearn-eval would refuse it
    assert main([str(run)]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert error.startswith(f"rplearn-eval: error: the network in {run} was trained as inpainting")
    assert f"its own scores are in {run / 'evaluation.json'}" in error
    assert calibrate.main([str(run), "--compare", "false"]) == 0
    assert ContentLoss.from_package(run).stages == {"stage1": 1.0}
