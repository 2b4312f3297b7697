"""The command `phire-train`: records of patches in, a trained generator out."""

from collections.abc import Sequence

from atmodist.cli.common import command_parser, require_paths, run_command
from atmodist.files.quiet_tensorflow import load_tensorflow
from atmodist.training.settings import require_backend
from srgan.training.configuration import GeneratorTrainingConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = command_parser("phire-train", GeneratorTrainingConfig, positional="records")
    return run_command(parser, GeneratorTrainingConfig, argv, _train)


def _train(config: GeneratorTrainingConfig) -> str:
    from srgan.samples.record_set import open_patch_records

    open_patch_records(config.records)  # says at once, before TensorFlow loads, what is wrong
    require_paths(encoder=getattr(config, "encoder", None), start_from=config.start_from)
    require_backend()
    load_tensorflow()
    from srgan.training.run import train

    return train(config).summary()
