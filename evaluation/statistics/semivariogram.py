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
Pairs that leave the region are drawn again; regions without room for a lag have none. They are
drawn from the seed and the name of the region alone, and are the same for all candidates and times.

Options:
    lags         In km; by default 12 from two grid spacings to 5000 km, evenly in the logarithm.
    pairs        For each lag, region and direction; 10000.
    directions   Whether zonal pairs (along a circle of latitude) and meridional ones (along a
                 meridian) are drawn as well; false.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal
from zlib import crc32

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation.contract.accumulation import StepAccumulator, checked_options
from evaluation.contract.statistic import Picture, Sample, Statistic
from evaluation.contract.units_text import squared_units, units_of
from evaluation.numerics.setting import GLOBE, Region, Setting
from evaluation.numerics.shared import coefficients
from evaluation.numerics.spectra import level_difference
from evaluation.numerics.spherical import power_per_degree

if TYPE_CHECKING:
    import xarray as xr

Direction = Literal["any", "zonal", "meridional"]

DEFAULTS = {"lags": None, "pairs": 10_000, "directions": False}
LARGEST_LAG = 5000.0  # km
NUM_LAGS, NUM_DISTANCES = 12, 60
ROUNDS = 40  # of drawing, before a lag is given up


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
    """

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray


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
    distance = np.full(len(lags), np.nan)
    for index, angle in enumerate(1000 * np.asarray(lags, dtype=np.float64) / radius):
        found = _draw_at(cells, angle, num_pairs, rng, direction)
        if found is not None:
            order = np.argsort(found[0], kind="stable")  # neighbours in memory come together
            first[index], second[index] = found[0][order], found[1][order]
            distance[index] = found[2].mean() * radius / 1000
    return PointPairs(first=first, second=second, distance=distance)


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


@lru_cache(maxsize=32)  # a run makes many accumulators, and the same pairs serve them all
def _shared_pairs(
    latitude: bytes,
    longitude: bytes,
    region: Region | None,
    lags: bytes,
    num_pairs: int,
    seed: tuple[int, ...],
    direction: Direction,
    radius: float,
) -> PointPairs:
    grid = Grid(np.frombuffer(latitude), np.frombuffer(longitude))
    window = Setting(grid=grid, channels=(), regions={"": region}).window("")
    return draw_pairs(
        grid, window, np.frombuffer(lags), num_pairs, seed, direction=direction, radius=radius
    )


class Semivariograms(StepAccumulator):
    """Mean semivariograms, and how far single steps are from the reference."""

    def __init__(self, setting: Setting):
        super().__init__(setting)
        options = checked_options(setting, DEFAULTS, "semivariogram")
        grid = setting.grid
        degree = np.pi * setting.radius / 180e3  # km per degree
        spacing = float(np.abs(np.diff(grid.latitude)).max()) * degree
        self._lags = _checked_lags(options["lags"], spacing, setting.radius)
        self._num_pairs = _checked_pairs(options["pairs"])
        if not isinstance(options["directions"], bool):
            raise ValueError(f"`directions` must be true or false; got {options['directions']!r}")
        self._directions: tuple[Direction, ...] = ("any",)
        if options["directions"]:
            self._directions = ("any", "zonal", "meridional")
        self._distances = np.geomspace(
            min(self._lags[0], spacing), np.pi * setting.radius / 1000, NUM_DISTANCES
        )
        self._pairs = {
            (region, direction): _shared_pairs(
                grid.latitude.tobytes(),
                grid.longitude.tobytes(),
                setting.regions[region],
                self._lags.tobytes(),
                self._num_pairs,
                (setting.seed, crc32(f"{region}/{direction}".encode())),
                direction,
                setting.radius,
            )
            for region in setting.regions
            for direction in self._directions
        }

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        gamma = self._of(sample.candidate)
        same = sample.candidate is sample.reference
        reference = gamma if same else self._of(sample.reference)
        means = {"sampled": gamma}
        if self.setting.grid.is_global:
            power = power_per_degree(sample.shared(coefficients))
            means["exact"] = isotropic_semivariogram(power, self._distances, self.setting.radius)
        self.add(
            sample.seconds,
            means,
            {"difference": _difference(gamma[:, 0], reference[:, 0])},
        )

    def _of(self, field: np.ndarray) -> np.ndarray:
        """(region, direction, channel, lag)."""
        return np.stack(
            [
                np.stack(
                    [
                        sampled_semivariogram(field, self._pairs[region, direction])
                        for direction in self._directions
                    ]
                )
                for region in self.setting.regions
            ]
        )

    def result(self) -> "xr.Dataset":
        """Sampled ones of all regions, exact ones of a sphere, with their spread over time."""
        import xarray as xr

        setting = self.setting
        units = squared_units(units_of(setting))
        distance = np.array(
            [
                [self._pairs[region, direction].distance for direction in self._directions]
                for region in setting.regions
            ]
        )
        axes = ("region", "direction", "channel", "lag")
        data = xr.Dataset(
            {
                "semivariogram": (
                    axes,
                    self.mean("sampled"),
                    {"long_name": "semivariogram of sampled pairs", "units": units},
                ),
                "semivariogram_spread": (
                    axes,
                    self.spread("sampled"),
                    {"long_name": "semivariogram, standard deviation over time", "units": units},
                ),
                "semivariogram_difference": (
                    ("time", "region", "channel"),
                    self.series("difference"),
                    {
                        "long_name": "semivariogram: rms difference of levels from the reference",
                        "units": "dB",
                        "better": "lower",
                        "main": 8,
                        "short_name": "semivariogram: rms difference",
                    },
                ),
            },
            coords={
                "time": self.seconds,
                "region": list(setting.regions),
                "channel": [channel.name for channel in setting.channels],
                "direction": list(self._directions),
                "lag": ("lag", self._lags, {"long_name": "Lag", "units": "km"}),
                "distance": (
                    ("region", "direction", "lag"),
                    distance,
                    {"long_name": "Mean distance of pairs", "units": "km"},
                ),
            },
        )
        if setting.grid.is_global:
            data.coords["exact_lag"] = (
                "exact_lag",
                self._distances,
                {"long_name": "Lag", "units": "km"},
            )
            for name, values in (
                ("exact_semivariogram", self.mean("exact")),
                ("exact_semivariogram_spread", self.spread("exact")),
            ):
                described = {"long_name": "semivariogram of all pairs", "units": units}
                data[name] = ("channel", "exact_lag"), values, described
        return data


def _difference(gamma: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(region, channel) in dB, over those lags that there are."""
    known = np.isfinite(reference).all(axis=1)  # (region, lag)
    found = np.full(gamma.shape[:2], np.nan)
    for region in range(len(gamma)):
        lags = known[region]
        if lags.any():
            found[region] = level_difference(gamma[region][:, lags], reference[region][:, lags])
    return found


