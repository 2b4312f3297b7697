import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.optimization import Optimization, make_optimizer
from atmodist.pretext.tasks.temporal_distance import TemporalDistance
from atmodist.training.gradient_step import is_scaled

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


def test_settings_reach_the_step():
    made = optimize(config(precision="mixed_float16", ema=0.5, batch_size=8, accumulation=2))
    assert made.ema == 0.5
    assert {layer.compute_dtype for layer in made.trained.layers[2:4]} == {"float16"}
    assert is_scaled(made.optimizer)
    [(pairs, labels)] = batches(1)
    made.step(pairs, labels, number=0, learning_rate=0.01)
    assert set(made.losses()) == {"loss", "penalty", "accuracy", "gradient_norm"}


def test_parts_must_be_equal():
    with pytest.raises(ValueError, match=r"`batch_size` must be a multiple of `accumulation`"):
        config(batch_size=8, accumulation=3)
