import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.tasks.temporal_distance import TemporalDistance, soft_targets


def task(num_classes=3, **options):
    settings = TrainingConfig(records="pairs", architecture="resnet-tiny", **options).resolved()
    return TemporalDistance(settings, (32, 32, 2), num_classes)


def test_the_loss_is_the_mean_cross_entropy():
    logits, labels = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]), np.array([0, 1], np.int32)
    loss, measures = task(label_spread=0.0).loss(logits.astype(np.float32), labels)
    assert float(loss) == pytest.approx(-(np.log(0.5) + np.log(0.1)) / 2, rel=1e-5)
    assert float(measures["accuracy"]) == 0.5


def test_a_spread_label_asks_for_the_bell():
    loss = task(label_spread=0.7)
    targets = soft_targets(3, 0.7)
    best, _ = loss.loss(np.log(targets), np.arange(3, dtype=np.int32))
    entropy = -(targets * np.log(targets)).sum(axis=1).mean()
    assert float(best) == pytest.approx(entropy, rel=1e-5)  # no answer is better than the bell
    sharp = keras.ops.eye(3) * 20.0
    assert float(loss.loss(sharp, np.arange(3, dtype=np.int32))[0]) > entropy + 1.0


def test_targets_are_a_bell_around_the_label_that_sums_to_one():
    targets = soft_targets(8, 0.7)
    assert_allclose(targets.sum(axis=1), 1.0, rtol=1e-6)
    assert (targets.argmax(axis=1) == np.arange(8)).all()
    # ½ (1 / 0.7)² = 1.0204; the ratio holds at the edges too, where one side is missing
    for label, neighbour in ((3, 4), (3, 2), (0, 1), (7, 6)):
        ratio = targets[label, neighbour] / targets[label, label]
        assert ratio == pytest.approx(np.exp(-0.5 / 0.49), rel=1e-5)
    assert_array_equal(soft_targets(5, 0.0), np.eye(5))
