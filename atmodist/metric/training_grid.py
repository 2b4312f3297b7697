"""The grid that an encoder was trained on, found from what its run wrote down.

A distance means what it was calibrated to mean on fields of the spacing that the encoder was
trained on. The manifest of a run names its records, and these hold the grid of the archive that
they were drawn from.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from atmodist.fields.described_grid import grid_of
from atmodist.fields.grid import Grid
from atmodist.files.outputs import read_json

if TYPE_CHECKING:
    from atmodist.pairs.pair_records import PairRecords

_MANIFEST = "manifest.json"


def training_grid(run_folder: str | Path) -> Grid | None:
    """The grid of the archive behind the records of a run; None if nothing tells it.

    Paths are taken as the commands recorded them: relative ones from the current folder.
    """
    from atmodist.pairs.pair_records import open_records

    folder = _recorded(Path(run_folder), "records")
    if folder is None:
        return None
    try:
        return grid_of_records(open_records(folder))
    except (OSError, ValueError):
        return None


def grid_of_records(records: "PairRecords") -> Grid | None:
    """The grid of the archive that records were drawn from; None if nothing tells it."""
    stored = records.metadata.get("grid")
    if isinstance(stored, dict):
        return grid_of(stored, f"the grid in {records.folder}")
    archive = _recorded(Path(records.folder), "archive")
    grid = grid_of_archive(archive) if archive is not None else None
    # Records of version 0.1 have their grid in words. Another archive may have taken the place of
    # the one that they were drawn from.
    return None if stored is not None and str(grid) != stored else grid


def grid_of_archive(path: str | Path) -> Grid | None:
    """The grid of an archive; None if there is no such archive."""
    from atmodist.fields.archive import Archive

    try:
        with Archive(path) as archive:
            return archive.grid
    except (OSError, ValueError):
        return None


def _recorded(folder: Path, name: str) -> Path | None:
    """A path that the manifest in a folder names in its configuration, if it is there still."""
    manifest = folder / _MANIFEST
    try:
        content: Any = read_json(manifest)
        path = content["config"][name]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(path, str) or not Path(path).exists():
        return None
    return Path(path)
