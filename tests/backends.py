"""Running a script under another of Keras' backends, of which a process can load one only."""

import importlib.util
import os
import subprocess
import sys

import pytest

REQUIRED = "ATMODIST_REQUIRE_BACKENDS"  # backends whose tests must not be skipped: "jax,torch"


def needs(backend):
    """Skips a test where a backend is not installed; fails if it was meant to be."""
    if importlib.util.find_spec(backend) is not None:
        return
    said = f"{backend} is not installed: pip install 'atmodist[{backend}]'"
    if backend in os.environ.get(REQUIRED, "").split(","):
        pytest.fail(f"{said} ({REQUIRED} asks for it)")
    pytest.skip(said)


def run_under(backend, script, *arguments, **variables):
    """Runs a script in a process of its own, which must succeed."""
    environment = {**os.environ, **variables, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    environment["CUDA_VISIBLE_DEVICES"] = ""  # accelerators may round more coarsely
    command = [sys.executable, "-c", script, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
