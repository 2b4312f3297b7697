"""What all statistics of a run have in common: the grid, its regions, the channels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atmodist.fields.channels import Channel
from atmodist.fields.grid import Grid
from atmodist.files.constants import EARTH_RADIUS

REFERENCE = "reference"  # the name under which the reference itself is described
GLOBE = "globe"  # the name of the region that is the whole grid


@dataclass(frozen=True, kw_only=True)
class Region:
    """A window of latitudes and longitudes; it may cross the date line.

    Attributes:
        south, north: Degrees north.
        west, east: Degrees east; west > east crosses the date line.
    """

    south: float
    north: float
    west: float
    east: float


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all statistics of a run have in common.

    Attributes:
        grid: Of the reference; candidates have the same.
        channels: Of all fields, in order.
        regions: By name; `GLOBE`, the whole grid, comes first and is always there.
        seed: Of whatever is drawn; all candidates share what is drawn.
        radius: Of the sphere, m.
        encoder: Folder or address of an encoder package, where one was given.
        options: Settings of the statistic at hand, by name.
    """

    grid: Grid
    channels: tuple[Channel, ...]
    regions: Mapping[str, Region | None]
    seed: int = 0
    radius: float = EARTH_RADIUS
    encoder: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def window(self, region: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of a region, west to east; all of them for the globe."""
        bounds = self.regions[region]
        if bounds is None:
            return np.arange(self.grid.shape[0]), np.arange(self.grid.shape[1])
        latitude = self.grid.latitude
        rows = np.flatnonzero((latitude >= bounds.south) & (latitude <= bounds.north))
        width = (bounds.east - bounds.west) % 360.0 or 360.0
        east = (self.grid.longitude - bounds.west) % 360.0
        columns = np.flatnonzero(east <= width)
        return rows, columns[np.argsort(east[columns], kind="stable")]
