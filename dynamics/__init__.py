"""Numerical cores that make atmospheric fields without any download.

Written with Keras' operations alone, so that they run, compile and are differentiable under
TensorFlow, JAX and PyTorch. A state is a nested structure of modal fields; an equation gives its
tendencies; an integrator advances any equation; a case gives an initial state. What `atmodist
simulate` does, in Python:

    simulation = dynamics.Simulation("held-suarez", truncation=42, num_levels=10, step=1800.0)
    model = simulation.model
    state = dynamics.SpunUpState.load().at(model.sphere, model.levels)
    state = simulation.advance(state, 48)                    # a day; NumPy in, NumPy out
    vorticity = simulation.observe(state).fields["vorticity"]  # (level, latitude, longitude), s⁻¹

Below that, `dynamics.SIL3(equation, state, step)` is a step of tensors, to be differentiated.
"""

from typing import TYPE_CHECKING

from atmodist.lazy import lazy_names

if TYPE_CHECKING:
    from dynamics.constants import PhysicalConstants
    from dynamics.integrators import ARS233, SIL3, SemiImplicitLeapfrog, rk4, with_filters
    from dynamics.simulation.simulation import InstabilityError, Simulation, default_step
    from dynamics.simulation.spun_up import SpunUpState
    from dynamics.spectral.filters import exponential_filter, hyperdiffusion
    from dynamics.spectral.held_suarez import HeldSuarez
    from dynamics.spectral.primitive_equations import MassFixer, PrimitiveEquations
    from dynamics.spectral.shallow_water import ShallowWater
    from dynamics.spectral.spherical_harmonics import SphericalHarmonics
    from dynamics.vertical import SigmaLevels

_LAZY = {
    "ARS233": "dynamics.integrators",
    "SIL3": "dynamics.integrators",
    "HeldSuarez": "dynamics.spectral.held_suarez",
    "InstabilityError": "dynamics.simulation.simulation",
    "MassFixer": "dynamics.spectral.primitive_equations",
    "PhysicalConstants": "dynamics.constants",
    "PrimitiveEquations": "dynamics.spectral.primitive_equations",
    "SemiImplicitLeapfrog": "dynamics.integrators",
    "ShallowWater": "dynamics.spectral.shallow_water",
    "SigmaLevels": "dynamics.vertical",
    "Simulation": "dynamics.simulation.simulation",
    "SphericalHarmonics": "dynamics.spectral.spherical_harmonics",
    "SpunUpState": "dynamics.simulation.spun_up",
    "default_step": "dynamics.simulation.simulation",
    "exponential_filter": "dynamics.spectral.filters",
    "hyperdiffusion": "dynamics.spectral.filters",
    "rk4": "dynamics.integrators",
    "with_filters": "dynamics.integrators",
}

__all__ = [
    "ARS233",
    "SIL3",
    "HeldSuarez",
    "InstabilityError",
    "MassFixer",
    "PhysicalConstants",
    "PrimitiveEquations",
    "SemiImplicitLeapfrog",
    "ShallowWater",
    "SigmaLevels",
    "Simulation",
    "SphericalHarmonics",
    "SpunUpState",
    "default_step",
    "exponential_filter",
    "hyperdiffusion",
    "rk4",
    "with_filters",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
