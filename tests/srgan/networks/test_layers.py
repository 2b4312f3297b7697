import keras
import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose, assert_array_equal

from srgan.networks.layers import (
    BlockMeanProjection,
    SpaceToDepth,
    SubPixel,
    SubPixelInitializer,
    block_means,
    normalized,
    standardized,
)
from tests.metric.encoders import made_normalization

EPSILON = np.finfo(np.float32).eps


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_channels_become_the_points_of_a_block_and_back(factor):
    x = numbers(2, 3, 4, factor**2 * 2)
    fine = np.asarray(SubPixel(factor)(x))
    assert fine.shape == (2, 3 * factor, 4 * factor, 2)
    a, b = factor - 1, 1  # row and column in a block
    assert_array_equal(
        fine[:, a::factor, b::factor], x[..., (a * factor + b) * 2 : (a * factor + b) * 2 + 2]
    )
    assert_array_equal(SpaceToDepth(factor)(fine), x)


def test_shapes_are_known_where_extents_are_free():
    x = keras.Input((None, 5, 8))
    assert SubPixel(2)(x).shape == (None, None, 10, 2)
    assert SpaceToDepth(5)(x).shape == (None, None, 1, 200)


def test_wrong_numbers_of_channels_are_refused():
    with pytest.raises(ValueError, match="multiple of 2²"):
        SubPixel(2)(numbers(1, 3, 3, 6))
    with pytest.raises(ValueError, match="multiple of 3²"):
        SubPixelInitializer(3)((3, 3, 4, 10))
    with pytest.raises(ValueError, match="integer from 2 up"):
        SubPixel(1)


@pytest.mark.parametrize("factor", [2, 3])
def test_upsampling_starts_as_a_convolution_and_nearest_neighbours(factor):
    x = numbers(1, 6, 5, 4)
    convolution = keras.layers.Conv2D(
        factor**2 * 3, 3, padding="same", kernel_initializer=SubPixelInitializer(factor)
    )
    fine = np.asarray(SubPixel(factor)(convolution(x)))
    coarse = keras.layers.Conv2D(3, 3, padding="same")
    coarse.build(x.shape)
    coarse.set_weights([convolution.get_weights()[0][..., :3], np.zeros(3)])
    nearest = np.asarray(coarse(x)).repeat(factor, axis=1).repeat(factor, axis=2)
    assert np.abs(nearest).max() > 0.1
    assert_allclose(fine, nearest, rtol=0, atol=1e-6)


def test_a_constant_gets_no_checkerboard():
    convolution = keras.layers.Conv2D(16, 3, kernel_initializer=SubPixelInitializer(2))
    fine = np.asarray(SubPixel(2)(convolution(np.ones((1, 6, 6, 4), np.float32))))
    assert_allclose(fine, np.broadcast_to(fine[:, :1, :1], fine.shape), rtol=1e-6)


def test_the_initialiser_is_kept_with_the_layer():
    made = keras.initializers.get(keras.initializers.serialize(SubPixelInitializer(3, "he_normal")))
    assert made.factor == 3
    assert isinstance(made.initializer, keras.initializers.HeNormal)


def test_standard_units_are_those_of_the_normalisation():
    normalization = made_normalization()
    field = 1e-4 * np.random.default_rng(0).normal(size=(1, 4, 5, 2))
    z = np.asarray(standardized(normalization(field).astype(np.float32), normalization))
    expected = (field - normalization.mean) / normalization.std
    assert_allclose(z, expected, rtol=0, atol=20 * EPSILON * np.abs(expected).max())
    assert_allclose(normalized(z, normalization), normalization(field), rtol=0, atol=2e-5)


def test_block_means_weigh_rows_and_leave_out_those_of_weight_zero():
    field, weights = numbers(2, 6, 4, 1), np.abs(numbers(2, 6, seed=1))
    weights[:, 5] = 0
    weights[1, :2] = 0
    found = np.asarray(block_means(field, weights, 2))
    for batch, row, column in np.ndindex(2, 3, 2):
        block = field[batch, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2, 0].mean(axis=1)
        w = weights[batch, 2 * row : 2 * row + 2]
        expected = (w * block).sum() / w.sum() if w.sum() else 0.0
        assert_allclose(found[batch, row, column, 0], expected, rtol=0, atol=1e-6)


