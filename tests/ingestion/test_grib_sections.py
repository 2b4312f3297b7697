"""Chains of sections: whole ones are followed, wrong lengths are found before eccodes sees them."""

from pathlib import Path

import pytest

from atmodist.files.errors import BrokenFileError
from atmodist.ingestion.grib_sections import check_message, check_messages
from tests.ingestion.made_files import write_grib


@pytest.fixture(params=[1, 2])
def content(request, tmp_path):
    return Path(write_grib(tmp_path / "whole", [0], edition=request.param)).read_bytes()


def check(path, content):
    path.write_bytes(content)
    check_messages(str(path))


def lengths(content):
    """Bytes of a message of either edition that hold the length of it, or of a section."""
    if content[7] == 2:
        end, places = int.from_bytes(content[8:16]), list(range(8, 16))
        position, size = 16, 4
    else:
        end, places = int.from_bytes(content[4:7]), [4, 5, 6]
        position, size = 8, 3
    while position < end - 4:
        places += range(position, position + size)
        position += int.from_bytes(content[position : position + size])
    return places


def test_whole_messages_pass_with_anything_between_them(tmp_path, content):
    check(tmp_path / "a", content)
    check(tmp_path / "a", b"bulletin\r\n" + content + bytes(100_000) + content + b"GR")


def test_each_wrong_bit_of_a_length_is_found(tmp_path, content):
    first = content[: len(content) // 2]  # one of two messages of the same size
    assert first.endswith(b"7777")
    for place in lengths(first):
        for bit in range(8):
            changed = bytearray(first)
            changed[place] ^= 1 << bit
            with pytest.raises(BrokenFileError, match=r"a is (damaged: |cut short)"):
                check(tmp_path / "a", bytes(changed))


def test_sections_in_another_order_are_found(tmp_path):
    content = Path(write_grib(tmp_path / "whole", [0])).read_bytes()
    changed = bytearray(content)
    changed[20] = 3  # the number of section 1
    with pytest.raises(BrokenFileError, match="a is damaged: no section can be what is at byte 16"):
        check(tmp_path / "a", bytes(changed))


def test_other_editions_and_moved_messages_are_named(tmp_path, content):
    with pytest.raises(BrokenFileError, match="a message of GRIB edition 0"):
        check(tmp_path / "a", content[:7] + b"\0" + content[8:])
    path = tmp_path / "whole"
    with (
        path.open("rb") as file,
        pytest.raises(BrokenFileError, match=r"whole: the message at byte 5 is no longer there"),
    ):
        check_message(file, 5, str(path))
