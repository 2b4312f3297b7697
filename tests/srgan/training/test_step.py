import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from atmodist.training.phases import Phase
from srgan.losses.adversarial import discriminator_loss, generator_loss
from srgan.losses.combination import make_content_loss
from srgan.losses.consistency import ConsistencyPenalty
from srgan.networks.discriminator import discriminator
from srgan.networks.generator import generator
from srgan.training.configuration import GeneratorTrainingConfig
from srgan.training.losses import ADVERSARIAL, PRETRAINING, Losses
from srgan.training.step import GeneratorTraining
from tests.training.cluster import finish, start

NETWORK = {"filters": 4, "blocks": 1}
CONVOLUTIONS = 6  # of that generator: stem, two of a block, middle, upsampling, high
QUIET = (0.0, 10.0)  # no extra steps


def phase(name, first_step=0):
    return Phase(name=name, epochs=1, steps_per_epoch=9, first_step=first_step)


def training(name=ADVERSARIAL, content="mse", penalty=None, devices=None, **options):
    keras.utils.set_random_seed(3)
    options = {"records": "made-up", "batch_size": 4, "balance": QUIET, **options}
    config = GeneratorTrainingConfig(**options).resolved()
    terms = make_content_loss(content)
    losses = Losses(pretraining=make_content_loss("mse"), content=terms, penalty=penalty)
    made = GeneratorTraining(
        generator(2, 2, **NETWORK),
        discriminator(2),
        losses,
        config,
        devices=devices,
    )
    made.begin(phase(name))
    made.reset()
    return made


def batch(size=4, extent=8, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.standard_normal((size, extent, extent, 2)).astype(np.float32)
    high = rng.standard_normal((size, 2 * extent, 2 * extent, 2)).astype(np.float32)
    weights = np.ones((size, 2 * extent), np.float32)
    inputs, targets = {"low": low}, {"high": high, "row_weights": weights}
    return tf.nest.map_structure(tf.constant, (inputs, targets))


def take(made, steps=3, rate=1e-3):
    for number in range(steps):
        made.step(*batch(seed=number), number=number, learning_rate=rate)


def operations(step):
    """Counts convolutions, and their gradients, that the outputs and the weights depend on."""
    graph = tf.function(step.take).get_concrete_function(*batch()).graph
    counts = {"Conv2D": 0, "Conv2DBackpropInput": 0, "Conv2DBackpropFilter": 0}
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    seen = set()
    while waiting:
        operation = waiting.pop()
        if operation in seen:
            continue
        seen.add(operation)
        if operation.type in counts:
            counts[operation.type] += 1
        waiting += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
    return tuple(counts.values())


def test_an_adversarial_step_runs_each_network_once_over_each_field():
    made = training()
    forward, to_inputs, to_kernels = operations(made._adversarial)
    assert forward == CONVOLUTIONS + 8 + 8  # generator, discriminator on true and on generated
    # The generator learns through all 8 of the discriminator; both kinds reach its second layer.
    assert to_inputs == (CONVOLUTIONS - 1) + 8 + 7 + 7
    assert to_kernels == CONVOLUTIONS + 8 + 8


def test_an_extra_step_and_pretraining_compute_only_their_own_part():
    made = training()
    generator_alone = (CONVOLUTIONS + 8, CONVOLUTIONS - 1 + 8, CONVOLUTIONS)
    assert operations(made._again["generator"]) == generator_alone
    discriminator_alone = (CONVOLUTIONS + 16, 7 + 7, 16)
    assert operations(made._again["discriminator"]) == discriminator_alone
    made = training(PRETRAINING)
    only = (CONVOLUTIONS, CONVOLUTIONS - 1, CONVOLUTIONS)
    assert operations(made._pretraining) == only


def test_gradients_of_the_fused_step_are_those_of_two_separate_ones():
    made = training(adversarial_weight=0.5)
    inputs, targets = batch()
    networks = {"generator": made.trained, "discriminator": made.discriminator}
    found, told = made.backend.gradients(
        made._adversarial_objective, networks, tuple(networks), (inputs, targets)
    )
    gradients = [*found["generator"], *found["discriminator"]]
    variables = made.trained.trainable_variables
    adversary = made.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        generated = made.trained(inputs)
        content = tf.reduce_mean((generated - targets["high"]) ** 2)
        opinion = generator_loss(made.discriminator(generated))
        total = content + 0.5 * opinion
    expected = tape.gradient(total, [variable.value for variable in variables])
    constant = tf.constant(generated.numpy())
    with tf.GradientTape() as tape:
        logits = made.discriminator(targets["high"]), made.discriminator(constant)
        loss = discriminator_loss(*logits)
    expected += tape.gradient(loss, [variable.value for variable in adversary])
    assert len(gradients) == len(expected)
    for found, wanted in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6, rtol=1e-4)
    expected = {"loss": total, "mse": content, "adversarial_loss": opinion}
    for name, value in {**expected, "discriminator_loss": loss}.items():
        np.testing.assert_allclose(told[name], value, rtol=1e-5)


