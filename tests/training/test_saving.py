import zipfile

import h5py
import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.pretext.networks import encoder
from atmodist.training.saving import load_network, save_network


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


def edited(path, name, content):
    """Replaces one member of a saved network."""
    with zipfile.ZipFile(path) as archive:
        members = {item: archive.read(item) for item in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for item, old in members.items():
            archive.writestr(item, content if item == name else old)


def small_network(path):
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(4, use_bias=False)(inputs)).save(path)
    return path


def test_a_network_that_reads_another_file_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(np.arange(16, dtype=np.float32).tobytes())
    path = small_network(tmp_path / "crafted.keras")
    with zipfile.ZipFile(path) as archive:
        (tmp_path / "weights.h5").write_bytes(archive.read("model.weights.h5"))
    with h5py.File(tmp_path / "weights.h5", "r+") as file:
        group = file["layers/dense/vars"]
        del group["0"]
        external = [(str(tmp_path / "secret"), 0, 64)]
        group.create_dataset("0", (4, 4), np.float32, external=external)
        assert group["0"][0, 1] == 1.0  # HDF5 itself would read it
    edited(path, "model.weights.h5", (tmp_path / "weights.h5").read_bytes())
    with pytest.raises(ValueError, match=r"cannot load .*crafted\.keras") as info:
        load_network(path)
    assert "external" in str(info.value.__cause__)


def test_a_configuration_nested_without_end_is_refused(tmp_path):
    path = small_network(tmp_path / "deep.keras")
    edited(path, "config.json", "[" * 200_000 + "]" * 200_000)
    with pytest.raises(ValueError, match=r"cannot load .*deep\.keras"):
        load_network(path)


def test_a_network_that_carries_code_is_refused(tmp_path):
    inputs = keras.Input((2,))
    network = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    network.save(tmp_path / "lambda.keras")
    with pytest.raises(ValueError, match=r"cannot load .*lambda\.keras"):
        load_network(tmp_path / "lambda.keras")
