"""A learned ruler for the atmosphere.

A network learns, without labels, how far apart in time two fields of vorticity and divergence are;
its activations become a distance between atmospheric states (arXiv 2109.09076, 2202.01897).
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
