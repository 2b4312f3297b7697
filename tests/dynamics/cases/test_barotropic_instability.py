"""The jet is balanced and steady; with the bump it rolls up as published."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from dynamics.cases import barotropic_instability as galewsky
from dynamics.integrators import imex_rk_sil3, with_filters
from dynamics.spectral.core import equation_of, start_of
from dynamics.spectral.filters import hyperdiffusion
from dynamics.spectral.spherical_harmonics import SphericalHarmonics

DAY = 86400.0
RADIUS = galewsky.CONSTANTS.radius
CASE = galewsky.CASE
JET_ALONE = replace(CASE, start=partial(galewsky.start, perturbed=False))


def test_jet_has_its_published_shape():
    latitude = np.radians([90.0, 64.3, 45.0, 25.7, 0.0, -45.0])
    found = galewsky.eastward_wind(latitude)
    assert_allclose(found, [0.0, 0.0, 80.0, 0.0, 0.0, 0.0], rtol=0, atol=1e-9)


def test_spectral_balance_is_the_published_integral():
    sphere = SphericalHarmonics(85, radius=RADIUS, dtype="float64")
    equation = equation_of(CASE, sphere)
    fields = equation.fields(start_of(JET_ALONE, equation))
    height = np.asarray(fields["height"])
    assert_allclose(height - height[:, :1], 0.0, rtol=0, atol=1e-8)
    # what a core gets that does not balance the wind itself
    column = np.radians(sphere.latitude)[:, None]
    expected = galewsky.start(column, np.zeros(1), perturbed=False)["height"][:, 0]
    assert abs((expected * sphere.weights).sum() / 2 - galewsky.MEAN_DEPTH) < 1e-6
    assert_allclose(height[:, 0], expected, rtol=0, atol=0.01)  # m, of a fall of 1087 m


def test_the_height_is_balance_and_bump():
    latitude, longitude = np.radians([[60.0], [45.0]]), np.radians([0.0, 10.0, 180.0])
    alone, both = (galewsky.start(latitude, longitude, perturbed=p) for p in (False, True))
    bump = galewsky.height_bump(longitude, latitude)
    assert_allclose(both["height"] - alone["height"], bump, atol=1e-11)
    assert_allclose(both["imbalance"], bump)
    assert alone["imbalance"] == 0.0


def test_bump_lies_on_the_jet_at_longitude_0():
    longitude, latitude = np.radians([0.0, 180.0, 359.0]), np.radians([[60.0], [45.0]])
    bump = galewsky.height_bump(longitude, latitude)
    assert bump[1, 0] == pytest.approx(120 / np.sqrt(2))
    assert bump[1, 2] == pytest.approx(bump[1, 0], rel=0.01)
    assert bump[1, 1] < 1e-10
    assert bump[0, 0] < 0.02


def test_jet_alone_is_steady():
    sphere = SphericalHarmonics(42, radius=RADIUS, dtype="float64")
    equation = equation_of(CASE, sphere)
    state = start_of(JET_ALONE, equation)
    advance = tf.function(lambda state: imex_rk_sil3(equation, state, 900.0))
    end = state
    for _ in range(round(DAY / 900)):
        end = advance(end)
    before, after = equation.fields(state), equation.fields(end)
    for name, unit in (("eastward_wind", 80.0), ("northward_wind", 80.0), ("height", 1000.0)):
        assert_allclose(after[name], before[name], rtol=0, atol=1e-10 * unit, err_msg=name)


@pytest.mark.slow
def test_perturbed_jet_rolls_up_within_six_days():
    sphere = SphericalHarmonics(85, radius=RADIUS)
    equation = equation_of(CASE, sphere)
    state = start_of(CASE, equation)
    step = 600.0
    smooth = hyperdiffusion(sphere, step, time_scale=6 * 3600.0)
    advance = with_filters(lambda state: imex_rk_sil3(equation, state, step), smooth)
    advance = tf.function(advance, jit_compile=True)
    eddies, largest = [], []
    mass = equation.mass(state).numpy()
    for _ in range(6):
        for _ in range(round(DAY / step)):
            state = advance(state)
        vorticity = state["vorticity"].numpy()
        eddies.append((vorticity[:, 1:] ** 2).sum() / (vorticity**2).sum())
        largest.append(np.abs(np.asarray(equation.fields(state)["northward_wind"])).max())
    assert (np.diff(eddies[1:]) > 0).all()
    assert eddies[2] < 0.02  # day 3: hardly visible
    assert eddies[5] > 0.25  # day 6: vortices
    assert largest[5] > 40  # m s⁻¹
    vorticity = np.asarray(equation.fields(state)["vorticity"])
    north = sphere.latitude > 20
    assert 1.0e-4 < vorticity[north].max() < 2.0e-4  # s⁻¹; as published, 1.2e-4 or so
    assert np.abs(vorticity[~north]).max() < 0.2 * vorticity.max()  # the rest is quiet
    assert_allclose(equation.mass(state), mass, rtol=1e-6)
