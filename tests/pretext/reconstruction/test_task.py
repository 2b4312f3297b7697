import csv
import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.metric.content_loss import ContentLoss
from atmodist.pretext.architectures import resnet_tiny
from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.reconstruction.masks import given_masks
from atmodist.pretext.reconstruction.task import Reconstruction, visible_mean
from atmodist.pretext.training import train
from tests.pretext.sources import CHANNELS, MICRO, array_source, normalization

SHAPE = (32, 32, 2)
EXACT = ("epoch", "step", "learning_rate", "loss", "rmse", "evaluation_loss", "evaluation_rmse")


def config(task, output="run", **options):
    defaults = {"architecture": "resnet-tiny", "batch_size": 32, "epochs": 2, "rise_steps": 4}
    return TrainingConfig(
        **{"records": "made-up", "output": output, "task": task, **defaults, **options}
    )


def task(name, **options):
    masks = options.pop("masks", None)
    return Reconstruction(
        config(name, **options).resolved(), SHAPE, masks=masks, normalization=normalization()
    )


@pytest.fixture
def micro(monkeypatch):
    monkeypatch.setattr(resnet_tiny, "ARCHITECTURE", MICRO)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A run of the temporal distance, whose encoder compares features."""
    output = tmp_path_factory.mktemp("teacher")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet_tiny, "ARCHITECTURE", MICRO)
        train(config("temporal_distance", output, epochs=1), array_source(num_train=64))
    return output


def batches(made, epoch, batch_size=32, num_train=64):
    source = array_source(num_train=num_train, batch_size=batch_size)
    return list(made.prepare(source.training_batches(epoch), epoch))


def test_both_fields_of_a_pair_are_samples_and_an_autoencoder_sees_them_whole():
    made = task("autoencoder")
    inputs, targets = batches(made, 0)[0]
    (pairs, _) = next(iter(array_source(num_train=64).training_batches(0)))
    assert_array_equal(inputs, np.reshape(pairs, (64, *SHAPE)))
    assert_array_equal(targets[..., :2], inputs)
    assert_array_equal(targets[..., 2], np.ones((64, 32, 32)))


@pytest.mark.parametrize("mask", ["hole", "centred-hole", "stripes", "blocks"])
def test_inpainting_hides_a_part_and_asks_for_it(mask):
    inputs, targets = batches(task("inpainting", mask=mask, mask_fraction=0.25), 0)[0]
    truth, hidden = np.asarray(targets[..., :2]), np.asarray(targets[..., 2:])
    assert set(np.unique(hidden)) == {0.0, 1.0}
    assert hidden.mean() == pytest.approx(0.25, abs=0.02)
    assert_array_equal(inputs, np.where(hidden > 0, 0.0, truth))


def test_masks_are_a_function_of_seed_and_epoch_and_the_same_at_every_evaluation():
    made = task("inpainting")
    first = [np.asarray(targets[..., 2]) for _, targets in batches(made, 0)]
    again = [np.asarray(targets[..., 2]) for _, targets in batches(task("inpainting"), 0)]
    assert_array_equal(first, again)
    for other in (batches(made, 1), batches(task("inpainting", seed=1), 0)):
        assert (np.asarray(other[0][1][..., 2]) != first[0]).any()
    assert (first[0] != first[1]).any()
    source = array_source()
    twice = [
        np.concatenate([t for _, t in made.prepare(source.evaluation_batches(), None)])
        for _ in range(2)
    ]
    assert_array_equal(*twice)


def test_a_mask_does_not_depend_on_how_samples_come_in_batches():
    whole = batches(task("inpainting", batch_size=32), 0, batch_size=32)
    parts = batches(task("inpainting", batch_size=8), 0, batch_size=8)
    joined = [np.concatenate([t for _, t in found])[..., 2] for found in (whole, parts)]
    assert_array_equal(*joined)


def random_outputs(made):
    inputs, targets = batches(made, 0)[0]
    rng = np.random.default_rng(3)
    return rng.standard_normal(inputs.shape).astype(np.float32), np.asarray(targets)


def test_the_pixel_loss_is_the_mean_square_where_something_was_hidden():
    made = task("inpainting", mask="blocks")
    outputs, targets = random_outputs(made)
    loss, measures = made.loss(outputs, targets)
    inside = np.broadcast_to(targets[..., 2:] > 0, outputs.shape)
    expected = np.mean((outputs - targets[..., :2])[inside] ** 2)  # as many points in each sample
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(measures["rmse"]) == pytest.approx(np.sqrt(expected), rel=1e-5)


@pytest.mark.parametrize("kind", ["pixel", "content", "mixed"])
def test_the_loss_ignores_what_is_outside_of_the_hole(kind, teacher):
    source = {} if kind == "pixel" else {"content_from": str(teacher)}
    made = task("inpainting", mask="hole", reconstruction_loss=kind, **source)
    outputs, targets = random_outputs(made)
    outputs = tf.constant(outputs)
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss, _ = made.loss(outputs, tf.constant(targets))
    gradient = np.asarray(tape.gradient(loss, outputs))
    hidden = targets[..., 2] > 0
    assert (gradient[~hidden] == 0).all()
    assert np.abs(gradient[hidden]).max() > 0


def test_a_mixed_loss_is_the_sum_of_its_parts(teacher):
    weight, options = 0.3, {"content_from": str(teacher)}
    made = task("inpainting", reconstruction_loss="mixed", content_weight=weight, **options)
    outputs, targets = random_outputs(made)
    truth, hidden = targets[..., :2], targets[..., 2:]
    composite = np.where(hidden > 0, outputs, truth)
    content = float(ContentLoss.from_package(teacher)(truth, composite))
    loss, measures = made.loss(outputs, targets)
    assert float(measures["content"]) == pytest.approx(content, rel=1e-5)
    pixel = float(task("inpainting").loss(outputs, targets)[0])
    assert float(loss) == pytest.approx(pixel + weight * content, rel=1e-5)
    alone = task("inpainting", reconstruction_loss="content", **options).loss(outputs, targets)
    assert float(alone[0]) == pytest.approx(content, rel=1e-5)


def test_the_truth_has_no_loss(teacher):
    for options in ({}, {"reconstruction_loss": "mixed", "content_from": str(teacher)}):
        made = task("autoencoder", **options)
        _, targets = random_outputs(made)
        assert float(made.loss(targets[..., :2], targets)[0]) == 0.0


def test_the_baseline_is_the_mean_of_what_is_visible():
    fields = np.random.default_rng(0).standard_normal((2, 4, 6, 2))
    hidden = np.zeros((2, 4, 6, 1))
    hidden[0, :, :3] = 1.0
    hidden[1] = 1.0  # nothing is visible: the mean of all
    mean = visible_mean(fields, hidden)[:, 0, 0]
    assert_allclose(mean[0], fields[0, :, 3:].mean(axis=(0, 1)), rtol=1e-12)
    assert_allclose(mean[1], fields[1].mean(axis=(0, 1)), rtol=1e-12)


def test_scores_are_over_all_hidden_points_and_do_not_depend_on_batches():
    made = task("inpainting", mask="blocks")
    answers = [(np.zeros_like(i), t) for i, t in batches(made, 0)]
    outputs, targets = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    scores = made.evaluate(answers)
    truth, hidden = targets[..., :2].astype(float), targets[..., 2:]
    for channel in range(2):
        squares = truth[..., channel][hidden[..., 0] > 0] ** 2  # the answer is zero
        assert scores["rmse_by_channel"][channel] == pytest.approx(np.sqrt(squares.mean()))
    assert scores["rmse"] == pytest.approx(
        np.sqrt(np.mean(np.square(scores["rmse_by_channel"]))), rel=1e-12
    )
    assert scores["loss"] == pytest.approx(scores["rmse"] ** 2, rel=1e-5)
    assert abs(scores["explained"]) < 0.05  # zero is about as good as the mean
    uneven = [(outputs[:100], targets[:100]), (outputs[100:], targets[100:])]
    again = made.evaluate(uneven)
    assert again["count"] == 128
    for name in ("loss", "rmse", "baseline_rmse", "explained"):
        assert again[name] == pytest.approx(scores[name], rel=1e-5)
    perfect = made.evaluate([(np.asarray(t)[..., :2], t) for _, t in answers])
    assert (perfect["rmse"], perfect["explained"]) == (0.0, 1.0)


def test_masks_of_ones_own_serve_as_well(micro, tmp_path):
    mine = np.zeros((32, 32), bool)
    mine[:, 10:14] = True
    settings = config("inpainting", tmp_path, epochs=1).resolved()
    made = Reconstruction(settings, SHAPE, masks=given_masks(mine), normalization=normalization())
    for _, targets in batches(made, 0):
        assert_array_equal(targets[..., 2], np.broadcast_to(mine, (64, 32, 32)))
    train(settings, array_source(num_train=64), made)
    assert (tmp_path / "encoder.keras").is_file()
    with pytest.raises(ValueError, match="`masks` are for the task inpainting"):
        task("autoencoder", masks=given_masks(mine))


def log(output):
    with (output / "log.csv").open() as file:
        return [[row[name] for name in EXACT] for row in csv.DictReader(file)]


@pytest.mark.parametrize(("name", "least"), [("autoencoder", 0.5), ("inpainting", 0.2)])
def test_a_few_weights_learn_to_reconstruct(micro, tmp_path, name, least):
    # Blocks of 4 x 4 equal points: one value each for the autoencoder. A stripe of two points
    # leaves a part of each block to be seen.
    mask = {"mask": "stripes", "mask_fraction": 0.25} if name == "inpainting" else {}
    settings = config(name, tmp_path, epochs=6, learning_rate=2e-2, ema=0.9, **mask)
    result = train(settings, array_source(num_train=512))
    assert result.best["explained"] > least
    assert f"{result.last['explained']:.1%} explained" in result.report
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert saved["task"] == name
    assert saved["channels"] == list(CHANNELS)
    assert (tmp_path / "reconstruction.png").stat().st_size > 1000
    pretext = keras.models.load_model(tmp_path / "pretext.keras", safe_mode=True)
    assert pretext.output.shape == (None, *SHAPE)
    features = keras.models.load_model(tmp_path / "encoder.keras")(np.zeros((1, *SHAPE)))
    assert [*features] == ["stage1"]
    assert (tmp_path / "normalization.json").is_file()


@pytest.mark.parametrize("name", ["autoencoder", "inpainting"])
def test_a_run_in_two_parts_repeats_the_losses_of_one(micro, tmp_path, name, teacher):
    options = {"schedule": "constant", "ema": 0.9}
    if name == "inpainting":
        options |= {"reconstruction_loss": "mixed", "content_from": str(teacher)}
    for output, parts in (("whole", [2]), ("parts", [1, 2])):
        for epochs in parts:
            settings = config(name, tmp_path / output, epochs=epochs, **options)
            train(settings, array_source(num_train=64, num_evaluation=16))
    assert log(tmp_path / "parts") == log(tmp_path / "whole")  # digit by digit


def test_a_run_goes_on_with_the_encoder_it_compared_features_by(micro, tmp_path, teacher):
    moved, other = tmp_path / "moved", tmp_path / "other"
    shutil.copytree(teacher, moved)
    train(config("temporal_distance", other, epochs=1, seed=1), array_source(num_train=64))

    def go(encoder, epochs):
        content = {"reconstruction_loss": "content", "content_from": str(encoder)}
        settings = config("inpainting", tmp_path / "run", schedule="constant", **content)
        settings = dataclasses.replace(settings, epochs=epochs)
        return train(settings, array_source(num_train=64, num_evaluation=16))

    go(teacher, 1)
    assert go(moved, 2).epochs == 2  # where it lies does not matter
    shutil.copy(other / "encoder.keras", moved)
    with pytest.raises(ValueError, match=r"content loss of the run in .* with another encoder"):
        go(moved, 3)


def test_a_network_that_learnt_nothing_is_called_so():
    made = task("inpainting")
    inputs, targets = batches(made, 0)[0]
    scores = made.evaluate([(np.full_like(inputs, 9.0), targets)])
    assert scores["explained"] < 0
    assert "nothing was learnt" in made.report(made.mean_scores([scores, scores]), 2)


def test_a_content_loss_of_other_fields_is_refused(teacher):
    settings = config(
        "autoencoder", reconstruction_loss="content", content_from=str(teacher)
    ).resolved()
    with pytest.raises(ValueError, match=r"the records and the network in .*teacher"):
        Reconstruction(settings, SHAPE, normalization=normalization(std=(3e-5, 4e-5)))
    with pytest.raises(ValueError, match=r"there is no normalization\.json"):
        Reconstruction(settings, SHAPE)


def test_the_encoder_of_a_content_loss_stays_as_it_is(micro, tmp_path, teacher):
    made = task("autoencoder", reconstruction_loss="content", content_from=str(teacher))
    before = [np.array(w) for w in made._content._encoder.get_weights()]
    settings = config(
        "autoencoder", tmp_path, reconstruction_loss="content", content_from=str(teacher)
    ).resolved()
    train(settings, array_source(num_train=64, num_evaluation=16), made)
    for a, b in zip(before, made._content._encoder.get_weights(), strict=True):
        assert_array_equal(a, b)
