"""`atmodist generate`: a small made-up archive."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from atmodist.cli.common import command_parser, run_command
from atmodist.files.locking import locked


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """Makes a small archive of random, slowly changing fields, to try everything on."""

    output: str = field(metadata={"help": "The archive to make, for instance archive.h5."})
    num_steps: int = 120
    """Number of time steps."""
    num_rows: int = 64
    """Number of latitudes n; the grid is a Gauss grid of n x 2n points."""
    step_hours: float = 3.0
    """Hours between steps."""
    truncation: int = 42
    """Largest degree of the fields; at most n - 1."""
    seed: int = 0
    """The same seed gives the same archive."""
    compression: Literal["blosc2", "zstd", "gzip", "none"] = "blosc2"
    """Filter of the archive: blosc2, zstd, gzip or none."""
    overwrite: bool = False
    """Replace a file that is there already, and is not this archive."""

    def __post_init__(self) -> None:
        for name in ("num_steps", "num_rows", "step_hours", "truncation"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive; got {getattr(self, name)}")
        if self.step_seconds < 1:
            raise ValueError(f"step_hours must be a second at least; got {self.step_hours}")
        if self.truncation >= self.num_rows:
            raise ValueError(
                f"truncation must be below num_rows = {self.num_rows}; got {self.truncation}"
            )

    @property
    def step_seconds(self) -> int:
        """Seconds between steps."""
        return round(self.step_hours * 3600)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("atmodist generate", GenerateConfig, positional="output")
    return run_command(parser, GenerateConfig, argv, _generate)


def _generate(config: GenerateConfig) -> str:
    from atmodist.fields.archive import Archive
    from atmodist.fields.synthetic import generate_archive
    from atmodist.files.outputs import manifest_path, write_manifest

    target = Path(config.output)
    with locked(target.with_name(f".{target.name}.lock"), target):
        writer = generate_archive(
            config.output,
            num_steps=config.num_steps,
            num_rows=config.num_rows,
            step_seconds=config.step_seconds,
            seed=config.seed,
            truncation=config.truncation,
            compression=config.compression,
            overwrite=config.overwrite,
            progress=True,
        )
    path = writer.path
    if not (writer.existed and writer.is_recorded):
        write_manifest(
            manifest_path(path),
            command="atmodist generate",
            config=config,
            seed=config.seed,
            identity=writer.identity,
        )
    notes = [f"{path} exists already; nothing was done"] if writer.existed else []
    if writer.discarded:
        notes += [f"discarded {writer.discarded} steps of an interrupted run with other settings"]
    with Archive(path) as archive:
        return "\n".join([*notes, archive.summary(), f"Next: rplearn-data {path}"])
