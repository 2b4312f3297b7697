import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from atmodist.records.example import FRAME_HEADER, num_bytes
from srgan.samples.format import (
    PATCH_FEATURES,
    REFERENCE_FEATURES,
    decode_patches,
    encode_patch,
    framed_patch_size,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
COUNT = st.integers(0, 2**40)


def patch(low=(3, 4, 2), high=(6, 8, 2), **changes):
    rng = np.random.default_rng(0)
    scalars = {
        **{"index": 7, "time": 1_500_000_000, "step": 11, "row": 2, "column": 1300},
        **{"latitudes": (60.0, 55.0), "longitudes": (350.0, 357.0)},
    }
    low, high = (rng.normal(size=shape).astype(np.float32) for shape in (low, high))
    return low, high, {**scalars, **changes}


def payload(low, high, scalars):
    return b"".join(encode_patch(low, high, **scalars))[FRAME_HEADER.size : -4]


def test_the_payload_is_an_example_with_our_features():
    low, high, scalars = patch()
    content = payload(low, high, scalars)
    example = tf.train.Example.FromString(content)
    assert len(example.SerializeToString()) == len(content)  # the order of a map is free
    assert set(example.features.feature) == set(PATCH_FEATURES)
    kinds = {"int64": "int64_list", "float32": "float_list", "bytes": "bytes_list"}
    for name, kind in PATCH_FEATURES.items():
        assert example.features.feature[name].WhichOneof("kind") == kinds[kind]
    assert example.features.feature["data_HR"].bytes_list.value[0] == high.tobytes()


def test_decoding_gives_back_what_was_encoded():
    low, high, scalars = patch()
    record = decode_patches(payload(low, high, scalars))
    assert_array_equal(record["data_LR"], low)
    assert_array_equal(record["data_HR"], high)
    for name in ("index", "time", "step", "row", "column"):
        assert record[name] == scalars[name]
    assert (record["lat_start"], record["lat_end"]) == (60.0, 55.0)
    assert (record["h_LR"], record["w_LR"], record["h_HR"], record["w_HR"]) == (3, 4, 6, 8)


@given(index=COUNT, time=INT64, step=COUNT, row=COUNT, column=COUNT)
def test_size_is_known_from_the_scalars_alone(**varying):
    low, high, scalars = patch(**varying)
    size = framed_patch_size(low.shape, high.shape, **varying)
    assert size == num_bytes(encode_patch(low, high, **scalars))


def test_the_reference_features_alone_are_a_record():
    low, high, _ = patch()
    record = decode_patches(reference_payload(low, high))
    assert set(record) == set(REFERENCE_FEATURES)
    assert_array_equal(record["data_LR"], low)


def reference_payload(low, high, index=0):
    def integer(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def content(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.tobytes()]))

    features = {
        "index": integer(index),
        "data_LR": content(low),
        "h_LR": integer(low.shape[0]),
        "w_LR": integer(low.shape[1]),
        "data_HR": content(high),
        "h_HR": integer(high.shape[0]),
        "w_HR": integer(high.shape[1]),
        "c": integer(low.shape[2]),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_doubles_and_cut_patches_are_refused():
    low, high, _ = patch()
    with pytest.raises(ValueError, match=r"data_LR has 192 bytes, but \(H, W, C\) = \(3, 4, 2\)"):
        decode_patches(reference_payload(low.astype(np.float64), high))
    with pytest.raises(ValueError, match="not a patch of two resolutions: its feature"):
        decode_patches(b"")


def test_patches_that_do_not_belong_together_are_refused():
    low, high, scalars = patch(low=(3, 4, 1))
    with pytest.raises(ValueError, match=r"`low` must be float32 .* got float32 of shape \(3, 4"):
        encode_patch(low, high, **scalars)
    with pytest.raises(ValueError, match="`low` must be float32"):
        encode_patch(low.astype(np.float64), high, **scalars)
