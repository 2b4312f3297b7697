from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.pretext.reconstruction.masks import given_masks, key_of, make_masks, uniforms
from atmodist.pretext.reconstruction.options import MaskName

SHAPE = (64, 96)
NUMBERS = np.arange(200)


@pytest.mark.parametrize("kind", get_args(MaskName))
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.6])
def test_every_mask_hides_the_fraction(kind, fraction):
    hidden = make_masks(kind, SHAPE, fraction)(7, NUMBERS)
    assert hidden.shape == (200, *SHAPE)
    assert hidden.dtype == bool
    shares = hidden.mean(axis=(1, 2))
    # half a line of a hole on each axis; half a line of each of four stripes; half a block of 64
    side = np.sqrt(fraction)
    rounding = {"stripes": 4 * 0.5 / 64, "blocks": 0.5 / 64}.get(
        kind, side * (0.5 / 64 + 0.5 / 96) + 0.25 / (64 * 96)
    )
    assert_allclose(shares, fraction, rtol=0, atol=rounding + 1e-9 + (kind == "stripes") * 2 / 64)


@pytest.mark.parametrize("kind", get_args(MaskName))
@given(cuts=st.lists(st.integers(0, 40), max_size=4), key=st.integers(0, 2**64 - 1))
@settings(max_examples=20, deadline=None)
def test_masks_depend_on_key_and_number_alone(kind, cuts, key):
    masks = make_masks(kind, (16, 32), 0.25)
    numbers = np.arange(40)
    whole = masks(key, numbers)
    parts = [masks(key, part) for part in np.split(numbers, sorted(cuts))]
    assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("kind", ["hole", "stripes", "blocks"])
def test_another_key_or_number_gives_another_mask(kind):
    masks = make_masks(kind, SHAPE, 0.25)
    first = masks(1, NUMBERS)
    assert (first != masks(2, NUMBERS)).any(axis=(1, 2)).mean() > 0.9
    assert (first[:-1] != first[1:]).any(axis=(1, 2)).mean() > 0.9


def test_every_point_of_a_field_is_hidden_now_and_then():
    for kind in ("hole", "stripes", "blocks"):
        often = make_masks(kind, (32, 32), 0.25)(3, np.arange(2000)).mean(axis=0)
        assert often.min() > 0
    # blocks and stripes know no preferred place: 0.25 within five standard errors
    assert_allclose(often, 0.25, atol=5 * np.sqrt(0.25 * 0.75 / 2000))


def test_a_hole_is_one_rectangle_and_the_centred_one_is_in_the_centre():
    for hidden in make_masks("hole", SHAPE, 0.25)(5, NUMBERS[:20]):
        rows, columns = hidden.any(axis=1), hidden.any(axis=0)
        assert_array_equal(hidden, np.outer(rows, columns))
        assert (rows.sum(), columns.sum()) == (32, 48)
        assert (np.abs(np.diff(rows.astype(int))).sum()) <= 2
    (hidden,) = make_masks("centred-hole", SHAPE, 0.25)(5, NUMBERS[:1])
    assert_array_equal(hidden, hidden[::-1, ::-1])


def test_stripes_run_along_or_across_latitude():
    hidden = make_masks("stripes", SHAPE, 0.25)(0, NUMBERS)
    along = (hidden == hidden[:, :, :1]).all(axis=(1, 2))
    across = (hidden == hidden[:, :1]).all(axis=(1, 2))
    assert (along ^ across).all()
    assert 60 < along.sum() < 140  # a fair coin, five standard deviations
    # four of them; on a circle they are as many as the steps upwards
    profile = hidden[along][:, :, 0].astype(int)
    assert ((np.roll(profile, -1, axis=1) - profile) == 1).sum(axis=1).tolist() == [4] * along.sum()


def test_random_numbers_are_uniform_and_uncorrelated():
    drawn = uniforms(11, np.arange(20_000), 2)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.histogram(drawn, bins=20, range=(0, 1))[0]
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)
    for a, b in ((drawn[:-1, 0], drawn[1:, 0]), (drawn[:, 0], drawn[:, 1])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(20_000)


def test_evaluation_and_every_epoch_have_keys_of_their_own():
    keys = [key_of(seed, epoch) for seed in (0, 1) for epoch in (None, 0, 1, 2)]
    assert len(set(keys)) == len(keys)


def test_masks_of_ones_own_are_drawn_from():
    mine = np.zeros((3, 4, 6), bool)
    mine[0, 0], mine[1, 1], mine[2, 2] = True, True, True
    drawn = given_masks(mine)(1, np.arange(100))
    rows = drawn[:, :3, 0].argmax(axis=1)
    assert set(rows) == {0, 1, 2}
    assert_array_equal(drawn, mine[rows])
    assert_array_equal(given_masks(mine[1])(1, np.arange(5)), mine[[1] * 5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("moon", SHAPE, 0.2), "there are no masks 'moon'; choose one of: hole, centred-hole"),
        (("hole", SHAPE, 1.0), "`fraction` must be between 0 and 1"),
        (("stripes", SHAPE, 0.03), r"less than a point wide; hide at least 0\.06"),
        (("blocks", (4, 64), 0.2), "too small for blocks"),
    ],
)
def test_masks_that_cannot_be_made_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_masks(*arguments)


def test_a_mask_that_hides_nothing_is_refused():
    with pytest.raises(ValueError, match="hides nothing"):
        given_masks(np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match=r"got shape \(4,\)"):
        given_masks(np.ones(4))
