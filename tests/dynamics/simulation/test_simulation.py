import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dynamics.cases import CASES
from dynamics.simulation.simulation import (
    InstabilityError,
    Simulation,
    default_step,
    largest_wind,
)

SMALL = {"truncation": 10, "num_levels": 3}


@pytest.fixture
def uncompiled(monkeypatch):
    """Few steps at a tiny truncation take less time than their compilation."""
    monkeypatch.setattr("dynamics.compilation.compiled", lambda function: function)


@pytest.fixture
def climate(uncompiled):
    return Simulation("held-suarez", **SMALL, step=3600.0)


def start(simulation, seed=0, member=0):
    return simulation.perturbed(simulation.start(), seed=seed, member=member, amplitude=1.0)


@pytest.mark.parametrize("truncation", [10, 21, 42, 63, 85, 170])
@pytest.mark.parametrize("interval", [3600.0, 10_800.0, 21_600.0, 86_400.0])
def test_the_default_step_divides_the_interval_and_shrinks_with_the_truncation(
    truncation, interval
):
    step = default_step(truncation, interval)
    assert_allclose(interval / step, round(interval / step), rtol=1e-12)
    assert step <= min(3600.0, 1800.0 * 42 / truncation) * (1 + 1e-9)


def test_steps_in_one_go_or_in_pieces_are_the_same_to_the_last_bit(climate):
    whole = climate.advance(start(climate), 12)
    pieces = climate.advance(climate.advance(start(climate), 5), 7)
    for name, value in whole.items():
        assert_array_equal(pieces[name], value)


@pytest.mark.slow
def test_compiled_steps_are_the_same_to_rounding(climate, monkeypatch):
    monkeypatch.undo()
    fast = Simulation("held-suarez", **SMALL, step=3600.0)
    for name, value in climate.advance(start(climate), 6).items():
        other = fast.advance(start(fast), 6)[name]
        scale = np.abs(value).max()
        if name == "log_surface_pressure":
            scale = max(scale, 0.03)  # the fixer sees the mean of p_s / p_0 = 1, to 3e-7
        assert_allclose(other, value, rtol=0, atol=1e-5 * scale)


def test_noise_depends_on_seed_and_member_and_changes_the_temperature_alone(climate):
    states = [start(climate, *pair) for pair in ((0, 0), (0, 0), (1, 0), (0, 1))]
    temperature = [state["temperature"] for state in states]
    assert_array_equal(temperature[0], temperature[1])
    assert np.abs(temperature[0] - temperature[2]).max() > 0.1
    assert np.abs(temperature[0] - temperature[3]).max() > 0.1
    change = temperature[0] - climate.start()["temperature"]
    assert_allclose((change**2).sum(axis=(1, 2, 3)), 1.0, rtol=1e-4)  # 1 K² at each level
    assert_array_equal(states[0]["vorticity"], climate.start()["vorticity"])


def test_winds_too_fast_for_the_step_are_told_with_their_number(climate):
    state = start(climate)
    vorticity = np.zeros_like(state["vorticity"])
    sphere = climate.core.sphere
    # solid-body rotation with the wind u at the equator: vorticity 2 u sin φ / a, P̄_10 = √3 sin φ
    for speed, stable in ((0.99, True), (1.01, False)):
        u = speed * climate.core.largest_courant_number * sphere.radius / (10 * climate.step)
        vorticity[:, 0, 0, 1] = 2 * u / sphere.radius / np.sqrt(3)
        # the equator lies between two rows
        vorticity /= sphere.cos_latitude.max()
        if stable:
            seen = climate.observe({**state, "vorticity": vorticity})
            assert_allclose(largest_wind(seen), u, rtol=1e-3)
        else:
            with pytest.raises(InstabilityError, match=r"steps of 60 minutes \(CFL 1.7"):
                climate.observe({**state, "vorticity": vorticity})


def test_numbers_that_are_none_are_told(climate):
    state = start(climate)
    state["divergence"] = state["divergence"] * np.nan
    with pytest.raises(InstabilityError, match="no longer finite"):
        climate.observe(state)


@pytest.mark.parametrize("case", [name for name in CASES if name != "held-suarez"])
def test_published_cases_run_for_some_hours_and_stay_calm(case, uncompiled):
    simulation = Simulation(case, truncation=21, num_levels=5, step=3600.0)
    before = simulation.observe(simulation.start())
    after = simulation.observe(simulation.advance(simulation.start(), 3))
    assert 0.7 < largest_wind(after) / largest_wind(before) < 1.3
    vorticity = after["vorticity"]
    assert vorticity.values.shape[-2:] == simulation.core.grid.shape == after.grid.shape
    levels = simulation.core.levels
    assert vorticity.levels is levels
    assert ("surface_pressure" in after, "height" in after) == (bool(levels), not levels)
    if case.startswith("steady"):
        scale = np.abs(before["vorticity"].values).max()
        change = np.abs(after["vorticity"].values - before["vorticity"].values).max()
        assert change < 0.03 * scale  # T21 and five layers cut something off its balance


def test_a_case_that_does_not_exist_is_told():
    with pytest.raises(ValueError, match="there is no case 'venus'; there are baroclinic-wave"):
        Simulation("venus", **SMALL, step=1800.0)


def test_a_core_that_does_not_exist_is_told():
    with pytest.raises(ValueError, match="there is no core 'cubed'; there are spectral"):
        Simulation("held-suarez", **SMALL, step=1800.0, core="cubed")
