import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dynamics.spherical_harmonics import SphericalHarmonics
from dynamics.spun_up import SHIPPED, SpunUpState, interpolation
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


@pytest.mark.parametrize("num_levels", [4, 10, 25])
def test_interpolation_between_levels_is_exact_for_what_is_linear(num_levels):
    old, new = SigmaLevels.equidistant(10).centers, SigmaLevels.equidistant(num_levels).centers
    matrix = interpolation(old, new)
    assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-12)
    # beyond the outermost levels values are constant
    assert_allclose(matrix @ old, np.clip(new, old[0], old[-1]), rtol=1e-12)
