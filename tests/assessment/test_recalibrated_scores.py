import numpy as np
from numpy.testing import assert_allclose

from atmodist.assessment.recalibrated_scores import information, parity_is_right, refit_read_out


def test_a_refitted_read_out_finds_what_a_bias_hides():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 2000)
    logits = 2.0 * np.eye(4)[label] + rng.normal(size=(2000, 4))
    logits[:, 3] += 30.0  # always says the longest
    assert_allclose((logits.argmax(axis=1) == label).mean(), 0.25, atol=0.05)
    refitted = refit_read_out(logits, label, np.arange(2000))
    assert (refitted.argmax(axis=1) == label).mean() > 0.5
    assert_allclose(np.exp(refitted).sum(axis=1), 1)


def test_a_refitted_read_out_finds_nothing_where_there_is_nothing():
    rng = np.random.default_rng(0)
    label, logits = rng.integers(0, 8, 4000), rng.normal(size=(4000, 8))
    refitted = refit_read_out(logits, label, np.arange(4000) % 20)
    assert_allclose((refitted.argmax(axis=1) == label).mean(), 1 / 8, atol=0.03)


def test_parity_sums_over_labels():
    log_probability = np.log([[0.3, 0.4, 0.3, 1e-9], [0.3, 0.4, 0.3, 1e-9]])
    assert parity_is_right(log_probability, np.array([2, 1])).tolist() == [True, False]


def test_information_is_that_of_the_label_for_perfect_answers_and_none_for_frequencies():
    label = np.array([0, 0, 0, 1])
    shares = np.array([0.75, 0.25])
    entropy = -(shares * np.log(shares)).sum()
    perfect = np.log(np.maximum(np.eye(2)[label], 1e-300))
    assert_allclose(information(perfect, label).mean(), entropy)
    assert_allclose(information(np.log(np.tile(shares, (4, 1))), label), 0, atol=1e-15)
