"""Records of the reference implementation, from its files to a distance, hint by hint."""

import json
import shlex

import pytest

from atmodist.cli import calibrate, distance, package, rplearn_eval, rplearn_train
from atmodist.fields.grid import make_grid
from atmodist.fields.normalization import NAMED, Normalization
from atmodist.pretext.architectures import resnet_tiny
from tests.cli.mistakes import mistake
from tests.pairs.archives import hourly, write_archive
from tests.pretext.sources import MICRO, normalization, write_as_reference, write_records

NAME = "era5-ml120"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    write_as_reference(folder / "rplearn_train_1979_1998.0.tfrecords", 32, row=10)
    write_as_reference(folder / "rplearn_train_1979_1998.1.tfrecords", 16, row=140)
    write_as_reference(folder / "rplearn_eval_2000_2005.0.tfrecords", 40, row=140)
    return folder


def trained(records, output, *others):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet_tiny, "ARCHITECTURE", MICRO)
        arguments = [str(records), "--architecture", "resnet-tiny", "--output", str(output)]
        arguments += ["--batch_size", "16", "--epochs", "1", "--checkpoint_minutes", "null"]
        assert rplearn_train.main([*arguments, *others]) == 0
    return output


@pytest.fixture
def bare(records, tmp_path):
    """A run that was not told the normalisation of its records."""
    return trained(records, tmp_path / "bare")


def hinted(text, command):
    """What a hint says that should be typed after the name of a command."""
    (hint,) = [part for part in text.replace(", ", "\n").splitlines() if command in part]
    return shlex.split(hint.split(command, 1)[1])


def test_from_their_records_to_a_distance(records, tmp_path, capsys):
    run = trained(records, tmp_path / "run", "--normalization", NAME)
    out = capsys.readouterr().out
    assert "without mirroring" not in out
    assert (
        Normalization.load(run / "normalization.json").identity == Normalization.load(NAME).identity
    )

    assert rplearn_eval.main([*hinted(out, "Next: rplearn-eval"), "--step_hours", "3"]) == 0
    out = capsys.readouterr().out
    assert hinted(out, "atmodist calibrate") == [str(run)]
    metrics = json.loads((run / "evaluation" / "metrics.json").read_text())
    assert metrics["step_seconds"] == 10_800
    (entry,) = metrics["checkpoints"].values()
    assert {row["south"] for row in entry["by_latitude"]} == {-75.0}  # the centres, at 65.5° S

    error = mistake(calibrate.main, [str(run)], capsys)
    assert "say it with --step_hours" in error
    arguments = [str(run), "--step_hours", "3", "--num_resamples", "10"]
    assert calibrate.main(arguments) == 0
    out = capsys.readouterr().out

    packed = tmp_path / "packed"
    assert package.main([str(run), "--output", str(packed)]) == 0
    out = capsys.readouterr().out
    a, b = (
        write_archive(
            tmp_path / f"{seed}.h5", seconds=hourly(2), grid=make_grid("regular", 33), seed=seed
        )
        for seed in (0, 1)
    )
    arguments = hinted(out.replace("A B", f"{a} {b}"), "Next: atmodist distance")
    assert distance.main(arguments) == 0
    assert "2 pairs" in capsys.readouterr().out


def test_a_run_without_normalisation_is_given_one_later(bare, tmp_path, capsys):
    for main, arguments in (
        (calibrate.main, [str(bare), "--step_hours", "3"]),
        (package.main, [str(bare), "--uncalibrated", "--output", str(tmp_path / "packed")]),
    ):
        error = mistake(main, arguments, capsys)
        assert "lacks normalization.json" in error
        assert f"a file, or a name ({NAME})" in error
    assert rplearn_eval.main([str(bare), "--audit", "false", "--figures", "false"]) == 0
    arguments = hinted(capsys.readouterr().out, "Next: atmodist calibrate")
    arguments = [{"HOURS": "3", "FILE_OR_NAME": NAME}.get(word, word) for word in arguments]
    assert calibrate.main([*arguments, "--compare", "false"]) == 0
    assert (
        Normalization.load(bare / "normalization.json").identity
        == Normalization.load(NAME).identity
    )
    assert package.main([str(bare), "--output", str(tmp_path / "packed")]) == 0
    capsys.readouterr()
    error = mistake(
        package.main, [str(bare), "--output", str(tmp_path / "x"), *other(tmp_path)], capsys
    )
    assert "different normalisations" in error


def other(folder):
    """A file of a normalisation, as the flag wants it."""
    normalization().save(folder / "other.json")
    return ["--normalization", str(folder / "other.json")]


@pytest.mark.parametrize("command", [rplearn_train, rplearn_eval, calibrate, package])
def test_a_wrong_name_is_told_with_the_right_ones(bare, records, command, tmp_path, capsys):
    source = records if command is rplearn_train else bare
    arguments = [str(source), "--normalization", "era5"]
    if command is package:
        arguments += ["--uncalibrated"]
    if command in (package, rplearn_train):
        arguments += ["--output", str(tmp_path / "new")]
    error = mistake(command.main, arguments, capsys)
    assert "there is no normalisation era5; " in error
    assert ", ".join(NAMED) in error


def test_a_step_that_records_contradict_is_refused(tmp_path, capsys):
    folder = write_records(tmp_path / "ours", metadata={"step_seconds": 3600})
    run = trained(folder, tmp_path / "run")
    capsys.readouterr()
    for command in (calibrate, rplearn_eval):
        error = mistake(command.main, [str(run), "--step_hours", "3"], capsys)
        assert "is 1 h, not 3 h" in error
        error = mistake(command.main, [str(run), "--step_hours", "0"], capsys)
        assert "`step_hours` must be a positive number of hours" in error
