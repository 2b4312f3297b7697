"""A Held-Suarez atmosphere with weather in it, from the first hour on.

From rest, a Held-Suarez climate needs some 200 days to become steady. This package holds the
state of one day after that, at T42 with ten levels of equal mass (made by
`tools/spin_up_held_suarez.py`), and brings it to other resolutions: degrees are cut off or filled
with zeros, and levels interpolated linearly in σ. Small scales that the state lacks fill up within
a day or two; what is out of balance leaves as gravity waves within hours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dynamics.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels

SHIPPED = Path(__file__).parent / "data" / "held_suarez_t42l10.npz"
NAMES = ("vorticity", "divergence", "temperature", "log_surface_pressure")


@dataclass(frozen=True, kw_only=True, eq=False)
class SpunUpState:
    """A state of the primitive equations with its resolution, in NumPy.

    Attributes:
        state: Modal arrays (level, 2, order, degree); units of `dynamics.primitive_equations`,
            the temperature relative to 300 K.
        boundaries: Half levels σ, (level + 1,).
    """

    state: Mapping[str, np.ndarray]
    boundaries: np.ndarray

    @property
    def truncation(self) -> int:
        """T."""
        return int(self.state["vorticity"].shape[-1]) - 1

    @classmethod
    def load(cls, path: str | Path = SHIPPED) -> "SpunUpState":
        """Reads what `save` wrote; the shipped state by default."""
        with np.load(path, allow_pickle=False) as file:
            mask = SphericalHarmonics(int(file["truncation"])).mask
            state = {}
            for name in NAMES:
                packed = file[name]
                state[name] = np.zeros((len(packed), *mask.shape), np.float32)
                state[name][:, mask] = packed
            return cls(state=state, boundaries=file["boundaries"])

    def save(self, path: str | Path) -> None:
        """Writes the coefficients that may be other than zero, float32, compressed."""
        mask = SphericalHarmonics(self.truncation).mask
        packed = {name: self.state[name][:, mask].astype(np.float32) for name in NAMES}
        np.savez_compressed(
            path,
            allow_pickle=False,
            truncation=self.truncation,
            boundaries=self.boundaries,
            **packed,
        )

    def at(self, sphere: SphericalHarmonics, levels: SigmaLevels) -> dict[str, np.ndarray]:
        """The state at another truncation and on other levels, float32."""
        matrix = interpolation(SigmaLevels(self.boundaries).centers, levels.centers)
        size = min(self.truncation, sphere.truncation) + 1
        result = {}
        for name, value in self.state.items():
            columns = value if name == "log_surface_pressure" else np.tensordot(matrix, value, 1)
            result[name] = np.zeros((len(columns), *sphere.modal_shape), np.float32)
            result[name][..., :size, :size] = columns[..., :size, :size]
        return result


def interpolation(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The matrix (new level, old level) of linear interpolation in σ, constant beyond the ends."""
    rows = [np.interp(new, old, unit) for unit in np.eye(len(old))]
    return np.stack(rows, axis=1)
