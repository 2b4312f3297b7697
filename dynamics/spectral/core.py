"""The spectral core: spherical harmonics, σ levels, `SIL3`, and filters after every step.

The filters are hyperdiffusion of eighth order, ∇⁸, and for primitive equations the fixer of the
mass. Many steps are compiled into one call.

Stability. Advection turns the phase of the shortest wave, of degree T, by

    C = T |v|_max Δt / a

in a step, and `SIL3` bears C up to √3 (its explicit part is third order for linear problems);
gravity waves are implicit and bear any step.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from keras import ops

from atmodist.fields.field_set import AXES, FieldSet, Levels, Variable
from atmodist.fields.grid import Grid
from dynamics import compilation
from dynamics.case import Case, Values
from dynamics.core import LONGEST_STEP, State
from dynamics.integrators import SIL3, with_filters
from dynamics.spectral.filters import hyperdiffusion
from dynamics.spectral.noise import noise
from dynamics.spectral.primitive_equations import (
    REFERENCE_PRESSURE,
    MassFixer,
    PrimitiveEquations,
)
from dynamics.spectral.shallow_water import ShallowWater
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.spectral.spun_up import DATA, SpunUpState
from dynamics.vertical import SigmaLevels

Equation = PrimitiveEquations | ShallowWater

DAY = 86400.0  # s
STEP = 1800.0  # s, at truncation 42; inversely proportional to the truncation
DIFFUSION_TIME = 0.1 * DAY  # of the largest degree, at truncation 42
DIFFUSION_ORDER = 8
ATTRIBUTES = {
    "eastward_wind": ("m s-1", "eastward_wind"),
    "northward_wind": ("m s-1", "northward_wind"),
    "vorticity": ("s-1", "atmosphere_relative_vorticity"),
    "divergence": ("s-1", "divergence_of_wind"),
    "temperature": ("K", "air_temperature"),
    "surface_pressure": ("Pa", "surface_air_pressure"),
    "height": ("m", "height"),
}
"""Units and standard names of what is observed."""


class SpectralCore:
    """A case on a Gauss grid, with compiled time steps; a `dynamics.core.Core`.

    Args:
        case: What is simulated.
        resolution: The truncation T.
        num_levels: Layers of equal mass, where the case has layers.
        step: Time step, s.

    Attributes:
        sphere: Transforms.
        sigma: The levels with their boundaries; None for a single layer.
        equation: What is integrated; its parts can be differentiated by the backend.
    """

    largest_courant_number = 3.0**0.5

    def __init__(self, case: Case, *, resolution: int, num_levels: int, step: float):
        self.case, self.step = case, step
        self.sphere = sphere = SphericalHarmonics(resolution, radius=case.constants.radius)
        self.sigma = SigmaLevels.equidistant(num_levels) if case.has_levels else None
        self.levels = None if self.sigma is None else Levels(self.sigma.centers, "sigma")
        self.grid = Grid(sphere.latitude, sphere.longitude)
        self.equation = equation = equation_of(case, sphere, self.sigma)
        names = ("temperature",) if case.has_levels else ("geopotential",)
        diffusion = hyperdiffusion(
            sphere,
            step,
            time_scale=DIFFUSION_TIME * 42 / resolution,
            order=DIFFUSION_ORDER,
            names=("vorticity", "divergence", *names),
        )
        fixers = [] if self.sigma is None else [MassFixer(sphere, _mean_pressure(case, equation))]
        one_step = with_filters(lambda state: SIL3(equation, state, step), diffusion, *fixers)
        self._steps = compilation.repeated(one_step)
        self._look = compilation.compiled(_look_of(equation))

    @staticmethod
    def longest_step(resolution: int) -> float:
        """Half an hour at T42, in inverse proportion to the truncation; s."""
        return min(LONGEST_STEP, STEP * 42 / resolution)

    def start(self, *, spun_up: bool = False) -> State:
        """See `dynamics.core.Core`."""
        if not spun_up:
            return _arrays(start_of(self.case, self.equation))
        if not self.case.spun_up or self.sigma is None:
            raise ValueError("there is no spun-up state of this case")
        return SpunUpState.load(DATA / self.case.spun_up).at(self.sphere, self.sigma)

    def perturbed(
        self, state: Mapping[str, np.ndarray], *, seed: int, member: int, amplitude: float
    ) -> State:
        """See `dynamics.core.Core`; the noise has degrees 1 to 12."""
        name, unit = "temperature", 1.0
        if not self.case.has_levels:
            name, unit = "geopotential", self.case.constants.gravity
        change = noise(self.sphere, seed, member, amplitude * unit)
        return {**state, name: (state[name] + change).astype(np.float32)}

    def advance(self, state: Mapping[str, np.ndarray], num_steps: int) -> State:
        """See `dynamics.core.Core`."""
        return _arrays(self._steps(self._tensors(state), num_steps))

    def observe(self, state: Mapping[str, np.ndarray]) -> FieldSet:
        """See `dynamics.core.Core`."""
        fields = _arrays(self._look(self._tensors(state)))
        variables = {
            name: Variable(values, AXES[-values.ndim :], *ATTRIBUTES[name], self._levels_of(values))
            for name, values in fields.items()
        }
        return FieldSet(variables, self.grid)

    def courant_number(self, wind_speed: float) -> float:
        """C of the docstring above."""
        return self.sphere.truncation * wind_speed * self.step / self.sphere.radius

    def _levels_of(self, values: np.ndarray) -> Levels | None:
        return self.levels if values.ndim == len(("level", "latitude", "longitude")) else None

    def _tensors(self, state: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return {name: self.sphere.constant(value) for name, value in state.items()}


def equation_of(
    case: Case,
    sphere: SphericalHarmonics,
    levels: SigmaLevels | None = None,
    *,
    reference_temperature: float | np.ndarray = 300.0,
) -> Any:
    """The equations of a case, with its ground and physics, without diffusion.

    Args:
        case: What is simulated.
        sphere: Transforms, whose radius is that of the case.
        levels: σ levels, where the case has any.
        reference_temperature: T̄ of `PrimitiveEquations`, K.

    Returns:
        `PrimitiveEquations` or `ShallowWater`.
    """
    ground = None if case.orography is None else _on(sphere, case.orography(*_angles(sphere)))
    if not case.has_levels:
        coriolis = None if case.coriolis is None else _on(sphere, case.coriolis(*_angles(sphere)))
        depth = case.mean_geopotential
        return ShallowWater(
            sphere,
            mean_geopotential=_mean_geopotential(case, sphere, ground) if depth is None else depth,
            orography=ground,
            coriolis=coriolis,
            constants=case.constants,
        )
    if levels is None:
        raise ValueError("a case of the primitive equations needs `levels`")
    given = {"reference_temperature": reference_temperature}
    return PrimitiveEquations(
        sphere,
        levels,
        orography=ground,
        constants=case.constants,
        physics=case.physics(sphere, levels, **given) if case.physics else (),
        **given,
    )


def start_of(case: Case, equation: Any) -> dict[str, Any]:
    """The initial state of a case, modal tensors, for its equation.

    Where a case says what of its height is out of balance, the rest is balanced in spectral space
    (`ShallowWater.balanced`), so that a steady flow is steady at every truncation.
    """
    sphere = equation.sphere
    if case.has_levels:
        return _primitive_start(case, equation)
    fields = case.start(*_angles(sphere))
    u, v = (_on(sphere, fields[f"{name}ward_wind"]) for name in ("east", "north"))
    if "imbalance" not in fields:
        return dict(equation.state(u, v, _on(sphere, fields["height"])))
    state = equation.balanced(sphere.vorticity_divergence(u, v)[0])
    if np.any(fields["imbalance"]):
        change = sphere.to_modal(_on(sphere, fields["imbalance"])) * case.constants.gravity
        state = {**state, "geopotential": state["geopotential"] + change}
    return dict(state)


def _primitive_start(case: Case, equation: PrimitiveEquations) -> dict[str, Any]:
    sphere, levels = equation.sphere, equation.levels
    fields = case.start(*_angles(sphere), levels.centers[:, None, None])
    shape = (len(levels), *sphere.nodal_shape)
    names = ("eastward_wind", "northward_wind")
    still = sphere.constant(np.zeros((len(levels), *sphere.modal_shape)))
    vorticity, divergence = still, still
    if any(np.any(fields[name]) for name in names):
        winds = [sphere.constant(np.broadcast_to(fields[name], shape)) for name in names]
        vorticity, divergence = sphere.vorticity_divergence(*winds)
    reference = equation.reference_temperature[:, None, None]
    logarithm = np.log(np.asarray(fields["surface_pressure"]) / REFERENCE_PRESSURE)
    return {
        "vorticity": vorticity,
        "divergence": divergence,
        "temperature": _to_modal(sphere, fields["temperature"] - reference, len(levels)),
        "log_surface_pressure": _to_modal(sphere, logarithm, 1),
    }


def _to_modal(sphere: SphericalHarmonics, values: Values, num_levels: int) -> Any:
    """(level, 2, order, degree) of fields that broadcast to (level, latitude, longitude)."""
    if np.shape(values)[-2:] in ((), (1, 1)):  # uniform: exact
        modal = np.zeros((num_levels, *sphere.modal_shape))
        modal[..., 0, 0, 0] = np.reshape(values, -1)
        return sphere.constant(modal)
    full = np.broadcast_to(values, (num_levels, *sphere.nodal_shape))
    return sphere.to_modal(sphere.constant(full))


def _look_of(equation: Any) -> Callable[[Any], dict[str, Any]]:
    """What makes fields on the grid, winds among them, of a state."""
    if isinstance(equation, ShallowWater):
        return equation.fields

    def look(state: Any) -> dict[str, Any]:
        names = ("eastward_wind", "northward_wind", "vorticity", "divergence")
        nodal = equation.nodal_fields(state)
        return {
            **{name: nodal[name] for name in names},
            "temperature": equation.total_temperature(nodal["temperature"]),
            "surface_pressure": equation.surface_pressure(state),
        }

    return look


def _mean_pressure(case: Case, equation: PrimitiveEquations) -> float:
    """Of the start, at the ground, Pa."""
    sphere = equation.sphere
    fields = case.start(*_angles(sphere), equation.levels.centers[:, None, None])
    pressure = fields["surface_pressure"]
    return float(pressure) if np.ndim(pressure) == 0 else _mean(sphere, _on(sphere, pressure))


def _mean_geopotential(case: Case, sphere: SphericalHarmonics, ground: np.ndarray | None) -> float:
    """Mean depth of the start times g, m² s⁻²."""
    surface = _on(sphere, case.start(*_angles(sphere))["height"])
    gravity = case.constants.gravity
    depth = surface if ground is None else surface - ground / gravity
    return gravity * _mean(sphere, depth)


def _angles(sphere: SphericalHarmonics) -> tuple[np.ndarray, np.ndarray]:
    """Latitude as a column, longitude as a row, radians."""
    return np.radians(sphere.latitude)[:, None], np.radians(sphere.longitude)[None, :]


def _on(sphere: SphericalHarmonics, values: Values) -> np.ndarray:
    return np.broadcast_to(values, sphere.nodal_shape)


def _mean(sphere: SphericalHarmonics, nodal: np.ndarray) -> float:
    return float((nodal.mean(axis=-1) * sphere.weights).sum() / 2)


def _arrays(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Tensors as NumPy arrays."""
    return {name: np.asarray(ops.convert_to_numpy(value)) for name, value in tensors.items()}
