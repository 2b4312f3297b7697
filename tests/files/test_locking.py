import importlib
import os
import signal
import subprocess
import sys

import pytest

from atmodist.files.locking import locked
from tests.pretext.sources import write_as_reference

HOLD = """
import sys, time
from pathlib import Path
from atmodist.files.locking import locked
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


@pytest.mark.parametrize("command", ["generate", "rplearn_data", "rplearn_train"])
def test_commands_refuse_an_output_that_is_being_written(tmp_path, capsys, command):
    archive, records, run = (tmp_path / name for name in ("archive.h5", "records", "run"))
    folder, source = records / "atmodist_pairs" / "1.0.0", tmp_path / "a.h5"
    lock, target, arguments = {
        "generate": (tmp_path / ".archive.h5.lock", archive, [str(archive)]),
        "rplearn_data": (
            folder.with_name(".1.0.0.lock"),
            folder,
            [source, "--output", records],
        ),
        "rplearn_train": (run / ".lock", run, [tmp_path, "--output", run]),
    }[command]
    if command == "rplearn_train":
        write_as_reference(tmp_path / "rplearn_train.tfrecords", 8)
    source.touch()  # it is not even opened
    main = importlib.import_module(f"atmodist.cli.{command}").main
    with locked(lock, target):
        assert main([str(argument) for argument in arguments]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"another process ({os.getpid()} on " in error
        assert f"is writing {target}; wait for its end, or choose another --output." in error
    assert not target.exists()
