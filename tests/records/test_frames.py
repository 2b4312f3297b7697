import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atmodist.pairs.pair_format import decode_pair
from atmodist.records.example import frame, parse_example
from atmodist.records.frames import (
    DamagedShardError,
    RecordsDigest,
    compress_shard,
    detect_compression,
    read_payloads,
    shard_name,
    verify_shard,
)

PAYLOADS = [bytes([i]) * (100 + i) for i in range(20)]
FRAMES = [b"".join(frame([payload])) for payload in PAYLOADS]


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / shard_name("pairs", "train", 0, 1)
    path.write_bytes(b"".join(FRAMES))
    return path


def start_of(record):
    """Where record number `record`, from 1, starts in the shard."""
    return sum(map(len, FRAMES[: record - 1]))


def write_payloads(path, payloads):
    path.write_bytes(b"".join(b"".join(frame([payload])) for payload in payloads))
    return path


def flip(path, byte, bit=0):
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


def write_by_tensorflow(path, compression):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for payload in PAYLOADS:
            writer.write(payload)


def test_names_are_those_of_tensorflow_datasets():
    assert shard_name("era5_pairs", "train", 0, 4) == "era5_pairs-train.tfrecord-00000-of-00004"


@pytest.mark.parametrize(
    "arguments",
    [("a/b", "train", 0, 1), ("..", "train", 0, 1), ("a", "tr-ain", 0, 1), ("a", "train", 4, 4)],
)
def test_names_that_others_could_not_parse_are_refused(arguments):
    with pytest.raises(ValueError, match="letters, digits and underscores"):
        shard_name(*arguments)


@pytest.mark.parametrize("compression", ["none", "gzip", "zlib"])
def test_files_written_by_tensorflow_are_recognised_and_read(tmp_path, compression):
    write_by_tensorflow(tmp_path / "a", {"none": ""}.get(compression, compression.upper()))
    assert detect_compression(tmp_path / "a") == compression
    assert list(read_payloads(tmp_path / "a")) == PAYLOADS


@pytest.mark.parametrize("first", [0x8B1F, 0x9C78])  # lengths that look like gzip and zlib
def test_a_plain_shard_is_not_taken_for_a_compressed_one(tmp_path, first):
    (tmp_path / "a").write_bytes(b"".join(frame([bytes(first)])))
    assert detect_compression(tmp_path / "a") == "none"
    assert verify_shard(tmp_path / "a") == 1


@pytest.mark.parametrize("compression", ["gzip", "zlib"])
def test_compressed_shards_are_read_by_tensorflow_and_by_us(shard, compression):
    compress_shard(shard, compression)
    assert detect_compression(shard) == compression
    assert verify_shard(shard, expected=20) == 20
    theirs = tf.data.TFRecordDataset(str(shard), compression.upper())
    assert list(theirs.as_numpy_iterator()) == PAYLOADS
    assert list(shard.parent.iterdir()) == [shard]


@pytest.mark.parametrize("compression", ["gzip", "zlib"])
def test_compressing_gives_the_same_bytes_whenever_and_however_often(
    shard, compression, monkeypatch
):
    plain = shard.read_bytes()
    compress_shard(shard, compression)
    first = shard.read_bytes()
    compress_shard(shard, compression)  # as after being killed: left alone
    assert shard.read_bytes() == first
    other = shard.with_name("other")
    other.write_bytes(plain)
    monkeypatch.setattr("time.time", lambda: 2e9)
    compress_shard(other, compression)
    assert other.read_bytes() == first


def test_a_shard_compressed_otherwise_is_refused(shard):
    compress_shard(shard, "gzip")
    with pytest.raises(ValueError, match="is compressed by gzip already"):
        compress_shard(shard, "zlib")
    with pytest.raises(ValueError, match=r"`compression` must be one of .* got 'lzma'"):
        compress_shard(shard, "lzma")


def test_records_far_larger_than_a_block_are_inflated(tmp_path):
    payload = np.random.default_rng(0).integers(0, 4, 3_000_000, np.uint8).tobytes()
    (tmp_path / "a").write_bytes(b"".join(frame([payload])) * 2)
    compress_shard(tmp_path / "a", "zlib")
    assert list(read_payloads(tmp_path / "a")) == [payload, payload]


def damage_of(path, **options):
    with pytest.raises(DamagedShardError) as raised:
        verify_shard(path, **options)
    assert str(path) in str(raised.value)
    assert "make the records again or restore the file" in str(raised.value)
    return raised.value


def test_a_flipped_bit_in_a_payload_is_reported_by_shard_and_record(shard):
    flip(shard, start_of(17) + 12 + 50)
    damage = damage_of(shard, expected=20)
    assert damage.record == 17
    assert f"{shard}: record 17 of 20 is damaged (its checksum is wrong)" in str(damage)


