"""`atmodist inspect`: says what a path contains."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from atmodist.cli.common import command_parser, run_command
from atmodist.files.quiet_tensorflow import load_tensorflow

RECORDS = "srgan.samples.record_set"  # of a package above this one; known once it is imported


@dataclass(frozen=True, kw_only=True)
class InspectConfig:
    """Says what an archive, a folder of records, a network or a normalisation contains."""

    path: str = field(metadata={"help": "The file or folder."})
    verify: bool = False
    """Also read all of it and check every value or checksum."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("atmodist inspect", InspectConfig, positional="path")
    return run_command(parser, InspectConfig, argv, _inspect)


def _inspect(config: InspectConfig) -> str:
    from atmodist.inspection import has_networks, inspect_path

    importlib.import_module(RECORDS)
    if has_networks(config.path):
        load_tensorflow()
    return inspect_path(config.path, verify=config.verify)
