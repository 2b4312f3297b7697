from .constants import PhysicalConstants
from .integrators import ARS233, SIL3, SemiImplicitLeapfrog, rk4, with_filters
from .simulation.simulation import InstabilityError, Simulation, default_step
from .spectral.filters import exponential_filter, hyperdiffusion
from .spectral.held_suarez import HeldSuarez
from .spectral.primitive_equations import MassFixer, PrimitiveEquations
from .spectral.shallow_water import ShallowWater
from .spectral.spherical_harmonics import SphericalHarmonics
from .spectral.spun_up import SpunUpState
from .vertical import SigmaLevels

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
