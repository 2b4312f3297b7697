"""A Held-Suarez atmosphere with weather in it, from the first hour on.

From rest, a Held-Suarez climate needs some 200 days to become steady. This package holds the
state of one day after that, at T42 with ten levels of equal mass (made by
`tools/spin_up_held_suarez.py`), and brings it to other resolutions. Degrees are cut off or filled
with zeros; small scales that the state lacks fill up within a day or two.

Between levels, winds and geopotential are interpolated alike, linearly in the height z = -ln σ, so
that they stay in balance, and temperatures are those that give this geopotential. (Temperatures
interpolated by themselves give another one: gravity waves of five times the climate's divergence
then cross the stratosphere for weeks.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels

DATA = Path(__file__).parents[1] / "data"
SHIPPED = DATA / "held_suarez_t42l10.npz"
NAMES = ("vorticity", "divergence", "temperature", "log_surface_pressure")
SMOOTHNESS = 0.01
"""ε, dimensionless: temperatures that give the geopotential exactly would be jagged from level to
level."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SpunUpState:
    """A state of the primitive equations with its resolution, in NumPy.

    Attributes:
        state: Modal arrays (level, 2, order, degree); units of
            `dynamics.spectral.primitive_equations`, the temperature relative to 300 K.
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
        old = SigmaLevels(self.boundaries)
        winds, temperature = interpolation(old, levels), temperature_interpolation(old, levels)
        matrices = {
            "vorticity": winds,
            "divergence": winds,
            "temperature": temperature,
            "log_surface_pressure": np.eye(1),
        }
        size = min(self.truncation, sphere.truncation) + 1
        result = {}
        for name, value in self.state.items():
            columns = np.tensordot(matrices[name], value, 1)
            result[name] = np.zeros((len(columns), *sphere.modal_shape), np.float32)
            result[name][..., :size, :size] = columns[..., :size, :size]
        return result


def interpolation(old: SigmaLevels, new: SigmaLevels) -> np.ndarray:
    """The matrix (new level, old level) that is linear in z, beyond the outermost levels too."""
    z_old, z_new = height(old)[::-1], height(new)  # increasing, as searchsorted needs it
    right = np.clip(np.searchsorted(z_old, z_new), 1, len(z_old) - 1)
    weight = (z_new - z_old[right - 1]) / (z_old[right] - z_old[right - 1])
    matrix = np.zeros((len(z_new), len(z_old)))
    rows = np.arange(len(z_new))
    matrix[rows, right - 1], matrix[rows, right] = 1 - weight, weight
    return matrix[:, ::-1]


def temperature_interpolation(old: SigmaLevels, new: SigmaLevels) -> np.ndarray:
    """The matrix (new level, old level) for temperature that keeps the geopotential in balance.

    With the matrix M of `interpolation` and H of `vertical`, the temperatures M T are corrected by
    the c that makes |H_new (M T + c) - M H_old T|² + ε |c|² least.
    """
    matrix, hydrostatic = interpolation(old, new), new.hydrostatic
    missing = matrix @ old.hydrostatic - hydrostatic @ matrix
    normal = hydrostatic.T @ hydrostatic + SMOOTHNESS * np.eye(len(new))
    return matrix + np.linalg.solve(normal, hydrostatic.T @ missing)


def height(levels: SigmaLevels) -> np.ndarray:
    """z, the mean of -ln σ in each layer: its height if T were uniform, in scale heights."""
    return levels.hydrostatic.sum(axis=1)
