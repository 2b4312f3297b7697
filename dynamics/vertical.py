"""Sigma levels, and the vertical sums and differences of the primitive equations.

The vertical coordinate is σ = p / p_s. Layers k = 1..K lie between half levels
0 = σ_{1/2} < ... < σ_{K+1/2} = 1, numbered downwards; Δσ_k is the thickness of layer k. Where the
equations need an integral over σ, a layer sees it as a small matrix acting on the level axis,
computed once in float64. Four of them suffice, and they fit together (Simmons & Burridge 1981,
Mon. Wea. Rev. 109, 758-766, specialised to pure σ levels):

- hydrostatic, H: Φ_k - Φ_s = R Σ_j H_kj T_j. With L_k = ln(σ_{k+1/2} / σ_{k-1/2}),
      H_kj = L_j for j > k,    H_kk = α_k = 1 - σ_{k-1/2} L_k / Δσ_k   (their 3.4, 3.5, 3.18),
  that is, Φ_k is the mean over the layer when T is constant in it. At the top (σ_{1/2} = 0) this
  gives α_1 = 1; their choice of ln 2 is meant for coordinates that are pressure near the top and
  would let an atmosphere at rest over mountains start to move here.
- vertical_velocity, S: σ̇_{k+1/2} = Σ_j S_kj G_j at the interior half levels, where
  G = D + v·∇ln p_s,
      S_kj = Δσ_j (σ_{k+1/2} - [j ≤ k])                              (their 2.3, 2.5 with B = σ).
- conversion, C: (ω / p)_k = v_k·∇ln p_s - Σ_j C_kj G_j, with
      C = Δσ⁻¹ Hᵀ Δσ, i.e. Δσ_k C_kj = H_jk Δσ_j                     (their 3.11, 3.13),
  the transpose of H in the inner product Σ Δσ_k a_k b_k: what pressure forces do to the winds is
  taken from c_p T, so that energy is conserved for every H.
- thickness, Δσ, whose sum with G is -∂ln p_s/∂t                      (their 2.4).

The α_k above are also the only ones for which Σ_k Δσ_k (Φ_k - R T_k) = Φ_s, so that mountains and
surface pressure alone exert a torque (their 3.6). `scheme="midpoint"` chooses the other common H
(Hoskins & Simmons 1975; Durran 2010, eq. 8.124), a trapezoidal rule in ln σ between the middles
of the layers, which gives up that identity for pointwise values at the top.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from keras import ops


@dataclass(frozen=True, eq=False)
class SigmaLevels:
    """Layers in σ = pressure / surface pressure, numbered from the top of the atmosphere.

    Attributes:
        boundaries: Half levels σ_{1/2} = 0, ..., σ_{K+1/2} = 1, increasing. Shape (K + 1,).
        scheme: How geopotential is integrated: "simmons_burridge" (layer means) or "midpoint".
    """

    boundaries: np.ndarray
    scheme: Literal["simmons_burridge", "midpoint"] = field(
        default="simmons_burridge", kw_only=True
    )

    def __post_init__(self) -> None:
        boundaries = np.array(self.boundaries, dtype=np.float64)
        if (
            boundaries.ndim != 1
            or boundaries.size < 2
            or boundaries[0] != 0
            or boundaries[-1] != 1
            or not (np.diff(boundaries) > 0).all()
        ):
            raise ValueError(
                "`boundaries` must increase from 0 (top) to 1 (ground), two values at least; "
                f"got {boundaries.tolist()}."
            )
        if self.scheme not in ("simmons_burridge", "midpoint"):
            raise ValueError(
                f"`scheme` must be 'simmons_burridge' or 'midpoint'; got {self.scheme!r}."
            )
        boundaries.setflags(write=False)
        object.__setattr__(self, "boundaries", boundaries)

    @classmethod
    def equidistant(cls, num_levels: int) -> "SigmaLevels":
        """K layers of equal mass, σ_{k+1/2} = k / K."""
        if num_levels < 1:
            raise ValueError(f"`num_levels` must be positive; got num_levels={num_levels!r}.")
        return cls(np.linspace(0.0, 1.0, num_levels + 1))

    def __len__(self) -> int:
        return self.boundaries.size - 1

    @cached_property
    def centers(self) -> np.ndarray:
        """Middles of the layers, σ_k = (σ_{k-1/2} + σ_{k+1/2}) / 2. Shape (K,)."""
        return (self.boundaries[1:] + self.boundaries[:-1]) / 2

    @cached_property
    def thickness(self) -> np.ndarray:
        """Δσ_k. Shape (K,); sums to 1."""
        return np.diff(self.boundaries)

    @cached_property
    def hydrostatic(self) -> np.ndarray:
        """H, with Φ - Φ_s = R H T. Shape (K, K), dimensionless."""
        num_levels, half = len(self), self.boundaries
        if self.scheme == "midpoint":
            to_ground = np.append(np.log(self.centers[1:] / self.centers[:-1]) / 2, 0.0)
            to_ground[-1] = -np.log(self.centers[-1])  # T_K holds down to the ground
            from_above = np.append(0.0, to_ground[:-1])
            return np.triu(np.ones((num_levels, 1)) * (to_ground + from_above), 1) + np.diag(
                to_ground
            )
        log_ratio = np.append(0.0, np.log(half[2:] / half[1:-1]))  # 0 stands for top's infinity
        return np.triu(np.ones((num_levels, 1)) * log_ratio, 1) + np.diag(
            1.0 - half[:-1] * log_ratio / self.thickness
        )

    @cached_property
    def conversion(self) -> np.ndarray:
        """C, with ω / p = v·∇ln p_s - C G. Shape (K, K), dimensionless."""
        return self.hydrostatic.T * self.thickness / self.thickness[:, None]

    @cached_property
    def vertical_velocity(self) -> np.ndarray:
        """S, with σ̇ = S G at the K - 1 interior half levels. Shape (K - 1, K), dimensionless."""
        above = np.tri(len(self) - 1, len(self))
        return (self.boundaries[1:-1, None] - above) * self.thickness

    def advection_of(self, profile: np.ndarray) -> np.ndarray:
        """The matrix A of the vertical advection of a profile: (σ̇ ∂X/∂σ)_k = Σ_j A_kj G_j.

        Args:
            profile: X, values that depend on the level alone. Shape (K,).

        Returns:
            A, in the units of the profile. Shape (K, K).
        """
        flux = self.vertical_velocity * np.diff(profile)[:, None]
        nothing = np.zeros((1, len(self)))
        sum_of_sides = np.concatenate([flux, nothing]) + np.concatenate([nothing, flux])
        return sum_of_sides / (2.0 * self.thickness[:, None])


def apply_levels(matrix: Any, values: Any, num_axes: int) -> Any:
    """Applies a matrix to the level axis.

    Args:
        matrix: (new levels, levels), a tensor of the type of `values`.
        values: (..., level, then `num_axes` axes): 2 for nodal, 3 for modal arrays.
        num_axes: How many axes follow that of levels.

    Returns:
        (..., new level, then the same axes).
    """
    lead, last = values.shape[: -num_axes - 1], values.shape[-num_axes:]
    flat = ops.reshape(values, (*lead, values.shape[-num_axes - 1], math.prod(last)))
    # not `matmul`, which rounds float64 to float32 under PyTorch
    applied = ops.einsum("kj,...jn->...kn", matrix, flat)
    return ops.reshape(applied, (*lead, matrix.shape[0], *last))


def vertical_advection(velocity: Any, values: Any, inverse_thickness: Any) -> Any:
    """-σ̇ ∂X/∂σ in the layers, by differences that conserve Σ Δσ X and Σ Δσ X² with the mass.

        -(1 / 2Δσ_k) [σ̇_{k+1/2} (X_{k+1} - X_k) + σ̇_{k-1/2} (X_k - X_{k-1})],

    Simmons & Burridge (1981), eq. 3.7, with σ̇ = 0 at the top and at the ground.

    Args:
        velocity: σ̇ at the interior half levels, s⁻¹. Shape (..., K - 1, latitude, longitude).
        values: X in the layers, units u. Shape (..., K, latitude, longitude).
        inverse_thickness: 1 / Δσ. Shape (K, 1, 1).

    Returns:
        In u s⁻¹, shaped as `values`.
    """
    flux = velocity * (values[..., 1:, :, :] - values[..., :-1, :, :])
    nothing = ops.zeros_like(values[..., :1, :, :])
    below, above = ops.concatenate([flux, nothing], -3), ops.concatenate([nothing, flux], -3)
    return (below + above) * (-0.5 * inverse_thickness)
