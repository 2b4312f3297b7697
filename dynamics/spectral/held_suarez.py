"""Held-Suarez forcing: a climate with weather from two formulas.

Temperature relaxes towards a prescribed radiative equilibrium, low-level winds are braked, and the
storms of midlatitudes follow (Held & Suarez 1994, Bull. Amer. Meteor. Soc. 75, 1825-1830):

    ∂v/∂t = ... - k_v(σ) v,
    ∂T/∂t = ... - k_T(φ, σ) [T - T_eq(φ, p)],
    T_eq  = max{200 K, [315 K - (ΔT)_y sin²φ - (Δθ)_z ln(p / p_0) cos²φ] (p / p_0)^κ},
    k_T   = k_a + (k_s - k_a) max(0, (σ - σ_b) / (1 - σ_b)) cos⁴φ,
    k_v   = k_f max(0, (σ - σ_b) / (1 - σ_b)).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from dynamics.constants import HELD_SUAREZ
from dynamics.spectral.primitive_equations import REFERENCE_PRESSURE, State, zeros
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels

DAY = 86400.0
"""s"""

CONSTANTS = HELD_SUAREZ


@dataclass(frozen=True, kw_only=True)
class HeldSuarezParameters:
    """The published numbers.

    Attributes:
        minimum_temperature: Of the equilibrium (its stratosphere), K.
        surface_temperature: Equilibrium at the equator at p_0, K.
        meridional_contrast: (ΔT)_y, K.
        static_stability: (Δθ)_z, K.
        boundary_layer: σ_b, above which (σ < σ_b) there is no friction.
        friction_rate: k_f, s⁻¹.
        atmosphere_rate: k_a, s⁻¹.
        surface_rate: k_s, s⁻¹.
        reference_pressure: p_0, Pa.
    """

    minimum_temperature: float = 200.0
    surface_temperature: float = 315.0
    meridional_contrast: float = 60.0
    static_stability: float = 10.0
    boundary_layer: float = 0.7
    friction_rate: float = 1.0 / DAY
    atmosphere_rate: float = 1.0 / (40.0 * DAY)
    surface_rate: float = 1.0 / (4.0 * DAY)
    reference_pressure: float = 1.0e5


class HeldSuarez:
    """The forcing, in two forms that give the same tendencies.

    As physics of `PrimitiveEquations` (calling it with fields on the grid) it needs no transform of
    its own; as a forcing (`explicit`) it can be added to any equation with such a state.

    Args:
        sphere: Transforms.
        levels: σ levels.
        reference_temperature: T̄ of the state's temperature variation, K: a number or (K,).
        kappa: R / c_p.
        parameters: The numbers of the forcing.
    """

    def __init__(
        self,
        sphere: SphericalHarmonics,
        levels: SigmaLevels,
        *,
        reference_temperature: float | np.ndarray = 300.0,
        kappa: float = CONSTANTS.kappa,
        parameters: HeldSuarezParameters | None = None,
    ):
        self.sphere = sphere
        self.levels = levels
        self.parameters = parameters or HeldSuarezParameters()
        self._kappa = kappa
        constant, given = sphere.constant, self.parameters
        sine = sphere.sin_latitude[:, None]
        sigma = levels.centers[:, None, None]
        near_ground = np.maximum(0.0, (sigma - given.boundary_layer) / (1.0 - given.boundary_layer))
        self.friction_rates = given.friction_rate * near_ground[:, 0, 0]
        self.relaxation_rates = (
            given.atmosphere_rate
            + (given.surface_rate - given.atmosphere_rate) * near_ground * (1.0 - sine**2) ** 2
        )
        profile = np.broadcast_to(reference_temperature, (len(levels),))
        self._reference = constant(profile[:, None, None])
        self._friction = constant(self.friction_rates[:, None, None])
        self._modal_friction = constant(self.friction_rates[:, None, None, None])
        self._relaxation = constant(self.relaxation_rates)
        self._log_sigma = constant(np.log(sigma * (REFERENCE_PRESSURE / given.reference_pressure)))
        self._ground = constant(given.surface_temperature - given.meridional_contrast * sine**2)
        self._stability = constant(given.static_stability * (1.0 - sine**2))

    def equilibrium_temperature(self, log_surface_pressure: Any) -> Any:
        """T_eq in K.

        Args:
            log_surface_pressure: ln(p_s / 1000 hPa), (..., 1, latitude, longitude).

        Returns:
            (..., level, latitude, longitude).
        """
        logarithm = self._log_sigma + log_surface_pressure
        warm = (self._ground - self._stability * logarithm) * ops.exp(self._kappa * logarithm)
        coldest = self.parameters.minimum_temperature
        # not `ops.maximum`, which rounds float64 to float32 under PyTorch
        return ops.where(warm > coldest, warm, coldest)

    def __call__(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Tendencies on the grid from the fields of `PrimitiveEquations.nodal_fields`."""
        return {
            "eastward_wind": -self._friction * fields["eastward_wind"],
            "northward_wind": -self._friction * fields["northward_wind"],
            "temperature": self._heating(fields["temperature"], fields["log_surface_pressure"]),
        }

    def explicit(self, state: State) -> State:
        """The forcing alone as tendencies of a state; zero for what it does not touch."""
        num_levels = len(self.levels)
        both = ops.concatenate([state["temperature"], state["log_surface_pressure"]], axis=-4)
        nodal = self.sphere.to_nodal(both)
        heating = self._heating(nodal[..., :num_levels, :, :], nodal[..., num_levels:, :, :])
        known = {
            "vorticity": -self._modal_friction * state["vorticity"],
            "divergence": -self._modal_friction * state["divergence"],
            "temperature": self.sphere.to_modal(heating),
        }
        return {name: known[name] if name in known else zeros(state[name]) for name in state}

    def _heating(self, temperature: Any, log_surface_pressure: Any) -> Any:
        """-k_T (T - T_eq), K s⁻¹, from T' and ln p_s on the grid."""
        excess = temperature + self._reference - self.equilibrium_temperature(log_surface_pressure)
        return -self._relaxation * excess
