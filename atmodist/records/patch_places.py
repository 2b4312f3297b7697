"""Where and when patches are drawn, and how they are cut out of a field.

Patches wrap around in longitude on periodic grids. Their positions are uniform in area: the row of
a patch is drawn with the area of the band at its centre, since a uniform row would crowd patches
towards the poles. Training and evaluation are two spans of time with a gap between.

A plan is a pure function of the seed and the configuration. Draws of step t come from
`default_rng([seed, t])`, so that they depend neither on the other steps nor on who does the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.fields.time_axis import TimeAxis
from atmodist.records.configuration import PositionSampling

SPLITS = ("train", "evaluation")

# Second word of the seed of what is not drawn per step; steps use their own (small) number.
_SHUFFLE_STREAM = 2**32 - 1
_SMALLER = "choose smaller ones by --patch_shape [ROWS,COLUMNS]"


@dataclass(frozen=True)
class PatchPlan:
    """Patches of one split, in the order in which they are drawn (by step).

    Attributes:
        step: Archive step. Shape (patch,).
        row: First row of the patch. Shape (patch,).
        column: First column of the patch; it may wrap around. Shape (patch,).
        position: Where the patch stands in the shuffled split. Shape (patch,).
    """

    step: np.ndarray
    row: np.ndarray
    column: np.ndarray
    position: np.ndarray

    def __len__(self) -> int:
        return len(self.step)

    def draws(self, part: slice) -> dict[str, np.ndarray]:
        """What was drawn for some of the patches, by name: row, column and whatever else."""
        names = [entry.name for entry in fields(self) if entry.name not in ("step", "position")]
        return {name: getattr(self, name)[part] for name in names}


class PatchPositions:
    """Draws places of patches on a grid.

    Args:
        grid: The grid.
        patch_shape: Rows and columns of a patch.
        latitude_range: South and north in degrees north; patches lie wholly between them.
        sampling: "area" or "row"; see `row_probabilities`.
        stride: Rows and columns at which patches begin are multiples of it.

    Raises:
        ValueError: If patches do not fit.
    """

    def __init__(
        self,
        grid: Grid,
        patch_shape: tuple[int, int],
        latitude_range: tuple[float, float],
        sampling: PositionSampling,
        stride: int = 1,
    ):
        rows, columns = patch_shape
        if columns > grid.shape[1]:
            raise ValueError(
                f"patches of {columns} columns do not fit a grid of {grid.shape[1]} columns; "
                f"{_SMALLER}"
            )
        probabilities = row_probabilities(grid, rows, latitude_range, sampling, stride)
        self._row_edges = np.cumsum(probabilities)
        starts = grid.shape[1] if grid.is_periodic else grid.shape[1] - columns + 1
        self._num_columns = -(-starts // stride)
        self._stride = stride

    def draw(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """First rows and first columns of `count` patches."""
        edges = self._row_edges
        row = np.searchsorted(edges, rng.random(count) * edges[-1], side="right")
        return row, rng.integers(0, self._num_columns, count) * self._stride


def shuffled_positions(seed: int, split: str, count: int) -> np.ndarray:
    """Where each of `count` records stands in its shuffled split."""
    rng = np.random.default_rng([seed, _SHUFFLE_STREAM, SPLITS.index(split)])
    return rng.permutation(count)


def cut(
    field: np.ndarray, row: int, column: int, shape: Sequence[int]
) -> list[tuple[np.ndarray, slice]]:
    """The parts of a patch as views of a field, the second one from beyond the date line.

    Args:
        field: (channel, latitude, longitude).
        row: First row.
        column: First column; columns beyond the last begin again at the first.
        shape: Rows and columns of the patch.

    Returns:
        One or two parts (rows, some columns, channel), each with its columns in the patch.
    """
    rows, columns = shape[:2]
    band = np.moveaxis(field[:, row : row + rows], 0, -1)
    first = min(columns, band.shape[1] - column)
    parts = [(band[:, column : column + first], slice(0, first))]
    if first < columns:
        parts.append((band[:, : columns - first], slice(first, columns)))
    return parts


def corners(
    grid: Grid, row: int, column: int, shape: Sequence[int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Latitudes of the first and last row of a patch, longitudes of its first and last column."""
    rows, columns = shape[:2]
    west = float(grid.longitude[column])
    if grid.is_periodic:  # unwrapped, so that the last column is east of the first
        east = west + (columns - 1) * 360.0 / grid.shape[1]
    else:
        east = float(grid.longitude[column + columns - 1])
    return (float(grid.latitude[row]), float(grid.latitude[row + rows - 1])), (west, east)


