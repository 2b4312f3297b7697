import errno
import os
import resource

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from atmodist.records import shard_layout
from atmodist.records.shard_layout import lay_out_shards, reserve, write_at


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.floats(1, 500), st.integers(0, 9))
def test_records_tile_the_shards_in_the_order_of_their_positions(sizes, shard_bytes, seed):
    sizes = np.array(sizes)
    position = np.random.default_rng(seed).permutation(len(sizes))
    layout = lay_out_shards(position, sizes, shard_bytes)
    order = np.argsort(position)
    expected_shard, expected_offset = 0, 0
    for i in order:
        if layout.shard[i] != expected_shard:
            assert expected_offset == layout.sizes[expected_shard]
            expected_shard, expected_offset = expected_shard + 1, 0
        assert (layout.shard[i], layout.offset[i]) == (expected_shard, expected_offset)
        expected_offset += sizes[i]
    assert expected_shard == len(layout.sizes) - 1
    assert expected_offset == layout.sizes[-1]
    assert_array_equal(layout.counts, np.bincount(layout.shard))
    assert layout.counts.max() - layout.counts.min() <= 1


@pytest.mark.parametrize(("shard_bytes", "count"), [(1e9, 1), (10_000, 10), (33_000, 3), (1, 1000)])
def test_shards_are_about_as_long_as_asked(shard_bytes, count):
    layout = lay_out_shards(np.arange(1000), np.full(1000, 100), shard_bytes)
    assert len(layout.sizes) == count
    assert layout.sizes.sum() == 100_000


def test_buffers_are_written_one_after_the_other(tmp_path):
    path = tmp_path / "file"
    reserve({path: 30})
    patch = np.arange(4, dtype="<f4").reshape(2, 2, 1)
    file = os.open(path, os.O_WRONLY)
    write_at(file, [b"head", patch, b"", b"tail"], 3)
    os.close(file)
    expected = b"\0" * 3 + b"head" + patch.tobytes() + b"tail" + b"\0" * 3
    assert path.read_bytes() == expected


@pytest.mark.parametrize("at_once", [1, 3, 7, 1000])
def test_a_write_that_stops_short_goes_on(tmp_path, monkeypatch, at_once):
    real = os.pwritev

    def stops_short(file, buffers, offset):
        return real(file, [b"".join(buffers)[:at_once]], offset)

    monkeypatch.setattr(os, "pwritev", stops_short)
    path = tmp_path / "file"
    reserve({path: 40})
    file = os.open(path, os.O_WRONLY)
    buffers = [b"ab", np.arange(5, dtype="<f4"), b"cdefg", b"hij"]
    write_at(file, buffers, 5)
    os.close(file)
    assert path.read_bytes()[5:35] == b"".join(bytes(memoryview(b)) for b in buffers)


def test_more_buffers_than_the_system_takes_at_once(tmp_path):
    path = tmp_path / "file"
    reserve({path: 3000})
    file = os.open(path, os.O_WRONLY)
    write_at(file, [bytes([i % 251]) for i in range(3000)], 0)
    os.close(file)
    assert path.read_bytes() == bytes(i % 251 for i in range(3000))


def test_reserving_sets_the_length_and_keeps_what_is_there(tmp_path):
    path = tmp_path / "file"
    reserve({path: 10})
    assert path.read_bytes() == bytes(10)
    assert path.stat().st_blocks > 0  # not a hole: its room is taken
    path.write_bytes(b"0123456789")
    reserve({path: 10})
    assert path.read_bytes() == b"0123456789"


def test_no_room_says_how_much_is_needed_in_all_and_how_much_is_free(tmp_path):
    folder = tmp_path / "records" / ".partial"
    folder.mkdir(parents=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"no room for 1\.7 MB of records in .*records: File too"):
            reserve({folder / "a": 700_000, folder / "b": 1_000_001})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_cannot_reserve_does_without(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(shard_layout.os, "posix_fallocate", unsupported)
    reserve({tmp_path / "file": 10})
    assert (tmp_path / "file").stat().st_size == 10


def test_other_errors_of_reserving_pass(tmp_path):
    with pytest.raises(IsADirectoryError):
        reserve({tmp_path: 10})
