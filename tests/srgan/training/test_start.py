from types import SimpleNamespace

import keras
import numpy as np
import pytest

from atmodist.training.saving import save_network
from srgan.networks.generator import generator
from srgan.training.start import take_weights
from tests.srgan.training.sources import NORMALIZATION, OTHER

SOURCE = SimpleNamespace(normalization=NORMALIZATION)


def made(seed=0, filters=4):
    keras.utils.set_random_seed(seed)
    return generator(2, 2, filters=filters, blocks=1)


@pytest.fixture
def run(tmp_path):
    """A folder with what pre-training leaves behind."""
    save_network(made(seed=7), tmp_path / "pretrained.keras")
    NORMALIZATION.save(tmp_path / "normalization.json")
    return tmp_path


def test_weights_are_those_that_pretraining_ended_with(run):
    network, expected = made(), made(seed=7)
    take_weights(network, run, SOURCE)
    for found, wanted in zip(network.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_another_network_or_normalisation_is_no_start(run):
    with pytest.raises(ValueError, match="another network than this configuration asks for"):
        take_weights(made(filters=8), run, SOURCE)
    OTHER.save(run / "normalization.json")
    with pytest.raises(ValueError, match=r"the generator in "):
        take_weights(made(), run, SOURCE)
    bare = SimpleNamespace(normalization=None)  # files of the reference do not say theirs
    take_weights(made(), run, bare)


def test_pretraining_must_have_ended(run):
    (run / "pretrained.keras").unlink()
    with pytest.raises(FileNotFoundError, match="it is made when the pre-training of a run ends"):
        take_weights(made(), run, SOURCE)
