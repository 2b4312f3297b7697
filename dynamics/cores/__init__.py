"""The dynamical cores, one module each, found in `CORES`; `dynamics.core` says what they offer.

A module defines `CORE`, a class. None is imported before it is asked for, since all need Keras.
"""

from atmodist.files.discovery import Registry
from dynamics.core import MakesCore

CORES: Registry[MakesCore] = Registry(__name__, "CORE", what="core", hyphens=True)
