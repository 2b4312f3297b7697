import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.fields.grid import make_grid
from srgan.restoration.coarse import CoarseFields
from srgan.restoration.degradation import coarse_grid, coarsen
from srgan.restoration.interpolation import Interpolation

GRID = make_grid("driscoll-healy", 16)


class Concerned(Interpolation):
    """Says how few rows the coarse grid has."""

    def concern(self, grid):
        return f"{grid.shape[0]} rows are few"


def test_means_are_taken_of_fine_fields_only():
    field = np.random.default_rng(0).normal(size=(2, *GRID.shape)).astype(np.float32)
    restoration = Interpolation("bilinear", 2)
    means = CoarseFields.means(restoration, GRID, "do something else")
    low = coarse_grid(GRID, 2)
    assert means.refinement.low.matches(low)
    assert means.refinement.high is GRID
    assert_array_equal(means.of(field), coarsen(field, 2, GRID.band_areas))
    read = CoarseFields.read(restoration, low)
    coarse = means.of(field)
    assert read.of(coarse) is coarse
    assert read.refinement.high.shape == GRID.shape
    assert (means.concerns, read.concerns) == ((), ())


def test_concerns_are_about_the_coarse_grid():
    restoration = Concerned("nearest", 2)
    assert CoarseFields.means(restoration, GRID, "").concerns == ("8 rows are few",)
    low = coarse_grid(GRID, 2)
    assert CoarseFields.read(restoration, low, None).concerns == ("8 rows are few",)


def test_generators_of_pairs_get_no_means():
    restoration = Interpolation("nearest", 2)
    restoration.is_paired = True
    with pytest.raises(
        ValueError, match="was trained with pairs of archives, not with block means: do"
    ):
        CoarseFields.means(restoration, GRID, "do this")
    assert not CoarseFields.read(restoration, coarse_grid(GRID, 2), GRID).are_means
