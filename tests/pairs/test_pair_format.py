import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from atmodist.pairs.pair_format import PAIR_FEATURES, decode_pair, encode_pair, framed_pair_size
from atmodist.records.example import (
    PATCH_DTYPE,
    encode_example,
    frame,
    num_bytes,
    parse_example,
    varint_size,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
SIDES = st.integers(1, 20)


def pair(shape=(6, 5, 2), seed=0, **changes):
    rng = np.random.default_rng(seed)
    scalars = {
        "index": 7,
        "label": 3,
        "max_label": 31,
        "latitudes": (60.25, 20.5),
        "longitudes": (350.0, 29.75),
        "time": 1_538_848_800,
        "step": 41,
    }
    patch1, patch2 = rng.standard_normal((2, *shape)).astype(np.float32)
    return {"patch1": patch1, "patch2": patch2, **scalars, **changes}


def payload_of(buffers):
    return b"".join(buffers)[12:-4]


@pytest.fixture
def tf_example():
    """The Example that the reference implementation would make, with our two additions."""
    values = pair()
    patch1, patch2 = values["patch1"], values["patch2"]

    def int64(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def float32(value):
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))

    def patch(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.tobytes()]))

    feature = {
        "index": int64(7),
        "patch1": patch(patch1),
        "patch2": patch(patch2),
        "label": int64(3),
        "T_max": int64(31),
        "H": int64(6),
        "W": int64(5),
        "C": int64(2),
        "lat_start": float32(60.25),
        "long_start": float32(350.0),
        "lat_end": float32(20.5),
        "long_end": float32(29.75),
        "time": int64(1_538_848_800),
        "step": int64(41),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature))


def test_payload_is_the_deterministic_serialisation_of_the_example(tf_example):
    payload = payload_of(encode_pair(**pair()))
    assert payload == tf_example.SerializeToString(deterministic=True)
    assert tf.train.Example.FromString(payload) == tf_example


def test_tensorflow_reads_each_feature_with_its_type():
    spec = {
        name: tf.io.FixedLenFeature(
            [], {"int64": tf.int64, "float32": tf.float32}.get(k, tf.string)
        )
        for name, k in PAIR_FEATURES.items()
    }
    values = pair(time=-86_400, index=2**40)
    read = tf.io.parse_single_example(payload_of(encode_pair(**values)), spec)
    assert read["time"] == -86_400
    assert read["index"] == 2**40
    assert_array_equal(
        tf.reshape(tf.io.decode_raw(read["patch2"], tf.float32), (6, 5, 2)), values["patch2"]
    )


def test_frame_is_byte_identical_to_tensorflows(tmp_path):
    payloads = [b"", b"x", bytes(range(256)) * 300, payload_of(encode_pair(**pair()))]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for payload in payloads:
            writer.write(payload)
    ours = b"".join(b"".join(frame([payload])) for payload in payloads)
    assert ours == (tmp_path / "theirs").read_bytes()


@settings(deadline=None)
@given(
    st.tuples(SIDES, SIDES, st.integers(1, 3)),
    INT64,
    st.integers(1, 400),
    st.integers(0, 2**40),
    INT64,
    INT64,
)
def test_size_is_known_from_the_scalars_alone(shape, index, label, more, time, step):
    scalars = {"index": index, "label": label, "time": time, "step": step}
    scalars["max_label"] = label + more
    record = b"".join(encode_pair(**pair(shape, **scalars)))
    assert framed_pair_size(shape, **scalars) == len(record)


@pytest.mark.parametrize("shape", [(1, 1, 1), (64, 64, 2), (160, 160, 2)])
def test_sizes_of_many_records_at_once(shape):
    # Lengths of these payloads take 1, 3 and 3 bytes as varints.
    times = np.array([-1, 0, 127, 128, 16_383, 16_384, 1_538_848_800, 2**62])
    sizes = framed_pair_size(shape, max_label=31, index=np.arange(8), label=3, time=times, step=5)
    for index, time in enumerate(times):
        record = encode_pair(**pair(shape, index=index, time=time, step=5))
        assert sizes[index] == num_bytes(record)


