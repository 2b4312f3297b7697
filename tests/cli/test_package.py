import subprocess
import sys

import pytest

from atmodist.cli.package import main
from atmodist.fields.grid import make_grid
from atmodist.files.outputs import read_json, write_json
from tests.cli.mistakes import mistake
from tests.cli.test_rplearn_train import write_records
from tests.pretext.sources import MICRO, normalization


@pytest.fixture
def run(tmp_path):
    """A calibrated run whose records say which grid they are from."""
    from atmodist.fields.described_grid import described_grid
    from atmodist.metric.calibration import Calibration, StageCalibration
    from atmodist.metric.lag_curve import LagCurve
    from atmodist.pretext.networks import residual_encoder
    from atmodist.training.saving import save_network

    write_records(tmp_path / "records")
    (sidecar,) = (tmp_path / "records").rglob("records.json")
    content = read_json(sidecar)
    content["metadata"]["grid"] = described_grid(make_grid("regular", 181))
    write_json(sidecar, content)
    run = tmp_path / "run"
    run.mkdir()
    save_network(residual_encoder(MICRO.spec, (32, 32, 2)), run / "encoder.keras")
    normalization().save(run / "normalization.json")
    write_json(run / "manifest.json", {"config": {"records": str(tmp_path / "records")}})
    curve = LagCurve(lag_hours=[3], median=[1], quantile16=[1], quantile84=[1], mean=[1])
    stage = StageCalibration(alpha=2.0, curve=curve)
    Calibration(step_seconds=10_800, stages={"stage1": stage}).save(run / "calibration.json")
    return run


def test_a_run_becomes_a_package_that_knows_its_grid(run, tmp_path, capsys):
    from atmodist import load_metric

    assert main([str(run), "--output", str(tmp_path / "made")]) == 0
    out = capsys.readouterr().out
    assert "encoder package, calibrated, grid 181 x 360 regular" in out
    assert out.splitlines()[-1] == f"Next: atmodist distance A B --metric {tmp_path / 'made'}"
    metric = load_metric(tmp_path / "made")
    assert metric.grid.matches(make_grid("regular", 181))
    assert metric.is_calibrated
    card = (tmp_path / "made/README.md").read_text()
    assert "181 latitudes x 360 longitudes, every 1 x 1 degrees (111 km)" in card
    # A package can be packed again, and keeps what it knows.
    assert main([str(tmp_path / "made"), "--output", str(tmp_path / "again")]) == 0
    assert "grid 181 x 360 regular" in capsys.readouterr().out


def test_the_grid_of_an_archive_that_is_named_wins(run, tmp_path, capsys):
    from atmodist.fields.synthetic import generate_archive

    generate_archive(tmp_path / "a.h5", num_steps=2, num_rows=32, truncation=10)
    arguments = [str(run), "--output", str(tmp_path / "made"), "--archive", str(tmp_path / "a.h5")]
    assert main(arguments) == 0
    assert "grid 32 x 64" in capsys.readouterr().out


def test_a_grid_that_nobody_knows_is_said_to_be_unknown(run, tmp_path, capsys):
    write_json(run / "manifest.json", {})
    assert main([str(run), "--output", str(tmp_path / "made")]) == 0
    assert "grid not known; --archive names one" in capsys.readouterr().out
    assert read_json(tmp_path / "made/manifest.json")["grid"] is None


def test_an_uncalibrated_run_is_packed_only_if_asked_to(run, tmp_path, capsys):
    (run / "calibration.json").unlink()
    arguments = [str(run), "--output", str(tmp_path / "made")]
    assert main(arguments) == 2
    assert f"run `atmodist calibrate {run}` first" in capsys.readouterr().err
    assert main([*arguments, "--uncalibrated"]) == 0
    assert "encoder package, not calibrated" in capsys.readouterr().out


def test_only_packages_are_replaced_and_only_if_asked_to(run, tmp_path, capsys):
    made = tmp_path / "made"
    arguments = [str(run), "--output", str(made)]
    made.mkdir()
    assert main(arguments) == 2
    assert "exists and is no encoder package" in capsys.readouterr().err
    made.rmdir()
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "exists; give --overwrite to replace it" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0
    assert main([str(run), "--output", str(run), "--overwrite"]) == 2
    assert "exists and is no encoder package" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--license", "all rights reserved"], "`license` must be an identifier"),
        (["--output", "hf://somebody"], "is no address; write hf://user/name"),
        (["--archive", "/nowhere.h5"], "/nowhere.h5"),
        (["--licence", "mit"], "licence"),
    ],
)
def test_mistakes_end_with_one_line_and_status_2(run, tmp_path, arguments, message, capsys):
    error = mistake(main, [str(run), "--output", str(tmp_path / "made"), *arguments], capsys)
    assert message in error
    assert error.startswith("atmodist package: error: ")
    assert not (tmp_path / "made").exists()


def test_mistakes_in_paths_are_told_before_tensorflow_loads(tmp_path):
    code = (
        "import sys; from atmodist.cli.package import main; main(sys.argv[1:]);"
        "print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), "--output", str(tmp_path / "made")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
    assert "holds no encoder.keras" in result.stderr
