import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.fields.grid import make_grid
from atmodist.metric import encoded
from atmodist.metric.encoded import Encoded, Remembering, applied

GRID = make_grid("cell-centred", 4)


class Encoder:
    """Counts how often it is asked."""

    def __init__(self):
        self.count = 0

    def __call__(self, field):
        self.count += 1
        return Encoded(GRID, {"stage1": field[0]})


def difference(x, y):
    return x.features["stage1"] - y.features["stage1"]


def series(*shape):
    return np.random.default_rng(0).normal(size=(*shape, 1, *GRID.shape))


def test_series_are_broadcast_and_each_field_is_encoded_once():
    a, b, encode = series(3, 1), series(2), Encoder()
    found = applied(difference, Remembering(a, encode), Remembering(b, encode))
    assert_array_equal(found, (a - b)[..., 0, :, :])
    assert encode.count == 3 + 2


def test_memory_for_what_is_remembered_is_limited(monkeypatch):
    a, encode = series(3), Encoder()
    monkeypatch.setattr(encoded, "REMEMBERED_BYTES", 2 * a[0].nbytes)
    sides = Remembering(a, encode)
    for place in ((0,), (1,), (0,), (2,), (0,)):  # the second is forgotten, the first is not
        sides.at(place)
    assert encode.count == 3
    sides.at((1,))
    assert encode.count == 4


def test_nothing_to_compare_is_said():
    sides = [Remembering(series(0), Encoder()), Remembering(series(), Encoder())]
    with pytest.raises(ValueError, match="nothing to compare: series of shapes"):
        applied(difference, *sides)
