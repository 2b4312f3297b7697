import pytest

from atmodist.cli.inspect import main
from tests.cli.mistakes import mistake
from tests.samples.archives import hourly, write_archive


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
