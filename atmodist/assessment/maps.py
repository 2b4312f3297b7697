"""Where on the globe a network tells a given lag well: windows slid over whole fields.

Windows have the shape of the patches, wrap around in longitude on periodic grids, and are averaged
over times. A value belongs to the centre of its window, so the map ends half a patch from the
poles; what lies beyond is seen only as part of windows centred elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from atmodist.assessment.control_fields import window
from atmodist.assessment.predictions import Predictor, log_probabilities
from atmodist.fields.archive import Archive
from atmodist.fields.normalization import Normalization


@dataclass(frozen=True, kw_only=True)
class LagMap:
    """Scores of one lag over the globe.

    Attributes:
        lag: Archive steps.
        latitude: Of the centres of the windows, degrees north, north to south. Shape (row,).
        longitude: Degrees east, increasing. Shape (column,).
        accuracy: Share of times with the right guess. Shape (row, column).
        entropy: Mean entropy of the probabilities, nats. Shape (row, column).
        error: Mean of guess minus truth, steps. Shape (row, column).
        steps: Archive steps of the first fields. Shape (time,).
        covered: South and north edges of all windows, degrees north.
    """

    lag: int
    latitude: np.ndarray
    longitude: np.ndarray
    accuracy: np.ndarray
    entropy: np.ndarray
    error: np.ndarray
    steps: np.ndarray
    covered: tuple[float, float]

    def rows(self) -> list[dict[str, Any]]:
        """One row per window: lag_steps, latitude, longitude, accuracy, entropy, mean_error."""
        return [
            {
                "lag_steps": self.lag,
                "latitude": float(self.latitude[i]),
                "longitude": float(self.longitude[j]),
                "accuracy": float(self.accuracy[i, j]),
                "entropy_nats": float(self.entropy[i, j]),
                "mean_error_steps": float(self.error[i, j]),
            }
            for i in range(len(self.latitude))
            for j in range(len(self.longitude))
        ]


def map_lag(
    predict: Predictor,
    archive: Archive,
    normalization: Normalization,
    *,
    lag: int,
    steps: Sequence[int] | np.ndarray,
    patch_shape: tuple[int, int],
    stride: int | None = None,
    batch_size: int = 128,
) -> LagMap:
    """Slides windows over pairs of fields `lag` steps apart.

    Args:
        predict: The network.
        archive: Where the fields come from.
        normalization: What the network was trained with.
        lag: Archive steps.
        steps: Steps of the first fields; see `map_steps`.
        patch_shape: (latitude, longitude) grid points of a window.
        stride: Grid points between windows; a quarter of the patch by default.
        batch_size: Windows per call of the network.
    """
    rows, columns = window_starts(archive, patch_shape, stride)
    places = [(row, column) for row in rows for column in columns]
    shape = len(rows), len(columns)
    sums = {name: np.zeros(shape) for name in ("accuracy", "entropy", "error")}
    for step in tqdm(steps, desc="map", leave=False, disable=None):
        fields = [normalization.network_input(archive.read(int(s))) for s in (step, step + lag)]
        logits = []
        for start in range(0, len(places), batch_size):
            part = places[start : start + batch_size]
            pairs = [[window(field, *place, patch_shape) for field in fields] for place in part]
            logits.append(np.asarray(predict(np.array(pairs, np.float32))))
        log_probability = log_probabilities(np.concatenate(logits))
        guess = log_probability.argmax(axis=1) + 1
        entropy = -(np.exp(log_probability) * log_probability).sum(axis=1)
        for name, values in (
            ("accuracy", guess == lag),
            ("entropy", entropy),
            ("error", guess - lag),
        ):
            sums[name] += values.reshape(shape)
    latitude, longitude = archive.grid.latitude, archive.grid.longitude
    height, width = patch_shape
    centre = longitude[columns] + (width - 1) / 2 * np.diff(longitude).mean()
    order = np.argsort(np.mod(centre, 360.0), kind="stable")
    means = {name: (total / len(steps))[:, order] for name, total in sums.items()}
    return LagMap(
        lag=lag,
        latitude=(latitude[rows] + latitude[rows + height - 1]) / 2,
        longitude=np.mod(centre, 360.0)[order],
        steps=np.asarray(steps),
        covered=(float(latitude[rows[-1] + height - 1]), float(latitude[rows[0]])),
        **means,
    )


def window_starts(
    archive: Archive, patch_shape: tuple[int, int], stride: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """First rows and first columns of the windows; the last row of the grid is always reached."""
    (height, width), grid = patch_shape, archive.grid
    if height > grid.shape[0] or width > grid.shape[1]:
        raise ValueError(f"windows of {patch_shape} do not fit a grid of {grid.shape}")
    down, along = (stride or max(1, size // 4) for size in patch_shape)
    last_row = grid.shape[0] - height
    rows = np.unique(np.append(np.arange(0, last_row + 1, down), last_row))
    last_column = grid.shape[1] - 1 if grid.is_periodic else grid.shape[1] - width
    return rows, np.arange(0, last_column + 1, along)


def map_steps(archive: Archive, period: range, lag: int, at_most: int) -> np.ndarray:
    """Steps of a period with a field `lag` steps later in it and no hole between, evenly thinned.

    Raises:
        ValueError: If there is none.
    """
    found = [
        np.arange(max(run.start, period.start), min(run.stop, period.stop) - lag)
        for run in archive.time.segments()
    ]
    steps = np.concatenate(found)
    if not len(steps):
        raise ValueError(
            f"{archive.path} has no two fields {lag} steps apart in the period of evaluation; "
            "choose a smaller --lag"
        )
    return np.asarray(steps[np.unique(np.linspace(0, len(steps) - 1, at_most).astype(int))])
