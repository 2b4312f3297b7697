import os
import signal
import subprocess
import sys

import pytest

from atmodist.locking import locked

HOLD = """
import sys, time
from pathlib import Path
from atmodist.locking import locked
with locked(Path(sys.argv[1]) / ".lock", Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_of_two_is_refused_and_goes_on_when_the_first_is_killed(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    message = rf"another process \({process.pid} on .*\) is writing {tmp_path}; wait for its end"
    try:
        with pytest.raises(ValueError, match=message), locked(tmp_path / ".lock", tmp_path):
            pass
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert (tmp_path / ".lock").exists()  # left behind, and no obstacle
    with locked(tmp_path / ".lock", tmp_path):
        pass
    assert not (tmp_path / ".lock").exists()


def test_a_folder_made_for_the_lock_goes_unless_something_came_into_it(tmp_path):
    folder = tmp_path / "run"
    with locked(folder / ".lock", folder):
        pass
    assert not folder.exists()
    with locked(folder / ".lock", folder):
        (folder / "log").touch()
    assert [item.name for item in folder.iterdir()] == ["log"]


def test_the_lock_is_free_again_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path / ".lock", tmp_path):
        raise RuntimeError
    with locked(tmp_path / ".lock", tmp_path):
        pass
