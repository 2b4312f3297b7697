"""Importing TensorFlow without its messages, and Keras as we need it."""

import os
import sys

from atmodist.files.keras_settings import settle_keras


def load_tensorflow() -> None:
    """Imports TensorFlow quietly and sets Keras up, for a command; takes several seconds.

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
    settle_keras()
