import numpy as np
import pytest

from atmodist.pretext.scores import classification_scores, mean_scores


def test_scores_of_a_few_guesses_by_hand():
    logits = np.log(
        [
            [0.7, 0.1, 0.1, 0.1],  # right
            [0.6, 0.3, 0.05, 0.05],  # one off
            [0.5, 0.3, 0.15, 0.05],  # three off, and the truth comes last
        ]
    )
    scores = classification_scores(logits, np.array([0, 1, 3]))
    assert scores["loss"] == pytest.approx(-np.mean(np.log([0.7, 0.3, 0.05])))
    assert scores["accuracy"] == pytest.approx(1 / 3)
    assert scores["within_one"] == pytest.approx(2 / 3)
    assert scores["top3"] == pytest.approx(2 / 3)
    assert scores["recall"] == [1.0, 0.0, None, 0.0]
    assert scores["confusion"] == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_adding_a_constant_to_logits_changes_nothing_even_if_large():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((50, 6)).astype(np.float32), rng.integers(0, 6, 50)
    before = classification_scores(logits, labels)
    after = classification_scores(logits.astype(np.float64) + 1e4, labels)
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-9)
    assert np.sum(before["confusion"]) == before["count"] == 50
    assert np.trace(before["confusion"]) == round(before["accuracy"] * 50)


def test_equal_logits_are_no_success():
    # Of equals the first leads, as for accuracy: a blind network is right for three labels of 8.
    scores = classification_scores(np.zeros((8, 8)), np.arange(8))
    assert scores["top3"] == 3 / 8
    assert scores["accuracy"] == 1 / 8


def test_means_are_over_evaluations():
    first = classification_scores(np.eye(3), np.array([0, 1, 2]))
    second = classification_scores(np.eye(3), np.array([1, 1, 2]))
    mean = mean_scores([first, second])
    assert mean["accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert mean["recall"] == [None, 0.75, 1.0]


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"got shapes \(3, 2\) and \(4,\)"):
        classification_scores(np.zeros((3, 2)), np.zeros(4, int))
