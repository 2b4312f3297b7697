from pathlib import Path

import numpy as np
import pytest

from atmodist.assessment import reliability, tables
from atmodist.assessment.base_times import BaseTimes
from atmodist.assessment.configuration import PretextEvaluationConfig
from atmodist.assessment.predictions import Predictions
from atmodist.assessment.report import PretextResults, entry_notes
from tests.assessment.made_up import calibrated_answers, made_pairs


def entry_of(answers):
    step = answers.pairs.step
    base_times = BaseTimes(step)
    return {
        "count": len(step),
        "base_times": base_times.num,
        "scores": tables.score_table(answers, base_times),
        "calibration": reliability.judge_calibration(answers, bins=5),
    }


def summary_of(entry, **options):
    config = PretextEvaluationConfig(run=Path("run"), **options)
    metrics = {"checkpoints": {"3": entry}, "step_seconds": 10_800, "normalized": True}
    return (
        PretextResults(config, 3, metrics=metrics, notes=entry_notes(entry)).summary().splitlines()
    )


def test_one_base_time_gives_values_without_intervals_and_says_why():
    answers = calibrated_answers(200)
    pairs = made_pairs(answers.pairs.label, step=np.zeros(200, int))
    lines = summary_of(entry_of(Predictions(logits=answers.logits, pairs=pairs)))
    assert lines[0] == "epoch 3, 200 pairs, 1 base time"
    assert next(line for line in lines if "accuracy" in line).endswith(" (-)")
    assert "no intervals: they need 16 base times, and the pairs have 1." in "\n".join(lines)
    assert not any(" to " in line for line in lines[1:6])


def test_many_base_times_give_intervals_and_no_notes():
    entry = entry_of(calibrated_answers(4000))
    assert entry_notes(entry) == []
    lines = summary_of(entry, archive=Path("a.h5"))
    assert lines[0] == "epoch 3, 4,000 pairs, 16 base times (95 % intervals from their series)"
    accuracy = entry["scores"][1]
    assert lines[2] == (
        f"  accuracy     {accuracy['value']:.3f} ({accuracy['low']:.3f} to {accuracy['high']:.3f})"
    )
    assert lines[-1].endswith("run/evaluation/ (metrics.json). Next: atmodist calibrate run")
    assert "--archive" not in "\n".join(lines)


def test_the_next_command_asks_for_what_is_not_known():
    metrics = {"checkpoints": {"3": entry_of(calibrated_answers(200))}, "step_seconds": None}
    config = PretextEvaluationConfig(run=Path("run"))
    results = PretextResults(config, 3, metrics={**metrics, "normalized": False})
    asked = "atmodist calibrate run --step_hours HOURS --normalization FILE_OR_NAME"
    assert results.summary().endswith(f"Next: {asked}")


@pytest.mark.parametrize(("sign", "text"), [(1.0, "T <= 0.02"), (-1.0, "T >= 50")])
def test_a_temperature_at_the_end_of_the_search_is_noted(sign, text):
    pairs = made_pairs(np.arange(64) % 4)
    logits = sign * 2.0 * np.eye(4)[pairs.label]
    lines = summary_of(entry_of(Predictions(logits=logits, pairs=pairs)))
    assert any(line.startswith(f"  calibration  {text}, error") for line in lines)
    assert any(line.startswith(f"  {text} is where the search ended") for line in lines)
