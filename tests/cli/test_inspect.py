import subprocess
import sys

import pytest

from atmodist.cli.inspect import main
from atmodist.training.saving import save_network
from tests.cli.mistakes import mistake
from tests.pairs.archives import hourly, write_archive
from tests.srgan.generators.examples import made_network
from tests.srgan.samples.sources import write_records


@pytest.fixture
def archive(tmp_path):
    return write_archive(tmp_path / "archive.h5", seconds=hourly(5))


def test_it_says_what_there_is(archive, capsys):
    assert main([str(archive)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"archive   {archive}\n")
    assert "verified" not in out


@pytest.mark.parametrize("flag", [["--verify"], ["--verify", "true"], ["--verify=true"]])
@pytest.mark.parametrize("first", [True, False])
def test_verify_is_a_switch_before_or_after_the_path(archive, capsys, flag, first):
    assert main([*flag, str(archive)] if first else [str(archive), *flag]) == 0
    assert capsys.readouterr().out.endswith("verified  every value is finite\n")


def test_verify_can_be_off(archive, capsys):
    assert main([str(archive), "--verify", "false"]) == 0
    assert "verified" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["none.h5"], "there is no file or folder none.h5"),
        (["."], ". holds neither records nor networks"),
        ([], "path"),
        (["a", "--verfiy"], "--verfiy"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, arguments, text):
    monkeypatch.chdir(tmp_path)
    err = mistake(main, arguments, capsys)
    assert err.startswith("atmodist inspect: error: ")
    assert text in err


def test_records_and_networks_of_super_resolution_are_known(tmp_path):
    # In a process of its own: here, other tests have made them known.
    folder = write_records(tmp_path / "patches").folder
    save_network(made_network(), tmp_path / "generator.keras")
    script = "import sys; from atmodist.cli.inspect import main; sys.exit(main(sys.argv[1:]))"
    for path, text in (
        (folder, "kind      super resolution"),
        (tmp_path / "generator.keras", "(generator)"),
    ):
        command = [sys.executable, "-c", script, str(path)]
        found = subprocess.run(command, capture_output=True, text=True)
        assert found.returncode == 0, found.stderr
        assert text in found.stdout
