import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.assessment.reliability import (
    calibration_error,
    fit_temperature,
    halves,
    judge_calibration,
    reliability_table,
)
from tests.assessment.made_up import calibrated_answers


def test_calibrated_probabilities_have_no_error_and_temperature_one():
    answers = calibrated_answers(40_000)
    logits, label = answers.logits, answers.pairs.label
    assert calibration_error(logits, label)["value"] < 0.01  # sampling noise is about 0.005
    assert_allclose(fit_temperature(logits, label), 1.0, atol=0.03)


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_a_known_temperature_is_found_and_mends_the_calibration(temperature):
    answers = calibrated_answers(40_000, temperature=temperature)
    found = judge_calibration(answers, bins=10, resamples=50, seed=0)
    assert_allclose(found["temperature"], temperature, rtol=0.03)
    before, after = (
        found[key]["expected_calibration_error"]["value"] for key in ("before", "after")
    )
    assert before > 0.1
    assert after < 0.02
    assert found["after"]["loss"]["value"] < found["before"]["loss"]["value"]


def test_error_of_constant_confidence_is_its_distance_from_the_accuracy():
    logits = np.tile(np.log([0.8, 0.2]), (100, 1))
    label = np.repeat([0, 1], 50)
    assert_allclose(calibration_error(logits, label)["value"], 0.3)
    rows = [row for row in reliability_table(logits, label, bins=10) if row["count"]]
    assert len(rows) == 1
    assert_allclose((rows[0]["confidence"], rows[0]["accuracy"]), (0.8, 0.5))


def test_a_certain_answer_lies_in_the_last_bin():
    rows = reliability_table(np.array([[1000.0, 0.0]]), np.array([0]), bins=7)
    assert [row["count"] for row in rows] == [0] * 6 + [1]


def test_halves_share_no_base_time():
    groups = np.array([3, 1, 1, 2, 9, 3])
    first = halves(groups)
    assert set(groups[first]) == {1, 2}
    assert set(groups[~first]) == {3, 9}
    assert halves(np.zeros(4)).sum() == 2
