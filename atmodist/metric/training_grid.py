"""The grid that an encoder was trained on, found from what its run wrote down.

A distance means what it was calibrated to mean on fields of the spacing that the encoder was
trained on. The manifest of a run names its records, and the records the archive they were drawn
from, whose grid is exact. If the archive is gone, the records still say in words which grid it had.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atmodist.fields.grid import Grid, make_grid
from atmodist.files.outputs import read_json

if TYPE_CHECKING:
    from atmodist.pairs.pair_records import PairRecords

_MANIFEST = "manifest.json"
_WORDS = re.compile(r"(\d+) x (\d+) ([a-z-]+) \(.*, ([0-9.e+-]+)E\.\..*\)")  # str(grid)
_MAX_POINTS = 100_000  # on an axis; text in a file should not make us ask for any memory


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
    archive = _recorded(Path(records.folder), "archive")
    grid = grid_of_archive(archive) if archive is not None else None
    words = records.metadata.get("grid")
    if not isinstance(words, str):
        return grid
    # Another archive may have taken the place of the one that the records were drawn from.
    return grid if grid is not None and str(grid) == words else grid_from_words(words)


def grid_of_archive(path: str | Path) -> Grid | None:
    """The grid of an archive; None if there is no such archive."""
    from atmodist.fields.archive import Archive

    try:
        with Archive(path) as archive:
            return archive.grid
    except (OSError, ValueError):
        return None


def grid_from_words(words: str) -> Grid | None:
    """The global grid that `str(grid)` describes.

    None for other words, and for a regional grid, whose rows may be spaced in any way.
    """
    match = _WORDS.fullmatch(words)
    if match is None or match[3] == "regional":
        return None
    rows, columns = int(match[1]), int(match[2])
    if max(rows, columns) > _MAX_POINTS:
        return None
    try:
        grid = make_grid(match[3], rows, columns)  # type: ignore[arg-type]
        grid = Grid(grid.latitude, grid.longitude + float(match[4]))
    except ValueError:
        return None
    return grid if str(grid) == words else None


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
