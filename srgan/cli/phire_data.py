"""`phire-data`: draws patches at two resolutions from an archive and writes them as shards."""

import os
from collections.abc import Sequence

from atmodist.cli.common import command_parser, run_command
from srgan.samples.configuration import PatchSamplerConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("phire-data", PatchSamplerConfig, positional="archive")
    return run_command(parser, PatchSamplerConfig, argv, _write)


def _write(config: PatchSamplerConfig) -> str:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are ours to report, in one line
    from srgan.samples.sampling import sample_patches

    return sample_patches(config)
