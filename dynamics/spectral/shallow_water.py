"""The shallow-water equations on the rotating sphere, for the spectral transform method.

With v = (u, v) the wind, ζ its vorticity, δ its divergence, f the Coriolis parameter, Φ = Φ̄ + φ
the depth of the fluid times g, Φ_s the height of the ground times g, and K = v·v / 2,

    ∂ζ/∂t = -∇·((ζ + f) v)                                                              (1)
    ∂δ/∂t = k·∇x((ζ + f) v) - ∇²(K + Φ_s)      - ∇²φ                                    (2)
    ∂φ/∂t = -∇·(φ v)                           - Φ̄ δ                                    (3)

(Hack & Jakob 1992, NCAR/TN-343+STR). The last column, gravity waves about rest, is implicit, so
that the step is limited by the wind and not by √Φ̄ (some 300 m s⁻¹).

A state is a dictionary of modal arrays (..., 2, order, degree), with any leading axes:
    vorticity, divergence: s⁻¹;
    geopotential: φ, m² s⁻². Its mean is the mass; what changes it vanishes exactly.
"""

from typing import Any

import numpy as np
from keras import ops

from dynamics.constants import PhysicalConstants
from dynamics.spectral.spherical_harmonics import SphericalHarmonics

Tensor = Any  # of the backend of Keras
State = dict[str, Tensor]


