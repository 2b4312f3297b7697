"""What most accumulators are made of: means over time, and numbers of each step.

`StepAccumulator` sums arrays and their squares, so that memory does not depend on the number of
steps, and keeps scalars of each step, because the uncertainty of a difference needs them one by
one. `StepSeries` keeps numbers of each step, region and channel. A statistic subclasses one of
them, fills it in `update` and reads it in `result`; what else it keeps it adds to `merge`, `arrays`
and `restore`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from evaluation.numerics.averages import windows
from evaluation.numerics.setting import Setting

if TYPE_CHECKING:
    import xarray as xr

T = TypeVar("T")


class StepAccumulator:
    """Means and spreads over time of arrays, and scalars of each step.

    Attributes:
        setting: What all statistics of the run have in common.
    """

    def __init__(self, setting: Setting):
        self.setting = setting
        self._seconds: list[int] = []
        self._sums: dict[str, np.ndarray] = {}
        self._squares: dict[str, np.ndarray] = {}
        self._series: dict[str, list[np.ndarray]] = {}

    def add(
        self, seconds: int, means: Mapping[str, np.ndarray], series: Mapping[str, np.ndarray]
    ) -> None:
        """Adds a time step.

        Args:
            seconds: Since 1970-01-01.
            means: Arrays to be averaged over time, the same names and shapes each time.
            series: Arrays to be kept for each step; should be small.
        """
        self._seconds.append(int(seconds))
        for name, values in means.items():
            values = np.asarray(values, dtype=np.float64)
            self._sums[name] = self._sums.get(name, 0.0) + values
            self._squares[name] = self._squares.get(name, 0.0) + values**2
        for name, values in series.items():
            self._series.setdefault(name, []).append(np.asarray(values, dtype=np.float64))

    def merge(self, later: Self) -> None:
        """Adds what another one has seen of the same candidate, later in time."""
        self._seconds += later._seconds
        for name in later._sums:
            self._sums[name] = self._sums.get(name, 0.0) + later._sums[name]
            self._squares[name] = self._squares.get(name, 0.0) + later._squares[name]
        for name, values in later._series.items():
            self._series.setdefault(name, []).extend(values)

    def arrays(self) -> dict[str, np.ndarray]:
        """All it has summed, for `restore`."""
        found = {"seconds": self.seconds}
        found.update({f"sum.{name}": np.array(values) for name, values in self._sums.items()})
        found.update({f"square.{name}": np.array(values) for name, values in self._squares.items()})
        found.update({f"series.{name}": np.stack(values) for name, values in self._series.items()})
        return found

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `arrays` returned."""
        self._seconds = [int(second) for second in arrays["seconds"]]
        parts: dict[str, dict[str, Any]] = {"sum": {}, "square": {}, "series": {}}
        for key, values in arrays.items():
            kind, _, name = key.partition(".")
            if kind in parts:
                parts[kind][name] = list(values) if kind == "series" else np.array(values)
        self._sums, self._squares, self._series = parts["sum"], parts["square"], parts["series"]

    @property
    def seconds(self) -> np.ndarray:
        """Times of the steps, since 1970-01-01. Shape (time,)."""
        return np.array(self._seconds, dtype=np.int64)

    @property
    def num_steps(self) -> int:
        """Steps seen so far."""
        return len(self._seconds)

    def mean(self, name: str) -> np.ndarray:
        """Mean over time of an array."""
        return np.asarray(self._sums[name] / self.num_steps)

    def spread(self, name: str) -> np.ndarray:
        """Standard deviation over time of an array, with the factor 1/n."""
        mean = self.mean(name)
        return np.asarray(np.sqrt(np.maximum(self._squares[name] / self.num_steps - mean**2, 0.0)))

    def series(self, name: str) -> np.ndarray:
        """Scalars of each step; shape (time, ...)."""
        return np.stack(self._series[name])


class StepSeries(StepAccumulator):
    """Several named numbers per step, region and channel.

    Attributes:
        names: Of the numbers.
        windows: Of the regions, in order.
    """

    def __init__(self, names: Sequence[str], setting: Setting):
        super().__init__(setting)
        self.names = tuple(names)
        self.windows = windows(setting)
        self._shape = (len(self.names), len(setting.regions), len(setting.channels))

    def append(self, seconds: int, values: np.ndarray) -> None:
        """Adds a step: `values` of shape (name, region, channel)."""
        values = np.asarray(values, dtype=np.float64)
        if values.shape != self._shape:
            raise ValueError(f"`values` must have shape {self._shape}; got {values.shape}")
        self.add(seconds, {}, {"steps": values})

    def values(self, name: str) -> np.ndarray:
        """Of one number. Shape (time, region, channel)."""
        steps = np.array(self._series.get("steps", []), dtype=np.float64)
        return steps.reshape(self.num_steps, *self._shape)[:, self.names.index(name)]

    def dataset(self) -> "xr.Dataset":
        """Coordinates alone: time (s since 1970-01-01), region, channel."""
        import xarray as xr

        setting = self.setting
        channels = [channel.name for channel in setting.channels]
        return xr.Dataset(
            coords={"time": self.seconds, "region": list(setting.regions), "channel": channels}
        )


def checked_options(
    setting: Setting, defaults: Mapping[str, Any], statistic: str
) -> dict[str, Any]:
    """Options of a statistic, with defaults for those not given.

    Raises:
        ValueError: If there is an option that it does not have.
    """
    unknown = sorted(set(setting.options) - set(defaults))
    if unknown and not defaults:
        raise ValueError(f"{statistic} has no options; got {', '.join(unknown)}")
    if unknown:
        raise ValueError(
            f"{statistic} has no option {unknown[0]!r}; it has {', '.join(sorted(defaults))}"
        )
    return {**defaults, **setting.options}


def options_of(kind: type[T], setting: Setting, statistic: str) -> T:
    """Options of a statistic that are a dataclass with defaults; it checks their values.

    Raises:
        ValueError: If there is an option that it does not have.
    """
    defaults = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**checked_options(setting, defaults, statistic))
