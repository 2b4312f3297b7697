from pathlib import Path

import pytest

from atmodist.assessment.configuration import PretextEvaluationConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checkpoints": "last"}, "must be best, all or the number of an epoch; got"),
        ({"batch_size": 0}, "`batch_size` must be at least 1; got batch_size=0"),
        ({"archive": "a.h5", "lag": 0}, "`lag` must be at least 1"),
        ({"lag": 2}, "these need an archive"),
        ({"band_degrees": 0.5}, "`band_degrees` must be 1 to 180"),
        ({"unrelated_hours": 0.0}, "`unrelated_hours` must be positive"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PretextEvaluationConfig(run="run", **options)


def test_results_go_into_the_run_unless_told_otherwise():
    assert PretextEvaluationConfig(run="run").folder == Path("run/evaluation")
    assert PretextEvaluationConfig(run="run", output="there").folder == Path("there")
