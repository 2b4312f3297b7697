"""Semivariogram: half the mean square difference of values a distance apart on the sphere.

    γ(lag) = ½ E[(f(x) - f(y))²],    x and y a great-circle distance `lag` apart, in km.

Exactly on a sphere, and from sampled pairs everywhere; see `evaluation.scores.semivariogram`.
Points of a grid are not exactly a lag apart, and the mean of a convex γ over their distances lies
above γ at the mean distance: by 1/(6 n²), as a share, at n grid spacings, where γ grows as the
square (`sampling_bias`). It is below 1 % from 4.5 spacings on, where the default lags begin.

Pairs are drawn from the seed and the name of the region alone, and are the same for all candidates
and times.

Options:
    lags         In km; by default 12 from 4.5 grid spacings to 5000 km, evenly in the logarithm.
    pairs        For each lag, region and direction; 10000.
    directions   Whether zonal pairs (along a circle of latitude) and meridional ones (along a
                 meridian) are drawn as well; false.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from atmodist.fields.grid import Grid
from evaluation.contract.accumulation import StepAccumulator, checked_options
from evaluation.contract.statistic import Picture, Sample, Statistic
from evaluation.contract.units_text import squared_units, units_of
from evaluation.numerics.setting import GLOBE, Region, Setting
from evaluation.numerics.shared import coefficients
from evaluation.numerics.spectra import level_difference
from evaluation.numerics.spherical import power_per_degree
from evaluation.scores.semivariogram import (
    Direction,
    PointPairs,
    draw_pairs,
    isotropic_semivariogram,
    sampled_semivariogram,
)

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"lags": None, "pairs": 10_000, "directions": False}
LARGEST_LAG = 5000.0  # km
LEAST_LAG = 4.5  # grid spacings
NUM_LAGS, NUM_DISTANCES = 12, 60


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
        bias = np.array(
            [
                [self._pairs[region, direction].bias for direction in self._directions]
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
                "sampling_bias": (
                    ("region", "direction", "lag"),
                    bias,
                    {
                        "long_name": "share by which sampled semivariograms may lie too high",
                        "units": "1",
                    },
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
        return np.geomspace(min(LEAST_LAG * spacing, largest / 10), largest, NUM_LAGS)
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
    version = 2

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
