import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import Grid, make_grid
from srgan.restoration.degradation import (
    alignment_of,
    block_weights,
    coarse_grid,
    coarsen,
    fine_grid,
    prime_factors,
)

KINDS = ("regular", "cell-centred", "driscoll-healy", "gauss")


@given(
    rows=st.integers(2, 13),
    columns=st.integers(2, 17),
    factor=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_means_of_blocks_by_their_definition(rows, columns, factor, seed):
    rng = np.random.default_rng(seed)
    field, areas = rng.normal(size=(2, rows, columns)), rng.uniform(0.1, 1, rows)
    low = coarsen(field, factor, areas)
    assert low.shape == (2, -(-rows // factor), -(-columns // factor))
    for i in range(low.shape[1]):
        for j in range(low.shape[2]):
            r, c = slice(factor * i, factor * (i + 1)), slice(factor * j, factor * (j + 1))
            block = field[:, r, c]
            weights = np.broadcast_to(areas[r, None], block.shape[1:])
            expected = [np.average(part, weights=weights) for part in block]
            assert_allclose(low[:, i, j], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [2, 3, 4, 5, 10])  # 18 rows, or 19: partial blocks as well
def test_the_mean_over_the_sphere_is_kept(kind, factor):
    grid = make_grid(kind, 19 if kind == "regular" else 18)
    field = np.random.default_rng(0).normal(3, 1, grid.shape)
    low = coarsen(field, factor, grid.band_areas)
    column_counts = coarsen_counts(grid.shape[1], factor)
    low_areas = coarsen_sums(grid.band_areas, factor)[:, None] * column_counts
    high_mean = (field * grid.band_areas[:, None]).sum() / grid.shape[1]
    assert_allclose((low * low_areas).sum() / grid.shape[1], high_mean, rtol=1e-13)


def coarsen_sums(values, factor):
    return np.array([values[i : i + factor].sum() for i in range(0, len(values), factor)])


def coarsen_counts(size, factor):
    return coarsen_sums(np.ones(size), factor)


def test_a_constant_is_kept_and_the_map_is_linear():
    areas = make_grid("regular", 13).band_areas
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 3, 13, 24))
    assert_allclose(coarsen(np.full((13, 24), 7.0), 4, areas), 7.0, rtol=1e-15)
    left = coarsen(2 * a - 3 * b, 4, areas)
    assert_allclose(left, 2 * coarsen(a, 4, areas) - 3 * coarsen(b, 4, areas), atol=1e-14)


def test_areas_matter_and_only_relatively():
    field = np.array([[1.0, 1.0], [3.0, 3.0]])
    assert coarsen(field, 2)[0, 0] == 2
    assert coarsen(field, 2, np.array([1.0, 3.0]))[0, 0] == 2.5
    assert coarsen(field, 2, np.array([10.0, 30.0]))[0, 0] == 2.5


def test_float32_stays_float32_but_sums_are_exact():
    field = np.full((4, 4), 1e8, np.float32)
    field[0, 0] += 8
    low = coarsen(field, 4)
    assert low.dtype == np.float32
    assert low[0, 0] == np.float32(1e8 + 0.5)


def test_weights_within_blocks_have_mean_one_and_do_the_same_as_coarsen():
    grid = make_grid("regular", 13)
    weights = block_weights(grid.band_areas, 4)
    means = [weights[i : i + 4].mean() for i in range(0, 13, 4)]
    assert_allclose(means, 1, rtol=1e-14)
    field = np.random.default_rng(0).normal(size=grid.shape)
    expected = coarsen(field, 4, grid.band_areas)
    assert_allclose(coarsen(field * weights[:, None], 4), expected, rtol=1e-12, atol=1e-14)


def test_wrong_areas_are_refused():
    with pytest.raises(ValueError, match=r"`row_areas` of shape \(4,\).*got 2 and shape \(3,\)"):
        coarsen(np.zeros((4, 4)), 2, np.ones(3))


@pytest.mark.parametrize(
    ("factor", "steps"),
    [(2, (2,)), (4, (2, 2)), (10, (2, 5)), (3, (3,)), ([5, 2], (5, 2)), (97, (97,))],
)
def test_factors_are_steps_of_primes(factor, steps):
    assert prime_factors(factor) == steps


@pytest.mark.parametrize("factor", [1, 0, -2, [4], [], [2, 1]])
def test_factors_that_are_none_are_refused(factor):
    with pytest.raises(ValueError, match="factor must be"):
        prime_factors(factor)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_blocks_of_a_cell_centred_grid_make_a_cell_centred_grid(factor):
    low = coarse_grid(make_grid("cell-centred", 30), factor)
    assert low.kind == "cell-centred"
    assert low.is_periodic
    assert_allclose(low.latitude, make_grid("cell-centred", 30 // factor).latitude, atol=1e-12)


@pytest.mark.parametrize("kind", ["regular", "cell-centred", "driscoll-healy"])
@pytest.mark.parametrize(("rows", "factor"), [(25, 4), (24, 4), (26, 4), (26, 3), (27, 3), (30, 5)])
def test_fine_grid_inverts_coarse_grid_also_after_partial_blocks(kind, rows, factor):
    rows += rows % 2 if kind == "driscoll-healy" else 0
    grid = make_grid(kind, rows, 60)
    fine = fine_grid(coarse_grid(grid, factor), factor, "centred")
    assert_allclose(fine.latitude, grid.latitude, atol=1e-10)
    assert_allclose(fine.longitude, grid.longitude, atol=1e-10)
    assert fine.kind == kind


def test_fine_grid_inverts_coarse_grid_of_a_region():
    grid = Grid(np.linspace(60, 40, 21), np.linspace(-10, 10, 22))
    fine = fine_grid(coarse_grid(grid, 4), 4, "centred")
    assert fine.matches(grid)


@pytest.mark.parametrize(
    ("low", "high", "factor"),
    [
        (make_grid("regular", 46, 90), make_grid("regular", 181, 360), 4),
        (make_grid("driscoll-healy", 20), make_grid("driscoll-healy", 80), 4),
        (make_grid("regular", 37), make_grid("regular", 73), 2),
    ],
)
def test_grids_that_share_points_are_recognised_and_made(low, high, factor):
    assert alignment_of(low, high, factor) == "shared"
    assert fine_grid(low, factor, "shared").matches(high)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_what_coarsen_makes_is_centred(kind, factor):
    high = make_grid(kind, 25 if kind == "regular" else 24)
    assert alignment_of(coarse_grid(high, factor), high, factor) == "centred"


def test_grids_that_do_not_fit_say_how():
    high = make_grid("cell-centred", 24)
    with pytest.raises(ValueError, match=r"has 8 x 16 points; a factor of 4 from .* needs 6 x 12"):
        alignment_of(make_grid("cell-centred", 8), high, 4)
    moved = Grid(coarse_grid(high, 4).latitude, np.arange(12) * 30.0 + 3)
    with pytest.raises(ValueError, match=r"neither centred .* nor shared"):
        alignment_of(moved, high, 4)


def test_rows_beyond_a_pole_are_refused_with_advice():
    with pytest.raises(ValueError, match=r"would reach to 9\d.* degrees north.*\"shared\""):
        fine_grid(make_grid("regular", 19), 4, "centred")


def test_arguments_stay_as_they_came():
    field, areas = np.ones((4, 4)), np.ones(4)
    coarsen(field, 3, areas)
    assert_array_equal(field, 1)
    assert_array_equal(areas, 1)


def test_a_coarse_grid_has_no_seam_and_more_than_one_row():
    globe, region = make_grid("regular", 25, 48), Grid(np.linspace(60, 40, 21), np.arange(47.0))
    assert coarse_grid(globe, 3).is_periodic
    with pytest.raises(ValueError, match="no multiple of the factor 5, so that"):
        coarse_grid(globe, 5)
    assert coarse_grid(region, 5).shape == (5, 10)  # a region has edges anyway
    with pytest.raises(ValueError, match="leaves a single row or column of 21 x 47 points"):
        coarse_grid(region, 21)
