import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.pretext.architectures import resnet_tiny
from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.optimization import make_optimizer
from atmodist.pretext.ordinal import CumulativeLink
from atmodist.pretext.pair_model import encoder_of, pretext_model
from atmodist.pretext.training import train
from atmodist.training.saving import load_network, save_network
from tests.pretext.sources import MICRO, array_source


def link(num_classes=5, seed=0):
    """With thresholds that are not those of a fresh layer."""
    layer = CumulativeLink(num_classes)
    layer.build((None, 1))
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(weight + rng.standard_normal(weight.shape))
    return layer


def column(*scores):
    return np.array(scores, np.float32)[:, None]


@pytest.mark.parametrize("num_classes", [2, 3, 8])
def test_probabilities_are_differences_of_the_logistic_function(num_classes):
    layer, scores = link(num_classes), column(-3.0, -0.2, 0.0, 1.5)
    thresholds = np.asarray(layer.thresholds(), np.float64)
    assert (np.diff(thresholds) > 0).all()
    cut = 1 / (1 + np.exp(-(thresholds - scores)))
    cumulative = np.pad(cut, ((0, 0), (1, 1)), constant_values=((0, 0), (0.0, 1.0)))
    # float32: differences of numbers below one, to a few roundings
    assert_allclose(np.exp(layer(scores)), np.diff(cumulative, axis=1), rtol=1e-5, atol=1e-6)


def test_probabilities_sum_to_one_however_far_the_score_is():
    log_probability = np.asarray(link()(column(-1e4, -50.0, 0.0, 50.0, 1e4)), np.float64)
    assert np.isfinite(log_probability).all()
    assert_allclose(np.exp(log_probability).sum(axis=1), 1.0, rtol=1e-5)
    # so that their softmax changes nothing
    assert_allclose(keras.ops.softmax(log_probability), np.exp(log_probability), atol=1e-6)


def test_a_fresh_layer_finds_all_classes_equally_likely():
    layer = CumulativeLink(6)
    assert_allclose(np.exp(layer(column(0.0))), np.full((1, 6), 1 / 6), rtol=1e-5)


def test_a_larger_score_never_makes_an_earlier_label_likelier():
    scores = np.linspace(-9, 9, 91, dtype=np.float32)[:, None]
    cumulative = np.exp(link()(scores)).cumsum(axis=1)[:, :-1]
    assert (np.diff(cumulative, axis=0) < 1e-6).all()
    guesses = np.asarray(link()(scores)).argmax(axis=1)
    assert (np.diff(guesses) >= 0).all()
    assert set(guesses) == set(range(5)) or len(set(guesses)) > 2


@pytest.mark.parametrize("score", [-1e6, -100.0, 0.0, 100.0, 1e6])
@pytest.mark.parametrize("raw_gap", [-200.0, 0.0, 200.0])
def test_gradients_are_finite_at_extremes(score, raw_gap):
    layer = link()
    layer.threshold_gaps.assign(np.full(3, raw_gap, np.float32))
    scores = tf.constant(column(score))
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = -tf.reduce_sum(layer(scores))
    variables = [weight.value for weight in layer.weights]
    for gradient in tape.gradient(loss, [scores, *variables]):
        assert np.isfinite(gradient).all()


def test_thresholds_do_not_decay():
    settings = TrainingConfig(records="pairs", architecture="resnet-tiny").resolved()
    optimizer = make_optimizer(settings)
    layer = link()
    optimizer.build(layer.trainable_variables)
    assert not any(optimizer._use_weight_decay(weight) for weight in layer.trainable_variables)


def test_a_saved_ordinal_model_loads_in_safe_mode(tmp_path):
    model = pretext_model("resnet-tiny", (32, 32, 2), 5, "ordinal")
    save_network(model, tmp_path / "pretext.keras")
    again = load_network(tmp_path / "pretext.keras")
    pairs = np.random.default_rng(0).standard_normal((3, 2, 32, 32, 2)).astype(np.float32)
    assert_array_equal(model(pairs), again(pairs))
    assert model.output.shape == (None, 5)


def test_both_heads_share_everything_below():
    classes = pretext_model("resnet-tiny", (32, 32, 2), 5)
    ordinal = pretext_model("resnet-tiny", (32, 32, 2), 5, "ordinal")
    assert encoder_of(classes).count_params() == encoder_of(ordinal).count_params()
    # five logits with bias against one score, a threshold and three gaps
    assert classes.count_params() - ordinal.count_params() == (128 + 1) * 5 - 128 - 4


def test_an_ordinal_head_learns(monkeypatch, tmp_path):
    monkeypatch.setattr(resnet_tiny, "ARCHITECTURE", MICRO)
    options = {"schedule": "constant", "learning_rate": 2e-2, "ema": 0.9, "rise_steps": 4}
    config = TrainingConfig(
        records="made-up",
        output=tmp_path,
        architecture="resnet-tiny",
        head="ordinal",
        batch_size=32,
        epochs=8,
        **options,
    )
    result = train(config, array_source(num_train=512))
    assert result.best["accuracy"] > 0.4  # chance is 0.25
    assert result.best["loss"] < np.log(4) - 0.1


@pytest.mark.parametrize("num_classes", [1, 2.0, None])
def test_the_number_of_classes_is_checked(num_classes):
    with pytest.raises(ValueError, match="`num_classes` must be an integer above 1"):
        CumulativeLink(num_classes)


def test_more_than_one_score_is_refused():
    with pytest.raises(ValueError, match=r"expected one score per sample, \(batch, 1\)"):
        CumulativeLink(3)(np.zeros((2, 2), np.float32))


def test_an_unknown_head_is_refused():
    with pytest.raises(ValueError, match="`head` must be one of classes, ordinal; got 'cardinal'"):
        pretext_model("resnet-tiny", (32, 32, 2), 4, "cardinal")
    with pytest.raises(ValueError, match="`head` must be one of classes, ordinal"):
        TrainingConfig(records="pairs", head="cardinal")
