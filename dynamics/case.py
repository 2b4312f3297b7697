"""What a case is: an experiment in formulas, which any core evaluates at its own points.

A case says which equations it is about, with which constants, over which ground, and how it
begins, as functions in NumPy. It knows nothing of grids, of methods or of how it is run; a module
of `dynamics.cases` therefore imports neither Keras nor a core.

Conventions: angles are radians; σ = pressure / surface pressure; arguments broadcast, and so may
results. A plain number stands for a uniform field.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from dynamics.constants import PhysicalConstants

Equations = Literal["primitive", "shallow-water"]
Values = np.ndarray | float
Field = Callable[[np.ndarray, np.ndarray], Values]
Physics = Callable[[Mapping[str, Any]], Mapping[str, Any]]

STARTS: dict[Equations, tuple[str, ...]] = {
    "primitive": ("eastward_wind", "northward_wind", "temperature", "surface_pressure"),
    "shallow-water": ("eastward_wind", "northward_wind", "height"),
}
"""Fields of a start: m s⁻¹, K, Pa, and the height of the free surface in m."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """An experiment.

    Attributes:
        summary: What it is, in a few words.
        equations: "primitive" (dry, with levels) or "shallow-water" (a single layer).
        constants: Of the planet and its air.
        start: The initial fields by name (`STARTS`), from (latitude, longitude), or from (latitude,
            longitude, σ) where there are levels. In shallow water "imbalance" may be among them:
            what of the height does not balance the wind, m. A core that can then finds the rest of
            the height from the wind, so that the balance is that of its own discretisation.
        orography: Geopotential of the ground, m² s⁻², from (latitude, longitude). None: flat.
        coriolis: f, s⁻¹, from (latitude, longitude). None: 2 Ω sin φ.
        mean_geopotential: Of shallow water: mean depth times g, m² s⁻². None: that of the start.
        physics: Makes the processes beside the dynamics of primitive equations, from points (with
            `sin_latitude` and `constant`, which makes tensors), levels and the keyword
            `reference_temperature`; what they are is said in `PrimitiveEquations`. None: there
            are none.
        spun_up: A file in `dynamics/data` with a state that has weather already; empty if none.
        noise: Root mean square of the noise that `start` needs to leave its symmetry, in K, or in
            m of height.
    """

    summary: str
    equations: Equations
    constants: PhysicalConstants
    start: Callable[..., Mapping[str, Values]]
    orography: Field | None = None
    coriolis: Field | None = None
    mean_geopotential: float | None = None
    physics: Callable[..., Sequence[Physics]] | None = field(default=None)
    spun_up: str = ""
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.equations not in STARTS:
            raise ValueError(
                f"`equations` must be one of {', '.join(STARTS)}; got {self.equations!r}"
            )

    @property
    def has_levels(self) -> bool:
        """Whether it is about an atmosphere with levels, rather than a single layer."""
        return self.equations == "primitive"
