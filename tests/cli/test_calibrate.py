import json
import subprocess
import sys

import pytest

from atmodist.cli.calibrate import main
from tests.cli.mistakes import mistake
from tests.cli.test_rplearn_train import write_records
from tests.pretext.sources import MICRO, normalization


@pytest.fixture
def run(tmp_path):
    """A folder as rplearn-train leaves it, with records that say how long a step is."""
    from atmodist.files.outputs import read_json, write_json
    from atmodist.pretext.networks import residual_encoder
    from atmodist.training.saving import save_network

    write_records(tmp_path / "records", num_evaluation=40)
    (sidecar,) = (tmp_path / "records").rglob("records.json")
    content = read_json(sidecar)
    content["metadata"]["step_seconds"] = 10_800
    write_json(sidecar, content)
    run = tmp_path / "run"
    run.mkdir()
    save_network(residual_encoder(MICRO.spec, (32, 32, 2)), run / "encoder.keras")
    normalization().save(run / "normalization.json")
    write_json(run / "manifest.json", {"config": {"records": str(tmp_path / "records")}})
    return run


def test_calibration_comparison_and_figures_lie_beside_the_encoder(run, capsys):
    from atmodist.metric.calibration import Calibration

    assert main([str(run)]) == 0
    out = capsys.readouterr().out
    assert "alpha: stage1" in out
    assert "spearman" in out
    assert "40 pairs" in out
    assert out.splitlines()[-1].startswith("Next: ")
    for name in ("calibration", "comparison"):
        assert (run / f"{name}.png").is_file()
        assert (run / f"{name}.pdf").is_file()
    assert (run / "comparison.csv").is_file()
    assert (run / "rank_correlation.csv").is_file()
    calibration = Calibration.load(run / "calibration.json")
    assert calibration.step_seconds == 10_800
    assert calibration.normalization == normalization().identity
    assert calibration.source["num_pairs"] == 40
    assert (calibration.extent.kind, calibration.extent.shape) == ("patches", (32, 32))
    assert calibration.curve("stage1").lag_hours.tolist() == [3.0, 6.0, 9.0, 12.0]
    manifest = json.loads((run / "calibration.manifest.json").read_text())
    assert len(manifest["inputs"]) == 2


def test_calibration_alone_makes_the_same_file(run):
    assert main([str(run)]) == 0
    first = (run / "calibration.json").read_text()
    (run / "comparison.png").unlink()
    assert main([str(run), "--compare", "false"]) == 0
    assert (run / "calibration.json").read_text() == first
    assert not (run / "comparison.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "test"], "has no split 'test'"),
        (["--records", "/nowhere"], "/nowhere is no folder of records"),
        (["--batch_size", "0"], "batch_size must be positive; got 0"),
        (["--weights", "{stage1: 1, stage9: 1}"], "no stage 'stage9'"),
        (["--weights", "{stage1: -1}"], "weight of stage1 must be finite and >= 0"),
    ],
)
def test_mistakes_end_with_one_line_and_status_2(run, arguments, message, capsys):
    error = mistake(main, [str(run), *arguments], capsys)
    assert message in error
    assert error.startswith("atmodist calibrate: error: ")
    assert not (run / "calibration.json").exists()


def test_a_folder_without_a_network_and_a_run_without_records_are_told(run, tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "holds no encoder.keras" in capsys.readouterr().err
    (run / "manifest.json").write_text("{}")
    assert main([str(run)]) == 2
    assert "tell with --records which pairs to use" in capsys.readouterr().err


def test_mistakes_in_paths_are_told_before_tensorflow_loads(tmp_path):
    code = (
        "import sys; from atmodist.cli.calibrate import main; main(sys.argv[1:]);"
        "print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_whole_fields_of_an_archive_have_a_calibration_of_their_own(run, tmp_path, capsys):
    from atmodist.fields.synthetic import generate_archive
    from atmodist.metric.calibration import Calibration

    archive = tmp_path / "a.h5"
    generate_archive(archive, num_steps=14, num_rows=32, truncation=20)
    arguments = [str(run), "--archive", str(archive), "--max_temporal_distance", "3"]
    assert main(arguments) == 0
    assert f"whole fields of {archive}" in capsys.readouterr().out
    calibration = Calibration.load(run / "calibration.json")
    assert calibration.curve("stage1").lag_hours.tolist() == [3.0, 6.0, 9.0]
    assert (calibration.extent.kind, calibration.extent.shape) == ("whole fields", (32, 64))
    assert main([*arguments, "--start", "2000-01-01"]) == 2
    assert "no step between 2000-01-01 and the end" in capsys.readouterr().err


@pytest.fixture
def package(run, tmp_path):
    """An encoder package without a calibration."""
    from atmodist.metric.package import save_package

    save_package(run, tmp_path / "package")
    return tmp_path / "package"


def calibrate_package(package, *arguments):
    records = str(package.parent / "records")
    return main([str(package), "--records", records, "--compare", "false", *arguments])


def test_a_package_is_calibrated_and_stays_a_package(package):
    from atmodist.metric.package import load_package

    assert "Calibrated: no" in (package / "README.md").read_text()
    for num_pairs in (40, 30):  # the second replaces the first
        assert calibrate_package(package, "--max_pairs", str(num_pairs)) == 0
        found = load_package(package)
        assert found.calibration.source["num_pairs"] == num_pairs
        assert found.manifest["calibrated"]
        assert found.manifest["calibration"]["fields"] == "patches of 32 x 32 points"
        assert "Calibrated: yes, on patches of 32 x 32" in (package / "README.md").read_text()


def test_a_card_that_was_edited_is_left_alone(package):
    from atmodist.metric.package import load_package

    (package / "README.md").write_text("my own words")
    assert calibrate_package(package) == 0
    assert load_package(package).calibration is not None
    assert (package / "README.md").read_text() == "my own words"


def test_a_package_whose_calibrating_was_killed_is_refused_until_it_is_done_again(
    package, monkeypatch
):
    from atmodist.metric.package import FORMAT, load_package

    def killed(*_arguments):
        raise KeyboardInterrupt

    assert calibrate_package(package, "--max_pairs", "30") == 0
    with monkeypatch.context() as patch:
        patch.setattr(type(FORMAT), "update_manifest", killed)
        assert calibrate_package(package) == 130
    with pytest.raises(ValueError, match=r"is not .*\(`atmodist calibrate` mends it"):
        load_package(package)
    assert calibrate_package(package) == 0
    assert load_package(package).calibration.source["num_pairs"] == 40


def test_a_package_of_the_hub_is_to_be_fetched_first(capsys):
    assert main(["hf://someone/ruler"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "hf download someone/ruler --local-dir FOLDER" in error


def test_a_calibration_of_other_weights_is_refused_and_made_anew(run):
    from atmodist.metric.package import load_package, save_package
    from atmodist.training.saving import load_network, save_network

    assert main([str(run), "--compare", "false"]) == 0
    network = load_network(run / "encoder.keras")
    save_network(network, run / "encoder.keras")  # other bytes, the same weights
    assert load_package(run).calibration is not None
    network.set_weights([1.1 * weight for weight in network.get_weights()])
    save_network(network, run / "encoder.keras")
    for use in (load_package, lambda path: save_package(path, run.parent / "made")):
        with pytest.raises(ValueError, match=f"other weights .*`atmodist calibrate {run}`"):
            use(run)
    assert not (run.parent / "made").exists()
    assert load_package(run, calibrated=False).calibration is None
    assert main([str(run), "--compare", "false"]) == 0
    assert load_package(run).calibration is not None
