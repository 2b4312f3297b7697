import math

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.pretext import networks
from atmodist.pretext.architectures import ARCHITECTURES


def shapes(encoder):
    return {name: tuple(output.shape[1:]) for name, output in encoder.output.items()}


def test_resnet_small_is_the_reference_network():
    encoder = networks.encoder("resnet-small", (160, 160, 2))
    assert encoder.count_params() == 2_277_712
    assert shapes(encoder) == {
        "stage1": (40, 40, 16),
        "stage2": (20, 20, 32),
        "stage3": (10, 10, 64),
        "stage4": (5, 5, 128),
    }
    assert all(encoder.get_layer(name).output.shape[1:] == s for name, s in shapes(encoder).items())
    norms = [la for la in encoder.layers if isinstance(la, keras.layers.BatchNormalization)]
    convolutions = [la for la in encoder.layers if isinstance(la, keras.layers.Conv2D)]
    assert len(norms) == 1 + 4 * 6 * 2
    assert len(convolutions) == len(norms) + 3  # a bare projection where channels change
    assert {norm.epsilon for norm in norms} == {1.001e-5}
    assert {float(la.kernel_regularizer.l2) for la in convolutions} == {1e-4}
    assert {type(la.kernel_initializer).__name__ for la in convolutions} == {"HeNormal"}


def count(weights):
    return sum(math.prod(weight.shape) for weight in weights)


def test_resnet_18_is_that_of_the_literature():
    encoder = networks.encoder("resnet-18", (160, 160, 3))
    # 11,689,512 with a classifier of 512 x 1000 + 1000, for images of three channels
    assert count(encoder.trainable_weights) == 11_689_512 - 513_000
    assert encoder.count_params() == 11_186_112  # and the moving statistics of 4,800 channels
    assert shapes(encoder) == {
        "stage1": (40, 40, 64),
        "stage2": (20, 20, 128),
        "stage3": (10, 10, 256),
        "stage4": (5, 5, 512),
    }
    convolutions = [la for la in encoder.layers if isinstance(la, keras.layers.Conv2D)]
    assert len(convolutions) == 17 + 3  # 17 and a dense layer are the 18 of the name
    assert {float(la.kernel_regularizer.l2) for la in convolutions} == {1e-4}
    assert {type(la.kernel_initializer).__name__ for la in convolutions} == {"HeNormal"}


@pytest.mark.slow
def test_resnet_101_is_that_of_keras():
    encoder = networks.encoder("resnet-101", (160, 160, 3))
    assert encoder.count_params() == 42_658_176  # as Keras documents it without its top
    assert shapes(encoder) == {
        "stage1": (40, 40, 256),
        "stage2": (20, 20, 512),
        "stage3": (10, 10, 1024),
        "stage4": (5, 5, 2048),
    }
    assert encoder.output_names == list(shapes(encoder))
    filters = [stage.filters for stage in ARCHITECTURES["resnet-101"].spec.stages]
    assert filters == [shape[-1] for shape in shapes(encoder).values()]
    original = keras.applications.ResNet101(weights=None, include_top=False)
    for group, stage in enumerate(shapes(encoder), start=2):
        block = max(
            int(la.name.split("_")[1].removeprefix("block"))
            for la in original.layers
            if la.name.startswith(f"conv{group}_block")
        )
        source = encoder.get_layer(stage).input
        assert source is encoder.get_layer(f"conv{group}_block{block}_out").output


@pytest.mark.slow
def test_resnet_101_has_channels_last_whatever_keras_is_set_to(monkeypatch):
    monkeypatch.setattr(keras.applications, "ResNet101", recorded := Recorded())
    keras.config.set_image_data_format("channels_first")
    try:
        networks.encoder("resnet-101", (32, 64, 1))
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")
    assert recorded.formats == ["channels_last"]
    assert recorded.weights == [None]


class Recorded:
    """Keras' builder, which keeps what it was called with."""

    def __init__(self):
        self.formats, self.weights, self._build = [], [], keras.applications.ResNet101

    def __call__(self, *, weights, **options):
        self.formats.append(keras.config.image_data_format())
        self.weights.append(weights)
        return self._build(weights=weights, **options)


@pytest.mark.parametrize("size", [32, 64])
def test_resnet_tiny_is_small_and_names_its_stages(size):
    encoder = networks.encoder("resnet-tiny", (size, size, 2))
    assert encoder.count_params() == 20_320
    assert [*shapes(encoder)] == [f"stage{k}" for k in range(1, len(shapes(encoder)) + 1)]
    coarsest = [*shapes(encoder).values()][-1]
    assert coarsest[0] == size // ARCHITECTURES["resnet-tiny"].spec.stride


LARGE = pytest.param("resnet-101", marks=pytest.mark.slow)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["resnet-small", "resnet-18", LARGE])
@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels_and_any_multiple_of_the_stride(name, channels):
    encoder = networks.encoder(name, (32, 96, channels))
    filters = [stage.filters for stage in ARCHITECTURES[name].spec.stages]
    assert encoder.input_shape == (None, 32, 96, channels)
    assert shapes(encoder)["stage4"] == (1, 3, filters[-1])


def test_an_open_shape_takes_fields_of_any_extent():
    encoder = networks.encoder("resnet-tiny", (None, None, 1))
    features = encoder(np.zeros((1, 24, 40, 1), np.float32))
    assert features["stage2"].shape == (1, 6, 10, 32)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((150, 160, 2), r"150 grid points in latitude, but .* multiple of 32"),
        ((160, 16, 2), r"16 grid points in longitude"),
        ((160, 160, 0), r"at least one channel"),
        ((160, 160), r"\(latitude, longitude, channel\)"),
    ],
)
@pytest.mark.parametrize("name", ["resnet-small", "resnet-18", "resnet-101"])
def test_shapes_that_the_strides_forbid_are_refused(name, shape, message):
    with pytest.raises(ValueError, match=message):
        networks.encoder(name, shape)


def test_unknown_architectures_are_refused_by_name():
    with pytest.raises(ValueError, match="no architecture 'resnet-huge'; there are resnet-101"):
        networks.encoder("resnet-huge", (32, 32, 2))


@pytest.mark.parametrize("name", ["resnet-tiny", "resnet-18", LARGE])
def test_a_saved_encoder_loads_in_safe_mode_with_its_stages(name, tmp_path):
    encoder = networks.encoder(name, (32, 32, 2))
    encoder.save(tmp_path / "encoder.keras")
    again = keras.models.load_model(tmp_path / "encoder.keras", safe_mode=True)
    field = np.random.default_rng(0).standard_normal((2, 32, 32, 2)).astype(np.float32)
    before, after = encoder(field), again(field)
    assert list(before) == list(after)
    for stage in before:
        assert_array_equal(before[stage], after[stage])
