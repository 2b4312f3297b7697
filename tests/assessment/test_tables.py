import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.assessment.base_times import BaseTimes
from atmodist.assessment.predictions import Predictions
from atmodist.assessment.tables import (
    confusion_matrix,
    lag_table,
    latitude_bands,
    latitude_table,
    score_table,
)
from atmodist.pretext.scores import classification_scores
from tests.assessment.made_up import calibrated_answers, made_pairs


def test_scores_are_those_of_training():
    answers = calibrated_answers(500)
    theirs = classification_scores(answers.logits, answers.pairs.label)
    ours = {
        row["score"]: row["value"] for row in score_table(answers, BaseTimes(answers.pairs.step))
    }
    for name in ("loss", "accuracy", "top3", "within_one"):
        assert_allclose(ours[name], theirs[name], rtol=1e-12)
    confusion = confusion_matrix(answers.pairs.label, answers.guess, 5)
    assert confusion.tolist() == theirs["confusion"]


def test_tables_average_to_the_score_of_all():
    answers = calibrated_answers(900)
    base_times = BaseTimes(answers.pairs.step)
    whole = score_table(answers, base_times)[0]["value"]
    for rows in (lag_table(answers, base_times, 10_800), latitude_table(answers, base_times, 15.0)):
        losses = [row for row in rows if row["score"] == "loss"]
        counts = [row["count"] for row in losses]
        assert sum(counts) == 900
        assert_allclose(np.average([r["value"] for r in losses], weights=counts), whole)


def test_lags_are_in_hours_of_the_series():
    answers = calibrated_answers(100)
    rows = lag_table(answers, BaseTimes(answers.pairs.step), 10_800)
    assert [r["lag_hours"] for r in rows if r["score"] == "loss"] == [3, 6, 9, 12, 15]


@pytest.mark.parametrize("width", [15.0, 40.0, 90.0])
def test_bands_hold_their_latitudes_and_reach_the_poles(width):
    latitude = np.array([-90.0, -89.9, -15.0, -0.1, 0.0, 14.9, 15.0, 90.0])
    band, edges = latitude_bands(latitude, width)
    assert (edges[0], edges[-1]) == (-90, 90)
    assert_allclose(edges, -edges[::-1])
    assert np.all((edges[band] <= latitude) & (latitude <= edges[band + 1]))


def test_centres_wrap_around():
    pairs = made_pairs([0, 1], latitude=[10, -20], longitude=[359, 1])
    assert_allclose(pairs.longitude, [359, 1])
    assert_allclose(pairs.latitude, [10, -20])


def test_a_perfect_answer():
    pairs = made_pairs([0, 1, 2, 1])
    answers = Predictions(logits=100.0 * np.eye(3)[pairs.label], pairs=pairs)
    rows = {r["score"]: r["value"] for r in score_table(answers, BaseTimes(pairs.step))}
    assert rows == {
        "loss": pytest.approx(0, abs=1e-12),
        "accuracy": 1,
        "top3": 1,
        "within_one": 1,
        "mean_error": 0,
    }
