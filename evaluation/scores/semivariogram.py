"""Semivariogram: half the mean square difference of values a distance apart on the sphere.

    γ(lag) = ½ E[(f(x) - f(y))²],    x and y a great-circle distance `lag` apart, in km.

On a whole sphere it follows exactly from the power spectrum (`numerics.spherical`), as the mean
over all pairs of points, whether the field is isotropic or not:
    γ(θ) = Σ_l S_l (1 - P_l(cos θ)),    θ = lag / a.

Everywhere, it is also estimated from pairs of points. First points are uniform over the area,
second ones lie a lag away in a uniformly random direction; then both are moved to the nearest grid
point (interpolation would smooth the field and lower γ), and lags stated are means of the distances
after that. A pair's distance is then off by about half a spacing, up or down alike, which biases γ
by ½ γ'' times the mean square of that: little for lags of several spacings.
Pairs that leave the region are drawn again; regions without room for a lag have none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation.contract.units_text import squared_units
from evaluation.numerics.spherical import analysis, power_per_degree
from evaluation.scores.reduction import Axis, of_planes

Direction = Literal["any", "zonal", "meridional"]

ROUNDS = 40  # of drawing, before a lag is given up


def semivariogram(
    field: Any, lags: Sequence[float] | np.ndarray, *, grid: Grid | None = None,
    pairs: int | None = None, direction: Direction = "any", seed: int = 0,
    radius: float = EARTH_RADIUS, mean: Sequence[Axis] = (),
) -> Any:  # fmt: skip
    """Semivariogram γ(lag) = ½ E[(f(x) - f(y))²]; see the module.

    Args:
        field: (..., latitude, longitude) in units u, or an xarray object; without missing values.
        lags: Distances along great circles, km.
        grid: Of arrays.
        pairs: How many to draw for each lag; by default all pairs of points are counted, exactly,
            which needs a global grid and no direction.
        direction: Along circles of latitude ("zonal"), meridians, or any.
        seed: Of the pairs, which are the same for all fields on a grid.
        radius: Of the sphere, m.
        mean: Other axes over which to take the mean, such as ("time",).

    Returns:
        (..., lag) in u²; NaN for lags that find no room on the grid.
    """
    distances = np.asarray(lags, dtype=np.float64)
    if pairs is None and direction != "any":
        raise ValueError(f"`direction` {direction!r} needs sampled pairs: give `pairs`, say 10000")

    def formula(fields: np.ndarray, points: Grid) -> np.ndarray:
        if pairs is None:
            power = power_per_degree(analysis(fields, points))
            return isotropic_semivariogram(power, distances, radius)
        window = np.arange(points.shape[0]), np.arange(points.shape[1])
        drawn = draw_pairs(
            points, window, distances, pairs, [seed], direction=direction, radius=radius
        )
        return sampled_semivariogram(fields, drawn)

    return of_planes(
        formula, field, grid=grid, labels={"lag": distances}, mean=mean, units=squared_units,
        long_name="semivariogram",
    )  # fmt: skip


def isotropic_semivariogram(
    power: np.ndarray, lags: np.ndarray, radius: float = EARTH_RADIUS
) -> np.ndarray:
    """γ(θ) = Σ_l S_l (1 - P_l(cos θ)): exact for fields that the grid resolves.

    Args:
        power: S_l in u², (..., degree) from l = 0.
        lags: In km, (lag,).
        radius: Of the sphere, m.

    Returns:
        (..., lag) in u².
    """
    angles = tuple(1000 * np.asarray(lags, dtype=np.float64) / radius)
    return power @ _one_minus_legendre(angles, power.shape[-1] - 1)


@cache
def _one_minus_legendre(angles: tuple[float, ...], truncation: int) -> np.ndarray:
    """1 - P_l(cos θ), (degree, lag), by the recurrence (l+1) P_l+1 = (2l+1) x P_l - l P_l-1."""
    x = np.cos(angles)
    legendre = np.ones((truncation + 1, len(angles)))
    if truncation:
        legendre[1] = x
    for degree in range(1, truncation):
        legendre[degree + 1] = (
            (2 * degree + 1) * x * legendre[degree] - degree * legendre[degree - 1]
        ) / (degree + 1)
    return 1.0 - legendre


@dataclass(frozen=True, kw_only=True)
class PointPairs:
    """Pairs of points of a grid.

    Attributes:
        first, second: Into the flattened field, (lag, pair).
        distance: Their mean distance in km, (lag,); NaN where a region has no room for the lag,
            and then the pairs are meaningless.
        bias: var(d) / mean(d)² of their distances d, (lag,). By so much, as a share, the sampled γ
            lies too high where γ grows as the square of the distance; less where it grows slower.
    """

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    bias: np.ndarray


def draw_pairs(
    grid: Grid,
    window: tuple[np.ndarray, np.ndarray],
    lags: np.ndarray,
    num_pairs: int,
    seed: Sequence[int],
    *,
    direction: Direction = "any",
    radius: float = EARTH_RADIUS,
) -> PointPairs:
    """Draws pairs a lag apart within a window of a grid; see the module.

    Args:
        grid: Of the fields.
        window: Rows and columns, as `Setting.window` returns them.
        lags: In km, (lag,).
        num_pairs: For each lag.
        seed: Of `numpy.random.default_rng`.
        direction: "any", "zonal" or "meridional".
        radius: Of the sphere, m.
    """
    cells = _Cells(grid, *window)
    rng = np.random.default_rng(list(seed))
    first = np.zeros((len(lags), num_pairs), dtype=np.int64)
    second = np.zeros_like(first)
    distance, bias = np.full((2, len(lags)), np.nan)
    for index, angle in enumerate(1000 * np.asarray(lags, dtype=np.float64) / radius):
        found = _draw_at(cells, angle, num_pairs, rng, direction)
        if found is not None:
            order = np.argsort(found[0], kind="stable")  # neighbours in memory come together
            first[index], second[index] = found[0][order], found[1][order]
            distance[index] = found[2].mean() * radius / 1000
            bias[index] = found[2].var() / found[2].mean() ** 2
    return PointPairs(first=first, second=second, distance=distance, bias=bias)


def sampled_semivariogram(field: np.ndarray, pairs: PointPairs) -> np.ndarray:
    """½ mean (f(x) - f(y))² over pairs of points.

    Args:
        field: (..., latitude, longitude), in units u.
        pairs: Of points of its grid.

    Returns:
        (..., lag) in u²; NaN for lags without pairs.
    """
    flat = field.reshape(-1, field.shape[-2] * field.shape[-1])
    gamma = np.empty((len(flat), len(pairs.distance)))
    for i, values in enumerate(flat):
        difference = values[pairs.first] - values[pairs.second]
        gamma[i] = 0.5 * np.mean(np.square(difference, dtype=np.float64), axis=-1)
    gamma[:, np.isnan(pairs.distance)] = np.nan
    return gamma.reshape(*field.shape[:-2], -1)


class _Cells:
    """Cells around the points of a window, to draw from and to find points in."""

    def __init__(self, grid: Grid, rows: np.ndarray, columns: np.ndarray):
        self.rows, self.columns, self.width = rows, columns, grid.shape[1]
        self.latitude = np.radians(grid.latitude[rows])
        self.edges = np.radians(grid.latitude_edges[rows[0] : rows[-1] + 2])  # north to south
        longitude = grid.longitude[columns]
        longitude = longitude[0] + (longitude - longitude[0]) % 360.0
        spacing = np.diff(longitude)
        east = np.concatenate([spacing, spacing[-1:]]) / 2
        self.longitude = np.radians(longitude)
        self.borders = np.radians(np.concatenate([longitude[:1] - east[0], longitude + east]))

    def draw(self, num: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes of points that are uniform over the area of the window."""
        sine = rng.uniform(np.sin(self.edges[-1]), np.sin(self.edges[0]), num)
        return np.arcsin(sine), rng.uniform(self.borders[0], self.borders[-1], num)

    def find(
        self, latitude: np.ndarray, longitude: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row and column in the window of the nearest points, and whether they lie in it."""
        turned = self.borders[0] + (longitude - self.borders[0]) % (2 * np.pi)
        column = np.searchsorted(self.borders, turned, side="right") - 1
        row = np.searchsorted(-self.edges, -latitude, side="left") - 1
        row = np.where(latitude >= self.edges[0], np.where(latitude > self.edges[0], -1, 0), row)
        inside = (column < len(self.columns)) & (row >= 0) & (row < len(self.rows))
        return (
            np.clip(row, 0, len(self.rows) - 1),
            np.clip(column, 0, len(self.columns) - 1),
            inside,
        )

    def index(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Into the flattened field of the whole grid."""
        found: np.ndarray = self.rows[row] * self.width + self.columns[column]
        return found


def _draw_at(
    cells: _Cells, angle: float, num: int, rng: np.random.Generator, direction: Direction
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """`num` pairs: first and second points, and distances in radians; None if there is no room."""
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    missing = num
    for _ in range(ROUNDS):
        # Distances are right on average because both points are moved, the first one only now.
        latitude, longitude = cells.draw(max(2 * missing, 1000), rng)
        north, east, exists = _away(latitude, longitude, angle, rng, direction)
        row, column, _ = cells.find(latitude, longitude)
        other_row, other_column, inside = cells.find(north, east)
        distance = great_circle(
            cells.latitude[row],
            cells.longitude[column],
            cells.latitude[other_row],
            cells.longitude[other_column],
        )
        good = np.flatnonzero(inside & exists & (distance > 1e-9))[:missing]
        first, second = cells.index(row, column), cells.index(other_row, other_column)
        kept.append((first[good], second[good], distance[good]))
        missing -= len(good)
        if missing == 0:
            first, second, distance = (np.concatenate(parts) for parts in zip(*kept, strict=True))
            return first, second, distance
    return None


def _away(
    latitude: np.ndarray,
    longitude: np.ndarray,
    angle: float,
    rng: np.random.Generator,
    direction: Direction,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points an angle away, in radians, and whether there are such points."""
    if direction == "any":
        bearing = rng.uniform(0, 2 * np.pi, len(latitude))
        sine = np.sin(latitude) * np.cos(angle)
        sine = sine + np.cos(latitude) * np.sin(angle) * np.cos(bearing)
        north = np.arcsin(np.clip(sine, -1, 1))
        turn = np.arctan2(
            np.sin(bearing) * np.sin(angle) * np.cos(latitude),
            np.cos(angle) - np.sin(latitude) * sine,
        )
        return north, longitude + turn, np.ones(len(latitude), dtype=bool)
    sign = rng.choice([-1.0, 1.0], len(latitude))
    if direction == "meridional":
        north = latitude + sign * angle
        return north, longitude, np.abs(north) <= np.pi / 2
    if direction != "zonal":
        raise ValueError(f"`direction` must be 'any', 'zonal' or 'meridional'; got {direction!r}")
    # sin(d/2) = cosφ sin(Δλ/2) on a circle of latitude
    half = np.sin(angle / 2) / np.maximum(np.cos(latitude), 1e-9)
    return latitude, longitude + sign * 2 * np.arcsin(np.minimum(half, 1.0)), half <= 1.0


def great_circle(
    latitude: np.ndarray, longitude: np.ndarray, to_latitude: np.ndarray, to_longitude: np.ndarray
) -> np.ndarray:
    """Angle between points, all in radians, by the haversine formula."""
    square = np.sin((to_latitude - latitude) / 2) ** 2
    square = square + (
        np.cos(latitude) * np.cos(to_latitude) * np.sin((to_longitude - longitude) / 2) ** 2
    )
    return np.asarray(2 * np.arcsin(np.sqrt(np.minimum(square, 1.0))))
