import h5py
import numpy as np
import pytest

from atmodist.cli.generate import main
from atmodist.fields.archive import Archive
from atmodist.files.outputs import read_json
from tests.cli.mistakes import mistake

SMALL = ("--num_steps", "4", "--num_rows", "12", "--truncation", "8")


def test_an_archive_and_its_manifest_are_made(tmp_path, capsys):
    path = tmp_path / "archive.h5"
    assert main([str(path), *SMALL, "--step_hours", "0.5", "--seed", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Next: rplearn-data {path}"
    with Archive(path) as archive:
        assert archive.shape == (2, 4, 12, 24)
        assert archive.grid.kind == "gauss"
        assert archive.time.step == 1800
        archive.validate()
    manifest = read_json(tmp_path / "archive.h5.manifest.json")
    assert manifest["command"] == "atmodist generate"
    assert manifest["seed"] == manifest["config"]["seed"] == 3
    assert {entry.name for entry in tmp_path.iterdir()} == {
        "archive.h5",
        "archive.h5.manifest.json",
    }


@pytest.mark.parametrize("compression", ["blosc2", "zstd", "gzip", "none"])
def test_compression_changes_no_value(tmp_path, compression):
    paths = [tmp_path / "plain.h5", tmp_path / "packed.h5"]
    for path, option in zip(paths, ("none", compression), strict=True):
        assert main([str(path), *SMALL, "--compression", option]) == 0
    with h5py.File(paths[0]) as plain, h5py.File(paths[1]) as packed:
        np.testing.assert_array_equal(plain["data"][...], packed["data"][...])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--num_steps", "0"], "num_steps must be positive; got 0"),
        (["--num_rows", "1", "--truncation", "1"], "truncation must be below num_rows = 1; got 1"),
        (["--truncation", "64"], "truncation must be below num_rows = 64; got 64"),
        (["--step_hours", "-3"], "step_hours must be positive; got -3.0"),
        (["--step_hours", "1e-5"], "step_hours must be a second at least; got 1e-05"),
        (["--seed", "-1"], "non-negative"),
        (["--compression", "lzma"], "compression"),
        (["--nonsense", "1"], "--nonsense"),
    ],
)
def test_settings_that_cannot_be_are_one_line(tmp_path, capsys, options, text):
    err = mistake(main, [str(tmp_path / "archive.h5"), *options], capsys)
    assert err.startswith("atmodist generate: error: ")
    assert text in err
    assert not (tmp_path / "archive.h5").exists()


def test_an_output_in_the_way_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file" / "archive.h5"), *SMALL]) == 2
    assert "Not a directory" in capsys.readouterr().err
    assert main([str(tmp_path), *SMALL]) == 2
    assert "is a folder; the output must be a file name" in capsys.readouterr().err


def test_a_finished_command_does_nothing_again_and_another_one_asks(tmp_path, capsys):
    path = tmp_path / "archive.h5"
    assert main([str(path), *SMALL]) == 0
    before = path.stat().st_mtime_ns
    assert main([str(path), *SMALL]) == 0
    assert f"{path} exists already; nothing was done" in capsys.readouterr().out
    assert main([str(path), *SMALL, "--seed", "1"]) == 2
    assert "give --overwrite to replace it" in capsys.readouterr().err
    assert path.stat().st_mtime_ns == before
    assert main([str(path), *SMALL, "--seed", "1", "--overwrite"]) == 0
    assert path.stat().st_mtime_ns != before
    assert read_json(tmp_path / "archive.h5.manifest.json")["seed"] == 1
