import errno
import os
import signal
import threading

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.files.hdf5_output import Hdf5Output


class FullDisk:
    """A file that takes `room` bytes and no more."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, data):
        taken = data[: max(self._room - self._file.tell(), 0)]
        if not len(taken):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(taken)

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_what_is_written_is_a_plain_hdf5_file(tmp_path):
    values = np.random.default_rng(0).random((50, 100))
    output = Hdf5Output(tmp_path / "a.h5")
    with output.access() as file:
        file.create_dataset("values", data=values, chunks=(7, 9), compression="gzip")
    with output.access() as file:
        assert_array_equal(file["values"][3:20], values[3:20])
        file["values"].attrs["units"] = "m"
    output.close()
    output.close()  # twice is no mistake
    with h5py.File(tmp_path / "a.h5") as file:
        assert_array_equal(file["values"], values)
        assert file["values"].attrs["units"] == "m"


@pytest.mark.parametrize("room", [0, 100, 1000, 5000, 50_000, 79_000, 81_000])
def test_a_full_disk_is_an_error_by_name_and_closing_is_still_possible(tmp_path, room):
    output = Hdf5Output(tmp_path / "a.tmp", name="a.h5")
    output._raw._file = FullDisk(output._raw._file, room)

    def fill():
        try:
            for i in range(10):
                with output.access() as file:
                    file.create_dataset(f"values{i}", data=np.random.default_rng(i).random(1000))
        finally:
            output.close()

    with pytest.raises(OSError, match=r"No space left on device: 'a.h5'") as caught:
        fill()
    assert caught.value.errno == errno.ENOSPC


def test_a_disk_with_room_enough_raises_nothing(tmp_path):
    output = Hdf5Output(tmp_path / "a.h5")
    output._raw._file = FullDisk(output._raw._file, 100_000)
    for i in range(10):
        with output.access() as file:
            file.create_dataset(f"values{i}", data=np.full(1000, float(i)))
    output.close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["values9"][999] == 9


def test_a_path_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*nowhere/a.h5"):
        Hdf5Output(tmp_path / "nowhere" / "a.h5")


def test_other_mistakes_keep_their_own_errors(tmp_path):
    output = Hdf5Output(tmp_path / "a.h5")
    with pytest.raises(KeyError, match="nothing"), output.access() as file:
        file["nothing"]
    output.close()


def test_ctrl_c_waits_until_hdf5_has_returned(tmp_path):
    output = Hdf5Output(tmp_path / "a.h5")
    reached = []

    def interrupted_access():
        with output.access() as file:
            signal.raise_signal(signal.SIGINT)
            file["values"] = np.arange(5)
            reached.append("the end of the block")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupted_access()
    assert reached
    assert signal.getsignal(signal.SIGINT) is before
    output.close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert_array_equal(file["values"], np.arange(5))


def test_other_threads_may_write_too(tmp_path):
    def write():
        output = Hdf5Output(tmp_path / "a.h5")
        with output.access() as file:
            file["values"] = np.arange(5)
        output.close()

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    with h5py.File(tmp_path / "a.h5") as file:
        assert_array_equal(file["values"], np.arange(5))
