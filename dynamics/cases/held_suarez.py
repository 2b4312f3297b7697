"""Held-Suarez climate: the idealised general circulation, from rest.

The atmosphere starts at rest and isothermal, with a little noise that breaks the symmetries. Jets
appear within weeks, storms after a month or two; statistics are steady after some 200 days.
The forcing and its constants are in `dynamics.spectral.held_suarez`.
"""

import numpy as np

from dynamics.spectral.held_suarez import CONSTANTS, HeldSuarez
from dynamics.spectral.noise import noise
from dynamics.spectral.primitive_equations import PrimitiveEquations, State
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.vertical import SigmaLevels

START_TEMPERATURE = 264.0
"""K; near the mean of the climate, so that the mean need not change much."""


def equation(
    sphere: SphericalHarmonics,
    levels: SigmaLevels,
    *,
    reference_temperature: float | np.ndarray = 300.0,
) -> PrimitiveEquations:
    """The equations with the forcing as their physics, without diffusion."""
    forcing = HeldSuarez(sphere, levels, reference_temperature=reference_temperature)
    return PrimitiveEquations(
        sphere,
        levels,
        reference_temperature=reference_temperature,
        constants=CONSTANTS,
        physics=(forcing,),
    )


def initial_state(
    equations: PrimitiveEquations,
    *,
    seed: int = 0,
    num_members: int | None = None,
    amplitude: float = 1.0,
) -> State:
    """Rest at 1000 hPa and 264 K, with noise in temperature.

    Args:
        equations: Those that will be integrated.
        seed: Of the noise. Member i depends on (seed, i) alone.
        num_members: Size of a leading axis of members; None for a single state without that axis,
            which is member 0.
        amplitude: Root mean square of the noise, K; the same at all levels.
    """
    sphere, levels = equations.sphere, equations.levels
    members = [noise(sphere, seed, member, amplitude) for member in range(num_members or 1)]
    temperature = np.stack(members)[:, None] * np.ones((len(levels), 1, 1, 1))
    temperature[..., 0, 0, 0] += START_TEMPERATURE - equations.reference_temperature
    if num_members is None:
        temperature = temperature[0]
    still = np.zeros_like(temperature)
    return {
        "vorticity": sphere.constant(still),
        "divergence": sphere.constant(still),
        "temperature": sphere.constant(temperature),
        "log_surface_pressure": sphere.constant(still[..., :1, :, :, :]),
    }
