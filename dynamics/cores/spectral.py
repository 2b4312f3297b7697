"""The spectral core: spherical harmonics on a Gauss grid."""

from dynamics.spectral.core import SpectralCore

CORE = SpectralCore
