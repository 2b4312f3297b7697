import numpy as np
import pytest

from atmodist.assessment import figures, reliability, tables
from atmodist.assessment.base_times import BaseTimes
from atmodist.assessment.maps import LagMap
from tests.assessment.made_up import calibrated_answers


def require_figure(folder, name):
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("step_seconds", [10_800, None])
@pytest.mark.parametrize("num_classes", [3, 23])
def test_all_figures_are_drawn_for_few_and_many_labels(tmp_path, num_classes, step_seconds):
    answers = calibrated_answers(300, num_classes)
    base_times = BaseTimes(answers.pairs.step)
    hours = step_seconds and step_seconds / 3600
    confusion = tables.confusion_matrix(answers.pairs.label, answers.guess, num_classes)
    figures.draw_confusion(tmp_path, confusion, hours, "made up")
    calibration = reliability.judge_calibration(answers, bins=8)
    figures.draw_reliability(tmp_path, calibration)
    figures.draw_lags(tmp_path, tables.lag_table(answers, base_times, step_seconds), 0.2)
    figures.draw_latitudes(tmp_path, tables.latitude_table(answers, base_times, 15.0), 0.2)
    for name in ("confusion", "reliability", "accuracy_over_lag", "accuracy_over_latitude"):
        require_figure(tmp_path, name)


def test_epochs_without_evaluation_are_left_out(tmp_path):
    log = [
        {"epoch": "1", "loss": "2.0", "accuracy": "0.1", "evaluation_loss": ""},
        {"epoch": "2", "loss": "1.5", "accuracy": "0.2", "evaluation_loss": "1.6"},
    ]
    judged = [{"epoch": 2, "score": "loss", "value": 1.6, "low": 1.5, "high": 1.7}]
    figures.draw_epochs(tmp_path, log, judged)
    require_figure(tmp_path, "epochs")


@pytest.mark.parametrize("shape", [(1, 4), (3, 6)])
def test_maps_are_drawn_for_a_single_row_too(tmp_path, shape):
    values = np.linspace(0, 1, shape[0] * shape[1]).reshape(shape)
    result = LagMap(
        lag=2,
        latitude=np.linspace(30, -30, shape[0]),
        longitude=360.0 * np.arange(shape[1]) / shape[1],
        accuracy=values,
        entropy=values,
        error=values,
        steps=np.arange(3),
        covered=(-60.0, 60.0),
    )
    figures.draw_map(tmp_path, result, 3.0, 8)
    require_figure(tmp_path, "map_lag02")


def test_scores_without_intervals_are_drawn_as_points(tmp_path):
    answers = calibrated_answers(300, 3)
    base_times = BaseTimes(answers.pairs.step // 8)
    rows = tables.lag_table(answers, base_times, 10_800)
    assert all(row["low"] is None for row in rows)
    figures.draw_lags(tmp_path, rows, 0.2)
    names = ("intact", "any hour")
    audit = [
        {"control": n, "score": s, "guessing": 0.3, "value": 0.5, "low": None, "high": None}
        for n in names
        for s in ("accuracy", "refitted")
    ]
    figures.draw_audit(tmp_path, audit)
    for name in ("accuracy_over_lag", "audit"):
        require_figure(tmp_path, name)
