import json

import pytest

from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.schedule import make_schedule
from atmodist.training.schedules import Constant, Cosine, Plateau


def rates(schedule, losses):
    seen = []
    for loss in losses:
        schedule.after_epoch(loss)
        seen.append(schedule.learning_rate(0))
    return seen


def test_plateau_falls_after_patience_epochs_without_improvement():
    plateau = Plateau(peak=0.1, patience=3)
    assert rates(plateau, [3.0, 3.0, 3.0]) == [0.1, 0.1, 0.1]
    assert rates(plateau, [3.0]) == [pytest.approx(0.01)]  # the third in a row
    assert rates(plateau, [3.0, 3.0, 3.0])[-1] == pytest.approx(0.001)


def test_plateau_takes_small_improvements_for_none():
    plateau = Plateau(peak=0.1, min_delta=0.04, patience=2)
    # each is 0.03 below the last, but the second is 0.06 below the best that counted
    assert rates(plateau, [3.0, 2.97, 2.94, 2.91, 2.88]) == [0.1] * 5
    assert rates(plateau, [2.87, 2.86]) == [0.1, pytest.approx(0.01)]


def test_plateau_stops_at_its_floor():
    plateau = Plateau(peak=0.1, patience=1, min_learning_rate=1e-5)
    assert rates(plateau, [1.0] * 10)[-1] == 1e-5


def test_plateau_equals_keras(monkeypatch):
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    callback = keras.callbacks.ReduceLROnPlateau(
        monitor="loss", min_delta=0.04, patience=2, factor=0.1, min_lr=1e-5
    )
    callback.set_model(model)
    callback.on_train_begin()
    losses = [3, 2.9, 2.88, 2.87, 2.5, 2.5, 2.49, 2.48, 2.3, 2.3, 2.3, 2.3, 2.3, 2.3, 2.3]
    expected = []
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"loss": loss})
        expected.append(float(model.optimizer.learning_rate))
    assert rates(Plateau(peak=0.1, patience=2), losses) == pytest.approx(expected, rel=1e-6)


def test_plateau_goes_on_from_its_state():
    losses = [3.0, 2.9, 2.9, 2.9, 2.5, 2.5, 2.5, 2.5, 2.5]
    whole = Plateau(peak=0.1, patience=2)
    expected = rates(whole, losses)
    for cut in range(len(losses)):
        first, second = Plateau(peak=0.1, patience=2), Plateau(peak=0.1, patience=2)
        start = rates(first, losses[:cut])
        second.restore(json.loads(json.dumps(first.state())))
        assert start + rates(second, losses[cut:]) == expected


def test_cosine_rises_linearly_then_falls_to_zero():
    cosine = Cosine(peak=2.0, num_steps=110, rise_steps=10)
    assert [cosine.learning_rate(k) for k in (0, 4, 9)] == pytest.approx([0.2, 1.0, 2.0])
    assert cosine.learning_rate(60) == pytest.approx(1.0)  # half way down
    assert cosine.learning_rate(110) == pytest.approx(0.0)
    assert cosine.learning_rate(1000) == pytest.approx(0.0)


def test_a_long_rise_leaves_half_of_a_short_run():
    assert Cosine(peak=1.0, num_steps=20, rise_steps=200).learning_rate(9) == 1.0


def test_constant_stays_after_its_rise():
    constant = Constant(peak=3.0, rise_steps=3)
    assert [constant.learning_rate(k) for k in range(5)] == pytest.approx([1, 2, 3, 3, 3])


@pytest.mark.parametrize(
    ("name", "kind"), [("plateau", Plateau), ("cosine", Cosine), ("constant", Constant)]
)
def test_the_configuration_chooses(name, kind):
    config = TrainingConfig(records="pairs", schedule=name, learning_rate=0.5).resolved()
    schedule = make_schedule(config, 100)
    assert isinstance(schedule, kind)
    assert schedule.peak == 0.5
