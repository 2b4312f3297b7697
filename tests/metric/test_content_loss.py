import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist import ContentLoss
from atmodist.files.outputs import write_json
from atmodist.training.saving import save_network
from tests.backends import needs
from tests.metric.encoders import made_encoder, made_normalization


@pytest.fixture(scope="module")
def encoder():
    return made_encoder()


def patches(number=2, size=32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, number, size, size, 2)).astype(np.float32)


def written_out(encoder, a, b, stage):
    f, g = (encoder(x, training=False)[stage] for x in (a, b))
    return np.mean((np.asarray(f, np.float64) - np.asarray(g)) ** 2, axis=(1, 2, 3))


def test_the_loss_is_the_formula_written_out(encoder):
    a, b = patches(size=64)
    loss = ContentLoss(
        encoder, {"stage1": 0.5, "stage2": 2.0}, scales={"stage2": 0.3}, pixel_weight=0.7
    )
    expected = 0.5 * written_out(encoder, a, b, "stage1")
    expected += 2.0 * 0.3 * written_out(encoder, a, b, "stage2")
    expected += 0.7 * ((a - b).astype(np.float64) ** 2).mean(axis=(1, 2, 3))
    assert_allclose(loss.call(a, b), expected, rtol=1e-5)
    assert_allclose(loss(a, b), expected.mean(), rtol=1e-5)
    assert_allclose(loss(a, b, sample_weight=np.array([1.0, 0.0])), expected[0] / 2, rtol=1e-5)


def test_equal_fields_cost_nothing_and_patches_may_have_another_size(encoder):
    a, b = patches(size=32)  # the encoder was built for 64
    loss = ContentLoss(encoder)
    assert float(loss(a, a)) == 0
    assert float(loss(a, b)) > 0
    assert loss.stages == {"stage2": 1.0}


def test_physical_inputs_are_normalised_first(encoder):
    normalization = made_normalization()
    a, b = 3e-5 * patches(seed=1)
    physical = ContentLoss(
        encoder, inputs="physical", normalization=normalization, pixel_weight=1.0
    )
    normalized = ContentLoss(encoder, pixel_weight=1.0)
    assert_allclose(physical(a, b), normalized(normalization(a), normalization(b)), rtol=1e-5)


def generator():
    inputs = keras.Input((32, 32, 2))
    return keras.Model(inputs, keras.layers.Conv2D(2, 3, padding="same")(inputs))


