"""The loop, and all that it is told, know no framework: another one can be trained by it."""

import subprocess
import sys

import pytest

from atmodist.training import settings
from atmodist.training.settings import require_backend

NEUTRAL = ("loop", "roles", "phases", "schedules", "checkpoints", "run_log", "resuming", "devices")
FRAMEWORKS = ("tensorflow", "jax", "torch", "keras")


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_surrounds_a_step_imports_no_framework(name):
    program = (
        f"import sys, atmodist.training.{name}\n"
        f"found = [name for name in {FRAMEWORKS} if name in sys.modules]\n"
        "sys.exit(f'it imports {found}' if found else 0)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_backend_that_cannot_train_is_told_what_to_set(monkeypatch):
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(ValueError, match="is torch; set the environment variable KERAS_BACKEND to"):
        require_backend()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(settings.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"not installed: pip install 'atmodist\[jax\]'"):
        require_backend()
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setattr(settings.importlib.util, "find_spec", lambda name: name)
    assert require_backend() == "tensorflow"
