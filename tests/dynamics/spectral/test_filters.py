"""Filters against the diffusion they stand for."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dynamics.spectral.filters import DegreeFilter, exponential_filter, hyperdiffusion
from dynamics.spectral.spherical_harmonics import SphericalHarmonics


@pytest.fixture(scope="module")
def sphere():
    return SphericalHarmonics(21, dtype="float64")


@pytest.mark.parametrize("order", [2, 4, 8])
def test_hyperdiffusion_is_a_power_of_the_laplacian(sphere, order):
    step, time_scale = 1.0, 1e4  # errors are (step / time_scale)² = 1e-8 of x
    modal = np.random.default_rng(0).standard_normal((3, *sphere.modal_shape)) * sphere.mask
    found = np.asarray(hyperdiffusion(sphere, step, time_scale=time_scale, order=order)(modal))
    power = modal
    for _ in range(order // 2):
        power = -np.asarray(sphere.laplacian(power))
    viscosity = 1 / (time_scale * (-sphere.laplacian_eigenvalues[-1]) ** (order // 2))
    assert_allclose(found - modal, -step * viscosity * power, rtol=0, atol=5e-8)


def test_exponential_filter_spares_small_degrees_and_damps_the_last(sphere):
    factor = exponential_filter(sphere, 600.0, time_scale=1200.0, order=6, cutoff=0.5).factor
    assert_allclose(factor[: 21 // 2 + 1], 1.0)
    assert_allclose(factor[-1], np.exp(-0.5))
    assert (np.diff(factor) <= 0).all()


@pytest.mark.parametrize("make", [hyperdiffusion, exponential_filter])
def test_means_are_left_alone(sphere, make):
    assert make(sphere, 600.0, time_scale=600.0).factor[0] == 1.0


def test_a_filter_can_be_confined_to_some_fields(sphere):
    state = {"a": np.ones(sphere.modal_shape), "b": np.ones(sphere.modal_shape)}
    found = DegreeFilter(sphere, 0.5 + 0 * sphere.degrees, names=("a",))(state)
    assert_allclose(found["a"], 0.5)
    assert found["b"] is state["b"]
    with pytest.raises(ValueError, match="has no \\['c'\\]"):
        DegreeFilter(sphere, 0.5 + 0 * sphere.degrees, names=("c",))(state)
    with pytest.raises(TypeError, match="needs a dictionary"):
        DegreeFilter(sphere, 0.5 + 0 * sphere.degrees, names=("c",))(state["a"])


def test_wrong_arguments_are_named(sphere):
    with pytest.raises(ValueError, match="even and positive"):
        hyperdiffusion(sphere, 1.0, time_scale=1.0, order=3)
    with pytest.raises(ValueError, match="positive seconds"):
        hyperdiffusion(sphere, 1.0, time_scale=0.0)
    with pytest.raises(ValueError, match="`cutoff`"):
        exponential_filter(sphere, 1.0, time_scale=1.0, cutoff=1.0)
    with pytest.raises(ValueError, match="positive seconds"):
        exponential_filter(sphere, 1.0, time_scale=-1.0)
    with pytest.raises(ValueError, match="one value for each degree"):
        DegreeFilter(sphere, np.ones(3))
