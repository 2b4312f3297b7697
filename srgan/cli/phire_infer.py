"""`phire-infer`: super-resolution of the fields of a file, by a generator or an interpolation."""

from collections.abc import Sequence

from atmodist.cli.common import command_parser, require_paths, run_command
from atmodist.files.quiet_tensorflow import load_tensorflow
from srgan.inference.configuration import INTERPOLATIONS, InferConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("phire-infer", InferConfig, positional=("generator", "input"))
    return run_command(parser, InferConfig, argv, _infer)


def _infer(config: InferConfig) -> str:
    require_paths(input=config.input, like=config.like, static=config.static)
    if config.generator not in INTERPOLATIONS:
        require_paths(generator=config.generator)
        load_tensorflow()
    from srgan.inference.run import super_resolve

    return str(super_resolve(config))
