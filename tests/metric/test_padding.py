import numpy as np
import pytest

from atmodist.fields.grid import Grid, make_grid
from atmodist.metric.padding import PaddedLayout, bands, multiple_of
from atmodist.metric.receptive_field import adapted
from tests.metric.encoders import made_encoder


@pytest.fixture(scope="module")
def plain():
    return adapted(made_encoder(), ("stage1", "stage2"))


def test_a_global_field_goes_on_to_the_end_of_the_last_stride(plain):
    grid = make_grid("regular", 9, 16)
    layout = PaddedLayout.of(plain, grid, (8, 3))  # 8 + 9 + 3 are five strides
    assert layout.padded_cells == 5
    assert layout.margin_cells == 2
    field = np.arange(9.0)[:, None, None] * np.ones((16, 1))
    found = layout.padded(field, np.arange(20) - layout.margin)
    assert found[:, 0, 0].tolist() == [*range(8, 0, -1), *range(9), 7, 6, 5]


def test_beyond_the_poles_lies_another_field_if_one_is_given(plain):
    grid = make_grid("cell-centred", 8, 16)
    layout = PaddedLayout.of(plain, grid, (4, 4))
    field = np.random.default_rng(0).normal(size=(8, 16, 1))
    rows = np.arange(-4, 12)
    found, same = layout.padded(field, rows, -field), layout.padded(field, rows)
    np.testing.assert_array_equal(found[4:12], same[4:12])
    np.testing.assert_array_equal(found[[0, -1]], -same[[0, -1]])


def test_a_regional_field_has_zeros_around_it(plain):
    grid = Grid(np.arange(50.0, 45, -1), np.arange(6.0))
    layout = PaddedLayout.of(plain, grid, (0, 0))
    found = layout.padded(np.ones((5, 6, 1)), np.arange(-1, 8))
    assert found.shape == (9, 8, 1)
    assert found[:, :, 0].sum() == 30
    assert not found[[0, -1]].any()


def test_bands_cover_all_cells_once():
    assert list(bands(7, 3)) == [(0, 3), (3, 6), (6, 7)]
    assert [multiple_of(n, 4) for n in (0, 1, 4, 5)] == [0, 4, 4, 8]
