"""Physical constants of the planet and its air, in one object that equations and cases pass on."""

from dataclasses import dataclass

from atmodist.files.constants import EARTH_RADIUS


@dataclass(frozen=True, kw_only=True)
class PhysicalConstants:
    """Earth with dry air, unless told otherwise. Published cases bring their own values.

    Attributes:
        radius: Of the sphere, m.
        rotation_rate: Ω, s⁻¹.
        gravity: g, m s⁻².
        gas_constant: R of dry air, J kg⁻¹ K⁻¹.
        heat_capacity: c_p of dry air, J kg⁻¹ K⁻¹.
    """

    radius: float = EARTH_RADIUS
    rotation_rate: float = 7.292e-5
    gravity: float = 9.80616
    gas_constant: float = 287.0
    heat_capacity: float = 1004.5

    @property
    def kappa(self) -> float:
        """R / c_p, dimensionless; 2/7 by default."""
        return self.gas_constant / self.heat_capacity


HELD_SUAREZ = PhysicalConstants(
    radius=6.371e6,
    rotation_rate=7.292e-5,
    gravity=9.8,
    gas_constant=1004.0 * 2 / 7,
    heat_capacity=1004.0,
)
"""Those of Held & Suarez (1994): κ = 2/7, c_p = 1004 J kg⁻¹ K⁻¹, Ω, g and the radius a_e."""
