"""`atmodist ingest`: files of winds, or of vorticity and divergence, become one archive."""

from collections.abc import Sequence

from atmodist.cli.common import command_parser, run_command
from atmodist.ingestion.pipeline import IngestConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = command_parser("atmodist ingest", IngestConfig, positional="sources", nargs="+")
    return run_command(parser, IngestConfig, argv, _ingest)


def _ingest(config: IngestConfig) -> str:
    from atmodist.ingestion.pipeline import ingest

    try:
        return str(ingest(config))
    except ImportError as error:  # an optional package; the message says how to install it
        raise ValueError(str(error)) from error
