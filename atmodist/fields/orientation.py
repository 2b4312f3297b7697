"""How fields lie in a file, and how to turn them: north to south, west to east, from 0° E."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from atmodist.fields.grid import Grid


@dataclass(frozen=True, eq=False)
class Orientation:
    """Turns fields as they lie in a file to north-south, west-east, from 0° E if periodic.

    Attributes:
        latitude: Degrees north, as in the file; increasing or decreasing.
        longitude: Degrees east, as in the file: any branch, a repeated last column is dropped.
    """

    latitude: np.ndarray
    longitude: np.ndarray

    @cached_property
    def columns(self) -> np.ndarray:
        """Places of the columns in the file, from 0° E eastward."""
        longitude = unwrapped(self.longitude)
        order = np.argsort(longitude, kind="stable")
        if abs(longitude[order[-1]] - longitude[order[0]] - 360.0) < 1e-3:
            order = order[:-1]  # 0° E again, as 360° E
        first = int(np.argmin(np.round(longitude[order] % 360.0, 6) % 360.0))
        periodic = Grid(np.array([1.0, 0.0]), longitude[order]).is_periodic
        return np.roll(order, -first) if periodic else order

    @cached_property
    def grid(self) -> Grid:
        """The points of oriented fields."""
        latitude = np.asarray(self.latitude, np.float64)
        return Grid(
            np.clip(latitude[::-1] if self.flipped else latitude, -90.0, 90.0),
            canonical_longitude(np.asarray(self.longitude, np.float64)[self.columns]),
        )

    @property
    def flipped(self) -> bool:
        """Whether latitude increases in the file."""
        return bool(self.latitude[0] < self.latitude[-1])

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Turns fields (..., latitude, longitude) as they lie in the file."""
        rows = values[..., ::-1, :] if self.flipped else values
        return np.ascontiguousarray(rows[..., self.columns])


def unwrapped(longitude: np.ndarray) -> np.ndarray:
    """Removes jumps by 360°, so that 358, 359, 0, 1 becomes 358, 359, 360, 361."""
    values = np.asarray(longitude, np.float64)
    steps = np.diff(values)
    turns = np.concatenate([[0.0], np.cumsum(np.where(np.abs(steps) > 180.0, -np.sign(steps), 0))])
    return values + 360.0 * turns


def canonical_longitude(longitude: np.ndarray) -> np.ndarray:
    """Names the same meridians alike: within 0..360, or from -180..0 on if they cross 0° E."""
    values = unwrapped(longitude)
    values = values - 360.0 * np.floor(np.round(values[0], 6) / 360.0)
    return values - 360.0 if values[-1] >= 360.0 and values[0] >= 180.0 else values
