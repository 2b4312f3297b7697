import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dynamics.simulation.simulation import Simulation
from dynamics.spectral.spherical_harmonics import SphericalHarmonics
from dynamics.spectral.spun_up import (
    SHIPPED,
    SpunUpState,
    height,
    interpolation,
    temperature_interpolation,
)
from dynamics.vertical import SigmaLevels


@pytest.fixture(scope="module")
def shipped():
    return SpunUpState.load()


def test_the_shipped_state_is_small_and_has_weather_of_the_right_size(shipped):
    assert SHIPPED.stat().st_size < 1_000_000
    assert shipped.truncation == 42
    # 4π-normalised: the sum of squares without degree 0 is the variance over the sphere
    deviation = np.sqrt((shipped.state["vorticity"] ** 2).sum(axis=(1, 2, 3)))
    assert (deviation > 5e-6).all()
    assert (deviation < 6e-5).all()
    eddies = shipped.state["vorticity"][:, :, 1:]
    assert ((eddies**2).sum() / (shipped.state["vorticity"] ** 2).sum()) > 0.2


def test_saving_and_loading_keeps_each_coefficient(shipped, tmp_path):
    shipped.save(tmp_path / "copy.npz")
    copy = SpunUpState.load(tmp_path / "copy.npz")
    for name, value in shipped.state.items():
        assert_array_equal(copy.state[name], value)


def test_a_larger_truncation_adds_zeros_and_a_smaller_one_cuts(shipped):
    levels = SigmaLevels(shipped.boundaries)
    same = shipped.at(SphericalHarmonics(42), levels)
    finer, coarser = (shipped.at(SphericalHarmonics(T), levels) for T in (50, 21))
    for name, value in shipped.state.items():
        assert_allclose(same[name], value, rtol=1e-6)
        assert_array_equal(finer[name][..., :43, :43], same[name])
        assert not finer[name][..., 43:].any()
        assert_array_equal(coarser[name], same[name][..., :22, :22])


EVEN = SigmaLevels.equidistant(10)
UNEVEN = SigmaLevels(np.array([0.0, 0.02, 0.1, 0.25, 0.45, 0.7, 0.9, 1.0]))


@pytest.mark.parametrize("new", [SigmaLevels.equidistant(n) for n in (4, 10, 25)] + [UNEVEN])
def test_interpolation_between_levels_is_exact_for_what_is_linear_in_height(new):
    matrix = interpolation(EVEN, new)
    assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-12)
    assert_allclose(matrix @ height(EVEN), height(new), rtol=1e-12)


def test_nothing_changes_where_levels_stay():
    assert_allclose(interpolation(UNEVEN, UNEVEN), np.eye(7), atol=1e-14)
    assert_allclose(temperature_interpolation(UNEVEN, UNEVEN), np.eye(7), atol=1e-14)


@pytest.mark.parametrize("new", [SigmaLevels.equidistant(n) for n in (4, 20, 40)] + [UNEVEN])
def test_temperatures_have_the_geopotential_that_the_winds_balance(new):
    temperatures = temperature_interpolation(EVEN, new)
    assert_allclose(temperatures @ np.ones(10), 1.0, rtol=1e-12)  # uniform ones stay so
    profile = np.maximum(200.0, 300.0 * EVEN.centers**0.2)  # a stratosphere and a troposphere
    wanted = interpolation(EVEN, new) @ EVEN.hydrostatic @ profile
    found = new.hydrostatic @ temperatures @ profile
    alone = new.hydrostatic @ interpolation(EVEN, new) @ profile
    # a tenth of what temperatures by themselves miss, which is some 3 K times a scale height
    assert np.abs(found - wanted).max() < 0.1 * np.abs(alone - wanted).max()


def test_on_twice_the_levels_the_stratosphere_stays_calm(monkeypatch):
    monkeypatch.setattr("dynamics.compilation.compiled", lambda function: function)
    simulation = Simulation("held-suarez", truncation=21, num_levels=20, step=3600.0)
    state = simulation.start(spun_up=True)
    spread = [
        simulation.observe(state)["divergence"].values[1].std(),
        simulation.observe(simulation.advance(state, 3))["divergence"].values[1].std(),
    ]
    # what is out of balance becomes gravity waves: where temperatures were interpolated by
    # themselves, the divergence at sigma 0.075 became five times as large in three hours
    assert spread[1] < 1.5 * spread[0]
