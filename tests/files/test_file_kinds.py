import gzip
import io

import h5py
import numpy as np
import pytest
import xarray as xr

from atmodist.files.file_kinds import description, file_kind, mismatch


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