def _checked_lags(lags: object, spacing: float, radius: float) -> np.ndarray:
    if lags is None:
        largest = min(LARGEST_LAG, np.pi * radius / 1000)
        return np.geomspace(min(2 * spacing, largest / 10), largest, NUM_LAGS)
    values = np.asarray(lags, dtype=np.float64)
    half = np.pi * radius / 1000
    if values.ndim != 1 or not len(values) or np.any(np.diff(values) <= 0):
        raise ValueError(f"`lags` must be increasing numbers of km; got {lags!r}")
    if values[0] <= 0 or values[-1] > half:
        raise ValueError(f"`lags` must lie between 0 and {half:.0f} km; got {lags!r}")
    return values


def _checked_pairs(pairs: object) -> int:
    if not isinstance(pairs, int) or isinstance(pairs, bool) or pairs < 1:
        raise ValueError(f"`pairs` must be a positive integer; got {pairs!r}")
    return pairs


class Semivariogram(Statistic):
    """See the module."""

    name = "semivariogram"
    title = "Semivariograms"
    of_reference = True

    def accumulator(self, setting: Setting) -> Semivariograms:
        """Starts to accumulate; see the module for options."""
        return Semivariograms(setting)

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """One figure for each channel and region; dots are sampled, lines exact where they are."""
        from evaluation.contract.regions import region_title
        from evaluation.contract.units_text import labelled, words
        from evaluation.drawing import plotting
        from evaluation.drawing.spectra_figures import plain_ticks

        styles = plotting.line_styles(map(str, result.candidate.values))
        exact = "exact_semivariogram" in result
        directions = [str(name) for name in result.direction.values]
        marks = {"any": "o", "zonal": ">", "meridional": "^"}
        for channel in result.channel.values:
            for region in result.region.values:
                part = result.sel(channel=channel, region=region)
                if not np.isfinite(part.semivariogram.values).any():
                    continue
                whole = exact and region == GLOBE
                figure, axes = plotting.new()
                for candidate, kept in styles.items():
                    if candidate not in result.candidate.values:
                        continue
                    values = part.sel(candidate=candidate)
                    if whole:
                        axes.plot(values.exact_lag, values.exact_semivariogram, **kept)
                    for direction in directions:
                        lags = np.atleast_2d(values.distance.sel(direction=direction))[0]
                        looks = {**kept, "marker": marks[direction], "markersize": 4}
                        if direction != "any":
                            looks["fillstyle"] = "none"
                        if whole or direction != "any":
                            looks |= {"linestyle": "none", "label": None}
                        axes.plot(lags, values.semivariogram.sel(direction=direction), **looks)
                axes.set(
                    xscale="log",
                    yscale="log",
                    xlabel="distance (km)",
                    ylabel=labelled(f"{words(channel)}: semivariogram", result.semivariogram.units),
                )
                axes.grid(which="major", linewidth=0.4, alpha=0.6)
                plain_ticks(axes.xaxis)
                plotting.legend(figure, [str(name) for name in result.candidate.values])
                caption = "Half the mean square difference of pairs of points, mean over time."
                if whole:
                    caption += " Lines: all pairs, from the power spectrum; dots: sampled pairs."
                if len(directions) > 1:
                    caption += " Triangles point along circles of latitude or along meridians."
                yield Picture(
                    name=f"semivariogram_{region}_{channel}",
                    title=f"Semivariogram of {words(channel)}, {region_title(region)}",
                    caption=caption,
                    figure=figure,
                )


STATISTIC = Semivariogram()
