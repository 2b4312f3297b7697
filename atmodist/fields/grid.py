"""Latitude-longitude grids: which kind one is, and how much area each of its points stands for.

Latitudes run from north to south and longitudes eastwards, in degrees as in files. Global grids
are recognised from their coordinates, because the kind decides the quadrature: with it, means over
the sphere are exact for band-limited fields, and harmonic transforms are possible.

Kinds of global grids (n rows, colatitude θ):
    regular         θ_j = jπ/(n-1): both poles (ERA5's 721 x 1440); Clenshaw-Curtis quadrature
    cell-centred    θ_j = (j+½)π/n: no pole; Fejér's first quadrature
    driscoll-healy  θ_j = jπ/n, n even: the north pole only; Driscoll and Healy (1994), theorem 3
    gauss           θ_j = arccos of the Legendre nodes; Gauss quadrature
Everything else is `regional`, periodic in longitude or not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np

from atmodist.files.described import Described

GridKind = Literal["regular", "cell-centred", "driscoll-healy", "gauss", "regional"]

# Coordinates in files are rounded, often to 1e-3 of a degree; kinds differ by half a row.
ROUNDING = 0.02  # of the spacing


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Described):
    """A latitude-longitude grid.

    Attributes:
        latitude: Degrees north, strictly decreasing. Shape (latitude,).
        longitude: Degrees east, strictly increasing by less than 360 in all. Shape (longitude,).

    Raises:
        ValueError: If coordinates are not finite, out of range, or out of order.
    """

    latitude: np.ndarray
    longitude: np.ndarray

    def __post_init__(self) -> None:
        for name in ("latitude", "longitude"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or len(values) < 2:
                raise ValueError(
                    f"`{name}` must be a 1-D array of at least two values; got shape {values.shape}"
                )
            if not np.isfinite(values).all():
                raise ValueError(f"`{name}` must be finite; got {values[~np.isfinite(values)][0]}")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if np.any(np.diff(self.latitude) >= 0):
            raise ValueError(
                "`latitude` must decrease from north to south; got "
                f"{self.latitude[0]:g}, {self.latitude[1]:g}, ..., {self.latitude[-1]:g}"
            )
        if np.abs(self.latitude).max() > 90 + 1e-6:
            raise ValueError(
                f"`latitude` must lie in -90..90; got up to {np.abs(self.latitude).max():g}"
            )
        span = self.longitude[-1] - self.longitude[0]
        if np.any(np.diff(self.longitude) <= 0) or span >= 360 - 1e-6:
            raise ValueError(
                "`longitude` must increase eastwards over less than 360 degrees; got "
                f"{self.longitude[0]:g}, {self.longitude[1]:g}, ..., {self.longitude[-1]:g}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(latitude, longitude)."""
        return len(self.latitude), len(self.longitude)

    @cached_property
    def is_periodic(self) -> bool:
        """Whether the last column is the western neighbour of the first."""
        num = len(self.longitude)
        return _is_uniform(self.longitude, 360.0 / num)

    @cached_property
    def kind(self) -> GridKind:
        """The kind of grid, told from its coordinates."""
        if not self.is_periodic:
            return "regional"
        num = len(self.latitude)
        for kind, latitudes in _LATITUDES.items():
            if kind == "driscoll-healy" and num % 2:
                continue
            if np.abs(latitudes(num) - self.latitude).max() < ROUNDING * 180 / num:
                return kind
        return "regional"

    @property
    def is_global(self) -> bool:
        """Whether the grid covers the sphere, so that harmonic transforms exist."""
        return self.kind != "regional"

    @cached_property
    def area_weights(self) -> np.ndarray:
        """Share of the area of each point; shape (latitude, 1), to be broadcast.

        `(field * grid.area_weights).sum(axis=(-2, -1))` is the mean over the grid: Σ of the weights
        over all points is one. On global grids they are quadrature weights.
        """
        rows = _QUADRATURE[self.kind](len(self.latitude)) if self.is_global else self.band_areas
        return (rows / rows.sum() / len(self.longitude))[:, None]

    @cached_property
    def latitude_edges(self) -> np.ndarray:
        """Degrees north of the edges between rows, midway; the outer ones end at a pole at most.

        On a global grid they end at the poles, so that the bands cover the sphere.
        """
        lat = self.latitude
        middle = (lat[:-1] + lat[1:]) / 2
        first, last = lat[0] + (lat[0] - lat[1]) / 2, lat[-1] - (lat[-2] - lat[-1]) / 2
        if self.is_global:
            first, last = 90.0, -90.0
        return np.clip(np.concatenate([[first], middle, [last]]), -90.0, 90.0)

    @property
    def band_areas(self) -> np.ndarray:
        """Area between the edges of each row, as a share of the sphere. Shape (latitude,)."""
        return -np.diff(np.sin(np.radians(self.latitude_edges))) / 2

    @property
    def max_truncation(self) -> int:
        """Largest degree l that the grid resolves exactly.

        Raises:
            ValueError: If the grid is regional.
        """
        rows, columns = self.shape
        limits = {
            "regular": rows - 2,
            "cell-centred": rows - 1,
            "driscoll-healy": rows // 2 - 1,
            "gauss": rows - 1,
        }
        if self.kind not in limits:
            raise ValueError("a regional grid has no spherical-harmonic truncation")
        return min(limits[self.kind], (columns - 1) // 2)

    def matches(self, other: "Grid") -> bool:
        """Whether both grids have the same points, up to the rounding of coordinates in files."""
        return self.shape == other.shape and all(
            np.abs(a - b).max() < ROUNDING * np.abs(np.diff(a)).min()
            for a, b in ((self.latitude, other.latitude), (self.longitude, other.longitude))
        )

    def __str__(self) -> str:
        rows, columns = self.shape
        lat, lon = self.latitude, self.longitude
        return (
            f"{rows} x {columns} {self.kind} "
            f"({_degrees(lat[0])}..{_degrees(lat[-1])}, "
            f"{lon[0]:.6g}E..{lon[-1]:.6g}E)"
        )


def gaps(values: np.ndarray) -> np.ndarray:
    """Where coordinates jump: points after which there is a gap, across which nothing is known.

    A single distance that is half as long again as both its neighbours is one, so that a column
    that is missing is found; so is one that is three times a neighbour. Grids that are stretched
    smoothly have none, and neither does a half row at a pole.

    Args:
        values: Degrees, increasing or decreasing. Shape (point,).
    """
    steps = np.abs(np.diff(values))
    if len(steps) < 2:
        return np.zeros(0, np.int64)
    padded = np.concatenate([[np.nan], steps, [np.nan]])
    before, after = padded[:-2], padded[2:]
    isolated = steps > 1.5 * np.fmax(before, after)
    # The outermost distance may be a half row.
    inner = np.concatenate([[np.nan, np.nan], steps[1:-1], [np.nan, np.nan]])
    wide = steps > 3.0 * np.fmin(inner[:-2], inner[2:])
    return np.flatnonzero(isolated | wide)


def require_contiguous(grid: Grid, advice: str = "select one side of it first") -> None:
    """Raises `ValueError` if the points of a grid leave a gap, and says where."""
    for name, values, east in (
        ("longitudes", grid.longitude, "E"), ("latitudes", grid.latitude, ""),
    ):  # fmt: skip
        for place in gaps(values)[:1]:
            ends = [f"{v:g}{east}" if east else _degrees(v) for v in values[place : place + 2]]
            usual = float(np.median(np.abs(np.diff(values))))
            raise ValueError(
                f"the {name} leave a gap from {ends[0]} to {ends[1]}, where points are "
                f"{usual:g} degrees apart; {advice}"
            )


def gauss_latitudes(num_rows: int) -> np.ndarray:
    """Degrees north of the Gauss-Legendre rows, north to south. Shape (num_rows,)."""
    return np.degrees(np.arcsin(_legendre_rule(num_rows)[0]))[::-1]


def make_grid(kind: GridKind, num_rows: int, num_columns: int | None = None) -> Grid:
    """Makes a global grid with the first column at 0° E.

    Args:
        kind: "regular", "cell-centred", "driscoll-healy" or "gauss".
        num_rows: Number of latitudes n; even for "driscoll-healy".
        num_columns: Number of longitudes; 2n by default, 2(n-1) for "regular".
    """
    if kind not in _LATITUDES:
        raise ValueError(f"`kind` must be one of {', '.join(_LATITUDES)}; got {kind!r}")
    if num_rows < 2:
        raise ValueError(f"`num_rows` must be at least 2; got {num_rows}")
    if kind == "driscoll-healy" and num_rows % 2:
        raise ValueError(f"a driscoll-healy grid has an even number of rows; got {num_rows}")
    if num_columns is None:
        num_columns = 2 * (num_rows - 1) if kind == "regular" else 2 * num_rows
    return Grid(_LATITUDES[kind](num_rows), 360.0 * np.arange(num_columns) / num_columns)


def _is_uniform(values: np.ndarray, spacing: float) -> bool:
    ideal = values[0] + spacing * np.arange(len(values))
    return bool(np.abs(values - ideal).max() < ROUNDING * spacing)


def _degrees(latitude: float) -> str:
    return f"{abs(latitude):.6g}{'N' if latitude >= 0 else 'S'}"


def _clenshaw_curtis(num: int) -> np.ndarray:
    """Weights of θ_j = jπ/(n-1) for ∫ f sinθ dθ; they sum to 2."""
    last = num - 1
    theta = np.pi * np.arange(num) / last
    weights = 1.0 - _even_cosine_sum(theta, np.arange(1, last // 2 + 1), halve_last=last % 2 == 0)
    weights[[0, -1]] /= 2
    return weights * 2 / last


def _fejer(num: int) -> np.ndarray:
    """Weights of θ_j = (j+½)π/n for ∫ f sinθ dθ; they sum to 2."""
    theta = np.pi * (np.arange(num) + 0.5) / num
    return (1.0 - _even_cosine_sum(theta, np.arange(1, (num - 1) // 2 + 1), False)) * 2 / num


def _even_cosine_sum(theta: np.ndarray, k: np.ndarray, halve_last: bool) -> np.ndarray:
    # Σ_k 2 cos(2kθ) / (4k²-1), from ∫ cos(2kθ) sinθ dθ = -2/(4k²-1)
    factors = 2.0 / (4.0 * k**2 - 1.0)
    if halve_last and len(k):
        factors[-1] /= 2
    return np.cos(2 * np.outer(theta, k)) @ factors


def _driscoll_healy(num: int) -> np.ndarray:
    """Weights of θ_j = jπ/n, n even, for ∫ f sinθ dθ; they sum to 2."""
    theta = np.pi * np.arange(num) / num
    odd = 2 * np.arange(num // 2) + 1
    return 4.0 / num * np.sin(theta) * (np.sin(np.outer(theta, odd)) @ (1.0 / odd))


def _gauss(num: int) -> np.ndarray:
    return _legendre_rule(num)[1][::-1]


@cache
def _legendre_rule(num: int) -> tuple[np.ndarray, np.ndarray]:
    # NumPy's `leggauss` takes 9 s for 2560 rows, and is only accurate to 1e-8 at 1280.
    from scipy.special import roots_legendre

    nodes, weights = roots_legendre(num)
    return nodes, weights


# In the order in which they are tried: Gauss nodes are the dearest to compute.
_LATITUDES: dict[GridKind, Callable[[int], np.ndarray]] = {
    "regular": lambda num: 90 - 180 * np.arange(num) / (num - 1),
    "cell-centred": lambda num: 90 - 180 * (np.arange(num) + 0.5) / num,
    "driscoll-healy": lambda num: 90 - 180 * np.arange(num) / num,
    "gauss": gauss_latitudes,
}
_QUADRATURE = {
    "regular": _clenshaw_curtis,
    "cell-centred": _fejer,
    "driscoll-healy": _driscoll_healy,
    "gauss": _gauss,
}