def split_steps(time: TimeAxis, *, evaluation_fraction: float, gap: int) -> dict[str, range]:
    """Splits the time span in two, training first, with a gap between.

    Args:
        time: Times of the archive.
        evaluation_fraction: Share of the time span that is kept from training, in [0, 1); the
            gap is taken from it. With 0 there is no evaluation split.
        gap: Least distance, in time steps, between the last step of training and the first one of
            evaluation; at least the largest label.

    Returns:
        Ranges of steps, "train" and (unless the fraction is 0) "evaluation".
    """
    seconds = time.seconds
    if evaluation_fraction == 0:
        return {"train": range(len(seconds))}
    span = seconds[-1] - seconds[0]
    boundary = seconds[0] + (1 - evaluation_fraction) * span
    num_train = int(np.searchsorted(seconds, boundary, side="right"))
    start = np.searchsorted(seconds, seconds[num_train - 1] + gap * max(time.step, 1), side="left")
    return {"train": range(num_train), "evaluation": range(int(start), len(seconds))}


def row_probabilities(
    grid: Grid,
    num_rows: int,
    latitude_range: tuple[float, float],
    sampling: PositionSampling,
    stride: int = 1,
) -> np.ndarray:
    """Probability of each first row of a patch of `num_rows` rows.

    Args:
        grid: The grid.
        num_rows: Rows of a patch.
        latitude_range: South and north in degrees north; patches lie wholly between them.
        sampling: "area" draws the centre uniformly in area, "row" draws rows alike (as the
            reference implementation does).
        stride: Only rows that are multiples of it begin a patch.

    Returns:
        Shape (latitude - num_rows + 1,); sums to one.

    Raises:
        ValueError: If the patch does not fit.
    """
    south, north = latitude_range
    starts = np.arange(grid.shape[0] - num_rows + 1)
    if not len(starts):
        raise ValueError(
            f"patches of {num_rows} rows do not fit a grid of {grid.shape[0]} rows; {_SMALLER}"
        )
    tolerance = 1e-5  # degrees; coordinates are often rounded to float32
    allowed = (grid.latitude[starts] <= north + tolerance) & (
        grid.latitude[starts + num_rows - 1] >= south - tolerance
    )
    if not allowed.any():
        extent = abs(np.diff(grid.latitude)).mean() * (num_rows - 1)
        raise ValueError(
            f"latitude_range {south:g}..{north:g} leaves no room for patches of {num_rows} rows "
            f"({extent:.4g} degrees) on a grid from {grid.latitude[0]:g} to {grid.latitude[-1]:g}"
        )
    weights = _centre_band_area(grid, num_rows) if sampling == "area" else np.ones(len(starts))
    weights = np.where(allowed & (starts % stride == 0), weights, 0.0)
    if not weights.any():
        raise ValueError(
            f"latitude_range {south:g}..{north:g} leaves no row that is a multiple of {stride} for "
            f"patches of {num_rows} rows"
        )
    return np.asarray(weights / weights.sum())


def _centre_band_area(grid: Grid, num_rows: int) -> np.ndarray:
    """Area of the band at the centre of a patch, for each first row.

    For an odd number of rows it is the band of the middle row; for an even number, the band
    between the two middle rows' centres.
    """
    starts = np.arange(grid.shape[0] - num_rows + 1)
    middle = starts + (num_rows - 1) // 2
    if num_rows % 2:
        return np.asarray(grid.band_areas[middle])
    sines = np.sin(np.radians(grid.latitude))
    return np.asarray((sines[middle] - sines[middle + 1]) / 2)
