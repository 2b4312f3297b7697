import pytest

from srgan.generators.model_card import model_card
from tests.srgan.generators.examples import made_facts, made_network


def card(training=None, **about):
    manifest = {
        "license": "mit",
        "channels": ["divergence", "vorticity"],
        "units": ["s-1", ""],
        "normalization": "0123",
        "parameters": 1234567,
        "training": training,
    }
    return model_card("made", manifest, made_facts(made_network(), **about))


@pytest.mark.parametrize("training", [None, {}, {"config": "text"}, {"config": {}}])
def test_what_was_not_recorded_is_not_claimed(training):
    text = card(training)
    assert text.endswith("## Training\n\nNot recorded.\n")
    assert "- Fields: divergence (s-1), vorticity (units not recorded)" in text
    assert "- Fine grid in training: not recorded" in text
    assert "- Parameters: 1,234,567" in text


def test_the_training_is_told_in_one_line_each():
    training = {
        "config": {"content": "atmodist=1,mse=0.1"},
        "num_train": 10,
        "num_evaluation": 2,
        "seed": 0,
        "versions": {"keras": "3", "python": "3.12"},
    }
    assert card(training).split("## Training\n\n")[1].splitlines() == [
        "- Content loss: atmodist=1,mse=0.1",
        "- Training patches: 10",
        "- Evaluation patches: 2",
        "- Seed: 0",
        "- Made with: keras 3, python 3.12",
    ]


@pytest.mark.parametrize(
    ("degradation", "words"),
    [
        ("physical", "area-weighted block means in physical units, grids centred"),
        ("normalized", "block means of the normalised field"),
        ("paired", "fields of another archive"),
    ],
)
def test_coarse_fields_are_those_of_the_training(degradation, words):
    assert words in card(degradation=degradation)


def test_markup_in_names_is_no_markup():
    text = card({"config": {"content": "<script>\n# evil"}})
    assert "<script>" not in text
    assert "\n# evil" not in text
