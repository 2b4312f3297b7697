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
    ("task", "learnt"),
    [
        (None, "tell how far apart in time"),  # of the reference implementation, or a first run
        ("temporal_distance", "tell how far apart in time"),
        ("autoencoder", "give fields again"),
        ("inpainting", "tell what is hidden"),
    ],
)
def test_a_card_says_what_the_encoder_learnt_from(task, learnt):
    config = {} if task is None else {"task": task}
    card = model_card("made", manifest(training={"config": config, "seed": 1}))
    assert f"an encoder that learnt to {learnt}" in card
    assert ("Pretext task: " in card) == (task is not None)


def test_scores_are_those_of_the_task():
    scores = {"loss": 0.5, "rmse": 0.7, "explained": 0.25, "rmse_by_channel": [0.7], "count": 3}
    card = model_card("made", manifest(evaluation={"best": {"epoch": 1, **scores}}))
    assert "root mean square error of normalised fields: 0.7" in card
    assert "share of the variance explained: 0.25" in card
    assert "metrics:" not in card


def test_what_was_not_recorded_is_not_claimed():
    assert "## Training\n\nNot recorded." in model_card("made", manifest())
