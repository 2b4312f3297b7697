"""What a dynamical core offers: a start, steps, and a look at the result on a grid.

Whoever runs a simulation knows this contract and nothing of a method. A core is a module of
`dynamics.cores`, found by being there. `docs/extending.md` has an example.

A state is a core's own: arrays by name, in NumPy, of whatever shape suits its method, so that it
can be kept in a file and read back. Nobody else looks into it.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from atmodist.fields.field_set import FieldSet, Levels
from atmodist.fields.grid import Grid
from dynamics.case import Case

State = dict[str, np.ndarray]
LONGEST_STEP = 3600.0  # s


class Core(Protocol):
    """A case that can be stepped through time.

    All of it is deterministic: from the same numbers come the same numbers, wherever a run is cut
    in two.

    Attributes:
        case: What is simulated.
        grid: Where `observe` gives its fields.
        levels: Of these fields, σ; None where the case has a single layer.
        step: Time step, s.
        largest_courant_number: Of `courant_number`, what its steps bear.
    """

    case: Case
    grid: Grid
    levels: Levels | None
    step: float
    largest_courant_number: float

    def start(self, *, spun_up: bool = False) -> State:
        """The start of the case, or the state of its file `spun_up`.

        Raises:
            ValueError: If the case has no such file, or the core cannot read it.
        """

    def perturbed(
        self, state: Mapping[str, np.ndarray], *, seed: int, member: int, amplitude: float
    ) -> State:
        """The state with noise of large scale that depends on (seed, member) alone.

        Args:
            state: Which is left as it is.
            seed: Of the noise.
            member: Which of an ensemble.
            amplitude: Root mean square, in K of temperature or m of height, alike at all levels.
        """

    def advance(self, state: Mapping[str, np.ndarray], num_steps: int) -> State:
        """The state so many steps later; numbers that are none stay so."""

    def observe(self, state: Mapping[str, np.ndarray]) -> FieldSet:
        """The fields on the grid, float32.

        Returns:
            "eastward_wind", "northward_wind" (m s⁻¹), "vorticity", "divergence" (s⁻¹) and
            "temperature" (K), with levels where the case has any; "surface_pressure" (Pa), or the
            "height" (m) of the free surface.
        """

    def courant_number(self, wind_speed: float) -> float:
        """How far a wind, m s⁻¹, blows in a step, in units of the shortest scale of the core."""


class MakesCore(Protocol):
    """The class that a core's module calls `CORE`."""

    def __call__(self, case: Case, *, resolution: int, num_levels: int, step: float) -> Core:
        """Makes the core.

        Args:
            case: What is simulated.
            resolution: The largest number of waves around the Earth that is resolved, alike in all
                directions.
            num_levels: Layers of equal mass, where the case has layers.
            step: Time step, s.

        Raises:
            ValueError: If it does not have the equations of the case, or the resolution.
        """

    def longest_step(self, resolution: int) -> float:
        """Seconds that a step may usually take (a static method)."""
