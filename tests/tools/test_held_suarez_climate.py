"""The climate of the Held-Suarez case, through the tool that states it."""

import importlib.util
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from dynamics.spectral.spherical_harmonics import SphericalHarmonics

SOURCE = Path(__file__).parents[2] / "tools" / "held_suarez_climate.py"


@pytest.fixture(autouse=True)
def uncompiled(request, monkeypatch):
    """Few steps at a tiny truncation take less time than their compilation."""
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr("dynamics.compilation.compiled", lambda function: function)


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("held_suarez_climate", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings(folder, **values):
    return Namespace(seed=0, output=folder, **values)


def test_means_and_states_are_written_and_a_young_atmosphere_is_no_climate(tool, tmp_path, capsys):
    options = settings(tmp_path, truncation=10, levels=3, days=4, spin_up=1)
    means = tool.integrate(options)
    assert means["u"].shape == (3, len(means["latitude"]))
    with np.load(tmp_path / "zonal_means.npz") as written:
        fields = {"u", "v", "t", "uu", "vv", "tt", "uv", "vt"}
        assert set(written) == fields | {"energy_spectrum", "latitude", "sigma"}
        np.testing.assert_array_equal(written["u"], means["u"])
    with np.load(tmp_path / "state_day0004.npz") as state:
        assert state["vorticity"].shape == (3, 2, 11, 11)
        assert state["log_surface_pressure"].shape == (1, 2, 11, 11)
        assert float(state["truncation"]) == 10
    assert tool.report(means) == 1
    assert "MISSED" in capsys.readouterr().out


def test_nothing_to_average_is_said(tool, tmp_path):
    options = settings(tmp_path, truncation=10, levels=3, days=1, spin_up=0)
    with pytest.raises(SystemExit, match="No day is left"):
        tool.integrate(options)


def test_the_energy_spectrum_sums_to_the_kinetic_energy(tool):
    sphere = SphericalHarmonics(12, dtype="float64")
    drawn = np.random.default_rng(0).normal(size=(2, 3, *sphere.modal_shape)) * sphere.mask
    drawn[..., 0] = 0.0
    u, v = (np.asarray(x) for x in sphere.winds(*drawn))
    spectrum = tool.energy_spectrum(sphere, {"vorticity": drawn[0], "divergence": drawn[1]})
    assert spectrum.shape == (3, 13)
    expected = np.asarray(sphere.mean((u**2 + v**2) / 2))
    np.testing.assert_allclose(spectrum.sum(axis=-1), expected, rtol=1e-11)


def test_the_slope_is_the_exponent_of_a_power_law(tool):
    spectrum = np.append(0.0, 7.0 * np.arange(1, 43) ** -3.0)
    spectrum[26:] = 1.0  # beyond 0.6 T, what is damped
    assert tool.slope(spectrum) == pytest.approx(-3, abs=1e-10)
    assert np.isnan(tool.slope(spectrum[:11]))  # T10 has none of these degrees


@pytest.mark.slow
def test_climate_has_the_jets_temperatures_and_storms_of_other_models(tool, tmp_path):
    options = settings(tmp_path, truncation=31, levels=10, days=250, spin_up=150)
    assert tool.report(tool.integrate(options)) == 0
