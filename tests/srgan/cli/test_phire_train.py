import pytest

from srgan.cli.phire_train import main
from tests.srgan.training.sources import write_records

SMALL = ["--filters", "4", "--blocks", "1", "--batch_size", "8", "--samples", "1"]


def test_it_ends_with_what_was_reached_where_it_is_and_what_is_next(tmp_path, capsys):
    folder = write_records(tmp_path / "records")
    output = tmp_path / "run"
    arguments = [str(folder), "--output", str(output), *SMALL]
    assert main([*arguments, "--pretraining-epochs", "1", "--epochs", "1"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-1].startswith(f"Wrote {output / 'generator.keras'}")
    assert lines[-1].endswith(f"Next: phire-infer {output} <low-resolution archive or file>")
    assert "the best by content loss" in lines[-3]
    (epoch,) = [line for line in lines if line.startswith("adversarial epoch 2/2: ")]
    assert "evaluation (bicubic): mse " in epoch  # which is all of the loss, and told once


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--content", "atmodist"], "name the run or package of a trained encoder by --encoder"),
        (["--content", "vgg"], "there is no content loss 'vgg'"),
        (["--epochs", "0", "--pretraining_epochs", "0"], "nothing to do"),
        ([], "nowhere"),
    ],
)
def test_a_mistake_is_one_line(capsys, arguments, message):
    assert main(["nowhere", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("phire-train: error: ")
    assert message in line


def test_help_names_every_setting(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    for name in ("--content", "--adversarial_weight", "--start_from", "--balance"):
        assert name in text
