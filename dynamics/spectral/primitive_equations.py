"""Dry primitive equations on σ levels, for the spectral transform method.

With σ = p / p_s, v = (u, v) the wind, ζ its vorticity, D its divergence, T = T̄(σ) + T' the
temperature, Φ the geopotential, G = D + v·∇ln p_s, and κ = R / c_p:

    ∂ζ/∂t      = k·∇x A                                                                (1)
    ∂D/∂t      = ∇·A - ∇²(½ v·v + Φ + R T̄ ln p_s)                                      (2)
    ∂T'/∂t     = -v·∇T' - σ̇ ∂T/∂σ + κ T ω/p                                            (3)
    ∂ln p_s/∂t = -Σ Δσ G                                                               (4)
    A          = (ζ + f) v x k - σ̇ ∂v/∂σ - R T' ∇ln p_s                                (5)

(Bourke 1974, Mon. Wea. Rev. 102, 687-701, eqs. 1-8; Hoskins & Simmons 1975, Q. J. R. Meteorol.
Soc. 101, 637-655, eqs. 1-4). The vertical sums and differences are those of Simmons & Burridge
(1981), which conserve energy; `vertical` states them. T̄ may be any profile: it only decides which
terms are called linear.

Linear terms of gravity waves about (rest, T̄, p_s uniform) are implicit, all else is explicit.
With H, C and A_T̄ of `vertical` (A_T̄ the advection of the profile) and B = A_T̄ + κ T̄ C,

    ∂D/∂t = -∇²(R H T' + R T̄ ln p_s),    ∂T'/∂t = -B D,    ∂ln p_s/∂t = -Δσ·D.         (6)

A step x - τ L x = s is eliminated to D - τ² ∇²(R H B + R T̄ Δσᵀ) D = s_D - τ ∇²(R H s_T + R T̄ s_p).
The K x K matrix in brackets has real positive eigenvalues, the squared phase speeds of the
gravity waves; in its eigenvectors, found once in float64, each wave is a division, for every
degree and every τ (Hoskins & Simmons 1975, section 3).

A state is a dictionary of modal arrays:
    vorticity, divergence: s⁻¹, (..., level, 2, order, degree);
    temperature: T' in K, shaped alike;
    log_surface_pressure: ln(p_s / 1000 hPa), (..., 1, 2, order, degree), one level;
    tracers (may be absent): a dictionary of mixing ratios, each (..., level, 2, order, degree),
        which the wind advects.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from dynamics.constants import PhysicalConstants
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels, apply_levels, vertical_advection

Tensor = Any  # of the backend of Keras
State = dict[str, Any]  # nested dictionaries of modal tensors
Physics = Callable[[Mapping[str, Any]], Mapping[str, Any]]

REFERENCE_PRESSURE = 1.0e5
"""Pa; `log_surface_pressure` is relative to it, so that float32 keeps its digits."""


class PrimitiveEquations:
    """Tendencies of the dry primitive equations: explicit, implicit, and the implicit solve.

    Args:
        sphere: Transforms; its radius and dtype are those of the equations.
        levels: σ levels.
        reference_temperature: T̄ in K: a number, or one for each level, shape (K,).
        orography: Geopotential of the ground, m² s⁻², on the grid (latitude, longitude); it is
            truncated as a field is. None is flat.
        constants: Of planet and air; their radius must be that of the sphere.
        physics: Further processes, computed on the grid together with the dynamics and without
            transforms of their own. Each is called with the fields of `nodal_fields` and returns
            tendencies of some of "eastward_wind", "northward_wind" (m s⁻²), "temperature"
            (K s⁻¹), "log_surface_pressure" (s⁻¹) and "tracers" (a dictionary).
    """

    def __init__(
        self,
        sphere: SphericalHarmonics,
        levels: SigmaLevels,
        *,
        reference_temperature: float | np.ndarray = 300.0,
        orography: np.ndarray | None = None,
        constants: PhysicalConstants | None = None,
        physics: Sequence[Physics] = (),
    ):
        constants = constants or PhysicalConstants(radius=sphere.radius)
        if not np.isclose(constants.radius, sphere.radius, rtol=1e-12):
            raise ValueError(
                f"The sphere has radius {sphere.radius} m, the constants {constants.radius} m."
            )
        profile = np.asarray(reference_temperature, dtype=np.float64)
        if profile.ndim > 1 or profile.shape not in ((), (len(levels),)) or (profile <= 0).any():
            raise ValueError(
                "`reference_temperature` must be a positive number or one for each of the "
                f"{len(levels)} levels; got an array of shape {profile.shape}."
            )
        self.sphere = sphere
        self.levels = levels
        self.constants = constants
        self.reference_temperature = np.broadcast_to(profile, (len(levels),)).copy()
        self.physics = tuple(physics)
        self._make_tables()
        self._ground = None
        if orography is not None:
            if np.shape(orography) != (len(sphere.latitude), len(sphere.longitude)):
                raise ValueError(
                    "`orography` must be (latitude, longitude) = "
                    f"{(len(sphere.latitude), len(sphere.longitude))}; "
                    f"got shape {np.shape(orography)}."
                )
            self._ground = sphere.to_modal(sphere.constant(orography))

    # ------------------------------------------------------------------------------- tendencies

    def explicit(self, state: State) -> State:
        """All but the linear gravity-wave terms: (1) to (5) less (6), in units of the state per s.

        Entries of the state that the equations do not know get zero tendencies.
        """
        fields = self.nodal_fields(state)
        u, v = fields["eastward_wind"], fields["northward_wind"]
        num_levels = len(self.levels)
        pressure_x, pressure_y = fields["log_surface_pressure_gradient"]
        pressure_advection = u * pressure_x + v * pressure_y  # v·∇ln p_s, s⁻¹
        columns = apply_levels(self._from_g, fields["divergence"] + pressure_advection, 2)
        sigma_dot, convergence = (
            columns[..., : num_levels - 1, :, :],
            columns[..., num_levels - 1 :, :, :],
        )
        linear = apply_levels(self._from_pressure, pressure_advection, 2)  # B and Δσ times it

        def across_levels(values: Tensor) -> Tensor:
            return vertical_advection(sigma_dot, values, self._inverse_thickness)

        rotation = fields["vorticity"] + self._coriolis
        warm = self._gas_constant * fields["temperature"]
        a_x = rotation * v - warm * pressure_x + across_levels(u)
        a_y = -rotation * u - warm * pressure_y + across_levels(v)
        heating = (
            self._kappa * fields["temperature"] * (pressure_advection - convergence)
            + self._kappa_reference * pressure_advection
            - linear[..., :-1, :, :]
        )
        names = ["temperature", *state.get("tracers", {})]
        scalars = []
        for name, (along_x, along_y) in fields["scalar_gradients"].items():
            values = fields["temperature"] if name is None else fields["tracers"][name]
            scalars.append(across_levels(values) - u * along_x - v * along_y)
        scalars[0] = scalars[0] + heating
        pressure = -linear[..., -1:, :, :]

        for process in self.physics:
            added = process(fields)
            a_x, a_y = a_x + added.get("eastward_wind", 0.0), a_y + added.get("northward_wind", 0.0)
            scalars[0] = scalars[0] + added.get("temperature", 0.0)
            pressure = pressure + added.get("log_surface_pressure", 0.0)
            for index, name in enumerate(names[1:], start=1):
                scalars[index] = scalars[index] + added.get("tracers", {}).get(name, 0.0)

        vorticity, divergence = self.sphere.vorticity_divergence(a_x, a_y)
        modal = self.sphere.to_modal(
            ops.concatenate([0.5 * (u * u + v * v), *scalars, pressure], axis=-3)
        )
        parts = [
            modal[..., k * num_levels : (k + 1) * num_levels, :, :, :]
            for k in range(1 + len(scalars))
        ]
        energy = parts[0] if self._ground is None else parts[0] + self._ground
        known = {
            "vorticity": vorticity,
            "divergence": divergence - self.sphere.laplacian(energy),
            "temperature": parts[1],
            "log_surface_pressure": modal[..., -1:, :, :, :],
        }
        if "tracers" in state:
            known["tracers"] = dict(zip(names[1:], parts[2:], strict=True))
        return {name: known[name] if name in known else zeros(state[name]) for name in state}

    def implicit(self, state: State) -> State:
        """The linear gravity-wave terms (6), in units of the state per s; zero for the rest."""
        geopotential = self._linear_geopotential(
            state["temperature"], state["log_surface_pressure"]
        )
        columns = apply_levels(self._from_divergence, state["divergence"], 3)
        known = {
            "divergence": -self.sphere.laplacian(geopotential),
            "temperature": -columns[..., :-1, :, :, :],
            "log_surface_pressure": -columns[..., -1:, :, :, :],
        }
        return {name: known[name] if name in known else zeros(state[name]) for name in state}

    def solve_implicit(self, state: State, step: Any) -> State:
        """The x with x - step * implicit(x) = state.

        Args:
            state: The right-hand side.
            step: τ in s; a number or a scalar tensor, of either sign.
        """
        geopotential = self._linear_geopotential(
            state["temperature"], state["log_surface_pressure"]
        )
        right = state["divergence"] - step * self.sphere.laplacian(geopotential)
        waves = apply_levels(self._to_waves, right, 3)
        # 1 - τ² c² ∇² for each wave and degree, of shape (level, 1, 1, degree)
        waves = waves / (1.0 - (step * step) * self._speed_laplacian)
        divergence = apply_levels(self._from_waves, waves, 3)
        columns = apply_levels(self._from_divergence, divergence, 3)
        return {
            **state,
            "divergence": divergence,
            "temperature": state["temperature"] - step * columns[..., :-1, :, :, :],
            "log_surface_pressure": state["log_surface_pressure"]
            - step * columns[..., -1:, :, :, :],
        }

    # ------------------------------------------------------------------------------- diagnostics

    def nodal_fields(self, state: State) -> dict[str, Any]:
        """The state on the grid, as the explicit terms and physics need it.

        Returns:
            "vorticity", "divergence" (s⁻¹), "temperature" (T' = T - T̄, K), "eastward_wind",
            "northward_wind" (m s⁻¹), each (..., level, latitude, longitude);
            "log_surface_pressure" (..., 1, latitude, longitude) and its
            "log_surface_pressure_gradient", a pair in m⁻¹; "tracers", a dictionary; and
            "scalar_gradients": pairs for temperature (named None) and each tracer, units per m.
        """
        num_levels, tracers = len(self.levels), state.get("tracers", {})
        scalars = [state["temperature"], *tracers.values()]
        dynamics = [
            state["vorticity"],
            state["divergence"],
            *scalars,
            state["log_surface_pressure"],
        ]
        nodal = self.sphere.to_nodal(ops.concatenate(dynamics, axis=-4))
        gradient = self.sphere.gradient(
            ops.concatenate([*scalars, state["log_surface_pressure"]], axis=-4)
        )
        u, v = self.sphere.winds(state["vorticity"], state["divergence"])

        def part(values: Tensor, index: int) -> Tensor:
            return values[..., index * num_levels : (index + 1) * num_levels, :, :]

        names = [None, *tracers]
        return {
            "eastward_wind": u,
            "northward_wind": v,
            "vorticity": part(nodal, 0),
            "divergence": part(nodal, 1),
            "temperature": part(nodal, 2),
            "tracers": {name: part(nodal, 3 + k) for k, name in enumerate(tracers)},
            "log_surface_pressure": nodal[..., -1:, :, :],
            "log_surface_pressure_gradient": tuple(g[..., -1:, :, :] for g in gradient),
            "scalar_gradients": {
                name: tuple(part(g, k) for g in gradient) for k, name in enumerate(names)
            },
        }

    def total_temperature(self, temperature: Tensor) -> Tensor:
        """T in K of T' on the grid, (..., level, latitude, longitude)."""
        return temperature + self._reference

    def geopotential(self, state: State) -> Tensor:
        """Modal Φ in the layers, m² s⁻², (..., level, 2, order, degree)."""
        geopotential = apply_levels(self._hydrostatic, state["temperature"], 3)
        geopotential = geopotential + self._reference_geopotential
        return geopotential if self._ground is None else geopotential + self._ground

    def energy(self, state: State) -> Tensor:
        """Total energy per unit area, mean over the sphere, J m⁻².

        (1 / g) mean[p_s (Φ_s + Σ Δσ (½ v·v + c_p T))], which (1) to (5) conserve but for
        truncation, aliasing of cubic terms, and the time step.

        Returns:
            Shape (...): that of the state without its level and modal axes.
        """
        fields = self.nodal_fields(state)
        u, v = fields["eastward_wind"], fields["northward_wind"]
        temperature = self.total_temperature(fields["temperature"])
        layers = 0.5 * (u * u + v * v) + self.constants.heat_capacity * temperature
        column = apply_levels(self._thickness_row, layers, 2)
        if self._ground is not None:
            column = column + self.sphere.to_nodal(self._ground)
        pressure = REFERENCE_PRESSURE * ops.exp(fields["log_surface_pressure"])
        return self.sphere.mean(column * pressure)[..., 0] / self.constants.gravity

    def surface_pressure(self, state: State) -> Tensor:
        """p_s in Pa on the grid, (..., latitude, longitude)."""
        logarithm = self.sphere.to_nodal(state["log_surface_pressure"])[..., 0, :, :]
        return REFERENCE_PRESSURE * ops.exp(logarithm)

    # ----------------------------------------------------------------------------------- insides

    def _linear_geopotential(self, temperature: Tensor, log_surface_pressure: Tensor) -> Tensor:
        """R H T' + R T̄ ln p_s, modal, m² s⁻²."""
        return (
            apply_levels(self._hydrostatic, temperature, 3)
            + self._gas_constant_reference * log_surface_pressure
        )

    def _make_tables(self) -> None:
        levels, reference = self.levels, self.reference_temperature
        constant, air = self.sphere.constant, self.constants
        hydrostatic = air.gas_constant * levels.hydrostatic
        from_divergence = (
            levels.advection_of(reference) + air.kappa * reference[:, None] * levels.conversion
        )
        waves = hydrostatic @ from_divergence
        waves += air.gas_constant * np.outer(reference, levels.thickness)
        # scaled by √Δσ the matrix is nearly symmetric, which is good for its eigenvectors
        scale = np.sqrt(levels.thickness)
        squared_speed, vectors = np.linalg.eig(waves * scale[:, None] / scale)
        if np.imag(squared_speed).any() or (np.real(squared_speed) <= 0).any():
            raise ValueError(
                "`reference_temperature` must be a stably stratified profile, so that gravity "
                f"waves have real speeds; got {reference.tolist()} K."
            )
        squared_speed = np.real(squared_speed)  # NumPy 2.5 gives complex numbers in any case
        vectors = np.real(vectors) / scale[:, None]

        self._thickness_row = constant(levels.thickness[None])
        self._inverse_thickness = constant(1 / levels.thickness[:, None, None])
        self._reference = constant(reference[:, None, None])
        self._hydrostatic = constant(hydrostatic)
        mean_geopotential = np.zeros((len(levels), *self.sphere.modal_shape))
        mean_geopotential[:, 0, 0, 0] = hydrostatic @ reference
        self._reference_geopotential = constant(mean_geopotential)
        self._gas_constant_reference = constant(air.gas_constant * reference[:, None, None, None])
        self._from_divergence = constant(np.vstack([from_divergence, levels.thickness]))
        self._from_g = constant(np.vstack([levels.vertical_velocity, levels.conversion]))
        self._from_pressure = self._from_divergence
        self._kappa_reference = constant(air.kappa * reference[:, None, None])
        self._to_waves = constant(np.linalg.inv(vectors))
        self._from_waves = constant(vectors)
        self._speed_laplacian = constant(
            squared_speed[:, None, None, None] * self.sphere.laplacian_eigenvalues
        )
        self._coriolis = constant(2 * air.rotation_rate * self.sphere.sin_latitude[:, None])
        self._gas_constant, self._kappa = air.gas_constant, air.kappa


class MassFixer:
    """A filter that keeps the mean surface pressure, which ln p_s as a variable lets drift.

    It adds a constant to ln p_s, as weather services do after every step; the drift it removes is
    of the size of truncation and rounding.

    Args:
        sphere: Transforms.
        mean_surface_pressure: To be kept, Pa: a number, or an array shaped as the leading axes.
    """

    def __init__(self, sphere: SphericalHarmonics, mean_surface_pressure: Any):
        self.sphere = sphere
        self._log_target = ops.log(
            sphere.constant(np.asarray(mean_surface_pressure) / REFERENCE_PRESSURE)
        )
        mean_only = np.zeros(sphere.modal_shape)
        mean_only[0, 0, 0] = 1.0
        self._mean_only = sphere.constant(mean_only)

    def __call__(self, state: State) -> State:
        """The state with the mean surface pressure it should have."""
        logarithm = state["log_surface_pressure"]
        mean = self.sphere.mean(ops.exp(self.sphere.to_nodal(logarithm)))  # (..., 1)
        change = self._log_target[..., None] - ops.log(mean)
        change = ops.reshape(change, (*change.shape, 1, 1, 1))
        return {**state, "log_surface_pressure": logarithm + change * self._mean_only}


def zeros(value: Any) -> Any:
    """Zeros shaped as a nested entry of a state."""
    if isinstance(value, dict):
        return {name: zeros(part) for name, part in value.items()}
    return ops.zeros_like(value)
