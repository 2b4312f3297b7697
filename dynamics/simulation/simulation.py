"""Cases stepped through time by a core, until they end or become unstable.

All is deterministic: from the same numbers come the same numbers, wherever a run is cut in two.
Once a wind is too fast for the time step, or a number is no number, `InstabilityError` says so.
"""

from collections.abc import Mapping

import numpy as np

from atmodist.fields.field_set import FieldSet
from dynamics.cases import CASES
from dynamics.core import Core, State
from dynamics.cores import CORES

DEFAULT_CORE = "spectral"


class InstabilityError(ArithmeticError):
    """A simulation that cannot go on: numbers that are none, or winds too fast for the step."""


def default_step(truncation: int, interval: float, core: str = DEFAULT_CORE) -> float:
    """The time step in s: a whole part of `interval` (s), no longer than the core takes usually."""
    longest = CORES.find(core).longest_step(truncation)
    return interval / int(np.ceil(interval / longest - 1e-9))


class Simulation:
    """A case on a core.

    Args:
        case: One of `dynamics.cases.CASES`: "held-suarez", "baroclinic-wave", ...
        truncation: The largest number of waves around the Earth that is resolved: T of the spectral
            core.
        num_levels: Layers of equal mass, where the case has layers.
        step: Time step, s.
        core: One of `dynamics.cores.CORES`.

    Attributes:
        core: The case on its grid; what it offers is said in `dynamics.core.Core`.
    """

    def __init__(
        self, case: str, *, truncation: int, num_levels: int, step: float, core: str = DEFAULT_CORE
    ):
        if not step > 0:
            raise ValueError(f"the time step must be positive seconds; got {step}")
        found, make = CASES.find(case), CORES.find(core)
        self.core: Core = make(found, resolution=truncation, num_levels=num_levels, step=step)

    @property
    def step(self) -> float:
        """Time step, s."""
        return self.core.step

    def start(self, *, spun_up: bool = False) -> State:
        """The published initial state, or one that has weather already, where there is one."""
        return self.core.start(spun_up=spun_up)

    def perturbed(
        self, state: Mapping[str, np.ndarray], *, seed: int, member: int, amplitude: float
    ) -> State:
        """The state with noise of large scale that depends on (seed, member) alone.

        Args:
            state: Which is left as it is.
            seed: Of the noise.
            member: Which of the ensemble.
            amplitude: Root mean square, in K of temperature or m of height, alike at all levels.
        """
        return self.core.perturbed(state, seed=seed, member=member, amplitude=amplitude)

    def advance(self, state: Mapping[str, np.ndarray], num_steps: int) -> State:
        """The state so many steps later; NumPy in, NumPy out."""
        return self.core.advance(state, num_steps)

    def observe(self, state: Mapping[str, np.ndarray]) -> FieldSet:
        """Fields on the grid; which ones, `Core.observe` says.

        Raises:
            InstabilityError: If values are not finite, or the wind is too fast for the step.
        """
        seen = self.core.observe(state)
        if not all(np.isfinite(variable.values).all() for variable in seen.variables.values()):
            raise InstabilityError("its values are no longer finite numbers")
        speed = largest_wind(seen)
        number, most = self.core.courant_number(speed), self.core.largest_courant_number
        if number > most:
            raise InstabilityError(
                f"winds of {speed:.0f} m/s are too fast for steps of {self.step / 60:.4g} minutes "
                f"(CFL {number:.2f}, at most {most:.2f})"
            )
        return seen


def largest_wind(fields: FieldSet) -> float:
    """The largest component of the wind anywhere, m s⁻¹."""
    names = ("eastward_wind", "northward_wind")
    return float(max(np.abs(fields[name].values).max() for name in names))
