import numpy as np
import pytest
from numpy.testing import assert_allclose

from srgan.losses.consistency import ConsistencyPenalty
from srgan.networks.layers import BlockMeanProjection
from tests.metric.encoders import made_normalization


def made(seed=0, factor=3):
    rng = np.random.default_rng(seed)
    low = rng.normal(0, 5e-5, (2, 4, 5, 2))
    high = rng.normal(0, 5e-5, (2, 4 * factor, 5 * factor, 2))
    return low, high, rng.uniform(0.5, 1.5, (2, 4 * factor))


def test_the_penalty_is_the_formula_written_out():
    low, high, weights = made()
    normalization = made_normalization()
    penalty = ConsistencyPenalty(factor=3, normalization=normalization)
    blocks = high.reshape(2, 4, 3, 5, 3, 2)
    w = weights.reshape(2, 4, 3, 1, 1, 1)
    means = (w * blocks).sum((2, 4)) / (3 * w.sum((2, 4)))
    expected = (((means - low) / normalization.std) ** 2).mean()
    found = penalty(normalization(low), normalization(high), weights)
    assert_allclose(found, expected, rtol=1e-5)


def test_projected_fields_are_not_punished():
    low, high, weights = made()
    normalization = made_normalization()
    penalty = ConsistencyPenalty(factor=3, normalization=normalization)
    inputs = {"low": normalization(low), "high": normalization(high), "row_weights": weights}
    inputs = {name: value.astype(np.float32) for name, value in inputs.items()}
    projected = BlockMeanProjection(3, normalization)(inputs)
    assert float(penalty(inputs["low"], inputs["high"], weights)) > 0.1
    assert float(penalty(inputs["low"], projected, weights)) < 1e-10


@pytest.mark.parametrize("shift", [0.5, -2.0])
def test_without_normalisation_a_shift_costs_its_square(shift):
    low, _, weights = made()
    high = low.repeat(3, 1).repeat(3, 2) + shift
    penalty = ConsistencyPenalty(factor=3, normalization=None)
    assert_allclose(penalty(low, high, weights), shift**2, rtol=1e-5)