@pytest.mark.parametrize("name", [PRETRAINING, ADVERSARIAL])
def test_a_batch_in_parts_makes_the_step_of_the_whole(name):
    penalty = ConsistencyPenalty(factor=2, normalization=None)
    whole, parts = training(name, penalty=penalty), training(name, penalty=penalty, accumulation=2)
    for made in (whole, parts):
        take(made)
    assert whole.losses().keys() == parts.losses().keys()
    np.testing.assert_allclose([*parts.losses().values()], [*whole.losses().values()], rtol=1e-3)
    for key, value in whole.state().items():
        np.testing.assert_allclose(parts.state()[key], value, atol=2e-4, err_msg=key)


@pytest.mark.parametrize(
    ("balance", "expected"), [((5.0, 9.0), (1, 0)), ((0.0, 0.1), (0, 1)), (QUIET, (0, 0))]
)
def test_whoever_falls_behind_takes_another_step(balance, expected):
    plain, made = training(), training(balance=balance)
    take(plain, 1)
    take(made, 1)
    losses = made.losses()
    extra = losses["extra_generator_steps"], losses["extra_discriminator_steps"]
    assert extra == expected
    for network, moved in zip(("trained", "discriminator"), expected, strict=True):
        pairs = zip(getattr(plain, network).weights, getattr(made, network).weights, strict=True)
        changed = any(np.any(a.numpy() != b.numpy()) for a, b in pairs)
        assert changed == bool(moved)


