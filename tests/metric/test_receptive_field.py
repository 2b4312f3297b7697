import keras
import numpy as np
import pytest
from keras import layers
from numpy.testing import assert_allclose

from atmodist.metric.receptive_field import FieldOfView, HaloRefresh, adapted, extents
from tests.metric.encoders import made_encoder


def explicit_padding_encoder():
    """As Keras' own residual networks pad: zeros in a layer of their own, then a valid window."""
    inputs = keras.Input((32, 32, 1))
    x = layers.ZeroPadding2D(3)(inputs)
    x = layers.Conv2D(4, 7, strides=2)(x)
    x = layers.ReLU()(x)
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    y = layers.Conv2D(4, 3, padding="same")(x)
    y = layers.Conv2D(4, 3, padding="same", dilation_rate=2)(y)
    x = layers.ReLU(name="stage1")(layers.Add()([x, y]))
    return keras.Model(inputs, {"stage1": x})


def test_extents_are_those_of_the_windows():
    # stem 5/2: -1..3; two 3x3 at stride 2, twice; stage 2 strides once more
    assert extents(made_encoder()) == {
        "stage1": FieldOfView(2, -5, 7),
        "stage2": FieldOfView(4, -9, 15),
    }
    # 7/2 with three zeros: -3..3; pooling 3/2 with one: ±2; 3x3 and 5x5 at stride 4: ±12
    assert extents(explicit_padding_encoder()) == {"stage1": FieldOfView(4, -17, 17)}


@pytest.mark.parametrize("make", [made_encoder, explicit_padding_encoder])
def test_features_change_where_the_extent_says_and_nowhere_else(make):
    encoder = make()
    rows, columns, channels = encoder.input.shape[1:]
    rng = np.random.default_rng(0)
    field = rng.normal(size=(1, rows, columns, channels)).astype(np.float32)
    before = encoder.predict_on_batch(field)
    point = (14, 17)
    reached = {stage: np.zeros(values.shape[1:3], bool) for stage, values in before.items()}
    for _ in range(20):
        changed = field.copy()
        changed[0, point[0], point[1]] += rng.normal(0, 10, channels)
        after = encoder.predict_on_batch(changed)
        for stage in before:
            reached[stage] |= (after[stage] != before[stage]).any(-1)[0]
    for stage, extent in extents(encoder).items():
        for axis in (0, 1):
            cells = np.flatnonzero(reached[stage].any(axis=1 - axis)) * extent.stride
            seen = (cells + extent.first <= point[axis]) & (point[axis] <= cells + extent.last)
            assert seen.all()


@pytest.mark.parametrize("make", [made_encoder, explicit_padding_encoder])
@pytest.mark.parametrize("columns", [64, 66, 65])  # divided by strides of 4, of 2, by none
def test_a_halo_gives_what_padding_by_the_receptive_field_gives(make, columns):
    encoder = make()
    stages = tuple(encoder.output)
    field = np.random.default_rng(1).normal(size=(1, 32, columns, encoder.input.shape[-1]))
    field = field.astype(np.float32)
    plain, seamless = adapted(encoder, stages), adapted(encoder, stages, columns=columns)
    padding = 32  # a multiple of the stride, beyond the receptive field
    turn = -(-columns // 4) * 4
    around = np.arange(-padding, turn + padding) % columns
    wide = plain.model.predict_on_batch(np.take(field, around, 2))
    halo = seamless.halo
    around = np.arange(-halo, seamless.turns * columns + halo) % columns
    narrow = seamless.model.predict_on_batch(np.take(field, around, 2))
    for stage in stages:
        stride = plain.extents[stage].stride
        num = -(-columns // stride)
        expected = wide[stage][:, :, padding // stride :][:, :, :num]
        found = narrow[stage][:, :, halo // stride :][:, :, :num]
        assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_only_layers_whose_stride_does_not_divide_the_circle_go_round_it_more_than_once():
    encoder = made_encoder()
    seamless = adapted(encoder, ("stage1", "stage2"), columns=66)
    assert seamless.turns == 1
    halo = seamless.halo
    features = seamless.model.predict_on_batch(np.zeros((1, 8, 66 + 2 * halo, 2), np.float32))
    assert features["stage1"].shape[2] == 66 // 2 + 2 * halo // 2
    assert features["stage2"].shape[2] == 2 * 66 // 4 + 2 * halo // 4


def test_a_copy_gives_what_the_encoder_gives_and_is_frozen():
    encoder = made_encoder()
    copy = adapted(encoder, ("stage1", "stage2")).model
    field = np.random.default_rng(2).normal(size=(1, 64, 64, 2)).astype(np.float32)
    expected, found = encoder.predict_on_batch(field), copy.predict_on_batch(field)
    for stage in expected:
        assert_allclose(found[stage], expected[stage], rtol=1e-5, atol=1e-5)
    assert not copy.trainable_weights
    assert encoder.trainable_weights
    encoder.weights[0].assign(0 * encoder.weights[0])
    again = copy.predict_on_batch(field)
    assert_allclose(again["stage2"], found["stage2"])


def test_layers_of_unknown_reach_are_refused_by_name():
    inputs = keras.Input((32, 32, 1))
    x = layers.UpSampling2D(2, name="larger")(inputs)
    with pytest.raises(ValueError, match="'larger' of the encoder is a UpSampling2D"):
        extents(keras.Model(inputs, {"stage1": x}))
    inner = keras.Model(inputs, layers.ReLU()(inputs), name="inner")
    nested = keras.Model(inputs, {"stage1": layers.ReLU()(inner(inputs))})
    with pytest.raises(ValueError, match="a whole model as its layer 'inner'"):
        extents(nested)


def test_refreshing_copies_the_other_side():
    row = np.arange(8, dtype=np.float32).reshape(1, 1, 8, 1)
    found = np.asarray(HaloRefresh(2)(row)).ravel()
    assert found.tolist() == [4, 5, 2, 3, 4, 5, 2, 3]
    twice = np.asarray(HaloRefresh(2, turns=2)(row)).ravel()
    assert twice.tolist() == [4, 5, 2, 3, 4, 5, 2, 3, 4, 5, 2, 3]
    with pytest.raises(ValueError, match="`width` must be a positive integer; got width=0"):
        HaloRefresh(0)
    with pytest.raises(ValueError, match="`turns` must be a positive integer; got turns=0"):
        HaloRefresh(2, turns=0)
    layer = HaloRefresh.from_config(HaloRefresh(3, turns=2).get_config())
    assert (layer.width, layer.turns) == (3, 2)
