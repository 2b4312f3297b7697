"""What Williamson's standard tests of the shallow-water equations share.

Williamson, Drake, Hack, Jakob & Swarztrauber 1992, J. Comput. Phys. 102, 211-224,
doi:10.1016/S0021-9991(05)80016-6; numbers in parentheses are their equations.
"""

from dynamics.constants import PhysicalConstants

CONSTANTS = PhysicalConstants(radius=6.37122e6, rotation_rate=7.292e-5, gravity=9.80616)
"""The published values."""
