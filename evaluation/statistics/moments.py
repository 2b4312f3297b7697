"""Mean, standard deviation, skewness and kurtosis: maps over time, and numbers over space.

With the central moments m_k = E[(x - E x)^k],
    standard deviation = √m2,    skewness = m3 / m2^(3/2),    kurtosis = m4 / m2²  (Gauss: 3).

Maps take E over time at each point (division by the number of steps, not by one less). Numbers take
it over the area of a region, at each step; the pooled ones over area and time, of all values
together. A field that is too smooth shows it in a standard deviation and a kurtosis that are too
small, where mean squared errors would praise it.

Moments are updated step by step and merged as Pébay (2008, Sandia report SAND2008-6212) writes
them, in float64, without the cancellation of sums of powers.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from evaluation.contract.accumulation import StepSeries, checked_options
from evaluation.contract.statistic import Picture, Sample, Statistic
from evaluation.contract.units_text import units_of
from evaluation.numerics.averages import row_blocks
from evaluation.numerics.setting import REFERENCE, Setting
from evaluation.scores.moments import NAMES, area_moments, pooled, standardized

if TYPE_CHECKING:
    import xarray as xr

MAIN = {"main": 5, "short_name": "standard deviation"}
CENTRAL = ("m1", "m2", "m3", "m4")  # mean and central moments, per step


class TimeMoments:
    """Mean and central moments over time at each point; parts merge exactly up to rounding."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: np.ndarray = np.zeros((4, 0))  # mean; sums of (x - mean)^k for k = 2, 3, 4

    def update(self, field: np.ndarray) -> None:
        """Adds one step: (channel, latitude, longitude), the same shape every time."""
        channels, rows, columns = field.shape
        if not self.count:
            self._sums = np.zeros((4, *field.shape))
        self.count += 1
        n = self.count
        for channel in range(channels):
            for block in row_blocks(rows, columns):
                mean, s2, s3, s4 = self._sums[:, channel, block]
                delta = field[channel, block] - mean
                step = delta / n
                square = step * step
                delta *= step
                delta *= n - 1  # the growth of s2
                mean += step
                s4 += square * (delta * (n * n - 3 * n + 3) + 6 * s2) - 4 * step * s3
                s3 += step * (delta * (n - 2) - 3 * s2)
                s2 += delta

    def merge(self, other: Self) -> None:
        """Adds all that another one has seen."""
        if not other.count:
            return
        if not self.count:
            self.count, self._sums = other.count, other._sums.copy()
            return
        a, b = self.count, other.count
        n = a + b
        _, channels, rows, columns = self._sums.shape
        for channel in range(channels):
            for block in row_blocks(rows, columns):
                mean, s2, s3, s4 = self._sums[:, channel, block]
                mean_b, s2_b, s3_b, s4_b = other._sums[:, channel, block]
                delta = mean_b - mean
                d = delta / n
                product = delta * d * (a * b)
                s4 += s4_b + product * d * d * (a * a - a * b + b * b)
                s4 += 6 * d * d * (a * a * s2_b + b * b * s2) + 4 * d * (a * s3_b - b * s3)
                s3 += s3_b + product * d * (a - b) + 3 * d * (a * s2_b - b * s2)
                s2 += s2_b + product
                mean += b * d
        self.count = n

    def arrays(self) -> dict[str, np.ndarray]:
        """For `restore`."""
        return {"count": np.array(self.count), "sums": self._sums}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `arrays` returned."""
        self.count, self._sums = int(arrays["count"]), np.array(arrays["sums"])

    def central(self) -> np.ndarray:
        """E x, m2, m3, m4 over time. Shape (4, channel, latitude, longitude)."""
        return np.concatenate([self._sums[:1], self._sums[1:] / max(self.count, 1)])


class MomentAccumulator(StepSeries):
    """Moments of the candidate over time at each point, and over area at each step."""

    def __init__(self, setting: Setting):
        super().__init__(CENTRAL, setting)
        self._maps = TimeMoments()

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        field = sample.candidate
        numbers = [area_moments(window.of(field), window.weights) for window in self.windows]
        self.append(sample.seconds, np.stack(numbers, axis=1))
        self._maps.update(field)

    def merge(self, later: Self) -> None:
        """Adds what another one has seen later in time."""
        super().merge(later)
        self._maps.merge(later._maps)

    def arrays(self) -> dict[str, np.ndarray]:
        """For `restore`."""
        return super().arrays() | self._maps.arrays()

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `arrays` returned."""
        super().restore(arrays)
        self._maps.restore(arrays)

    def result(self) -> "xr.Dataset":
        """Numbers per step and pooled, and maps (float32)."""
        units = units_of(self.setting)
        dataset = self.dataset()
        central = np.stack([self.values(name) for name in CENTRAL])
        for name, values in zip(NAMES, standardized(central), strict=True):
            dataset[name] = (
                ("time", "region", "channel"),
                values,
                _attributes(name, "over the area", units)
                | (MAIN if name == "standard_deviation" else {}),
            )
        for name, values in zip(NAMES, standardized(pooled(central)), strict=True):
            if name != "mean":  # the same as the mean over time of the means
                dataset[f"pooled_{name}"] = (
                    ("region", "channel"),
                    values,
                    _attributes(name, "over area and time together", units),
                )
        grid = self.setting.grid
        dataset.coords.update({"latitude": grid.latitude, "longitude": grid.longitude})
        for name, values in zip(NAMES, standardized(self._maps.central()), strict=True):
            dataset[f"{name}_map"] = (
                ("channel", "latitude", "longitude"),
                values.astype(np.float32),
                _attributes(name, "over time", units),
            )
        return dataset


def _attributes(name: str, over: str, units: str) -> dict[str, Any]:
    return {
        "long_name": f"{name.replace('_', ' ')} {over}",
        "units": units if name in ("mean", "standard_deviation") else "1",
        "better": "reference",
    }


class Moments(Statistic):
    """See the module."""

    name = "moments"
    title = "Moments"
    of_reference = True

    def accumulator(self, setting: Setting) -> MomentAccumulator:
        """Starts to accumulate; there are no options."""
        checked_options(setting, {}, self.name)
        return MomentAccumulator(setting)

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """A figure for each channel and moment: the reference, and what candidates differ by."""
        from evaluation.contract.units_text import words
        from evaluation.drawing.shared_figures import maps_beside_reference

        steps = result.sizes["time"]
        for channel in result.channel.values:
            for name in NAMES:
                if steps < {"mean": 1, "standard_deviation": 2}.get(name, 8):
                    continue  # skewness of few steps says nothing
                title = f"{words(name).capitalize()} of {words(channel)}"
                yield Picture(
                    name=f"{name}_{channel}",
                    title=title,
                    caption=(
                        f"{title} over {steps} steps at each point: of the reference where it is "
                        "described, and candidates minus reference."
                    ),
                    figure=maps_beside_reference(
                        result[f"{name}_map"].sel(channel=channel), title, REFERENCE
                    ),
                )


STATISTIC = Moments()
