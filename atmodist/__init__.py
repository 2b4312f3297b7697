"""A learned ruler for the atmosphere.

A network learns, without labels, how far apart in time two fields of vorticity and divergence are;
its activations become a distance between atmospheric states (arXiv 2109.09076, 2202.01897).
"""

import os

import lazy_loader

from atmodist.files.keras_objects import make_known

# TensorFlow asks when it is imported, and by itself takes these kernels on some processors only;
# on others they are several times as fast as what it takes instead. See docs/training.md.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
make_known()

__version__ = "0.1.0"

# The names stand in `__init__.pyi`; their modules are imported when somebody asks for them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
