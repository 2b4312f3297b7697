import pytest
import yaml

from atmodist.files.outputs import read_json
from evaluation import statistics
from evaluation.cli.phire_eval import gathered, main
from evaluation.running.results import load_results
from tests.evaluation.made_up import STATISTICS, changed_archive, made_archive


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr("evaluation.running.runner.STATISTICS", STATISTICS)
    monkeypatch.setattr(
        "evaluation.report.report.write_report", lambda results, **_: results.folder / "report.html"
    )
    truth = made_archive(tmp_path / "truth.h5", num_steps=6)
    changed_archive(truth, tmp_path / "half.h5", lambda field: field / 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_lists_may_follow_their_flag():
    words = [
        "r.h5",
        "--candidates",
        "a=b.h5",
        "c.h5",
        "--regions",
        "europe",
        "--seed",
        "3",
        "--statistics",
        "[errors]",
    ]
    assert gathered(words) == [
        "r.h5", "--candidates", '["a=b.h5", "c.h5"]', "--regions", '["europe"]', "--seed", "3",
        "--statistics", "[errors]",
    ]  # fmt: skip
    assert gathered(["--picture-times", "2018-10-06"]) == ["--picture_times", '["2018-10-06"]']
    assert gathered(["--candidates", '{"a": "b.h5"}']) == ["--candidates", '{"a": "b.h5"}']


def test_from_flags_and_from_yaml_to_results_and_a_comparison(files, capsys):
    flags = ["truth.h5", "--workers", "1", "--regions", "europe", "mine=-10,10,350,20"]
    assert main([*flags, "--candidates", "half=half.h5", "--output", "one"]) == 0
    out = capsys.readouterr().out.strip().splitlines()
    assert out[0].startswith("2 statistics of half against truth.h5, 6 steps")
    assert out[-1].startswith("Wrote one/report.html. Next: ")
    settings = {
        "reference": "truth.h5",
        "candidates": {"past": "persistence:1", "bicubic": "interpolation:bicubic"},
        "factor": 2, "workers": 1, "output": "two", "options": {"mean_square": {"power": 1}},
        "regions": {"europe": None, "mine": [-10, 10, 350, 20]},
    }  # fmt: skip
    (files / "run.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    assert main(["--config", "run.yaml", "--options.mean_square.power", "2"]) == 0
    out = capsys.readouterr().out
    assert "note: 5 of 6 times are used, those that all candidates have (past lacks 1)" in out
    assert list(load_results("two").candidates) == ["past", "bicubic"]
    assert read_json(files / "two" / "manifest.json")["config"]["factor"] == 2
    assert main(["compare", "one", "two"]) == 2
    assert "they differ in times" in capsys.readouterr().err
    interpolated = ["--candidates", "interpolation:nearest", "--factor", "2", "--output", "three"]
    assert main([*flags, *interpolated]) == 0
    assert main(["compare", "one", "three", "--output", "both"]) == 0
    assert list(load_results("both").candidates) == ["half", "nearest"]


def test_what_a_report_says_makes_it_again(files, capsys):
    """The configuration in the manifest is what the report prints as the recipe."""
    flags = ["truth.h5", "--workers", "1"]
    for name in ("half", "truth"):
        assert main([*flags, "--candidates", f"{name}=half.h5", "--output", name]) == 0
    assert main(["compare", "half", "truth", "--output", "both"]) == 0
    for command, name in (([], "half"), (["compare"], "both")):
        before = load_results(name)
        manifest = read_json(files / name / "manifest.json")
        recipe = {key: value for key, value in manifest["config"].items() if value is not None}
        (files / "run.yaml").write_text(yaml.safe_dump(recipe))
        assert main([*command, "--config", "run.yaml"]) == 0, capsys.readouterr().err
        assert load_results(name).rows == before.rows
        assert read_json(files / name / "manifest.json")["config"] == manifest["config"]


def test_help_names_all_statistics(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"Statistics: {', '.join(statistics.STATISTICS)}." in text


def test_mistakes_end_with_one_line(files, capsys):
    assert main(["truth.h5", "--candidates", "half=half.h5", "--statistics", "errorz"]) == 2
    err = capsys.readouterr().err
    assert f"there is no statistic 'errorz'; there are {', '.join(STATISTICS)}" in err
    assert len(err.strip().splitlines()) == 1
    assert main(["truth.h5", "--candidates", "none.h5"]) == 2
    assert "candidate none: there is no file none.h5" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["truth.h5"])
    assert "candidates" in capsys.readouterr().err
