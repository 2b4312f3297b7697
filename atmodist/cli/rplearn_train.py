"""The command `rplearn-train`: records in, a trained network out."""

from collections.abc import Sequence

from atmodist.cli.common import command_parser, run_command
from atmodist.files.quiet_tensorflow import load_tensorflow
from atmodist.pretext.configuration import TrainingConfig
from atmodist.training.settings import require_backend


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = command_parser("rplearn-train", TrainingConfig, positional="records")
    return run_command(parser, TrainingConfig, argv, _train)


def _train(config: TrainingConfig) -> str:
    from atmodist.pairs.pair_records import open_records

    open_records(config.records)  # says at once, before TensorFlow loads, if these are no records
    require_backend()
    load_tensorflow()
    from atmodist.pretext.training import train

    return train(config).summary()
