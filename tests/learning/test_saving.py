import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.learning.networks import encoder
from atmodist.learning.saving import load_network, save_network


def test_a_network_comes_back_with_its_stages(tmp_path):
    network = encoder("resnet-tiny", (32, 32, 1))
    save_network(network, tmp_path / "encoder.keras")
    again = load_network(tmp_path / "encoder.keras")
    field = np.ones((1, 32, 32, 1), np.float32)
    assert_array_equal(network(field)["stage2"], again(field)["stage2"])
    assert again.output_names == ["stage1", "stage2"]
    assert [item.name for item in tmp_path.iterdir()] == ["encoder.keras"]


def test_what_is_no_network_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no network .*nothing\.keras"):
        load_network(tmp_path / "nothing.keras")
    path = tmp_path / "page.keras"
    path.write_text("<html></html>")
    with pytest.raises(ValueError, match=r"page\.keras is no network saved by Keras"):
        load_network(path)


def test_a_network_that_carries_code_is_refused(tmp_path):
    inputs = keras.Input((2,))
    network = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    network.save(tmp_path / "lambda.keras")
    with pytest.raises(ValueError, match=r"cannot load .*lambda\.keras"):
        load_network(tmp_path / "lambda.keras")
