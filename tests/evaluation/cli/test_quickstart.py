import json

import pytest

from atmodist import load_metric
from atmodist.fields.archive import Archive
from dynamics.cli import simulate
from evaluation.cli.quickstart import COMMANDS, QuickstartConfig, main, steps
from tests.cli.mistakes import mistake


def test_another_seed_in_the_same_folder_is_told_what_to_do(tmp_path, capsys):
    small = ["--truncation", "10", "--levels", "2", "--days", "0.25", "--seed", "3"]
    assert simulate.main([str(tmp_path / "archive.h5"), *small]) == 0
    capsys.readouterr()
    error = mistake(main, ["--output", str(tmp_path), "--seed", "4"], capsys)
    assert error == (
        f"atmodist quickstart: error: {tmp_path} holds a quickstart with seed 3, and nothing of it "
        "is replaced; give that --seed to go on with it, or another --output for seed 4\n"
    )


def test_the_fields_that_are_judged_are_of_the_time_that_is_held_out():
    assert QuickstartConfig(days=60).held_out == "2000-02-19"  # 48 days and one after 1 January
    assert {name for name, _ in steps(QuickstartConfig())} == set(COMMANDS)


@pytest.mark.parametrize("days", [15, 17, 20, 24, 60])
def test_few_days_have_batches_enough_for_the_generators(days):
    config = QuickstartConfig(days=days)
    train = [i for i in range(4 * days + 1) if i <= 4 * days * 0.8]  # as phire-data divides them
    assert 1 <= config.adversarial_steps <= len(train) * 24 // 64


def test_too_few_days_are_told(capsys):
    error = mistake(main, ["--days", "5"], capsys)
    assert "days must be at least 15; got 5" in error


@pytest.mark.slow
def test_the_whole_path_runs_and_a_second_call_has_little_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny = ["--days", "20", "--truncation", "21", "--epochs", "1", "--generator_epochs", "1"]
    assert main(tiny) == 0
    printed = capsys.readouterr().out
    for name in ("simulate", "rplearn-data", "rplearn-train", "phire-train", "phire-eval"):
        assert f"{name} quickstart/" in printed
    assert printed.splitlines()[-1] == "Next, open quickstart/report/report.html"
    assert (tmp_path / "quickstart/report/report.html").stat().st_size > 50_000
    learnt = json.loads((tmp_path / "quickstart/run/evaluation.json").read_text())
    assert (
        learnt["best"]["accuracy"] > 2 * learnt["chance"]
    )  # 64 pairs; 0.56 was seen, 0.125 is chance
    metric = load_metric("quickstart/run")
    with Archive("quickstart/archive.h5") as archive:
        fields = [archive.read(i) for i in (60, 61, 62, 64)]
        distances = [metric(fields[0], field, grid=archive.grid) for field in fields]
    assert distances == sorted(distances)  # of whole fields 0, 6, 12 and 24 hours apart
    assert distances[0] == 0
    metrics = json.loads((tmp_path / "quickstart/report/metrics.json").read_text())
    for name in ("bilinear", "bicubic", "mse", "atmodist"):
        assert name in json.dumps(metrics)
    generator = tmp_path / "quickstart/with-mse/generator.keras"
    made = generator.stat().st_mtime_ns
    assert main(tiny) == 0
    again = capsys.readouterr().out
    assert again.count("Done before.") == len(steps(QuickstartConfig()))
    assert generator.stat().st_mtime_ns == made
