"""Running a script under another of Keras' backends, of which a process can load one only."""

import importlib.util
import os
import subprocess
import sys

import pytest


def needs(backend):
    """Skips a test where a backend is not installed."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install 'atmodist[{backend}]'")


def run_under(backend, script, *arguments, **variables):
    """Runs a script in a process of its own, which must succeed."""
    environment = {**os.environ, **variables, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    environment["CUDA_VISIBLE_DEVICES"] = ""  # accelerators may round more coarsely
    command = [sys.executable, "-c", script, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