def physical_block_means(field, weights, factor):
    """In float64, written without any reshaping."""
    batch, rows, columns, channels = field.shape
    means = np.zeros((batch, rows // factor, columns // factor, channels))
    for b, i, j in np.ndindex(means.shape[:3]):
        block = field[b, i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
        w = weights[b, i * factor : (i + 1) * factor, None, None] / factor
        means[b, i, j] = (w * block).sum((0, 1)) / (w.sum() * factor)
    return means


@pytest.mark.parametrize("factor", [2, 3])
def test_block_means_are_the_coarse_field_in_physical_units(factor):
    rng = np.random.default_rng(0)
    normalization = made_normalization()
    low = rng.normal(0, 6e-5, (2, 4, 5, 2)) + 1e-5
    high = rng.normal(0, 3, (2, 4 * factor, 5 * factor, 2)).astype(np.float32)
    weights = np.cos(np.radians(np.linspace(88, 60, 2 * 4 * factor))).reshape(2, -1)
    projected = BlockMeanProjection(factor, normalization)(
        {"high": high, "low": normalization(low).astype(np.float32), "row_weights": weights}
    )
    physical = normalization.inverse(np.asarray(projected, np.float64))
    # A value of the logarithm log(1 + α|z|) is off by some ε, hence z by ε (1 + α|z|)/α.
    largest = np.abs(physical / normalization.std).max()
    error = 10 * EPSILON * (1 / normalization.alpha + largest) * normalization.std
    assert np.all(error < 1e-3 * normalization.std)
    difference = np.abs(physical_block_means(physical, weights, factor) - low)
    assert np.all(difference < error)
    # Within a block every point moved by the same amount.
    moved = physical - normalization.inverse(high.astype(np.float64))
    block = moved[:, :factor, :factor]
    assert np.all(np.abs(block - block[:, :1, :1]) < error * 2)
    assert np.all(np.abs(block) > 10 * error)


def test_what_has_the_right_means_stays_and_projecting_twice_changes_nothing():
    normalization = made_normalization()
    low, weights = numbers(1, 3, 3, 2), np.ones((1, 6), np.float32)
    project = BlockMeanProjection(2, normalization)
    once = project({"high": numbers(1, 6, 6, 2, seed=1), "low": low, "row_weights": weights})
    twice = project({"high": once, "low": low, "row_weights": weights})
    assert_allclose(twice, once, rtol=0, atol=1e-4)


def test_without_normalisation_the_means_are_those_of_the_normalised_field():
    low, high = numbers(1, 3, 3, 2), numbers(1, 6, 6, 2, seed=1)
    projected = BlockMeanProjection(2, None)(
        {"high": high, "low": low, "row_weights": np.ones((1, 6))}
    )
    means = np.asarray(projected).reshape(1, 3, 2, 3, 2, 2).mean((2, 4))
    assert_allclose(means, low, rtol=0, atol=1e-6)


def test_absurd_fields_stay_finite():
    inputs = {"high": np.full((1, 4, 4, 2), 1e4), "low": np.zeros((1, 2, 2, 2))}
    inputs["high"][0, 0, 0] = -1e4
    projected = BlockMeanProjection(2, made_normalization())(
        {**inputs, "row_weights": np.ones((1, 4))}
    )
    assert np.all(np.isfinite(projected))


def test_gradients_pass_but_not_along_the_mean_of_a_block():
    tf = pytest.importorskip("tensorflow")
    high = tf.Variable(numbers(1, 4, 4, 2))
    inputs = {"high": high, "low": numbers(1, 2, 2, 2, seed=1), "row_weights": np.ones((1, 4))}
    project = BlockMeanProjection(2, None)
    with tf.GradientTape() as tape:
        loss = ops.sum(project(inputs) ** 3)
    gradient = np.asarray(tape.gradient(loss, high))
    assert np.abs(gradient).min() > 0
    assert_allclose(gradient.reshape(1, 2, 2, 2, 2, 2).sum((2, 4)), 0, atol=1e-4)
    with tf.GradientTape() as tape:
        loss = ops.sum(BlockMeanProjection(2, made_normalization())(inputs) ** 3)
    gradient = np.asarray(tape.gradient(loss, high))
    assert np.all(np.isfinite(gradient))
    assert np.abs(gradient).max() > 0.1


def test_slopes_at_the_mean_are_right():
    """dz/dy = σ'/α and dy/dz = α/σ' where the field is the mean; both were 0 by sign and |z|."""
    import tensorflow as tf

    n = made_normalization()
    y = tf.zeros((1, 2, 2, 2)) - (n.log_mean / n.log_std).astype(np.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(y)
        z = standardized(y, n)
        again = normalized(z, n)
    assert_allclose(z, 0.0, atol=1e-7)
    slope = tape.gradient(z, y)
    assert_allclose(slope, np.broadcast_to(n.log_std / n.alpha, slope.shape), rtol=1e-5)
    assert_allclose(tape.gradient(again, y), 1.0, rtol=1e-5)
