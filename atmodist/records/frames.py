"""Shards, the files that hold records: their names, compression, and whether they are undamaged.

A shard is a TFRecord file, one frame after another, either plain (the default) or compressed as a
whole by gzip or zlib. Everything here reads frames by itself, without TensorFlow, so that damage
is reported with the name of the shard and the number of the record. Nothing in a file is trusted:
a length is used only after its checksum, and no more is allocated than the file can hold.
"""

import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, get_args

from atmodist.files import outputs
from atmodist.records.example import (
    FRAME_FOOTER,
    FRAME_HEADER,
    MAX_PAYLOAD,
    frame,
    masked_crc,
)

Compression = Literal["none", "gzip", "zlib"]
COMPRESSIONS: tuple[Compression, ...] = get_args(Compression)

BLOCK = 1 << 20  # bytes read from disk at a time
SHARD_NAME = re.compile(
    r"(?P<dataset>[a-z]\w*)-(?P<split>\w+)\.tfrecord-(?P<i>\d{5})-of-(?P<n>\d{5})"
)
_LENGTH_SIZE = 8  # bytes of the length, before its checksum
_WINDOW_BITS = {"zlib": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS + 16}  # zlib's way to ask for gzip
_ANY_WINDOW = zlib.MAX_WBITS + 32  # and to accept both


class DamagedShardError(ValueError):
    """A shard that cannot be read to its end.

    Attributes:
        path: The shard.
        record: Number of the first unreadable record, from 1.
    """

    def __init__(self, path: Path, record: int, reason: str, expected: int | None = None):
        total = "" if expected is None else f" of {expected}"
        super().__init__(
            f"{path}: record {record}{total} is damaged ({reason}); "
            "make the records again or restore the file."
        )
        self.path = path
        self.record = record


def shard_name(dataset: str, split: str, i: int, n: int) -> str:
    """The name of shard `i` of `n`, counted from 0, as TensorFlow Datasets expects it."""
    name = f"{dataset}-{split}.tfrecord-{i:05d}-of-{n:05d}"
    if not SHARD_NAME.fullmatch(name) or not 0 <= i < n:
        raise ValueError(
            "`dataset` and `split` must be letters, digits and underscores (the dataset in lower "
            f"case) and 0 <= i < n < 100000; got {dataset!r}, {split!r}, i={i}, n={n}."
        )
    return name


def detect_compression(path: str | Path) -> Compression:
    """Tells from its first bytes how a shard is compressed."""
    with Path(path).open("rb") as file:
        head = file.read(FRAME_HEADER.size)
    if _checked_length(head) is not None:
        return "none"  # asked first, since a length may look like anything
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if len(head) >= 2 and head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "zlib"
    return "none"


def read_payloads(
    path: str | Path, *, compression: Compression | None = None, expected: int | None = None
) -> Iterator[bytes]:
    """Yields the payloads of a shard in order; raises `DamagedShardError` at the first bad one.

    Args:
        path: The shard.
        compression: None to detect it.
        expected: How many records there should be; None to take what there is.
    """
    path = Path(path)
    compression = compression or detect_compression(path)
    record = 1  # the one being read
    with path.open("rb", buffering=BLOCK) as file:
        source: _Source = file
        available = os.fstat(file.fileno()).st_size
        if compression != "none":
            source, available = _Inflated(file), MAX_PAYLOAD
        try:
            while (payload := _read_payload(source, available)) is not None:
                if expected is not None and record > expected:
                    raise _DamageError("the shard should have ended before it")
                yield payload
                record += 1
            if expected is None and record == 1:
                raise _DamageError("the file is empty")
            if expected is not None and record <= expected:
                raise _DamageError("the shard ends before it")
        except (_DamageError, zlib.error) as error:
            raise DamagedShardError(path, record, str(error), expected) from None


def verify_shard(
    path: str | Path,
    *,
    compression: Compression | None = None,
    expected: int | None = None,
    check: Callable[[bytes], object] | None = None,
) -> int:
    """Reads a whole shard and returns its number of records.

    Args:
        path: The shard.
        compression: None to detect it.
        expected: How many records there should be; None to take what there is.
        check: Called with each payload; a `ValueError` of it counts as damage. `decode_pair`, for
            instance, finds records that are whole but no pairs.

    Raises:
        DamagedShardError: It names the shard and the first bad record.
    """
    record = 0
    payloads = read_payloads(path, compression=compression, expected=expected)
    for record, payload in enumerate(payloads, start=1):
        try:
            if check is not None:
                check(payload)
        except ValueError as error:
            raise DamagedShardError(Path(path), record, str(error), expected) from None
    return record


