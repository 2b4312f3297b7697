"""The gradient step under whichever backend of Keras runs this file; also run under JAX, by itself.

A network with batch normalisation learns to tell a sum, and a second one to tell its mistakes.
"""

import keras
import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.training.acceleration import training_copy
from atmodist.training.devices import Devices
from atmodist.training.gradient_step import (
    GradientLearner,
    GradientStep,
    global_norm,
    make_backend,
    scaling,
)
from atmodist.training.loop import is_finite
from tests.backends import needs, run_under

BACKEND = keras.backend.backend()
FLOAT16 = pytest.mark.skipif(BACKEND != "tensorflow", reason="mixed_float16 is TensorFlow's")


def convolutional(normalized=True):
    field = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(3, 3, kernel_regularizer=keras.regularizers.L2(0.1))(field)
    x = keras.layers.BatchNormalization(momentum=0.9)(x) if normalized else ops.tanh(x)
    return keras.Model(field, keras.layers.Dense(1)(keras.layers.Flatten()(x)))


class Regression(GradientLearner):
    """One network with its penalty, or two of which each has an aim of its own."""

    def __init__(self, *, normalized=True, ema=0.0, precision="float32", parts=1, judged=False):
        keras.utils.set_random_seed(0)
        network, judge = convolutional(normalized), convolutional(normalized)
        weights = np.random.default_rng(0)
        for weight in (*network.weights, *judge.weights):
            weight.assign(weight + 0.1 * weights.standard_normal(weight.shape))
        backend = make_backend(Devices(), precision=precision, parts=parts)
        trained = training_copy(network, precision=precision)
        self.networks = {"trained": trained, "judge": judge}
        self.moving = {}
        for name in self.networks if judged else ("trained",):
            optimizer = scaling(keras.optimizers.SGD(momentum=0.9), precision)
            optimizer.build(self.networks[name].trainable_variables)
            if precision == "mixed_float16":
                optimizer.dynamic_scale.assign(2.0**6)  # gradients of these losses are large
            self.moving[name] = optimizer
        columns = ("loss", "penalty", "mistake", "gradient_norm", "norm_of_judge")
        self.told_now = columns if judged else columns[:2] + columns[3:4]
        super().__init__(network, trained, backend, ema=ema, columns=columns)
        self._step = GradientStep(
            backend,
            self.judged if judged else self.alone,
            self.networks if judged else {"trained": trained},
            self.moving,
            norms={"trained": "gradient_norm", "judge": "norm_of_judge"},
            columns=columns,
        )

    @property
    def optimizers(self):
        return {f"{name}_optimizer": optimizer for name, optimizer in self.moving.items()}

    def groups(self):
        return {**super().groups(), **{name: self.networks[name].variables for name in self.moving}}

    @property
    def told(self):
        return self.told_now

    def alone(self, fields, sums):
        outputs = ops.cast(self.trained(fields, training=True), "float32")
        penalty = sum(self.trained.losses, ops.zeros(()))
        loss = ops.mean(ops.square(outputs - sums)) + penalty
        return {"trained": loss}, {"loss": loss, "penalty": penalty}

    def judged(self, fields, sums):
        aims, told = self.alone(fields, sums)
        error = ops.square(self.trained(fields, training=True) - sums)
        guess = self.networks["judge"](fields, training=True)
        mistake = ops.mean(ops.square(guess - error))
        return {**aims, "judge": mistake}, {**told, "mistake": mistake}

    def step(self, *batch, number, learning_rate=0.01):
        self.add(self._step(*batch, learning_rate))
        self.follow(number)


def batches(count, size=8):
    rng = np.random.default_rng(1)
    for _ in range(count):
        fields = rng.standard_normal((size, 4, 4, 2)).astype(np.float32) + 1.0
        yield fields, fields.sum(axis=(1, 2, 3), keepdims=False)[:, None] / 8


def take(learner, count=3, start=0, **options):
    for number, batch in enumerate(batches(start + count)):
        if number >= start:
            learner.step(*batch, number=number, **options)
    return learner


