"""Cases put on a grid and stepped through time, until they end or become unstable.

A simulation is a published case (its equation and initial state), an integrator (`SIL3`), a
time step that follows from the truncation, and the filters that every step ends with:
hyperdiffusion of eighth order, ∇⁸, and for primitive equations the fixer of the mass. Many steps
are compiled into one call. All is deterministic: from the same numbers come the same numbers,
wherever a run is cut in two.

Stability. Advection turns the phase of the shortest wave, of degree T, by

    C = T |v|_max Δt / a

in a step, and `SIL3` bears C up to √3 (its explicit part is third order for linear problems);
gravity waves are implicit and bear any step. Beyond that, or once a number is no number,
`InstabilityError` says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import ops

from dynamics import compilation
from dynamics.integrators import SIL3, Equation, with_filters
from dynamics.spectral.filters import hyperdiffusion
from dynamics.spectral.noise import noise
from dynamics.spectral.primitive_equations import MassFixer, PrimitiveEquations
from dynamics.spectral.shallow_water import ShallowWater
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels

State = dict[str, Any]  # modal arrays, of NumPy or of the backend of Keras

DAY = 86400.0  # s
STEP = 1800.0  # s, at truncation 42; inversely proportional to the truncation
LONGEST_STEP = 3600.0  # s
LARGEST_COURANT_NUMBER = 3.0**0.5
DIFFUSION_TIME = 0.1 * DAY  # of the largest degree, at truncation 42
DIFFUSION_ORDER = 8
SURFACE_PRESSURE = 1.0e5  # Pa, the mean in all our cases of primitive equations


class InstabilityError(ArithmeticError):
    """A simulation that cannot go on: numbers that are none, or winds too fast for the step."""


@dataclass(frozen=True)
class Observation:
    """What one looks at after some steps: NumPy, float32.

    Attributes:
        fields: By name, (level, latitude, longitude), or (latitude, longitude) where there are no
            levels: "vorticity", "divergence" (s⁻¹), "temperature" (K), "surface_pressure" (Pa), or
            "height" (m).
        wind_speed: The largest component of the wind anywhere, m s⁻¹.
    """

    fields: Mapping[str, np.ndarray]
    wind_speed: float


@dataclass(frozen=True, eq=False)
class Model:
    """A case on a grid.

    Attributes:
        sphere: Its transforms.
        equation: What is integrated.
        start: The published initial state.
        look: Fields on the grid by name, with the winds, from a state.
        noisy: Name of the part of the state that perturbed starts change.
        noise_unit: Of the noise, in units of that part: 1 K, or 1 m of height.
        levels: None for a single layer.
        mean_filters: Filters beside hyperdiffusion.
    """

    sphere: SphericalHarmonics
    equation: Equation
    start: State
    look: Callable[[State], dict[str, Any]]
    noisy: str
    noise_unit: float
    levels: SigmaLevels | None = None
    mean_filters: tuple[Callable[[State], State], ...] = field(default=())


def default_step(truncation: int, interval: float) -> float:
    """The time step in s: a whole part of `interval` (s), 30 minutes at most at truncation 42."""
    longest = min(LONGEST_STEP, STEP * 42 / truncation)
    return interval / int(np.ceil(interval / longest - 1e-9))


class Simulation:
    """A case with compiled time steps.

    Args:
        case: One of `MODELS`: "held-suarez", "baroclinic-wave", ...
        truncation: T.
        num_levels: Layers of equal mass, where the case has layers.
        step: Time step, s.
    """

    def __init__(self, case: str, *, truncation: int, num_levels: int, step: float):
        if case not in MODELS:
            raise ValueError(f"there is no case {case!r}; there are {', '.join(MODELS)}")
        if not step > 0:
            raise ValueError(f"the time step must be positive seconds; got {step}")
        self.case, self.step = case, step
        self.model = MODELS[case](truncation, num_levels)
        sphere = self.model.sphere
        diffused = [name for name in self.model.start if name != "log_surface_pressure"]
        diffusion = hyperdiffusion(
            sphere,
            step,
            time_scale=DIFFUSION_TIME * 42 / truncation,
            order=DIFFUSION_ORDER,
            names=diffused,
        )
        one_step = with_filters(
            lambda state: SIL3(self.model.equation, state, step),
            diffusion,
            *self.model.mean_filters,
        )
        self._steps = compilation.repeated(one_step)
        self._look = compilation.compiled(self.model.look)

    def perturbed(
        self, state: Mapping[str, np.ndarray], *, seed: int, member: int, amplitude: float
    ) -> State:
        """The state with noise of degrees 1 to 12 that depends on (seed, member) alone.

        Args:
            state: Which is left as it is.
            seed: Of the noise.
            member: Which of the ensemble.
            amplitude: Root mean square, in K of temperature or m of height, alike at all levels.
        """
        name = self.model.noisy
        change = noise(self.model.sphere, seed, member, amplitude * self.model.noise_unit)
        return {**state, name: (state[name] + change).astype(np.float32)}

    def advance(self, state: Mapping[str, np.ndarray], num_steps: int) -> State:
        """The state so many steps later; NumPy in, NumPy out."""
        tensors = {name: self.model.sphere.constant(value) for name, value in state.items()}
        return arrays(self._steps(tensors, num_steps))

    def observe(self, state: Mapping[str, np.ndarray]) -> Observation:
        """Fields on the grid.

        Raises:
            InstabilityError: If values are not finite, or the wind is too fast for the step.
        """
        tensors = {name: self.model.sphere.constant(value) for name, value in state.items()}
        fields = arrays(self._look(tensors))
        winds = [fields.pop(name) for name in ("eastward_wind", "northward_wind")]
        if not all(np.isfinite(value).all() for value in (*winds, *fields.values())):
            raise InstabilityError("its values are no longer finite numbers")
        speed = float(max(np.abs(wind).max() for wind in winds))
        number = self.courant_number(speed)
        if number > LARGEST_COURANT_NUMBER:
            raise InstabilityError(
                f"winds of {speed:.0f} m/s are too fast for steps of {self.step / 60:.4g} minutes "
                f"(CFL {number:.2f}, at most {LARGEST_COURANT_NUMBER:.2f})"
            )
        return Observation(fields, speed)

    def courant_number(self, wind_speed: float) -> float:
        """C of the docstring above, for a wind in m s⁻¹."""
        sphere = self.model.sphere
        return sphere.truncation * wind_speed * self.step / sphere.radius


def arrays(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Tensors as NumPy arrays."""
    return {name: np.asarray(ops.convert_to_numpy(value)) for name, value in tensors.items()}