class RecordsDigest:
    """SHA-256 over the frames of the records of a shard, without their payloads.

    A frame holds the length and the checksum of its payload, so other records give another digest,
    and computing it takes no time. It says the same of a shard before and after compression.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def update(self, payload: bytes) -> None:
        """Adds a record."""
        header, *_, footer = frame([payload])
        self._digest.update(bytes(header) + bytes(footer))

    def hexdigest(self) -> str:
        """The digest of all records so far."""
        return self._digest.hexdigest()

    @classmethod
    def of(cls, path: str | Path) -> str:
        """The digest of a shard; of a plain one, only headers and checksums are read."""
        path, result = Path(path), cls()
        if detect_compression(path) != "none":
            for payload in read_payloads(path):
                result.update(payload)
            return result.hexdigest()
        with path.open("rb", buffering=0) as file:
            position = 0
            while header := os.pread(file.fileno(), FRAME_HEADER.size, position):
                length = _checked_length(header)
                if length is None:
                    raise ValueError(f"{path} is damaged at byte {position:,}")
                position += FRAME_HEADER.size + length + FRAME_FOOTER.size
                footer = os.pread(file.fileno(), FRAME_FOOTER.size, position - FRAME_FOOTER.size)
                result._digest.update(header + footer)
        return result.hexdigest()


def compress_shard(path: str | Path, compression: Compression, *, level: int = 6) -> None:
    """Replaces a plain shard by a compressed one of the same name, atomically.

    Equal records make equal bytes: the header of gzip carries neither a name nor a time. A shard
    that is compressed in this way already is left alone, so that a killed run can start again.
    """
    path = Path(path)
    if compression not in COMPRESSIONS:
        raise ValueError(f"`compression` must be one of {COMPRESSIONS}; got {compression!r}.")
    found = detect_compression(path)
    if compression in ("none", found):
        return
    if found != "none":
        raise ValueError(f"{path} is compressed by {found} already; expected a plain shard.")
    compressor = zlib.compressobj(level, zlib.DEFLATED, _WINDOW_BITS[compression])
    with outputs.atomic_path(path) as temporary, temporary.open("wb") as target:
        with path.open("rb") as source:
            while block := source.read(BLOCK):
                target.write(compressor.compress(block))
        target.write(compressor.flush())


class _DamageError(Exception):
    """Why a frame cannot be read; its text ends up in a `DamagedShardError`."""


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Inflated:
    """Reads what gzip or zlib compressed; never holds more than it was asked for and a block."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._inflater = zlib.decompressobj(_ANY_WINDOW)

    def read(self, size: int, /) -> bytes:
        parts: list[bytes] = []
        while size > 0 and not self._inflater.eof:
            block = self._inflater.unconsumed_tail or self._file.read(BLOCK)
            part = self._inflater.decompress(block, size)
            if not block and not part:
                raise _DamageError("the compressed file is cut off")
            parts.append(part)
            size -= len(part)
        if self._inflater.eof and (self._inflater.unused_data or self._file.read(1)):
            raise _DamageError("something follows the end of the compressed file")
        return b"".join(parts)


def _read_payload(source: _Source, available: int) -> bytes | None:
    # None at the end of the shard.
    header = source.read(FRAME_HEADER.size)
    if not header:
        return None
    if len(header) < FRAME_HEADER.size:
        raise _DamageError("the file ends within its header")
    length = _checked_length(header)
    if length is None:
        raise _DamageError("the checksum of its length is wrong")
    if length > available:
        raise _DamageError(f"it should have {length:,} bytes, more than the file holds")
    payload = source.read(length)
    footer = source.read(FRAME_FOOTER.size)
    if len(payload) < length or len(footer) < FRAME_FOOTER.size:
        raise _DamageError(f"the file ends after {len(payload):,} of its {length:,} bytes")
    if masked_crc(payload) != FRAME_FOOTER.unpack(footer)[0]:
        raise _DamageError("its checksum is wrong")
    return payload


def _checked_length(header: bytes) -> int | None:
    # The length that a frame header gives, or None if its checksum disagrees.
    if len(header) < FRAME_HEADER.size:
        return None
    length, checksum = FRAME_HEADER.unpack(header)
    return length if masked_crc(header[:_LENGTH_SIZE]) == checksum else None