def test_a_step_goes_against_the_gradient():
    learner, step = Regression(normalized=False), 1e-3
    [batch] = batches(1)
    kernel = learner.trained.trainable_variables[0]
    before, found = ops.convert_to_numpy(kernel), []
    for shift in (step, -step):
        moved = before.copy()
        moved[1, 1, 1, 2] += shift
        kernel.assign(moved)
        found.append(float(learner.alone(*batch)[0]["trained"]))
    kernel.assign(before)
    learner.step(*batch, number=0, learning_rate=0.5)
    slope = (found[0] - found[1]) / (2 * step)
    change = (ops.convert_to_numpy(kernel) - before)[1, 1, 1, 2]
    assert abs(slope) > 0.1
    assert change == pytest.approx(-0.5 * slope, rel=1e-2)  # float32, divided by 2e-3


def test_each_network_follows_its_own_aim_alone():
    # The judge's aim depends on the trained network as well, and must not move it.
    alone, judged = take(Regression(normalized=False)), take(Regression(normalized=False, judged=1))
    for a, b in zip(alone.trained.get_weights(), judged.trained.get_weights(), strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    losses = judged.losses()
    assert losses["mistake"] > 0.1
    assert losses["norm_of_judge"] > 0.1
    later = take(judged, 20, start=3)
    later.reset()
    assert take(later).losses()["mistake"] < losses["mistake"]


def test_the_average_covers_weights_and_moving_statistics():
    learner = Regression(ema=0.3)
    expected = learner.trained.get_weights()
    for number, batch in enumerate(batches(6)):
        learner.step(*batch, number=number)
        d = min(0.3, (1 + number) / (10 + number))
        pairs = zip(expected, learner.trained.get_weights(), strict=True)
        expected = [d * e + (1 - d) * w for e, w in pairs]
    learner.synchronize()
    names = [weight.path.split("/")[-1] for weight in learner.network.weights]
    assert {"kernel", "gamma", "moving_mean", "moving_variance"} <= set(names)
    for average, e in zip(learner.network.get_weights(), expected, strict=True):
        assert_allclose(average, e, rtol=1e-5, atol=1e-6)
    latest = learner.trained.get_weights()
    assert any((a != b).any() for a, b in zip(latest, expected, strict=True))


def test_without_average_the_latest_weights_are_evaluated():
    learner = take(Regression())
    learner.synchronize()
    for a, b in zip(learner.network.get_weights(), learner.trained.get_weights(), strict=True):
        assert_array_equal(a, b)
    fields, _ = next(batches(1))
    assert_allclose(learner.predict(fields), learner.trained(fields), rtol=1e-5)


@pytest.mark.parametrize("options", [{"ema": 0.9}, {"judged": True}])
def test_a_restored_state_goes_on_the_same(options):
    whole, resumed = take(Regression(**options), 2), Regression(**options)
    resumed.restore({name: np.copy(array) for name, array in whole.state().items()})
    resumed.reset(whole.sums())
    for learner in (whole, resumed):
        take(learner, 2, start=2)
    assert whole.losses() == resumed.losses()
    for name, array in whole.state().items():
        assert_array_equal(array, resumed.state()[name], err_msg=name)


def test_the_state_of_another_learner_is_refused():
    with pytest.raises(ValueError, match="another network or optimiser; they differ in"):
        Regression(ema=0.9).restore(Regression().state())


def test_losses_are_means_over_steps_and_start_anew():
    learner, singles = Regression(), []
    for batch in batches(3):
        learner.reset()
        learner.step(*batch, number=0, learning_rate=1e-9)
        singles.append(learner.losses())
    learner.reset()
    for batch in batches(3):
        learner.step(*batch, number=0, learning_rate=1e-9)
    for name in ("loss", "penalty", "gradient_norm"):
        mean = np.mean([losses[name] for losses in singles])
        assert learner.losses()[name] == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize(
    ("sums", "losses"),
    [
        ([8.0, 4.0, 0.0, 6.0, 0.0, 2.0], {"loss": 4.0, "penalty": 2.0, "gradient_norm": 3.0}),
        ([8.0, 4.0, 0.0, 0.0, 2.0, 3.0, 1.0], {"loss": 4.0, "penalty": 2.0}),
    ],
)
def test_sums_of_older_checkpoints_are_gone_on_with(sums, losses):
    learner = Regression()
    learner.reset(sums)
    assert losses.items() <= learner.losses().items()
    assert len(learner.sums()) == 10


@pytest.mark.parametrize("options", [{}, {"judged": True}])
def test_a_batch_in_parts_makes_the_step_of_a_whole_one(options):
    whole = take(Regression(normalized=False, **options))
    parts = take(Regression(normalized=False, parts=4, **options))
    assert_allclose([*whole.losses().values()], [*parts.losses().values()], rtol=1e-4)
    for name, array in whole.state().items():
        assert_allclose(array, parts.state()[name], atol=1e-4, err_msg=name)


def test_statistics_move_once_for_each_part():
    parts, singles = Regression(parts=2), Regression()
    [(fields, sums)] = batches(1)
    parts.step(fields, sums, number=0, learning_rate=0.0)
    for k in (0, 4):
        singles.step(fields[k : k + 4], sums[k : k + 4], number=0, learning_rate=0.0)
    for a, b in zip(parts.trained.get_weights(), singles.trained.get_weights(), strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_norm_is_that_of_all_gradients_together():
    assert float(global_norm([np.array([3.0, 0.0]), np.array([[4.0]])])) == pytest.approx(5.0)


@pytest.mark.parametrize(
    "precision", ["mixed_bfloat16", pytest.param("mixed_float16", marks=FLOAT16)]
)
def test_sixteen_bits_are_for_training_alone(precision):
    full, short = take(Regression()), take(Regression(precision=precision))
    names = [layer.compute_dtype for layer in short.trained.layers if hasattr(layer, "gamma")]
    assert names == [precision.removeprefix("mixed_")]
    assert short.trained.layers[-1].compute_dtype == "float32"
    for model in (short.network, short.trained):
        assert {weight.dtype for weight in model.weights} == {"float32"}
    assert {layer.dtype_policy.name for layer in short.network.layers} == {"float32"}
    assert full.losses() != short.losses()
    # 8 bits behind the point of bfloat16, through three layers
    assert_allclose(short.losses()["loss"], full.losses()["loss"], rtol=2e-2)
    assert_allclose(short.losses()["gradient_norm"], full.losses()["gradient_norm"], rtol=5e-2)


@FLOAT16
def test_a_gradient_that_overflows_is_skipped_and_the_scale_falls():
    learner = take(Regression(precision="mixed_float16"), 1)
    before, losses = learner.state(), learner.losses()
    assert losses["gradient_norm"] > 0.1
    scale = learner.optimizers["trained_optimizer"].dynamic_scale
    scale.assign(2.0**40)
    take(learner, 1, start=1)
    assert float(scale) == 2.0**39
    told = learner.losses()
    assert is_finite(told)
    assert told["gradient_norm"] == losses["gradient_norm"]  # of the step that was taken
    assert told["loss"] != losses["loss"]  # the mean of both
    after = learner.state()
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert "trained/0000" in before
    assert not {name for name in changed if name.startswith("trained/")}
    other = Regression(precision="mixed_float16")
    other.restore(after)
    assert float(other.optimizers["trained_optimizer"].dynamic_scale) == 2.0**39


@FLOAT16
def test_an_epoch_of_skipped_steps_has_a_loss():
    # A schedule that waits for smaller losses would take zero for the best one there can be.
    learner = Regression(precision="mixed_float16")
    learner.optimizers["trained_optimizer"].dynamic_scale.assign(2.0**60)
    losses = take(learner, 1).losses()
    assert losses["loss"] > 0.1
    assert losses["gradient_norm"] == 0.0


@FLOAT16
def test_divergence_is_told_where_overflows_are_skipped():
    learner = Regression(precision="mixed_float16")
    [(fields, sums)] = batches(1)
    learner.step(np.nan * fields, sums, number=0)
    assert not is_finite(learner.losses())
    learner.reset()
    assert is_finite(learner.losses())
    learner.optimizers["trained_optimizer"].dynamic_scale.assign(
        2.0**-15
    )  # after very many skipped steps
    assert not is_finite(learner.losses())


@pytest.mark.skipif(BACKEND != "jax", reason="JAX refuses what TensorFlow takes")
def test_what_jax_cannot_do_is_refused():
    with pytest.raises(
        ValueError, match="mixed_float16 is for KERAS_BACKEND=tensorflow; under jax"
    ):
        make_backend(Devices(), precision="mixed_float16")
    for name in ("machine", "cluster"):
        with pytest.raises(ValueError, match=f"devices={name} is for KERAS_BACKEND=tensorflow"):
            Devices.of(name)
    assert Devices.of("one").num_replicas == 1


THIS_FILE = """
import sys
import keras
import pytest
assert keras.backend.backend() == "jax"
sys.stdout = sys.stderr
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", sys.argv[1]]))
"""


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="it is running now")
def test_all_of_this_holds_under_jax():
    needs("jax")
    run_under("jax", THIS_FILE, __file__)