@pytest.mark.parametrize("byte", [0, 7, 8])  # the length, its highest byte, and its checksum
def test_a_flipped_bit_in_a_length_is_found_before_it_is_used(shard, byte):
    flip(shard, start_of(5) + byte, bit=6)
    damage = damage_of(shard)
    assert damage.record == 5
    assert "the checksum of its length is wrong" in str(damage)


def test_a_length_beyond_the_file_is_refused_although_its_checksum_holds(tmp_path):
    header = frame([bytes(10_000_000)])[0]
    (tmp_path / "a").write_bytes(header + b"little")
    damage = damage_of(tmp_path / "a")
    assert "it should have 10,000,000 bytes, more than the file holds" in str(damage)


@pytest.mark.parametrize(("kept", "text"), [(5, "within its header"), (60, "48 of its 111 bytes")])
def test_a_cut_within_a_record_is_reported(shard, kept, text):
    os.truncate(shard, start_of(12) + kept)
    damage = damage_of(shard, expected=20)
    assert damage.record == 12
    assert text in str(damage)


def test_a_cut_between_records_is_noticed_by_their_number(shard):
    os.truncate(shard, start_of(12))
    assert verify_shard(shard) == 11  # nothing in the file itself tells
    damage = damage_of(shard, expected=20)
    assert damage.record == 12
    assert "record 12 of 20 is damaged (the shard ends before it)" in str(damage)


def test_surplus_records_are_noticed(shard):
    assert damage_of(shard, expected=19).record == 20


def test_an_empty_file_is_reported_unless_it_should_be_empty(tmp_path):
    (tmp_path / "a").touch()
    assert "the file is empty" in str(damage_of(tmp_path / "a"))
    assert damage_of(tmp_path / "a", expected=3).record == 1
    assert verify_shard(tmp_path / "a", expected=0) == 0


def test_text_is_no_shard(tmp_path):
    (tmp_path / "a").write_text("<html>this is not the file you were looking for</html>")
    assert damage_of(tmp_path / "a").record == 1


@pytest.mark.parametrize("compression", ["gzip", "zlib"])
@pytest.mark.parametrize("damage", ["cut", "cut by a byte", "flip", "appended"])
def test_damage_to_a_compressed_shard_is_reported(shard, compression, damage):
    compress_shard(shard, compression)
    size = shard.stat().st_size
    if damage == "flip":
        flip(shard, size - 20)
    elif damage == "appended":
        shard.write_bytes(shard.read_bytes() + b"x")
    else:
        os.truncate(shard, size // 2 if damage == "cut" else size - 1)
    damage_of(shard, expected=20)
    damage_of(shard, compression=compression)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 8 * len(b"".join(FRAMES)) - 1))
def test_no_flipped_bit_escapes(tmp_path, position):
    path = tmp_path / "a"
    path.write_bytes(b"".join(FRAMES))
    flip(path, position // 8, position % 8)
    with pytest.raises(DamagedShardError):
        verify_shard(path)


def test_records_that_are_whole_but_no_pairs_are_found_on_request(shard):
    assert verify_shard(shard) == 20
    assert damage_of(shard, check=decode_pair).record == 1


def test_records_of_the_super_resolution_reference_are_read():
    folder = os.environ.get("ATMODIST_SAMPLE_DATA")
    if not folder:
        pytest.skip("ATMODIST_SAMPLE_DATA does not name a folder of sample data")
    path = Path(folder) / "NREL__PhIRE" / "example_data" / "wind_LR-MR.tfrecord"
    payloads = list(read_payloads(path))
    assert payloads == list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    record = parse_example(payloads[0])
    (height,), (width,), (channels,) = record["h_LR"], record["w_LR"], record["c"]
    low_resolution = np.frombuffer(record["data_LR"][0])  # float64
    assert low_resolution.size == height * width * channels
    assert np.abs(low_resolution).max() < 100  # winds in m s⁻¹


@pytest.mark.parametrize("compression", ["gzip", "zlib"])
def test_the_digest_is_of_the_records_however_they_are_compressed(tmp_path, compression):
    path = write_payloads(tmp_path / "a", [b"one", b"two", b""])
    plain = RecordsDigest.of(path)
    by_hand = RecordsDigest()
    for payload in (b"one", b"two", b""):
        by_hand.update(payload)
    assert plain == by_hand.hexdigest()
    compress_shard(path, compression)
    assert RecordsDigest.of(path) == plain
    assert RecordsDigest.of(write_payloads(tmp_path / "b", [b"one", b"twp", b""])) != plain
    assert RecordsDigest.of(write_payloads(tmp_path / "c", [b"two", b"one", b""])) != plain
