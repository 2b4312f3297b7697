import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.pretext import networks
from atmodist.pretext.architectures import ARCHITECTURES
from atmodist.pretext.pair_model import encoder_of
from atmodist.pretext.reconstruction.decoder import decoded, enlargements, reconstruction_model
from atmodist.training.saving import load_network, save_network


@pytest.mark.parametrize("name", ["resnet-tiny", "resnet-small", "resnet-18", "resnet-101"])
def test_the_decoder_undoes_the_stride_of_every_architecture(name):
    spec = ARCHITECTURES[name].spec
    assert np.prod([factor for factor, _ in enlargements(spec)]) == spec.stride


@pytest.mark.parametrize(
    ("name", "shape"),
    [("resnet-tiny", (36, 44, 1)), ("resnet-tiny", (32, 64, 3)), ("resnet-small", (32, 96, 2))],
)
def test_a_field_comes_back_in_its_shape(name, shape):
    model = reconstruction_model(name, shape)
    assert model.output.shape == (None, *shape)
    assert encoder_of(model).input.shape == (None, *shape)
    # the encoder is one like any other
    assert encoder_of(model).count_params() == networks.encoder(name, shape).count_params()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet-18", "resnet-101"])
def test_large_architectures_give_a_field_back_too(name):
    assert reconstruction_model(name, (64, 32, 2)).output.shape == (None, 64, 32, 2)


def test_there_is_no_checkerboard():
    """All-alike features give all-alike fields away from the edges, whatever the weights."""
    keras.utils.set_random_seed(0)
    spec = ARCHITECTURES["resnet-tiny"].spec
    features = keras.Input((16, 16, 32))
    model = keras.Model(features, decoded(features, spec, 2))
    field = np.asarray(model(np.full((1, 16, 16, 32), 0.7, np.float32)))[0]
    inner = field[8:-8, 8:-8]
    # a transposed convolution of stride 2 would leave a pattern of period 2
    assert_allclose(inner, np.broadcast_to(inner[0, 0], inner.shape), atol=1e-6)
    assert np.abs(inner).max() > 1e-3


def test_the_model_loads_in_safe_mode(tmp_path):
    model = reconstruction_model("resnet-tiny", (32, 32, 2), "inpainting")
    save_network(model, tmp_path / "pretext.keras")
    again = load_network(tmp_path / "pretext.keras")
    fields = np.random.default_rng(0).standard_normal((2, 32, 32, 2)).astype(np.float32)
    assert_array_equal(model(fields), again(fields))
    assert [*encoder_of(again).output] == ["stage1", "stage2"]
