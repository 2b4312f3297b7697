"""`rplearn-data`: draws pairs of patches from an archive and writes them as TFRecord shards."""

import os
from collections.abc import Sequence

from atmodist.cli.common import command_parser, run_command
from atmodist.files.locking import locked
from atmodist.pairs.configuration import PairSamplerConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("rplearn-data", PairSamplerConfig, positional="archive")
    return run_command(parser, PairSamplerConfig, argv, _write)


def _write(config: PairSamplerConfig) -> str:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are ours to report, in one line
    from atmodist.pairs.sampling import write_pairs

    with locked(config.folder.with_name(f".{config.folder.name}.lock"), config.folder):
        return write_pairs(config)
