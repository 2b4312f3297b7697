import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.assessment.predictions import Predictions
from atmodist.assessment.reliability import (
    at_bound,
    bound_note,
    calibration_error,
    fit_temperature,
    halves,
    judge_calibration,
    reliability_table,
    temperature_text,
)
from tests.assessment.made_up import calibrated_answers, made_pairs


def test_calibrated_probabilities_have_no_error_and_temperature_one():
    answers = calibrated_answers(40_000)
    logits, label = answers.logits, answers.pairs.label
    assert calibration_error(logits, label)["value"] < 0.01  # sampling noise is about 0.005
    assert_allclose(fit_temperature(logits, label), 1.0, atol=0.03)


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_a_known_temperature_is_found_and_mends_the_calibration(temperature):
    answers = calibrated_answers(40_000, temperature=temperature)
    found = judge_calibration(answers, bins=10)
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


@pytest.mark.parametrize("size", [0.03, 2.0, 300.0])  # the loss falls to the end, or is 0 before
def test_a_temperature_at_the_end_of_the_search_is_said_to_be_none(size):
    pairs = made_pairs(np.arange(64) % 4)
    right = Predictions(logits=size * np.eye(4)[pairs.label], pairs=pairs)
    found = judge_calibration(right, bins=5)
    assert found["temperature_at_bound"]
    assert temperature_text(found["temperature"]) == "T <= 0.02"
    assert "every guess of them is right" in bound_note(found["temperature"])
    wrong = Predictions(logits=-right.logits, pairs=pairs)
    temperature = judge_calibration(wrong, bins=5)["temperature"]
    assert temperature_text(temperature) == "T >= 50"
    assert "nothing about the label" in bound_note(temperature)


def test_answers_without_differences_have_no_temperature():
    assert temperature_text(fit_temperature(np.zeros((20, 3)), np.arange(20) % 3)) == "T >= 50"


def test_other_temperatures_are_findings():
    found = judge_calibration(calibrated_answers(4000), bins=5)
    assert not found["temperature_at_bound"]
    assert not at_bound(found["temperature"])
    assert bound_note(found["temperature"]) is None
    assert temperature_text(0.934) == "T = 0.93"


def test_one_base_time_has_no_interval_of_the_error():
    answers = calibrated_answers(200)
    pairs = made_pairs(answers.pairs.label, step=np.zeros(200, int))
    answers = Predictions(logits=answers.logits, pairs=pairs)
    found = judge_calibration(answers, bins=5)
    for row in (found["after"]["loss"], found["after"]["expected_calibration_error"]):
        assert row["value"] > 0
        assert row["low"] is row["high"] is None
