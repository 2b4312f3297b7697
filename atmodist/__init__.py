"""A learned ruler for the atmosphere.

A network learns, without labels, how far apart in time two fields of vorticity and divergence are;
its activations become a distance between atmospheric states (arXiv 2109.09076, 2202.01897).
"""

import lazy_loader

__version__ = "0.1.0"

# The names stand in `__init__.pyi`; their modules are imported when somebody asks for them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
