"""The example recovers part of a state even when it is tiny, and writes its figure."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "four_d_var.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("four_d_var", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["four_d_var"] = module  # where AutoGraph looks for the source
    spec.loader.exec_module(module)
    yield module
    del sys.modules["four_d_var"]


def test_a_tiny_assimilation_gets_nearer_to_the_truth(example, tmp_path, capsys):
    path = tmp_path / "figure"
    arguments = ["--truncation", "10", "--hours", "3", "--places", "60", "--iterations", "15"]
    result = example.main([*arguments, "--no_xla", "--figure", str(path)])
    assert result["observed"].sum(axis=(1, 2)).tolist() == [60, 60]
    assert result["cost"][-1] < 0.5 * result["cost"][0]
    # so few steps find the large scales, which height shows and vorticity does not
    assert result["height analysis error"] < 0.7 * result["height background error"]
    assert "error of vorticity" in capsys.readouterr().out
    assert path.with_suffix(".png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_state_is_recovered_to_within_the_errors_of_observation(example):
    result = example.assimilate()
    half = result["observed"].sum() / 2  # J at the minimum, of a model and statistics that are true
    assert result["cost"][-1] == pytest.approx(half, rel=0.15)
    assert result["height analysis error"] < example.ERROR
    assert result["vorticity analysis error"] < 0.5 * result["vorticity background error"]
    assert np.isfinite(result["vorticity analysis"]).all()
