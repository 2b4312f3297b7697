import pytest

from atmodist.metric.model_card import model_card


def manifest(**changes):
    return {
        "license": "mit",
        "channels": ["vorticity"],
        "units": ["s-1"],
        "normalization": "0123",
        "encoder": {"input_shape": [32, 32, 1], "parameters": 9, "stages": {}},
        **changes,
    }


@pytest.mark.parametrize(
    ("task", "told", "learnt"),
    [
        (None, {}, "tell how far apart in time"),  # of the reference implementation, or a first run
        ("temporal_distance", {}, "tell how far apart in time"),
        ("autoencoder", {}, "solve the task autoencoder"),  # of version 0.1
        ("rotation", {"learnt": "tell by how much fields are turned"}, "tell by how much fields"),
    ],
)
def test_a_card_says_what_the_encoder_learnt_from(task, told, learnt):
    config = {} if task is None else {"task": task}
    card = model_card("made", manifest(training={"config": config, "seed": 1, **told}))
    assert f"an encoder that learnt to {learnt}" in card
    assert ("Pretext task: " in card) == (task is not None)


def test_scores_are_those_of_the_task():
    scores = {"loss": 0.5, "rmse": 0.7, "explained": 0.25, "rmse_by_channel": [0.7], "count": 3}
    card = model_card("made", manifest(evaluation={"best": {"epoch": 1, **scores}}))
    assert "root mean square error of normalised fields: 0.7" in card
    assert "share of the variance explained: 0.25" in card
    assert "metrics:" not in card


GRID = {"latitude": [90, 0, -90], "longitude": [0, 180]}
OF_PATCHES = {"kind": "patches", "fields": "patches of 32 x 32 points", "max_hours": 18.0}


@pytest.mark.parametrize("grid", [None, GRID])
@pytest.mark.parametrize("calibrated", [False, True])
def test_the_code_on_the_card_runs(monkeypatch, grid, calibrated):
    facts = {"calibrated": calibrated, "calibration": OF_PATCHES if calibrated else None}
    card = model_card("made", manifest(grid=grid, **facts))
    code = card.split("```python\n")[1].split("```")[0]
    calls = []

    class Metric:
        def __call__(self, _a, _b, grid="that of the package"):
            calls.append(("distance", grid))

        def hours(self, _a, _b, grid="that of the package"):
            calls.append(("hours", grid))
            return 1, 2, 3

        def map(self, _a, _b, grid="that of the package"):
            calls.append(("map", grid))

    monkeypatch.setattr("atmodist.load_metric", lambda _path: Metric())
    names = {"field_a": 1, "field_b": 2, "latitude": [90, 0, -90], "longitude": [0, 180]}
    exec(code, names)  # noqa: S102
    assert [name for name, _ in calls] == ["distance", *["hours"] * calibrated, "map"]
    assert all((given == "that of the package") == (grid is not None) for _, given in calls)


def test_a_card_says_what_was_calibrated():
    card = model_card("made", manifest(calibrated=True, calibration=OF_PATCHES))
    assert (
        "Calibrated: yes, on patches of 32 x 32 points; distances of such patches, not of whole "
        "fields, can be read as equivalent hours, up to 18 h" in card
    )
    whole = {"kind": "whole fields", "fields": "whole fields of 3 x 2 points", "max_hours": 18.0}
    assert "not of whole" not in model_card("made", manifest(calibrated=True, calibration=whole))


def test_what_was_not_recorded_is_not_claimed():
    assert "## Training\n\nNot recorded." in model_card("made", manifest())
