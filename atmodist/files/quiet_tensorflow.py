"""Importing TensorFlow without its messages."""

import os
import sys


def load_tensorflow() -> None:
    """Imports TensorFlow quietly; takes several seconds.

    TensorFlow reports its build to stderr before any logging can be configured. What it writes
    while it is imported is dropped; a failed import still raises.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        import tensorflow  # noqa: F401  for its effect: later imports find it loaded
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(silence)
