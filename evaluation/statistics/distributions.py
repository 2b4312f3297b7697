"""Distributions of all values of a region, and of all gradients: histograms, quantiles, W1.

Fields are weighted by area, gradients by the area of their cells (`numerics.gradients`). The
Wasserstein-1 distance to the reference,
    W1 = ∫ |F_candidate(x) - F_reference(x)| dx,
is the least mean change of value that turns one distribution into the other, in the units of the
values. It says nothing about places: it is blind to what is at the wrong place, but not to blur,
which takes the tails. Per step it compares the two fields of a time; pooled, those of all times.

The distance at a step is exact, or off by 5 % at most (`scores.distributions`); that of all times
pooled comes from histograms, and stands beside the bound of its error.

Sums are kept in `numerics.histograms`, which needs no range in advance and merges exactly. For
drawing, and only for that, their weight is put into bins that are fixed by the reference: evenly
spaced in u = asinh((x - median) / s) with s the half of the distance between the quartiles, thus
linear in the middle and logarithmic in both tails. The kernel density is Gaussian in u with
Silverman's bandwidth, 0.9 min(deviation, interquartile range / 1.34) n^(-1/5) of u, for n values
in all; in the tails, where values are rare, the bandwidth is as wide as it takes to hold
`LEAST_VALUES` of them, up to a twentieth of the axis.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from evaluation.contract.accumulation import StepSeries, checked_options
from evaluation.contract.statistic import Picture, Sample, Statistic
from evaluation.contract.units_text import inverse_units, units_of
from evaluation.numerics.gradients import cell_window
from evaluation.numerics.histograms import Histogram, wasserstein, wasserstein_bound
from evaluation.numerics.setting import Setting
from evaluation.numerics.shared import slopes
from evaluation.scores.distributions import distance_of, histogram_of

if TYPE_CHECKING:
    import xarray as xr

QUANTITIES = ("value", "gradient")
PROBABILITIES = (1e-4, 1e-3, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 0.9999)
NUM_BINS = 200
LEAST_VALUES = 200  # within a bandwidth on either side of a value
PILOT = 4.0  # bins over which values are counted for that
WIDEST = NUM_BINS / 20  # bins
OWN, AIM = 0, 1  # of the candidate, of the reference


@dataclass(frozen=True, kw_only=True)
class AsinhAxis:
    """The coordinate u = asinh((x - middle) / scale): linear in the middle, logarithmic outside.

    Attributes:
        middle: Median of the reference, in units of x.
        scale: Half of the distance between its quartiles.
        low, high: Where the axis ends.
    """

    middle: float
    scale: float
    low: float
    high: float

    @classmethod
    def of(cls, reference: Histogram, *, positive: bool) -> Self:
        """Reaches 1.5 times as far from the median as the reference does.

        Args:
            reference: Not empty.
            positive: Whether the axis begins at zero.
        """
        low, first, median, third, high = reference.quantiles(np.array([0, 0.25, 0.5, 0.75, 1]))
        reach = 1.5 * max(high - median, median - low)
        if reach <= 0:  # constant
            reach = max(abs(median), 1e-30)
        return cls(
            middle=float(median),
            scale=float(max((third - first) / 2, reach * 1e-6)),
            low=0.0 if positive else float(median - reach),
            high=float(median + reach),
        )

    def edges(self, num_bins: int = NUM_BINS) -> np.ndarray:
        """Edges of bins that are even in u, ascending. Shape (num_bins + 1,)."""
        low, high = np.arcsinh((np.array([self.low, self.high]) - self.middle) / self.scale)
        edges: np.ndarray = self.middle + self.scale * np.sinh(np.linspace(low, high, num_bins + 1))
        return edges


def kernel_density(masses: np.ndarray, edges: np.ndarray, num_values: float) -> np.ndarray:
    """Gaussian kernel density from the weights in bins of an `AsinhAxis`.

    The kernel works in the coordinate u in which the bins are even, and reflects at both ends, so
    that no weight is lost. For its bandwidth, which grows in the tails, see the module.

    Args:
        masses: Share of the weight in each bin. Shape (bin,).
        edges: (bin + 1,).
        num_values: Number of values behind the weights.

    Returns:
        Per unit of the edges, at the middles of the bins. Shape (bin,).
    """
    from scipy.ndimage import gaussian_filter1d

    total, count = masses.sum(), len(masses)
    if total <= 0:
        return np.zeros(count)
    place = np.arange(count)
    mean = masses @ place / total
    deviation = np.sqrt(masses @ (place - mean) ** 2 / total)
    first, third = np.interp([0.25, 0.75], np.cumsum(masses) / total, place)
    spread = min(deviation, (third - first) / 1.34) if third > first else deviation
    silverman = 0.9 * spread * max(num_values, 1.0) ** -0.2
    values = gaussian_filter1d(masses / total * num_values, PILOT, mode="reflect")  # in each bin
    needed = np.minimum(LEAST_VALUES / np.maximum(2 * values, 1e-9), WIDEST)
    width = np.maximum(silverman, needed)[:, None]
    kernels = sum(
        np.exp(-0.5 * ((place - centre[:, None]) / np.maximum(width, 1e-3)) ** 2)
        for centre in (place, -1 - place, 2 * count - 1 - place)
    )  # of each bin, spread over all bins
    smooth = masses @ (kernels / kernels.sum(axis=1, keepdims=True))
    return np.asarray(smooth / np.diff(edges))


class DistributionAccumulator(StepSeries):
    """Histograms of the candidate and the reference, and their distance at each step."""

    def __init__(self, setting: Setting):
        super().__init__(QUANTITIES, setting)
        self._cells = [cell_window(window, setting.grid) for window in self.windows]
        shape = (2, len(QUANTITIES), len(setting.regions), len(setting.channels))
        self._histograms = {index: Histogram() for index in np.ndindex(*shape)}

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        fields = (
            (sample.candidate, sample.reference, self.windows),
            (sample.shared(slopes), sample.shared(slopes, of_reference=True), self._cells),
        )
        distances = np.zeros((len(QUANTITIES), *self._places))
        for quantity, (field, aim, parts) in enumerate(fields):
            for region, channel in np.ndindex(*self._places):
                part = parts[region]
                value, truth = part.of(field[channel]), part.of(aim[channel])
                own = histogram_of(value, part.weights)
                self._histograms[OWN, quantity, region, channel].merge(own)
                if aim is not field:
                    other = histogram_of(truth, part.weights)
                    distance = distance_of(value, truth, part.weights, own, other)
                    distances[quantity, region, channel] = distance
                    own = other
                self._histograms[AIM, quantity, region, channel].merge(own)
        self.append(sample.seconds, distances)

    @property
    def _places(self) -> tuple[int, int]:
        return len(self.windows), len(self.setting.channels)

    def merge(self, later: Self) -> None:
        """Adds what another one has seen later in time."""
        super().merge(later)
        for index, histogram in self._histograms.items():
            histogram.merge(later._histograms[index])

    def arrays(self) -> dict[str, np.ndarray]:
        """For `restore`."""
        arrays = super().arrays()
        for index, histogram in self._histograms.items():
            for name, array in histogram.arrays().items():
                arrays[f"{name}_{'_'.join(map(str, index))}"] = array
        return arrays

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `arrays` returned."""
        super().restore(arrays)
        for index, histogram in self._histograms.items():
            suffix = "_".join(map(str, index))
            histogram.restore({name: arrays[f"{name}_{suffix}"] for name in ("powers", "rows")})

    def result(self) -> "xr.Dataset":
        """Distances, quantiles, and densities in bins that the reference decides."""
        dataset = self.dataset()
        u = units_of(self.setting)
        what = {"value": ("values", u, ""), "gradient": ("gradients", f"{u} km-1", "gradient_")}
        dataset.coords["probability"] = list(PROBABILITIES)
        for number, quantity in enumerate(QUANTITIES):
            plural, units, prefix = what[quantity]
            long_name = f"Wasserstein-1 distance between distributions of {plural}"
            main = {} if prefix else {"main": 7, "short_name": "distance of distributions (W1)"}
            dataset[f"{prefix}wasserstein"] = (
                ("time", "region", "channel"),
                self.values(quantity),
                {"long_name": long_name, "units": units, "better": "lower", **main},
            )
            pooled = self._tabulate(number)
            dataset[f"pooled_{prefix}wasserstein"] = (
                ("region", "channel"),
                pooled["distance"],
                {"long_name": f"{long_name}, all times pooled", "units": units, "better": "lower"},
            )
            dataset[f"{prefix}bound"] = (
                ("region", "channel"),
                pooled["bound"],
                {"long_name": "largest error of the pooled distance (bins)", "units": units},
            )
            for name, dimension, long_name, unit in (
                ("quantile", "probability", f"quantiles of the {plural}", units),
                ("edges", "edge", "edges of the bins", units),
                ("axis", "parameter", "middle and scale of asinh, in which bins are even", units),
                ("density", "bin", f"density of the {plural}", inverse_units(units)),
                ("kernel_density", "bin", f"kernel density of the {plural}", inverse_units(units)),
            ):
                dataset[f"{prefix}{name}"] = (
                    ("region", "channel", dimension),
                    pooled[name],
                    {"long_name": long_name, "units": unit},
                )
        return dataset

    def _tabulate(self, quantity: int) -> dict[str, np.ndarray]:
        """All that `result` says of one quantity, each with leading axes (region, channel)."""
        sizes = {"distance": (), "bound": (), "quantile": (len(PROBABILITIES),)}
        sizes |= {
            "axis": (2,),
            "edges": (NUM_BINS + 1,),
            "density": (NUM_BINS,),
            "kernel_density": (NUM_BINS,),
        }
        table = {name: np.full(self._places + size, np.nan) for name, size in sizes.items()}
        if not self.num_steps:
            return table
        for index in np.ndindex(*self._places):
            own, aim = (self._histograms[(side, quantity, *index)] for side in (OWN, AIM))
            part = (self.windows, self._cells)[quantity][index[0]]
            num_values = len(part.rows) * len(part.columns) * self.num_steps
            axis = AsinhAxis.of(aim, positive=QUANTITIES[quantity] == "gradient")
            edges = axis.edges()
            masses = own.masses(edges)
            table["distance"][index] = wasserstein(own, aim)
            table["bound"][index] = wasserstein_bound(own, aim)
            table["quantile"][index] = own.quantiles(np.array(PROBABILITIES))
            table["edges"][index] = edges
            table["axis"][index] = axis.middle, axis.scale
            table["density"][index] = masses / np.diff(edges)
            table["kernel_density"][index] = kernel_density(masses, edges, num_values)
        return table


class Distributions(Statistic):
    """See the module."""

    name = "distributions"
    title = "Distributions"
    of_reference = True
    version = 3

    def accumulator(self, setting: Setting) -> DistributionAccumulator:
        """Starts to accumulate; there are no options."""
        checked_options(setting, {}, self.name)
        return DistributionAccumulator(setting)

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """Densities of values and gradients, for each region and channel."""
        from evaluation.contract.regions import region_title
        from evaluation.contract.units_text import words
        from evaluation.drawing.shared_figures import densities

        for region in result.region.values:
            for channel in result.channel.values:
                yield Picture(
                    name=f"distributions_{region}_{channel}",
                    title=f"Distribution of {words(channel)}, {region_title(region)}",
                    caption=(
                        "Density of all values (left) and of the magnitudes of all gradients "
                        "(right), by area, on logarithmic axes; the horizontal axis is linear "
                        "between the quartiles. Lines are kernel estimates, which are smoothed the "
                        "more the rarer values are, faint steps the histogram."
                    ),
                    figure=densities(result.sel(region=region, channel=channel)),
                )


STATISTIC = Distributions()
