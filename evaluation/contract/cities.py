"""Cities that ship with the package, and the points of a grid beside them."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from atmodist.fields.grid import Grid

CITIES = Path(__file__).parents[1] / "data" / "cities.csv"


@dataclass(frozen=True, kw_only=True)
class Station:
    """A place on the sphere.

    Attributes:
        name: Of the place.
        country: ISO 3166 code.
        latitude: Degrees north.
        longitude: Degrees east, -180 to 180.
    """

    name: str
    country: str
    latitude: float
    longitude: float


@cache
def cities(path: str | Path = CITIES) -> tuple[Station, ...]:
    """Reads a list of stations: columns name, country, latitude, longitude; `#` comments.

    Raises:
        ValueError: If a column is missing, or a coordinate is out of range.
    """
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    stations = []
    for row in rows:
        try:
            latitude, longitude = float(row["latitude"]), float(row["longitude"])
            name, country = row["name"], row["country"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: expected columns name, country, latitude, longitude; got {dict(row)}"
            ) from error
        if not (abs(latitude) <= 90 and -180 <= longitude <= 360):
            raise ValueError(
                f"{path}: {name} lies at {latitude} N, {longitude} E; "
                "expected -90..90 and -180..360 degrees"
            )
        longitude = (longitude + 180) % 360 - 180
        stations.append(Station(name=name, country=country, latitude=latitude, longitude=longitude))
    return tuple(stations)


def unit_vectors(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Cartesian unit vectors of degrees north and east. Shape (..., 3)."""
    phi, lam = np.broadcast_arrays(np.radians(latitude), np.radians(longitude))
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def nearest_points(
    grid: Grid, latitude: np.ndarray, longitude: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The points of the grid nearest on the sphere.

    On each row the nearest point is the one nearest in longitude, modulo 360; of these, one for
    each row, the nearest is taken by its great-circle distance. So longitudes may be in 0..360 or
    -180..180, in the grid and for the places.

    Args:
        grid: Any grid.
        latitude: Degrees north. Shape (place,).
        longitude: Degrees east. Shape (place,).

    Returns:
        Row, column and distance (radians along the great circle); each of shape (place,).
    """
    latitude, longitude = np.asarray(latitude, float), np.asarray(longitude, float)
    apart = np.abs((grid.longitude - longitude[:, None] + 180.0) % 360.0 - 180.0)
    column = apart.argmin(axis=1)
    places = unit_vectors(latitude, longitude)
    points = unit_vectors(grid.latitude[None, :], grid.longitude[column][:, None])
    chord = np.linalg.norm(points - places[:, None, :], axis=-1)
    row = chord.argmin(axis=1)
    nearest = chord[np.arange(len(row)), row]
    return row, column, 2 * np.arcsin(np.minimum(nearest / 2, 1.0))


def inside(grid: Grid, stations: Iterable[Station]) -> tuple[Station, ...]:
    """The stations within half a spacing of the grid's points."""
    chosen = []
    edges = grid.latitude_edges
    width = np.diff(grid.longitude).max()
    for station in stations:
        if not edges[-1] <= station.latitude <= edges[0]:
            continue
        apart = np.abs((grid.longitude - station.longitude + 180.0) % 360.0 - 180.0).min()
        if grid.is_periodic or apart <= width / 2:
            chosen.append(station)
    return tuple(chosen)
