"""Rows are joined once all are there; a killed run loses at most those since the last part."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

from atmodist.embedding import output
from atmodist.embedding.output import Coordinate, RowWriter, TableLayout, Variable

SECONDS = {"units": "seconds since 1970-01-01", "calendar": "standard"}
KILLED = """
import os, signal, sys
import numpy as np
from atmodist.embedding import output
output.PART_BYTES = 24
with output.RowWriter(sys.argv[1], identity="same") as writer:
    for row in range(3):
        writer.append({"x": np.full(3, row)})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def layout(num_rows):
    coordinates = {
        "time": Coordinate(np.arange(num_rows) * 3600, SECONDS),
        "feature": Coordinate(np.arange(3), {}),
    }
    variables = {"x": Variable(("time", "feature"), {"units": "1"})}
    return TableLayout({"atmodist_embedding": 1}, coordinates, variables)


def opened(path):
    return (
        xr.open_zarr(path) if path.suffix == ".zarr" else xr.open_dataset(path, engine="h5netcdf")
    )


@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
def test_a_killed_run_goes_on_after_its_last_part(tmp_path, name):
    path = tmp_path / name
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    (tmp_path / f".{name}.parts" / "next.tmp").write_bytes(b"half")
    with RowWriter(path, identity="same") as writer:
        assert writer.num_rows == 2  # parts of two rows of 12 bytes
        for row in (2, 3, 4):
            writer.append({"x": np.full(3, row)})
        writer.finish(layout(5))
    with opened(path) as dataset:
        assert_array_equal(dataset["x"], np.arange(5)[:, None] * np.ones(3))
        assert_array_equal(dataset["time"].dt.hour, np.arange(5))
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_rows_are_saved_every_minute(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "PART_SECONDS", 0.0)
    with RowWriter(tmp_path / "a.h5", identity=1) as writer:
        for row in range(3):
            writer.append({"x": np.full(3, row)})
        assert RowWriter(tmp_path / "a.h5", identity=1).num_rows == 3
        assert RowWriter(tmp_path / "a.h5", identity=2).num_rows == 0


def test_a_store_in_large_chunks_is_written_part_by_part(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "PART_BYTES", 24)
    monkeypatch.setattr(output, "CHUNK_BYTES", 36)  # three rows, parts have two
    path = tmp_path / "a.zarr"
    for value in (1, 2):  # the second replaces the first
        with RowWriter(path, identity=value) as writer:
            for row in range(7):
                writer.append({"x": np.full(3, value * row)})
            writer.finish(layout(7))
    with xr.open_zarr(path) as dataset:
        assert dataset["x"].encoding["chunks"] == (3, 3)
        assert_array_equal(dataset["x"], 2 * np.arange(7)[:, None] * np.ones(3))


def test_a_full_disk_names_the_output(tmp_path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device", None)

    monkeypatch.setattr(np, "savez", full)
    path = tmp_path / "a.h5"
    writer = RowWriter(path, identity=1)
    writer.append({"x": np.zeros(3)})
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.h5'"):
        writer.finish(layout(1))
    assert not path.exists()
