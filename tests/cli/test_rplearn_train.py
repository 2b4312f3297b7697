import subprocess
import sys

import numpy as np
import pytest

from atmodist.cli.rplearn_train import main
from atmodist.samples.normalization import Normalization


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
    assert "atmodist.learning.configuration" in imported
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
    try:
        status = main(arguments)
    except SystemExit as stop:  # raised by the parser itself
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2
    assert error.count("\n") == 1
    assert error.startswith("rplearn-train: error: ")
    assert message in error


def test_unknown_keys_of_a_file_are_named(tmp_path, capsys):
    path = tmp_path / "run.yaml"
    path.write_text("epochs: 3\nbatchsize: 4\n")
    with pytest.raises(SystemExit) as stop:
        main(["--config", str(path), "records"])
    assert stop.value.code == 2
    assert "batchsize" in capsys.readouterr().err


def write_records(folder, num_train=48, num_evaluation=16):
    from atmodist.records.format import encode_pair
    from atmodist.records.record_set import RecordSet, Shard, records_folder, shard_name
    from tests.learning.sources import CHANNELS, decorrelating_pairs, normalization

    folder = records_folder(folder, "pairs")
    folder.mkdir(parents=True)
    scheme: Normalization = normalization()
    scheme.save(folder / "normalization.json")
    splits = {}
    for split, count in (("train", num_train), ("evaluation", num_evaluation)):
        path = folder / shard_name("pairs", split, 0, 1)
        with path.open("wb") as file:
            for index, (pair, label) in enumerate(zip(*decorrelating_pairs(count), strict=True)):
                payload = encode_pair(
                    np.ascontiguousarray(pair[0]),
                    np.ascontiguousarray(pair[1]),
                    index=index,
                    label=int(label) + 1,
                    max_label=4,
                    latitudes=(40.0, 9.0),
                    longitudes=(0.0, 31.0),
                    time=index * 3600,
                    step=index,
                )
                for part in payload:
                    file.write(part)
        splits[split] = (Shard.measure(path, count),)
    records = RecordSet(
        folder=folder,
        dataset="pairs",
        splits=splits,
        patch_shape=(32, 32),
        channels=CHANNELS,
        max_label=4,
        normalization=scheme.identity,
    )
    records.save()
    return folder


@pytest.fixture
def micro(monkeypatch):
    from atmodist.learning import networks
    from tests.learning.sources import MICRO

    monkeypatch.setitem(networks.ARCHITECTURES, "resnet-tiny", MICRO)


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


def test_a_damaged_shard_is_named(micro, tmp_path, capsys):
    folder = write_records(tmp_path / "records")
    path = next(folder.glob("pairs-train*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    arguments = [str(folder), "--architecture", "resnet-tiny", "--batch_size", "16"]
    assert main([*arguments, "--output", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert path.name in error