@given(st.lists(INT64, min_size=1))
def test_varint_size_is_what_protobuf_takes(values):
    def size(value):
        feature = tf.train.Int64List(value=[value])
        return feature.ByteSize() - 2  # the tag and the length of the packed list

    assert varint_size(np.array(values)).tolist() == [size(value) for value in values]


def test_patches_are_not_copied_into_the_record():
    values = pair()
    arrays = [b for b in encode_pair(**values) if isinstance(b, np.ndarray)]
    assert np.shares_memory(arrays[0], values["patch1"])
    assert np.shares_memory(arrays[1], values["patch2"])


def test_a_patch_cut_out_of_a_field_is_written_in_the_order_of_its_axes():
    field = np.arange(2 * 8 * 9, dtype=np.float32).reshape(2, 8, 9)
    patch = np.moveaxis(field, 0, -1)[2:6, 3:8]  # (latitude, longitude, channel), not contiguous
    decoded = decode_pair(payload_of(encode_pair(**pair(patch1=patch, patch2=patch[::-1]))))
    assert_array_equal(decoded["patch1"], patch)
    assert_array_equal(decoded["patch2"], patch[::-1])


def test_decoding_gives_back_what_was_encoded():
    values = pair(time=-5)
    decoded = decode_pair(payload_of(encode_pair(**values)))
    assert set(decoded) == set(PAIR_FEATURES)
    assert_array_equal(decoded["patch1"], values["patch1"])
    assert [decoded[n] for n in ("lat_start", "lat_end", "long_start", "long_end")] == [
        60.25,
        20.5,
        350.0,
        29.75,
    ]
    assert [decoded[n] for n in ("index", "label", "T_max", "time", "step")] == [7, 3, 31, -5, 41]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 0}, r"`label` must be 1 to max_label=31; got label=0"),
        ({"label": 32}, r"got label=32"),
        ({"patch1": np.zeros((6, 5, 2))}, r"`patch1` must be float32 .* got float64"),
        ({"patch2": np.zeros((6, 5), np.float32)}, r"`patch2` must be .* of shape \(6, 5\)"),
        ({"patch2": np.zeros((5, 6, 2), np.float32)}, r"one shape; got \(6, 5, 2\) and"),
        ({"index": 2**63}, r"must fit 64 bits; got 9223372036854775808"),
    ],
)
def test_wrong_pairs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        encode_pair(**pair(**changes))


def example_with(**changes):
    features = {
        name: {"int64": 1, "float32": 0.0}.get(kind, b"\0\0\0\0")
        for name, kind in PAIR_FEATURES.items()
    }
    features |= changes
    return b"".join(encode_example({k: v for k, v in features.items() if v is not None}))


def test_a_one_point_pair_is_read():
    assert decode_pair(example_with())["patch1"].shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\xff" * 40, r"no tf.train.Example"),
        (b"", r"its feature 'index' should be one int64 value"),
        (example_with(label=None), r"feature 'label' should be one int64"),
        (example_with(H=3.0), r"feature 'H' should be one int64"),
        (example_with(patch2=5), r"feature 'patch2' should be one bytes"),
        (example_with(H=2), r"its patch1 has 4 bytes, but \(H, W, C\) = \(2, 1, 1\) .* takes 8"),
        (example_with(patch2=b""), r"its patch2 has 0 bytes"),
        (example_with(H=-1, W=-1), r"its patch1 has 4 bytes, but \(H, W, C\) = \(-1, -1, 1\)"),
        (example_with(H=2**40, W=2**40), r"takes 4,835"),
    ],
)
def test_payloads_that_are_no_pairs_say_why(payload, message):
    with pytest.raises(ValueError, match=message):
        decode_pair(payload)


def test_lists_of_any_length_are_parsed():
    example = tf.train.Example()
    example.features.feature["data"].float_list.value.extend([1.0, 2.5])
    example.features.feature["empty"].SetInParent()
    assert parse_example(example.SerializeToString()) == {"data": [1.0, 2.5], "empty": []}


def test_patches_are_little_endian_whatever_the_machine():
    assert PATCH_DTYPE.str == "<f4"
    ones = np.ones((6, 5, 2), np.float32)
    assert b"\x00\x00\x80\x3f" * 60 in payload_of(encode_pair(**pair(patch1=ones)))
