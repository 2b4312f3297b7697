"""`atmodist statistics`: mean, spread and normalisation of an archive."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from atmodist.cli.common import command_parser, run_command

if TYPE_CHECKING:
    from atmodist.fields.archive import Archive


@dataclass(frozen=True, kw_only=True)
class StatisticsConfig:
    """Reads an archive once and writes the normalisation that suits it."""

    archive: str = field(metadata={"help": "The archive (HDF5) to read."})
    output: Path = Path("normalization.json")
    """The normalisation to write."""
    start: str | None = None
    """First date or time used, for instance 1979-01-01; the first of the archive by default."""
    end: str | None = None
    """Last date or time used, the whole of a day; the last of the archive by default."""
    alpha: float = 0.2
    """How strongly large values are compressed, dimensionless; positive."""
    overwrite: bool = False
    """Replace a file that is there already, and is not this normalisation."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("atmodist statistics", StatisticsConfig, positional="archive")
    return run_command(parser, StatisticsConfig, argv, _statistics)


def _statistics(config: StatisticsConfig) -> str:
    from atmodist.fields.archive import Archive
    from atmodist.fields.statistics import compute_statistics
    from atmodist.files.outputs import manifest_path, write_manifest

    output = Path(config.output)
    if output.suffix != ".json" or output.is_dir():
        raise ValueError(f"output must be a file name that ends in .json; got {config.output}")
    following = f"Next: rplearn-data {config.archive} --normalization {output}"
    with Archive(config.archive) as archive:
        steps = archive.time.select(config.start, config.end)
        if output.exists() and not config.overwrite:
            _require_same(output, archive, steps, config.alpha)
            return f"{output} exists already; nothing was done.\n{following}"
        statistics = compute_statistics(archive, steps, alpha=config.alpha)
    statistics.normalization.save(output)
    write_manifest(
        manifest_path(output),
        command="atmodist statistics",
        config=config,
        inputs=[config.archive],
        identity=statistics.normalization.identity,
        minimum=statistics.minimum,
        maximum=statistics.maximum,
        num_values=statistics.num_values,
    )
    return f"{statistics.summary()}\nWrote {output}. {following}"


def _require_same(output: Path, archive: "Archive", steps: range, alpha: float) -> None:
    """Raises `ValueError` unless `output` is the normalisation of these steps."""
    from atmodist.fields.normalization import Normalization

    expected = {
        "fingerprint": archive.fingerprint(),
        "start": archive.time.isoformat(steps[0]),
        "end": archive.time.isoformat(steps[-1]),
    }
    with contextlib.suppress(ValueError):
        found = Normalization.load(output)
        if found.alpha == alpha and found.source.items() >= expected.items():
            return
    raise ValueError(
        f"{output} exists already, and is not the normalisation of this archive with these "
        "settings; give --overwrite to replace it, or another --output"
    )
