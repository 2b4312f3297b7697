import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.assessment.predictions import (
    join,
    load_predictions,
    log_probabilities,
    predict_split,
    save_predictions,
)
from atmodist.pairs.pair_records import open_records
from tests.assessment import series
from tests.assessment.made_up import calibrated_answers


def test_kept_predictions_come_back_only_for_what_they_are_of(tmp_path):
    answers, path = calibrated_answers(20), tmp_path / "answers.npz"
    assert load_predictions(path, "a") is None
    save_predictions(path, "a", answers)
    again = load_predictions(path, "a")
    assert_array_equal(again.logits, answers.logits)
    for name, values in answers.pairs.arrays().items():
        assert_array_equal(getattr(again.pairs, name), values)
    assert load_predictions(path, "b") is None
    path.write_bytes(path.read_bytes()[:100])
    assert load_predictions(path, "a") is None


def test_every_pair_of_a_split_is_answered_once(tmp_path):
    _, folder = series.write_series(tmp_path, num_days=8)
    records = open_records(folder)
    answers = predict_split(
        series.dynamics_reader, records, "evaluation", num_classes=8, batch_size=13
    )
    assert len(answers.pairs) == records.num_records("evaluation")
    assert_array_equal(answers.guess, answers.pairs.label)
    assert_array_equal(answers.pairs.time, answers.pairs.step * series.STEP)
    few = predict_split(series.dynamics_reader, records, "evaluation", num_classes=3, batch_size=13)
    assert set(few.pairs.label) == {0, 1, 2}


def test_temperature_divides_logits():
    logits = np.array([[4.0, 0.0]])
    assert_allclose(log_probabilities(logits, 2.0), log_probabilities(logits / 2))
    assert_allclose(np.exp(log_probabilities(np.array([[1e4, 0.0]]))), [[1, 0]])


def test_parts_join_in_order():
    pairs = calibrated_answers(6).pairs
    joined = join([pairs.take(np.arange(2)), pairs.take(np.arange(6) >= 2)])
    assert_array_equal(joined.label, pairs.label)
