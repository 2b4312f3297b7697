import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.optimization import Optimization, make_optimizer
from atmodist.pretext.tasks.temporal_distance import TemporalDistance
from atmodist.training.loop import is_finite

SGD = {"optimizer": "sgd", "learning_rate": 0.1}


def config(**options):
    return TrainingConfig(records="pairs", architecture="resnet-tiny", **options).resolved()


def optimize(settings, **options):
    task = TemporalDistance(settings, (4, 4, 2), 3)
    return Optimization(small_network(), task, settings, **options)


def small_network():
    keras.utils.set_random_seed(0)
    pair = keras.Input((2, 4, 4, 2))
    x = keras.layers.Reshape((4, 4, 4))(pair)
    x = keras.layers.BatchNormalization(momentum=0.9)(keras.layers.Conv2D(3, 3)(x))
    return keras.Model(pair, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def batches(count):
    rng = np.random.default_rng(1)
    for _ in range(count):
        yield (
            rng.standard_normal((8, 2, 4, 4, 2)).astype(np.float32) + 1.0,
            rng.integers(0, 3, 8).astype(np.int32),
        )


def test_the_average_covers_weights_and_moving_statistics():
    optimization = optimize(config(ema=0.9))
    expected = [np.array(w) for w in optimization.trained.get_weights()]
    for number, (pairs, labels) in enumerate(batches(4)):
        optimization.step(pairs, labels, number=number, learning_rate=0.1)
        d = min(0.9, (1 + number) / (10 + number))
        weights = optimization.trained.get_weights()
        expected = [d * e + (1 - d) * w for e, w in zip(expected, weights, strict=True)]
    optimization.synchronize()
    names = [weight.path.split("/")[-1] for weight in optimization.network.weights]
    assert {"kernel", "gamma", "moving_mean", "moving_variance"} <= set(names)
    for average, e in zip(optimization.network.get_weights(), expected, strict=True):
        assert_allclose(average, e, rtol=1e-5, atol=1e-6)
    latest = optimization.trained.get_weights()
    assert any((a != b).any() for a, b in zip(latest, expected, strict=True))


def test_without_average_the_latest_weights_are_evaluated():
    optimization = optimize(config(ema=0.0))
    for number, (pairs, labels) in enumerate(batches(2)):
        optimization.step(pairs, labels, number=number, learning_rate=0.1)
    optimization.synchronize()
    for a, b in zip(
        optimization.network.get_weights(), optimization.trained.get_weights(), strict=True
    ):
        assert_array_equal(a, b)


@pytest.mark.parametrize("options", [{"ema": 0.9}, {"ema": 0.0, **SGD}])
def test_a_restored_state_goes_on_the_same(options):
    whole, data = optimize(config(**options)), list(batches(4))
    for number in range(2):
        whole.step(*data[number], number=number, learning_rate=0.1)
    resumed = optimize(config(**options))
    resumed.restore({name: np.copy(array) for name, array in whole.state().items()})
    for number in range(2, 4):
        for optimization in (whole, resumed):
            optimization.step(*data[number], number=number, learning_rate=0.1)
    for name, array in whole.state().items():
        assert_array_equal(array, resumed.state()[name], err_msg=name)


def test_the_state_of_another_optimiser_is_refused():
    sgd = optimize(config(**SGD))
    adamw = optimize(config(optimizer="adamw"))
    with pytest.raises(ValueError, match="another network or optimiser"):
        adamw.restore(sgd.state())


def test_losses_are_means_over_steps_and_start_anew():
    optimization = optimize(config(ema=0.0, **SGD))
    singles = []
    for pairs, labels in batches(3):
        optimization.reset()
        optimization.step(pairs, labels, number=0, learning_rate=1e-9)
        singles.append(optimization.losses()["loss"])
    optimization.reset()
    for pairs, labels in batches(3):
        optimization.step(pairs, labels, number=0, learning_rate=1e-9)
    assert optimization.losses()["loss"] == pytest.approx(np.mean(singles), rel=1e-5)


def test_sgd_clips_each_variable_by_itself():
    optimizer = make_optimizer(config(**SGD))
    assert (optimizer.clipnorm, optimizer.global_clipnorm) == (5.0, None)
    variables = [keras.Variable(np.zeros(2)), keras.Variable(np.zeros(2))]
    optimizer.build(variables)
    optimizer.learning_rate = 1.0
    optimizer.apply([np.array([30.0, 40.0]), np.array([0.3, 0.4])], variables)
    assert_allclose(variables[0], [-3.0, -4.0], rtol=1e-6)
    assert_allclose(variables[1], [-0.3, -0.4], rtol=1e-6)  # a common factor would shrink it


def test_weights_decay_but_biases_and_scales_do_not():
    optimization = optimize(config(ema=0.0))
    uses = {
        v.path.split("/")[-1]: optimization.optimizer._use_weight_decay(v)
        for v in optimization.trained.trainable_variables
    }
    assert uses == {"kernel": True, "bias": False, "gamma": False, "beta": False}


def without_batch_statistics():
    keras.utils.set_random_seed(0)
    pair = keras.Input((2, 4, 4, 2))
    x = keras.layers.Conv2D(3, 3, activation="tanh")(keras.layers.Reshape((4, 4, 4))(pair))
    return keras.Model(pair, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


@pytest.mark.parametrize("options", [{}, {**SGD, "ema": 0.0}, {"precision": "mixed_float16"}])
def test_a_batch_in_parts_makes_the_step_of_a_whole_one(options):
    whole, parts = (
        Optimization(without_batch_statistics(), TemporalDistance(settings, (4, 4, 2), 3), settings)
        for settings in (config(batch_size=8, accumulation=n, **options) for n in (1, 4))
    )
    for number, (pairs, labels) in enumerate(batches(3)):
        for optimization in (whole, parts):
            optimization.step(pairs, labels, number=number, learning_rate=0.1)
    rounding = 1e-2 if "precision" in options else 1e-4
    losses = [list(optimization.losses().values()) for optimization in (whole, parts)]
    assert_allclose(losses[0], losses[1], rtol=rounding)
    for a, b in zip(whole.trained.get_weights(), parts.trained.get_weights(), strict=True):
        assert_allclose(a, b, atol=rounding)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_sixteen_bits_are_for_training_alone(precision):
    full, short = optimize(config()), optimize(config(precision=precision))
    names = [layer.compute_dtype for layer in short.trained.layers if hasattr(layer, "gamma")]
    assert names == [precision.removeprefix("mixed_")]
    assert short.trained.layers[-1].compute_dtype == "float32"  # logits
    for model in (short.network, short.trained):
        assert {weight.dtype for weight in model.weights} == {"float32"}
    assert {layer.dtype_policy.name for layer in short.network.layers} == {"float32"}
    for number, (pairs, labels) in enumerate(batches(3)):
        for optimization in (full, short):
            optimization.step(pairs, labels, number=number, learning_rate=0.01)
    assert full.losses() != short.losses()
    # 8 bits behind the point of bfloat16, through three layers
    assert_allclose(short.losses()["loss"], full.losses()["loss"], rtol=2e-2)
    assert_allclose(short.losses()["gradient_norm"], full.losses()["gradient_norm"], rtol=5e-2)


def test_a_gradient_that_overflows_is_skipped_and_the_scale_falls():
    optimization = optimize(config(precision="mixed_float16"))
    [(pairs, labels), (more, answers)] = batches(2)
    optimization.step(pairs, labels, number=0, learning_rate=0.01)
    before, losses = optimization.state(), optimization.losses()
    scale = optimization.optimizer.dynamic_scale
    scale.assign(2.0**40)
    optimization.step(more, answers, number=1, learning_rate=0.01)
    assert float(scale) == 2.0**39
    told = optimization.losses()
    assert is_finite(told)
    assert told["gradient_norm"] == losses["gradient_norm"]  # of the step that was taken
    assert told["loss"] != losses["loss"]  # the mean of both
    after = optimization.state()
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert not {name for name in changed if name.startswith("trained")}
    other = optimize(config(precision="mixed_float16"))
    other.restore(after)
    assert float(other.optimizer.dynamic_scale) == 2.0**39


def test_an_epoch_of_skipped_steps_has_a_loss():
    # A schedule that waits for smaller losses would take zero for the best one there can be.
    optimization = optimize(config(precision="mixed_float16"))
    optimization.optimizer.dynamic_scale.assign(2.0**60)
    [(pairs, labels)] = batches(1)
    optimization.step(pairs, labels, number=0, learning_rate=0.01)
    losses = optimization.losses()
    assert losses["loss"] > 0.1
    assert losses["gradient_norm"] == 0.0


def test_divergence_is_told_where_overflows_are_skipped():
    optimization = optimize(config(precision="mixed_float16"))
    [(pairs, labels)] = batches(1)
    optimization.step(np.nan * pairs, labels, number=0, learning_rate=0.01)
    assert not is_finite(optimization.losses())
    optimization.reset()
    assert is_finite(optimization.losses())
    optimization.optimizer.dynamic_scale.assign(2.0**-15)  # after very many skipped steps
    assert not is_finite(optimization.losses())


def test_means_go_on_with_their_sums():
    optimization, other = optimize(config()), optimize(config())
    for number, (pairs, labels) in enumerate(batches(2)):
        optimization.step(pairs, labels, number=number, learning_rate=0.01)
    other.reset(optimization.sums())
    assert other.losses() == optimization.losses()


def test_parts_must_be_equal():
    with pytest.raises(ValueError, match=r"`batch_size` must be a multiple of `accumulation`"):
        config(batch_size=8, accumulation=3)
