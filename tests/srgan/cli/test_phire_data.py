import pytest

from atmodist.fields.grid import make_grid
from atmodist.records import making
from srgan.cli.phire_data import main
from tests.pairs.archives import hourly, write_archive

OPTIONS = ("--patch_shape", "[8,12]", "--patches_per_step", "5", "--gap", "3", "--workers", "1")


@pytest.fixture
def archive(tmp_path):
    grid = make_grid("regular", 25)
    return write_archive(tmp_path / "archive.h5", seconds=hourly(30), grid=grid)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(making, "write_tfds_metadata", lambda records: None)


def test_it_says_what_was_made_and_what_to_run_next(archive, tmp_path, capsys):
    arguments = [str(archive), "--output", str(tmp_path / "records"), *OPTIONS, "--whole-fields"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    folder = tmp_path / "records/phire_patches/1.0.0"
    assert lines[0] == f"records    {folder}"
    assert lines[1].startswith("train      120 patches, 1 shard, ")
    assert lines[3] == f"records    {tmp_path}/records/phire_patches_fields/1.0.0"
    assert lines[4].startswith("evaluation 4 fields, 1 shard, ")
    assert lines[5:] == [f"Next: phire-train {folder}"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--factor", "[4]"], "a list of primes"),
        (["--factor", "5"], "patch_shape must be multiples of the factor 5"),
        (["--static", "absent.nc"], "there is no file absent.nc"),
        (["--low_archive", "absent.h5"], "there is no archive absent.h5"),
        (["--normalization", "absent.json"], "absent.json"),
    ],
)
def test_mistakes_are_one_line(archive, tmp_path, capsys, options, message):
    try:
        status = main([str(archive), "--output", str(tmp_path / "r"), *OPTIONS, *options])
    except SystemExit as ended:  # as argparse ends
        status = ended.code
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("phire-data: error: ")
    assert message in err
    assert not (tmp_path / "r").exists()


def test_steps_of_the_factor_and_static_channels_are_lists(capsys):
    arguments = ["a.h5", "--factor", "[2,5]", "--static", "[latitude,z.nc]", "--print_config"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "factor:\n- 2\n- 5\n" in out
    assert "static:\n- latitude\n- z.nc\n" in out
