import numpy as np
from numpy.testing import assert_allclose

from atmodist.assessment.control_fields import ClockTimes
from atmodist.assessment.place_and_clock_baseline import (
    accuracy_by_position,
    table_cells,
    table_guesses,
)
from tests.assessment.made_up import STEP, made_pairs


def test_tables_answer_the_commonest_label_of_the_cell():
    guess = table_guesses(
        np.array([0, 0, 0, 2]), np.array([1, 1, 0, 2]), np.array([0, 2, 1, 3]), num_classes=3
    )
    assert guess.tolist() == [1, 2, 1, 1]  # empty cells: the commonest of all


def test_position_is_judged_by_the_other_pairs_of_the_band():
    pairs = made_pairs([0, 0, 1, 2], latitude=[50, 52, 54, -50])
    chances = accuracy_by_position(np.array([0, 1, 1, 2]), pairs, num_classes=3, band_degrees=15.0)
    assert_allclose(chances, [1 / 2, 1 / 2, 0, 0])  # the last is alone in its band


def test_cells_tell_what_their_names_say():
    pairs = made_pairs([0, 1, 7], step=[0, 3, 8], latitude=[1, 1, 1])
    cells = table_cells(pairs, ClockTimes(STEP), 15.0)
    assert cells["table: hour"].tolist() == [0, 3, 0]
    assert cells["table: hours of both"].tolist() == [1, 3 * 8 + 5, 0]  # the last is a day later
    assert cells["table: parity of both"].tolist() == [1, 0, 0]
    assert len(set(cells["table: latitude"])) == 1
