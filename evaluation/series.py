"""Numbers for each time step, region and channel, kept while time goes on."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from evaluation.statistic import Setting

if TYPE_CHECKING:
    import xarray as xr


class StepSeries:
    """Several named numbers per step; merges by joining in time.

    Args:
        names: Of the numbers.
        setting: Says how many regions and channels there are.
    """

    def __init__(self, names: Sequence[str], setting: Setting):
        self.names = tuple(names)
        self._shape = (len(self.names), len(setting.regions), len(setting.channels))
        self._regions = list(setting.regions)
        self._channels = [channel.name for channel in setting.channels]
        self._seconds: list[int] = []
        self._values: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._seconds)

    def append(self, seconds: int, values: np.ndarray) -> None:
        """Adds a step: `values` of shape (name, region, channel)."""
        values = np.asarray(values, dtype=np.float64)
        if values.shape != self._shape:
            raise ValueError(f"`values` must have shape {self._shape}; got {values.shape}")
        self._seconds.append(int(seconds))
        self._values.append(values)

    def merge(self, later: Self) -> None:
        """Adds the steps of another one, later in time."""
        self._seconds += later._seconds
        self._values += later._values

    @property
    def seconds(self) -> np.ndarray:
        """Since 1970-01-01. Shape (time,)."""
        return np.array(self._seconds, dtype=np.int64)

    def values(self, name: str) -> np.ndarray:
        """Of one number. Shape (time, region, channel)."""
        return self._all()[:, self.names.index(name)]

    def _all(self) -> np.ndarray:
        return np.array(self._values, dtype=np.float64).reshape(len(self), *self._shape)

    def arrays(self) -> dict[str, np.ndarray]:
        """For `restore`."""
        return {"seconds": self.seconds, "steps": self._all()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `arrays` returned."""
        self._seconds = [int(second) for second in arrays["seconds"]]
        self._values = list(np.asarray(arrays["steps"], dtype=np.float64))

    def dataset(self) -> "xr.Dataset":
        """Coordinates alone: time (s since 1970-01-01), region, channel."""
        import xarray as xr

        return xr.Dataset(
            coords={"time": self.seconds, "region": self._regions, "channel": self._channels}
        )


def units_of(setting: Setting) -> str:
    """Units that all channels share, joined by commas where they differ."""
    return ", ".join(dict.fromkeys(channel.units for channel in setting.channels))


def squared_units(units: str) -> str:
    """CF units of the square: "m2 s-2" for "m s-1"."""
    return _to_power(units, 2)


def inverse_units(units: str) -> str:
    """CF units of one over it: "s" for "s-1"."""
    return _to_power(units, -1)


def _to_power(units: str, power: int) -> str:
    def term(text: str) -> str:
        found = re.fullmatch(r"([^\W\d_]+?)(?:\*\*|\^)?(-?\d+)?", text)
        if not found:
            return text if text == "1" else f"({text}){power}"
        exponent = int(found[2] or 1) * power
        return found[1] + (str(exponent) if exponent != 1 else "")

    return ", ".join(" ".join(map(term, part.split())) for part in units.split(", "))
