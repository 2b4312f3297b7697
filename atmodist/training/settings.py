"""Settings that all trainings share; imports nothing heavy."""

import importlib.util
import os
import sys
from typing import Literal

PrecisionName = Literal["float32", "mixed_bfloat16", "mixed_float16"]
DevicesName = Literal["one", "machine", "cluster"]

BACKENDS = ("tensorflow", "jax")  # of Keras; those that have a gradient step here


def require_backend() -> str:
    """Returns the backend of Keras, with or without loading Keras; it must be one that can train.

    Raises:
        ValueError: If it is another one, or not installed.
    """
    name = os.environ.get("KERAS_BACKEND", "tensorflow")
    if "keras" in sys.modules:
        name = sys.modules["keras"].backend.backend()
    if name not in BACKENDS:
        raise ValueError(
            f"networks are trained under TensorFlow or JAX, and the backend of Keras is {name}; "
            "set the environment variable KERAS_BACKEND to tensorflow or jax. What was trained "
            "runs under any."
        )
    if importlib.util.find_spec(name) is None:
        raise ValueError(
            f"KERAS_BACKEND is {name}, which is not installed: pip install 'atmodist[{name}]'"
        )
    return name
