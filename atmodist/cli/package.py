"""`atmodist package`: a trained encoder with all that belongs to it, to keep or to publish."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from atmodist.cli.common import command_parser, run_command
from atmodist.files.quiet_tensorflow import load_tensorflow

if TYPE_CHECKING:
    from atmodist.fields.grid import Grid

HUB = "hf://"


@dataclass(frozen=True, kw_only=True)
class PackageConfig:
    """Makes an encoder package: network, normalisation, calibration, grid and model card."""

    run: str = field(
        metadata={"help": "Folder of rplearn-train, calibrated by `atmodist calibrate`."}
    )
    output: str
    """The folder to make; or hf://user/name, to publish it on the Hugging Face Hub."""
    archive: str | None = None
    """Archive with the grid of the training fields; by default the one that the records of the run
    were drawn from."""
    normalization: str | None = None
    """What the encoder was trained with, for a run that does not say it: a normalization.json, or
    a name (era5-ml120: of the reference implementation's records). It is kept in the run."""
    license: str = "apache-2.0"
    """Of the weights, as the Hugging Face Hub names it."""
    uncalibrated: bool = False
    """Also make a package of a run that was not calibrated: its distances cannot be read in
    hours."""
    overwrite: bool = False
    """Replace a package that exists."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("atmodist package", PackageConfig, positional="run")
    return run_command(parser, PackageConfig, argv, _package)


def _package(config: PackageConfig) -> str:
    run = Path(config.run)
    _check(config, run)
    grid = _grid(config, run)
    load_tensorflow()
    from atmodist.metric.package import adopt_normalization, load_package, save_package

    adopt_normalization(run, config.normalization)
    made = save_package(run, config.output, license=config.license, grid=grid)
    if grid is None and not made.startswith(HUB):
        grid = load_package(made).grid  # that of a package which was packed again
    known = (
        f"grid {grid}" if grid is not None else "grid not known; --archive names one that has it"
    )
    calibrated = "calibrated" if (run / "calibration.json").is_file() else "not calibrated"
    return f"{made}: encoder package, {calibrated}, {known}\nNext: {_next(made)}"


def _check(config: PackageConfig, run: Path) -> None:
    """What is wrong is said before TensorFlow loads."""
    from atmodist.fields.normalization import require_normalization

    if not (run / "encoder.keras").is_file():
        raise ValueError(f"{run} holds no encoder.keras; name a folder made by rplearn-train")
    if not config.uncalibrated and not (run / "calibration.json").is_file():
        raise ValueError(
            f"{run} is not calibrated: run `atmodist calibrate {run}` first, or give --uncalibrated"
        )
    require_normalization(run, config.normalization)
    output = Path(config.output)
    if config.output.startswith(HUB) or not output.exists():
        return
    if not (output / "manifest.json").is_file():
        raise ValueError(f"{output} exists and is no encoder package; it is left alone")
    if not config.overwrite:
        raise ValueError(f"{output} exists; give --overwrite to replace it, or another --output")


def _grid(config: PackageConfig, run: Path) -> "Grid | None":
    from atmodist.metric.training_grid import training_grid

    if config.archive is None:
        return training_grid(run)
    from atmodist.fields.archive import Archive

    with Archive(config.archive) as archive:
        return archive.grid


def _next(made: str) -> str:
    return f"atmodist distance A B --metric {made}"