def test_training_another_network_moves_it_and_not_the_encoder(encoder):
    before = [np.array(w) for w in encoder.get_weights()]
    trained = generator()
    loss = ContentLoss(encoder, pixel_weight=0.1)
    own = loss._encoder.get_weights()
    start = trained.get_weights()
    trained.compile(optimizer="adam", loss=loss)
    a, b = patches(4)
    history = trained.fit(a, b, epochs=3, batch_size=2, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert not np.array_equal(start[0], trained.get_weights()[0])
    # Moving statistics of batch normalisation are weights too.
    for expected, found in zip(before, encoder.get_weights(), strict=True):
        assert_array_equal(found, expected)
    for expected, found in zip(own, loss._encoder.get_weights(), strict=True):
        assert_array_equal(found, expected)
    assert not any("encoder" in weight.path for weight in trained.trainable_weights)
    assert len(trained.trainable_weights) == 2


def test_the_loss_of_a_sample_does_not_depend_on_its_batch(encoder):
    a, b = patches(4)
    loss = ContentLoss(encoder)
    together = loss.call(a, b)
    alone = [float(loss.call(a[i : i + 1], b[i : i + 1])[0]) for i in range(4)]
    assert_allclose(together, alone, rtol=1e-5)


def test_later_training_of_the_encoder_changes_nothing():
    encoder = made_encoder()
    loss = ContentLoss(encoder)
    a, b = patches()
    before = float(loss(a, b))
    encoder.set_weights([0 * w for w in encoder.get_weights()])
    assert float(loss(a, b)) == before


def test_its_identity_changes_with_what_changes_numbers_and_survives_saving(encoder):
    loss = ContentLoss(encoder, scales={"stage2": 0.3})
    assert ContentLoss.from_config(loss.get_config()).identity == loss.identity
    others = [
        ContentLoss(encoder),
        ContentLoss(encoder, "stage1"),
        ContentLoss(made_encoder(seed=1)),
    ]
    assert len({loss.identity, *(other.identity for other in others)}) == 4


def test_its_identity_tells_normalisations_apart_where_they_are_applied(encoder):
    ours, theirs = made_normalization(), dataclasses.replace(made_normalization(), alpha=0.3)
    physical = [
        ContentLoss(encoder, inputs="physical", normalization=n).identity for n in (ours, theirs)
    ]
    assert physical[0] != physical[1]
    normalized = [ContentLoss(encoder, normalization=n).identity for n in (None, ours, theirs)]
    assert len(set(normalized)) == 1


def test_it_is_saved_with_what_it_trains_and_loads_in_safe_mode(tmp_path, encoder):
    a, b = patches()
    loss = ContentLoss(
        encoder,
        {"stage1": 0.5},
        scales={"stage1": 2.0},
        pixel_weight=0.25,
        inputs="physical",
        normalization=made_normalization(),
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(again(a, b)) == float(loss(a, b))
    for name in ("stages", "scales", "pixel_weight", "inputs", "normalization", "reduction"):
        assert again.get_config()[name] == loss.get_config()[name]
    trained = generator()
    trained.compile(optimizer="adam", loss=loss)
    trained.save(tmp_path / "generator.keras")
    loaded = keras.saving.load_model(tmp_path / "generator.keras", safe_mode=True)
    assert float(loaded.loss(a, b)) == float(loss(a, b))


def test_the_loss_of_a_package_has_its_normalisation(tmp_path, encoder):
    save_network(encoder, tmp_path / "encoder.keras")
    made_normalization().save(tmp_path / "normalization.json")
    write_json(tmp_path / "manifest.json", {"command": "rplearn-train"})
    a, b = 3e-5 * patches()
    found = ContentLoss.from_package(tmp_path, inputs="physical", stages="stage1")
    expected = ContentLoss(encoder, "stage1", inputs="physical", normalization=made_normalization())
    assert_allclose(found(a, b), expected(a, b), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"stages": "stage9"}, ValueError, "no stage 'stage9'; there are stage1, stage2"),
        ({"stages": {"stage1": -1}}, ValueError, "`weight of stage1` must be finite and not neg"),
        ({"stages": {"stage1": 0}}, ValueError, "at least one stage"),
        ({"pixel_weight": "a"}, TypeError, "`pixel_weight` must be a number; got 'a'"),
        ({"inputs": "raw"}, ValueError, "`inputs` must be 'normalized' or 'physical'; got 'raw'"),
        ({"inputs": "physical"}, ValueError, "needs the `normalization`"),
    ],
)
def test_wrong_arguments_are_refused(encoder, options, error, text):
    with pytest.raises(error, match=text):
        ContentLoss(encoder, **options)


def test_wrong_shapes_are_refused(encoder):
    with pytest.raises(ValueError, match=r"`y_true` must be \(batch, .*2\); got shape \(1, 32, 32"):
        ContentLoss(encoder)(np.zeros((1, 32, 32, 3)), np.zeros((1, 32, 32, 2)))


@pytest.mark.slow
def test_the_example_trains_under_pytorch():
    needs("torch")
    example = Path(__file__).parents[2] / "examples" / "content_loss_torch.py"
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    command = [sys.executable, str(example)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("offset", [0.0, 1e-9, -3e-5])
def test_the_gradient_at_the_climatological_mean(encoder, offset):
    """Of mean (n(x) - n(y))², n the normalisation: 2 (n(x) - n(y)) n'(x) / N, at x = μ too.

    n'(x) = α / (σ σ' (1 + α |x - μ| / σ)), which is α / (σ σ') at the mean.
    """
    import tensorflow as tf

    norm = dataclasses.replace(made_normalization(), mean=[0.0, 0.0])
    loss = ContentLoss(
        encoder, {"stage1": 1e-20}, inputs="physical", normalization=norm, pixel_weight=1.0
    )
    truth = 4e-5 * patches(number=1)[0]
    x = tf.Variable(np.full_like(truth, offset))
    with tf.GradientTape() as tape:
        value = loss(truth, x)
    here, there = norm(x.numpy().astype("f8")), norm(truth.astype("f8"))
    slope = norm.alpha / norm.std / (1 + norm.alpha * abs(offset) / norm.std) / norm.log_std
    right = 2 * (here - there) * slope / truth.size
    assert_allclose(tape.gradient(value, x), right, rtol=1e-4, atol=1e-5 * np.abs(right).max())
