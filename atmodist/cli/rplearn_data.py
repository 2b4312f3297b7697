"""`rplearn-data`: draws pairs of patches from an archive and writes them as TFRecord shards."""

from collections.abc import Sequence

from atmodist.cli.common import command_parser, run_command
from atmodist.samples.configuration import PairSamplerConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("rplearn-data", PairSamplerConfig, positional="archive")
    return run_command(parser, PairSamplerConfig, argv, _write)


def _write(config: PairSamplerConfig) -> str:
    from atmodist.samples.sampling import write_pairs

    return write_pairs(config)
