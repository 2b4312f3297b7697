"""`atmodist statistics` as it is typed."""

import numpy as np
import pytest

from atmodist.cli.main import main
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import make_grid
from atmodist.fields.normalization import Normalization
from atmodist.files.outputs import read_json

DAY = 86_400


@pytest.fixture
def archive(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "archive.h5"
    grid = make_grid("driscoll-healy", 8)
    with ArchiveWriter(path, channels=(DIVERGENCE, VORTICITY), grid=grid) as writer:
        for step in range(6):
            field = rng.standard_normal((2, *grid.shape)) * (1 + step)
            writer.append(step * DAY, field.astype("f4"))
    return path


def run(*arguments) -> int:
    return main(["statistics", *map(str, arguments)])


def test_writes_the_normalisation_and_says_what_is_next(archive, tmp_path, capsys):
    output = tmp_path / "new" / "normalization.json"
    assert run(archive, "--output", output) == 0
    ours = Normalization.load(output)
    assert ours.source["num_steps"] == 6
    shown = capsys.readouterr().out
    assert "vorticity (s-1)" in shown
    assert f"Next: rplearn-data {archive} --normalization {output}" in shown
    manifest = read_json(output.with_name("normalization.json.manifest.json"))
    assert manifest["command"] == "atmodist statistics"
    assert manifest["identity"] == ours.identity
    assert str(archive) in manifest["inputs"]


def test_period_and_alpha_reach_the_result(archive, tmp_path):
    output = tmp_path / "normalization.json"
    period = ("--start", "1970-01-02", "--end", "1970-01-03")
    assert run(archive, "--output", output, *period, "--alpha", "0.5") == 0
    ours = Normalization.load(output)
    assert ours.alpha == 0.5
    assert (ours.source["start"], ours.source["num_steps"]) == ("1970-01-02T00:00:00", 2)
    assert ours.std[0] == pytest.approx(np.sqrt((4 + 9) / 2), rel=0.3)  # of 128 random values


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--start", "1980-01-01"), "no step between 1980-01-01 and the end"),
        (("--end", "1969"), "'1969' is no time"),
        (("--alpha", "0"), "`alpha` must be positive"),
        (("--output", "statistics.txt"), "must be a file name that ends in .json"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    archive, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert run(archive, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "normalization.json").exists()


def test_a_missing_archive_is_named(tmp_path, capsys):
    assert run(tmp_path / "none.h5") == 2
    assert "none.h5" in capsys.readouterr().err


def test_a_finished_command_does_nothing_again_and_another_one_asks(archive, tmp_path, capsys):
    output = tmp_path / "n.json"
    assert run(archive, "--output", output) == 0
    before = output.stat().st_mtime_ns
    assert run(archive, "--output", output) == 0
    assert f"{output} exists already; nothing was done" in capsys.readouterr().out
    assert run(archive, "--output", output, "--end", "1970-01-03") == 2
    assert "give --overwrite to replace it" in capsys.readouterr().err
    assert output.stat().st_mtime_ns == before
    assert run(archive, "--output", output, "--end", "1970-01-03", "--overwrite") == 0
    assert Normalization.load(output).source["num_steps"] == 3


def test_the_manifest_of_the_archive_is_kept(archive, tmp_path):
    (tmp_path / "archive.h5.manifest.json").write_text("{}")
    assert run(archive, "--output", tmp_path / "archive.json") == 0
    assert (tmp_path / "archive.h5.manifest.json").read_text() == "{}"
