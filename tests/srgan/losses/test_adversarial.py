import numpy as np
import pytest
from numpy.testing import assert_allclose

from srgan.losses.adversarial import discriminator_loss, generator_loss, shares_recognised


def logits(*values):
    return np.array(values, np.float32)[:, None]


def test_who_knows_nothing_costs_log_two():
    zero = logits(0, 0)
    assert_allclose(generator_loss(zero), np.log(2), rtol=1e-6)
    assert_allclose(discriminator_loss(zero, zero), np.log(2), rtol=1e-6)


def test_losses_are_cross_entropies():
    true, generated = logits(0.3, -1.2, 2.0), logits(-0.5, 0.1, 1.5)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x.astype(np.float64)))

    entropy = np.concatenate([-np.log(sigmoid(true)), -np.log(1 - sigmoid(generated))]).mean()
    assert_allclose(discriminator_loss(true, generated), entropy, rtol=1e-6)
    assert_allclose(generator_loss(generated), -np.log(sigmoid(generated)).mean(), rtol=1e-6)


@pytest.mark.parametrize("size", [50.0, 500.0, 1e6])
def test_extreme_logits_cost_what_they_should(size):
    sure, wrong = logits(size), logits(-size)
    assert_allclose(discriminator_loss(sure, wrong), 0, atol=1e-6)
    assert_allclose(discriminator_loss(wrong, sure), size, rtol=1e-6)
    assert_allclose(generator_loss(wrong), size, rtol=1e-6)
    assert_allclose(generator_loss(sure), 0, atol=1e-6)


def test_the_generator_still_learns_when_it_is_seen_through():
    tf = pytest.importorskip("tensorflow")
    seen_through = tf.Variable(logits(-200.0, -1e5))
    with tf.GradientTape() as tape:
        loss = generator_loss(seen_through)
    assert_allclose(tape.gradient(loss, seen_through), [[-0.5], [-0.5]], rtol=1e-6)
    with tf.GradientTape() as tape:
        loss = discriminator_loss(logits(3.0, 3.0), seen_through)
    assert_allclose(tape.gradient(loss, seen_through), [[0], [0]], atol=1e-6)


def test_shares_count_each_kind_by_itself():
    true, generated = shares_recognised(logits(1, 2, -1, 3), logits(-1, 1))
    assert_allclose((true, generated), (0.75, 0.5))