class ShallowWater:
    """Tendencies of the shallow-water equations: explicit, implicit, and the implicit solve.

    Args:
        sphere: Transforms; its radius and dtype are those of the equations.
        mean_geopotential: Φ̄ > 0, m² s⁻²; the mean depth times g, or near it.
        orography: Φ_s on the grid (latitude, longitude), m² s⁻²; it is truncated. None: flat.
        coriolis: f on the grid, s⁻¹, broadcastable to (latitude, longitude). None: 2 Ω sin φ.
        constants: Of which the rotation rate and gravity are used.
    """

    def __init__(
        self,
        sphere: SphericalHarmonics,
        *,
        mean_geopotential: float,
        orography: np.ndarray | None = None,
        coriolis: np.ndarray | None = None,
        constants: PhysicalConstants | None = None,
    ):
        if not mean_geopotential > 0:
            raise ValueError(f"`mean_geopotential` must be positive; got {mean_geopotential!r}.")
        self.sphere = sphere
        self.mean_geopotential = float(mean_geopotential)
        self.constants = constants or PhysicalConstants(radius=sphere.radius)
        if coriolis is None:
            coriolis = 2 * self.constants.rotation_rate * sphere.sin_latitude[:, None]
        self.coriolis = sphere.constant(coriolis)
        ground = np.zeros(sphere.nodal_shape) if orography is None else orography
        self.orography = sphere.to_modal(sphere.constant(ground))  # modal Φ_s
        self._laplacian = sphere.constant(sphere.laplacian_eigenvalues)

    # ------------------------------------------------------------------ what integrators call

    def explicit(self, state: State) -> State:
        """Tendencies of advection, rotation, kinetic energy and orography, per second."""
        sphere = self.sphere
        u, v = sphere.winds(state["vorticity"], state["divergence"])
        nodal = sphere.to_nodal(ops.stack([state["vorticity"], state["geopotential"]]))
        carried = ops.stack([nodal[0] + self.coriolis, nodal[1]])
        curl, divergence = sphere.vorticity_divergence(carried * u, carried * v)
        energy = sphere.to_modal((u * u + v * v) / 2)
        return {
            "vorticity": -divergence[0],
            "divergence": curl[0] - sphere.laplacian(energy + self.orography),
            "geopotential": -divergence[1],
        }

    def implicit(self, state: State) -> State:
        """Tendencies of linear gravity waves about rest, per second."""
        return {
            "vorticity": ops.zeros_like(state["vorticity"]),
            "divergence": -self.sphere.laplacian(state["geopotential"]),
            "geopotential": -self.mean_geopotential * state["divergence"],
        }

    def solve_implicit(self, state: State, step: float) -> State:
        """The y with y - step * implicit(y) = state; `step` in seconds."""
        # δ + τ ∇²φ = r and φ + τ Φ̄ δ = s, hence (1 - τ² Φ̄ ∇²) δ = r - τ ∇²s
        laplacian, depth = self._laplacian, self.mean_geopotential
        divergence = state["divergence"] - step * laplacian * state["geopotential"]
        divergence = divergence / (1.0 - step**2 * depth * laplacian)
        return {
            "vorticity": state["vorticity"],
            "divergence": divergence,
            "geopotential": state["geopotential"] - step * depth * divergence,
        }

    # ------------------------------------------------------------------------ states and fields

    def state(self, u: Tensor, v: Tensor, height: Tensor) -> State:
        """The state with wind u, v in m s⁻¹ and height of the free surface in m, on the grid."""
        vorticity, divergence = self.sphere.vorticity_divergence(u, v)
        surface = self.sphere.to_modal(height) * self.constants.gravity
        surface = surface - self.orography - self._mean_mode()
        return {"vorticity": vorticity, "divergence": divergence, "geopotential": surface}

    def fields(self, state: State) -> dict[str, Tensor]:
        """Fields on the grid (..., latitude, longitude) by name.

        Returns:
            "eastward_wind", "northward_wind" in m s⁻¹, "vorticity", "divergence" in s⁻¹, and
            "height" of the free surface in m.
        """
        u, v = self.sphere.winds(state["vorticity"], state["divergence"])
        surface = state["geopotential"] + self.orography + self._mean_mode()
        return {
            "eastward_wind": u,
            "northward_wind": v,
            "vorticity": self.sphere.to_nodal(state["vorticity"]),
            "divergence": self.sphere.to_nodal(state["divergence"]),
            "height": self.sphere.to_nodal(surface) / self.constants.gravity,
        }

    def balanced(self, vorticity: Tensor) -> State:
        """The state without divergence or its tendency that has this modal vorticity.

        From (2), φ = ∇⁻²(k·∇x((ζ + f) v)) - K - Φ_s (the nonlinear balance equation),
        with mean 0. Zonal flows are steady so, whatever the truncation.
        """
        sphere = self.sphere
        u, v = sphere.winds(vorticity, ops.zeros_like(vorticity))
        carried = sphere.to_nodal(vorticity) + self.coriolis
        curl, _ = sphere.vorticity_divergence(carried * u, carried * v)
        surface = sphere.inverse_laplacian(curl) - sphere.to_modal((u * u + v * v) / 2)
        variation = surface - self.orography
        variation = variation * sphere.constant(sphere.degrees > 0)  # no tendency sees the mean
        return {
            "vorticity": vorticity,
            "divergence": ops.zeros_like(vorticity),
            "geopotential": variation,
        }

    # ----------------------------------------------------------------------------- invariants

    def mass(self, state: State) -> Tensor:
        """Mean depth, m, for each member."""
        mean = state["geopotential"][..., 0, 0, 0] + self.mean_geopotential
        return mean / self.constants.gravity

    def energy(self, state: State) -> Tensor:
        """Mean of h v·v / 2 + g ((h + h_s)² - h_s²) / 2, m³ s⁻², for each member."""
        u, v, depth, _ = self._depth_and_vorticity(state)
        ground = self.sphere.to_nodal(self.orography)
        density = depth * (u * u + v * v) / 2 + depth * (depth / 2 + ground)
        return self.sphere.mean(density) / self.constants.gravity

    def potential_enstrophy(self, state: State) -> Tensor:
        """Mean of (ζ + f)² / (2 h), m⁻¹ s⁻², for each member."""
        _, _, depth, vorticity = self._depth_and_vorticity(state)
        return self.sphere.mean(vorticity**2 / (2 * depth / self.constants.gravity))

    def _depth_and_vorticity(self, state: State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Winds, Φ and absolute vorticity on the grid."""
        u, v = self.sphere.winds(state["vorticity"], state["divergence"])
        depth = self.sphere.to_nodal(state["geopotential"]) + self.mean_geopotential
        return u, v, depth, self.sphere.to_nodal(state["vorticity"]) + self.coriolis

    def _mean_mode(self) -> Tensor:
        """Modal Φ̄: the coefficient of degree 0 is the mean."""
        modal = np.zeros(self.sphere.modal_shape)
        modal[0, 0, 0] = self.mean_geopotential
        return self.sphere.constant(modal)