def test_pretraining_leaves_the_discriminator_alone_and_tells_nothing_of_it():
    made = training(PRETRAINING)
    before = made.discriminator.get_weights()
    take(made)
    for old, new in zip(before, made.discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert set(made.losses()) == {"loss", "mse", "gradient_norm"}
    assert not [name for name in made.state() if name.startswith("discriminator")]


def test_without_average_the_trained_network_is_evaluated():
    made = training(PRETRAINING, ema=0.0)
    take(made)
    made.synchronize()
    inputs, _ = batch()
    np.testing.assert_allclose(made.predict(inputs), made.trained(inputs), atol=1e-6)


def test_the_adversarial_phase_begins_with_the_average_of_the_first():
    made = training(PRETRAINING, ema=0.9)
    take(made)
    average = made.network.get_weights()
    assert any(np.any(a != b) for a, b in zip(average, made.trained.get_weights(), strict=True))
    made.begin(phase(ADVERSARIAL, first_step=3))
    for old, new in zip(average, made.trained.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("ema", "first_step", "number", "momentum"),
    [
        (0.999, 0, 0, 1 / 10),
        (0.999, 6, 10, 5 / 14),  # counted within the phase
        (0.999, 0, 10**5, 0.999),
        (0.2, 0, 3, 0.2),
    ],
)
def test_the_average_moves_by_its_formula(ema, first_step, number, momentum):
    made = training(PRETRAINING, ema=ema)
    made.begin(phase(PRETRAINING, first_step))
    before = made.network.get_weights()
    made.step(*batch(), number=number, learning_rate=0.05)
    after, trained = made.network.get_weights(), made.trained.get_weights()
    for old, new, found in zip(before, trained, after, strict=True):
        np.testing.assert_allclose(found, momentum * old + (1 - momentum) * new, atol=1e-6)
    assert np.abs(trained[0] - before[0]).max() > 0.04  # so that a wrong share would show


@pytest.mark.parametrize("name", [PRETRAINING, ADVERSARIAL])
def test_a_restored_training_takes_the_same_steps(name):
    made, other = training(name, ema=0.9), training(name, ema=0.9)
    take(made, 2)
    other.restore(made.state())
    other.reset(made.sums())
    for each in (made, other):
        each.step(*batch(seed=5), number=2, learning_rate=1e-3)
    assert made.losses() == other.losses()
    for key, value in made.state().items():
        np.testing.assert_array_equal(other.state()[key], value)


def test_the_end_of_pretraining_is_a_start_for_the_adversarial_phase():
    made, other = training(PRETRAINING, ema=0.9), training(ADVERSARIAL, ema=0.9)
    take(made, 2)
    other.restore(made.state())
    made.begin(phase(ADVERSARIAL))
    for key, value in made.state().items():
        np.testing.assert_array_equal(other.state()[key], value)
    with pytest.raises(ValueError, match="of another network or optimiser; they differ in"):
        other.restore({key: value for key, value in made.state().items() if key != "trained/0000"})


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", [PRETRAINING, ADVERSARIAL])
def test_sixteen_bits_make_nearly_the_same_step(name, precision):
    whole, half = training(name), training(name, precision=precision)
    assert half.trained.get_layer("stem_conv").compute_dtype == precision.removeprefix("mixed_")
    assert half.network.get_layer("stem_conv").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    for made in (whole, half):
        take(made, 2)
    names = [key for key in whole.losses() if "recognised" not in key]  # these are whole numbers
    found, expected = ([made.losses()[key] for key in names] for made in (half, whole))
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_parts_of_the_content_are_told_without_their_weights():
    made = training(content="mse=2,mae=3", adversarial_weight=0.0)
    take(made, 1)
    losses = made.losses()
    assert losses["loss"] == pytest.approx(2 * losses["mse"] + 3 * losses["mae"], rel=1e-5)
    assert dataclasses.asdict(made._losses)["penalty"] is None


MIRRORED = """
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from atmodist.training.devices import Devices
from srgan.losses.consistency import ConsistencyPenalty
from srgan.training.step import ADVERSARIAL, PRETRAINING
from tests.srgan.training.test_step import QUIET, batch, take, training

two = Devices(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
penalty = ConsistencyPenalty(factor=2, normalization=None)
for name, balance, accumulation in (
    (PRETRAINING, QUIET, 1),
    (ADVERSARIAL, (5.0, 9.0), 2),  # the generator takes extra steps
    (ADVERSARIAL, (0.0, 0.1), 1),  # the discriminator does
):
    options = {"penalty": penalty, "balance": balance, "ema": 0.9, "adversarial_weight": 0.5}
    one = training(name, **options)
    both = training(name, devices=two, accumulation=accumulation, **options)
    for made in (one, both):
        take(made, 2)
    for network in (both.trained, both.discriminator):
        for variable in network.variables:
            first, second = [copy.numpy() for copy in both.backend.copies(variable)]
            np.testing.assert_array_equal(first, second)
    assert one.losses().keys() == both.losses().keys()
    np.testing.assert_allclose([*both.losses().values()], [*one.losses().values()], rtol=1e-3)
    # Adam makes steps of 1e-3 of gradients that are zero but for rounding, so weights may differ
    # by a part of that; its means of gradients, and most weights, may not.
    found, expected = both.state(), one.state()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=2e-4, err_msg=f"{name} {key}")
    np.testing.assert_allclose(both.predict(batch()[0]), one.predict(batch()[0]), atol=1e-3)
"""


@pytest.mark.slow
def test_two_devices_make_the_steps_of_one():
    [(status, _, stderr)] = finish([start(MIRRORED)])
    assert status == 0, stderr
