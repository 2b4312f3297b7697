"""What users import from `dynamics`, and the example that the documentation gives."""

import re
import subprocess
import sys
from pathlib import Path

import dynamics

HEAVY = "tensorflow", "keras", "jax", "torch"
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "simulation.md"


def test_every_public_name_is_there():
    for name in dynamics.__all__:
        assert getattr(dynamics, name) is not None


def test_nothing_heavy_is_loaded_before_it_is_used():
    code = (
        "import sys, dynamics, dynamics.cases, dynamics.core; dir(dynamics); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_example_of_the_documentation_runs(monkeypatch, capsys):
    monkeypatch.setattr("dynamics.compilation.compiled", lambda function: function)
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text("utf-8"), re.DOTALL)
    small = example.replace("truncation=42", "truncation=10").replace("48)", "6)")
    exec(small, {})  # noqa: S102  our own text
    assert "s-1 σ 0.05" in capsys.readouterr().out
