import json
import resource
import shutil
import subprocess
import sys

import pytest

from atmodist.cli.rplearn_train import main
from atmodist.pretext.architectures import resnet_tiny
from tests.cli.mistakes import mistake
from tests.pretext.sources import MICRO, write_as_reference, write_records


def run_module(*arguments):
    code = "import sys; from atmodist.cli.rplearn_train import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("flag", ["--help", "--print_config"])
def test_help_and_configuration_come_without_tensorflow(flag):
    result = run_module(*(["records"] if flag == "--print_config" else []), flag)
    assert result.returncode == 0
    assert "architecture" in result.stdout
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert "atmodist.pretext.configuration" in imported
    assert not imported & {"tensorflow", "keras", "matplotlib", "pyshtools", "xarray"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere/records"], "/nowhere/records is no folder of records"),
        (["records", "--ema", "2"], "`ema` must be at least 0 and below 1; got ema=2.0"),
        (["records", "--epochs", "many"], "epochs"),
        (["records", "--learning_rates", "1"], "learning_rates"),
        (["records", "--architecture", "resnet-huge"], "resnet-small"),
    ],
)
def test_mistakes_end_with_one_line_and_status_2(arguments, message, capsys):
    error = mistake(main, arguments, capsys)
    assert error.startswith("rplearn-train: error: ")
    assert message in error


@pytest.mark.parametrize(
    ("head", "advice"),
    [(b"\x89HDF\r\n\x1a\n", "first: rplearn-data FILE"), (b"GRIB\x00", "first (atmodist ingest)")],
)
def test_an_archive_in_place_of_records_is_told_what_it_is(tmp_path, capsys, head, advice):
    path = tmp_path / "archive.h5"
    path.write_bytes(head)
    error = mistake(main, [str(path), "--output", str(tmp_path / "run")], capsys)
    assert error.endswith(advice.replace("FILE", str(path)) + "\n")
    assert "damaged" not in error


def test_unknown_keys_of_a_file_are_named(tmp_path, capsys):
    path = tmp_path / "run.yaml"
    path.write_text("epochs: 3\nbatchsize: 4\n")
    with pytest.raises(SystemExit) as stop:
        main(["--config", str(path), "records"])
    assert stop.value.code == 2
    assert "batchsize" in capsys.readouterr().err


@pytest.fixture
def micro(monkeypatch):
    monkeypatch.setattr(resnet_tiny, "ARCHITECTURE", MICRO)


def test_from_records_to_a_network_in_one_command(micro, tmp_path, capsys):
    folder = write_records(tmp_path / "records")
    output = tmp_path / "run"
    arguments = [str(folder), "--architecture", "resnet-tiny", "--output", str(output)]
    arguments += ["--batch_size", "16", "--epochs", "2", "--max_label", "3"]
    assert main(arguments) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert str(output / "encoder.keras") in last
    assert "Next: " in last
    for name in ("pretext.keras", "normalization.json", "manifest.json", "evaluation.json"):
        assert (output / name).is_file()
    assert main(arguments) == 0  # complete: says so again, trains nothing
    assert len((output / "log.csv").read_text().splitlines()) == 3


def arguments(folder, output, *others):
    tiny = ["--architecture", "resnet-tiny", "--batch_size", "16", "--epochs", "1"]
    return [str(folder), *tiny, "--output", str(output), *others]


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


def only_line(capsys):
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("rplearn-train: error: ")
    return error


@pytest.mark.parametrize("options", [[], ["--max_label", "3"]])  # in the run, or while counting
@pytest.mark.parametrize("split", ["train", "evaluation"])
def test_a_damaged_shard_is_named(micro, tmp_path, capsys, split, options):
    folder = write_records(tmp_path / "records")
    path = flip_a_bit(next(folder.glob(f"pairs-{split}*")))
    assert main(arguments(folder, tmp_path / "run", *options)) == 2
    assert f"{path}: record" in only_line(capsys)


def test_damage_met_in_a_late_evaluation_is_named(micro, tmp_path, capsys):
    folder, options = write_records(tmp_path / "records"), ["--schedule", "constant"]
    run = [*options, "--evaluate_every", "2"]
    assert main([*arguments(folder, tmp_path / "run", *run), "--epochs", "2"]) == 0
    assert main([*arguments(folder, tmp_path / "run", *run), "--epochs", "3"]) == 0
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "epoch-0002")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "epoch-0003")
    path = flip_a_bit(next(folder.glob("pairs-evaluation*")))
    assert main(arguments(folder, tmp_path / "run", *run)) == 2  # epoch 1 is the last now
    assert f"{path}: record" in only_line(capsys)


@pytest.mark.parametrize("label", [0, 5])
def test_a_label_that_cannot_be_is_refused_and_its_record_named(micro, tmp_path, capsys, label):
    folder = write_records(tmp_path / "records", wrong_label=label)
    assert main(arguments(folder, tmp_path / "run")) == 2
    error = only_line(capsys)
    assert f"its label is {label}, not in 1 to 4" in error
    assert "record 7 of 48" in error


def test_more_labels_than_there_are_end_before_anything_is_written(tmp_path, capsys):
    folder = write_records(tmp_path / "records")
    assert main(arguments(folder, tmp_path / "run", "--max_label", "5")) == 2
    assert "`max_label` is 5, but the largest label" in only_line(capsys)
    assert not (tmp_path / "run").exists()


def test_an_output_below_a_file_ends_with_one_line(micro, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(arguments(write_records(tmp_path / "records"), tmp_path / "file" / "run")) == 2
    assert f"{tmp_path / 'file'}" in only_line(capsys)


def test_a_log_that_cannot_be_written_ends_with_one_line(micro, tmp_path, capsys):
    pytest.importorskip("tensorboard")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").touch()
    assert main(arguments(write_records(tmp_path / "records"), tmp_path / "run")) == 2
    assert f"cannot write the log for TensorBoard in {tmp_path / 'run'}" in only_line(capsys)


def test_a_full_disk_ends_with_one_line_and_no_half_checkpoint(micro, tmp_path, capsys):
    folder = write_records(tmp_path / "records")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # as if there were no more
    try:
        status = main(arguments(folder, tmp_path / "run"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 2
    assert "epoch-0001: File too large" in only_line(capsys)
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []


def test_records_of_the_reference_implementation_train_a_network(micro, tmp_path, capsys):
    write_as_reference(tmp_path / "rplearn_train_1979_1998.0.tfrecords", 32)
    write_as_reference(tmp_path / "rplearn_train_1979_1998.1.tfrecords", 16)
    write_as_reference(tmp_path / "rplearn_eval_2000_2005.3.tfrecords", 16)
    assert main(arguments(tmp_path, tmp_path / "run")) == 0
    output = capsys.readouterr()
    assert "no normalization.json" in output.out + output.err
    assert "without mirroring" in output.out + output.err
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (manifest["num_train"], manifest["num_evaluation"]) == (48, 16)
    assert len(manifest["inputs"]) == 3
    assert not (tmp_path / "run" / "normalization.json").exists()


def test_bare_files_without_evaluation_say_how_to_name_them(tmp_path, capsys):
    write_as_reference(tmp_path / "rplearn_train.0.tfrecords", 32)
    assert main(arguments(tmp_path, tmp_path / "run")) == 2
    assert "no split 'evaluation'; it has train. Without records.json" in only_line(capsys)
