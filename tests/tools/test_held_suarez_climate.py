"""The climate of the Held-Suarez case, through the tool that states it."""

import importlib.util
from argparse import Namespace
from pathlib import Path

import keras
import numpy as np
import pytest

SOURCE = Path(__file__).parents[2] / "tools" / "held_suarez_climate.py"

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the tool compiles with TensorFlow"
)


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("held_suarez_climate", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings(folder, **values):
    return Namespace(seed=0, output=folder, **values)


def test_means_and_states_are_written_and_a_young_atmosphere_is_no_climate(tool, tmp_path, capsys):
    options = settings(tmp_path, truncation=10, levels=3, days=4, spin_up=1, no_xla=True)
    means = tool.integrate(options)
    assert means["u"].shape == (3, len(means["latitude"]))
    with np.load(tmp_path / "zonal_means.npz") as written:
        assert set(written) == {"u", "v", "t", "uu", "vv", "tt", "uv", "vt", "latitude", "sigma"}
        np.testing.assert_array_equal(written["u"], means["u"])
    with np.load(tmp_path / "state_day0004.npz") as state:
        assert state["vorticity"].shape == (3, 2, 11, 11)
        assert state["log_surface_pressure"].shape == (1, 2, 11, 11)
        assert float(state["truncation"]) == 10
    assert tool.report(means) == 1
    assert "MISSED" in capsys.readouterr().out


def test_nothing_to_average_is_said(tool, tmp_path):
    options = settings(tmp_path, truncation=10, levels=3, days=1, spin_up=0, no_xla=True)
    with pytest.raises(SystemExit, match="No day is left"):
        tool.integrate(options)


@pytest.mark.slow
def test_climate_has_the_jets_temperatures_and_storms_of_other_models(tool, tmp_path):
    options = settings(tmp_path, truncation=31, levels=10, days=250, spin_up=150, no_xla=False)
    assert tool.report(tool.integrate(options)) == 0
