import gzip
import io

import h5py
import numpy as np
import pytest
import xarray as xr

from atmodist.files.file_kinds import description, file_kind, find_grib, mismatch


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "empty"),
        (b"\x89HDF\r\n\x1a\nrest", "hdf5"),
        (b"CDF\x01\x00", "classic NetCDF"),
        (b"CDF\x02\x00", "classic NetCDF"),
        (b"CDF\x05\x00", "CDF-5"),
        (b"GRIB", "grib"),
        (
            b"\x01\r\r\n123\r\r\nHTXA40 ECMF\r\r\nGRIB\x00\x00\x01\x02",
            "grib",
        ),  # a bulletin's header
        (b"<!DOCTYPE html><html>", "html"),
        (gzip.compress(b"abc", mtime=0), "compressed"),
        (b"# How to read GRIB files\n", "text"),
        ("température".encode(), "text"),
        ("é".encode() * 511 + b"x" + "é".encode(), "text"),  # cut within a character
        (b"\x00\x01\x02\x03", "unknown"),
        (b"\xff\xfe", "unknown"),
    ],
)
def test_first_bytes_tell_the_kind(tmp_path, head, kind):
    (tmp_path / "file").write_bytes(head)
    assert file_kind(tmp_path / "file") == kind


def test_files_of_the_libraries_are_known(tmp_path):
    with h5py.File(tmp_path / "a", "w") as file:
        file["data"] = np.zeros(3)
    assert file_kind(tmp_path / "a") == "hdf5"
    classic = io.BytesIO(xr.Dataset({"u": ("x", np.zeros(3))}).to_netcdf(engine="scipy"))
    (tmp_path / "b").write_bytes(classic.read())
    assert file_kind(tmp_path / "b") == "classic NetCDF"


def test_texts_are_quoted_and_unknown_bytes_shown(tmp_path):
    (tmp_path / "a").write_text("\n\n  Not found: no such file\nmore\n")
    assert description(tmp_path / "a") == "is text (it begins 'Not found: no such file')"
    (tmp_path / "a").write_text(" \n\n")
    assert description(tmp_path / "a") == "is text (it begins '')"
    (tmp_path / "a").write_bytes(b"\x00\x01\x02\x03\x04")
    assert "not known here (it begins b'\\x00\\x01\\x02\\x03')" in description(tmp_path / "a")


def test_a_wrong_file_is_named_with_what_to_do(tmp_path):
    (tmp_path / "a").write_bytes(b"GRIB")
    assert mismatch(tmp_path / "a", "an archive") == (
        f"{tmp_path / 'a'} is a GRIB file, not an archive; "
        "make an archive of it first (atmodist ingest)"
    )


GRIB = b"GRIB\x00\x00\x28\x01" + b"\x00" * 28 + b"7777"


@pytest.mark.parametrize("before", [0, 100, 1500, 3_000_000])
def test_grib_is_found_behind_text_of_any_length(tmp_path, before):
    text = (b"A GRIB FILE, THE GRIB OF TODAY\n" * (before // 31 + 1))[:before]
    (tmp_path / "a").write_bytes(text + GRIB)
    assert file_kind(tmp_path / "a") == "grib"
    assert find_grib(tmp_path / "a") == before
    (tmp_path / "a").write_bytes(text + b"nothing of the kind")
    assert file_kind(tmp_path / "a") == "text"
    assert find_grib(tmp_path / "a") is None


def test_grib_across_two_blocks_is_found(tmp_path):
    for before in range((1 << 20) - 9, (1 << 20) + 2):
        (tmp_path / "a").write_bytes(b" " * before + GRIB)
        assert find_grib(tmp_path / "a") == before


@pytest.mark.parametrize("size", [512, 1024, 8192])
@pytest.mark.parametrize("block", [b"\0", b"a user's own words "])
def test_hdf5_behind_a_user_block_is_hdf5(tmp_path, size, block):
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=size) as file:
        file["x"] = 1
    with (tmp_path / "a.h5").open("r+b") as file:
        file.write((block * size)[:size])
    assert file_kind(tmp_path / "a.h5") == "hdf5"
