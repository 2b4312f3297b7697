"""Where each record goes: which shard, and at which byte of it.

The length of a record is known before it is made, so records can be written in any order, by any
number of processes, and twice if need be: the same bytes land in the same places.
"""

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# A write that stops for one of these will not get further by trying again.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_IOV_MAX = 1024  # buffers that one pwritev takes


@dataclass(frozen=True)
class ShardLayout:
    """Where each pair of a split is written.

    Attributes:
        sizes: Bytes of each shard. Shape (shard,).
        counts: Records in each shard. Shape (shard,).
        shard: Shard of each pair. Shape (pair,).
        offset: Byte in its shard at which the pair begins. Shape (pair,).
    """

    sizes: np.ndarray
    counts: np.ndarray
    shard: np.ndarray
    offset: np.ndarray


def lay_out_shards(position: np.ndarray, sizes: np.ndarray, shard_bytes: float) -> ShardLayout:
    """Places records in shards of about `shard_bytes`.

    Args:
        position: Where each record stands in the shuffled split. Shape (pair,).
        sizes: Bytes of each record. Shape (pair,).
        shard_bytes: About how long a shard shall be.
    """
    num_shards = max(1, round(int(sizes.sum()) / shard_bytes))
    num_shards = min(num_shards, len(position))
    order = np.argsort(position)
    shard_of_position = np.arange(len(position)) * num_shards // len(position)
    ends = np.cumsum(sizes[order])
    shard_ends = ends[np.searchsorted(shard_of_position, np.arange(num_shards), side="right") - 1]
    shard_starts = np.concatenate([[0], shard_ends[:-1]])
    offset = np.empty_like(ends)
    offset[order] = ends - sizes[order] - shard_starts[shard_of_position]
    shard = np.empty(len(position), np.int64)
    shard[order] = shard_of_position
    counts = np.bincount(shard_of_position, minlength=num_shards)
    return ShardLayout(shard_ends - shard_starts, counts, shard, offset)


def reserve(sizes: Mapping[Path, int]) -> None:
    """Makes files of given sizes and reserves their room on disk; keeps what they hold already.

    Args:
        sizes: Bytes of each file; all lie in one folder.

    Raises:
        OSError: If there is no room; says how much is needed in all, and how much is free.
    """
    folder = next(iter(sizes)).parent
    free = shutil.disk_usage(folder).free  # before some of it is taken
    try:
        for path, size in sizes.items():
            _reserve_file(path, size)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise OSError(
            f"no room for {sum(sizes.values()) / 1e6:.1f} MB of records in {folder.parent}: "
            f"{error.strerror} ({free / 1e6:.1f} MB free)"
        ) from None


def write_at(file: int, buffers: Sequence[bytes | np.ndarray], offset: int) -> None:
    """Writes buffers one after the other at an offset of an open file, completely."""
    views = [memoryview(b).cast("B") for b in buffers if len(b)]  # type: ignore[arg-type]
    while views:
        written = os.pwritev(file, views[:_IOV_MAX], offset)
        offset += written
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]


def _reserve_file(path: Path, size: int) -> None:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.ftruncate(file, size)
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a disk that cannot reserve
            raise
    finally:
        os.close(file)