# ------------------------------------------------------------------------------------- the cases


def _primitive(equation: PrimitiveEquations, start: State) -> Model:
    def look(state: State) -> dict[str, Any]:
        names = ("eastward_wind", "northward_wind", "vorticity", "divergence")
        nodal = equation.nodal_fields(state)
        return {
            **{name: nodal[name] for name in names},
            "temperature": equation.total_temperature(nodal["temperature"]),
            "surface_pressure": equation.surface_pressure(state),
        }

    return Model(
        sphere=equation.sphere,
        equation=equation,
        start=arrays(start),
        look=look,
        noisy="temperature",
        noise_unit=1.0,
        levels=equation.levels,
        mean_filters=(MassFixer(equation.sphere, SURFACE_PRESSURE),),
    )


def _held_suarez(truncation: int, num_levels: int) -> Model:
    from dynamics.cases import held_suarez
    from dynamics.spectral.held_suarez import CONSTANTS

    sphere = SphericalHarmonics(truncation, radius=CONSTANTS.radius)
    equation = held_suarez.equation(sphere, SigmaLevels.equidistant(num_levels))
    return _primitive(equation, held_suarez.initial_state(equation, amplitude=0.0))


def _jablonowski_williamson(truncation: int, num_levels: int, *, perturbed: bool) -> Model:
    from dynamics.cases import jablonowski_williamson

    sphere = SphericalHarmonics(truncation, radius=jablonowski_williamson.CONSTANTS.radius)
    equation = jablonowski_williamson.equation(sphere, SigmaLevels.equidistant(num_levels))
    start = jablonowski_williamson.initial_state(equation, perturbed=perturbed)
    return _primitive(equation, start)


def _baroclinic_wave(truncation: int, num_levels: int) -> Model:
    return _jablonowski_williamson(truncation, num_levels, perturbed=True)


def _steady_jets(truncation: int, num_levels: int) -> Model:
    return _jablonowski_williamson(truncation, num_levels, perturbed=False)


def _shallow(equation: ShallowWater, start: State) -> Model:
    return Model(
        sphere=equation.sphere,
        equation=equation,
        start=arrays(start),
        look=equation.fields,
        noisy="geopotential",
        noise_unit=equation.constants.gravity,
    )


def _barotropic_instability(truncation: int, num_levels: int) -> Model:
    from dynamics.cases import galewsky

    sphere = SphericalHarmonics(truncation, radius=galewsky.CONSTANTS.radius)
    equation = galewsky.equation(sphere)
    return _shallow(equation, galewsky.initial_state(equation))


def _williamson(truncation: int, case: str) -> Model:
    from dynamics.cases import williamson

    sphere = SphericalHarmonics(truncation, radius=williamson.CONSTANTS.radius)
    return _shallow(*getattr(williamson, case)(sphere))


MODELS: Mapping[str, Callable[[int, int], Model]] = {
    "held-suarez": _held_suarez,
    "baroclinic-wave": _baroclinic_wave,
    "steady-jets": _steady_jets,
    "barotropic-instability": _barotropic_instability,
    "rossby-haurwitz": lambda truncation, _: _williamson(truncation, "rossby_haurwitz_wave"),
    "mountain": lambda truncation, _: _williamson(truncation, "flow_over_mountain"),
    "steady-flow": lambda truncation, _: _williamson(truncation, "steady_zonal_flow"),
}
"""Cases by name: functions of truncation and number of levels."""
