"""The lengths that hold a GRIB message together, checked before eccodes reads it.

A message is a chain of sections that each begin with their own length. eccodes trusts these: one
wrong bit lets it read beyond its memory, and the process is gone. So the chain is followed here
first; it takes a few small reads per message, none of values.

    edition 1   "GRIB", total length (3 bytes), edition (1); sections 1, [2], [3], 4; "7777"
    edition 2   "GRIB", 3 bytes, edition (1), total length (8); sections 1 to 7, of which 2 to 7,
                3 to 7 or 4 to 7 may come again; "7777"
"""

from pathlib import Path
from typing import IO

from atmodist.files.errors import BrokenFileError
from atmodist.files.file_kinds import find_grib

_FOLLOWING = {0: (1,), 1: (2, 3), 2: (3,), 3: (4,), 4: (5,), 5: (6,), 6: (7,), 7: (2, 3, 4)}
_LEAST_LENGTHS = {1: 21, 2: 5, 3: 14, 4: 9, 5: 11, 6: 6, 7: 5}  # bytes, edition 2
_LEAST_LENGTHS_1 = {1: 28, 2: 32, 3: 6, 4: 11}
_LARGE = 0x800000  # edition 1: the total counts units of 120 bytes, as beyond 8 MiB at ECMWF


def check_messages(path: str) -> None:
    """Follows the sections of all messages of a file.

    Raises:
        BrokenFileError: If lengths contradict each other, or the file ends too early.
    """
    with Path(path).open("rb") as file:
        offset = find_grib(path)
        while offset is not None:
            offset = find_grib(path, check_message(file, offset, path))


def check_message(file: IO[bytes], offset: int, path: str) -> int:
    """Follows the sections of the message at `offset`; returns where it ends.

    Raises:
        BrokenFileError: As above; also if no message begins there.
    """
    head = _read(file, offset, 16, path)
    if head[:4] != b"GRIB":
        raise BrokenFileError(f"{path}: the message at byte {offset} is no longer there")
    if head[7] == 2:
        end = offset + int.from_bytes(head[8:16])
        position = _follow_2(file, offset + 16, end, path)
    elif head[7] == 1:
        position, end = _follow_1(file, offset, int.from_bytes(head[4:7]), path)
    else:
        raise BrokenFileError(f"{path} is damaged: a message of GRIB edition {head[7]}")
    if position != end - 4 or _read(file, position, 4, path) != b"7777":
        raise BrokenFileError(
            f"{path} is damaged: the sections of the message at byte {offset} do not fit its length"
        )
    return end


def _follow_2(file: IO[bytes], position: int, end: int, path: str) -> int:
    """Returns where the chain of an edition 2 message ends."""
    last = 0
    while position < end - 4:
        head = _read(file, position, 5, path)
        length, number = int.from_bytes(head[:4]), head[4]
        if number not in _FOLLOWING[last] or length < _LEAST_LENGTHS[number]:
            raise BrokenFileError(
                f"{path} is damaged: no section can be what is at byte {position}"
            )
        position, last = position + length, number
    return position if last == 7 else -1


def _follow_1(file: IO[bytes], offset: int, total: int, path: str) -> tuple[int, int]:
    """Returns where the chain of an edition 1 message ends, and where the message should."""
    position = offset + 8
    flags = _read(file, position, 8, path)[7]
    length = 0
    for number in (1, *((2,) if flags & 0x80 else ()), *((3,) if flags & 0x40 else ()), 4):
        length = int.from_bytes(_read(file, position, 3, path))
        if number == 4 and total & _LARGE and length < 120:
            total = (total & ~_LARGE) * 120 - length + 4
            length = offset + total - 4 - position
        if length < _LEAST_LENGTHS_1[number]:
            raise BrokenFileError(
                f"{path} is damaged: no section can be what is at byte {position}"
            )
        position += length
    return position, offset + total


def _read(file: IO[bytes], offset: int, size: int, path: str) -> bytes:
    file.seek(offset)
    content = file.read(size)
    if len(content) < size:
        raise BrokenFileError(f"{path} is cut short")
    return content
