import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import Grid, make_grid
from srgan.restoration.degradation import coarse_grid
from srgan.restoration.geometry import Refinement

GLOBAL = Refinement.of(make_grid("cell-centred", 8), 3)
REGIONAL = Refinement.of(Grid(np.linspace(60, 37, 24), np.linspace(5, 40, 36)), 2)


def test_only_grids_without_an_edge_go_on():
    assert GLOBAL.domain(5) == ((-5, 13), (-5, 21))
    assert REGIONAL.domain(5) == ((0, 24), (0, 36))
    band = Refinement.of(Grid(np.linspace(40, -40, 9), np.arange(36) * 10.0), 2)
    assert band.domain(5) == ((0, 9), (-5, 41))
    north = Refinement.of(Grid(np.linspace(85, 5, 9), np.arange(36) * 10.0), 2)
    assert north.domain(20) == ((-9, 9), (-20, 56))


def test_coarse_and_fine_windows_show_the_same_places():
    # A fine field that is constant over blocks, and one that is not, each with its own continuation
    rows, columns = range(-5, 12), range(-7, 20)
    low = np.random.default_rng(0).normal(size=(8, 16, 2))
    window = GLOBAL.low_window(low, rows, columns)
    fine = GLOBAL.high_window(low.repeat(3, axis=0).repeat(3, axis=1), rows, columns)
    assert_array_equal(fine, window.repeat(3, axis=0).repeat(3, axis=1))
    phi = GLOBAL.high.latitude[:, None] * np.ones(48)
    across = GLOBAL.high_window(phi, rows, columns)[:, 0]
    virtual = 90 - 7.5 * (np.arange(-15, 36) + 0.5)
    expected = np.where(np.abs(virtual) > 90, np.sign(virtual) * 180 - virtual, virtual)
    assert_allclose(across, expected, atol=1e-9)


def test_row_weights_have_mean_one_over_blocks_and_skip_what_is_not_there():
    high = make_grid("regular", 25, 48)
    refinement = Refinement.of(coarse_grid(high, 4), 4, high=high)
    weights = refinement.row_weights(range(-2, 9)).reshape(-1, 4)
    assert weights.dtype == np.float32
    assert_allclose(weights.mean(axis=1), 1, rtol=1e-6)
    assert_array_equal(weights[8], [4, 0, 0, 0])  # the row at the south pole, alone in its block
    assert_array_equal(weights[1], weights[2][::-1])  # over the north pole, the other way round
    assert (np.diff(weights[2]) > 0).all()  # rows grow away from the pole


def test_grids_that_do_not_fit_are_refused():
    fine = make_grid("cell-centred", 24)
    low = coarse_grid(fine, 3)
    assert Refinement.of(low, 3, None, fine).alignment == "centred"
    with pytest.raises(ValueError, match="trained for shared grids"):
        Refinement.of(low, 3, "shared", fine)
    with pytest.raises(ValueError, match="a factor of 2 from"):
        Refinement.of(low, 2, None, fine)
    with pytest.raises(ValueError, match="would reach to"):
        Refinement.of(make_grid("regular", 13, 24), 2, "centred")
