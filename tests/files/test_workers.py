import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atmodist.files.workers import WorkerKilledError, worker_pool

_state = {}


def start(value):
    _state["value"] = value


def add(number):
    return _state["value"] + number


def blocked_signals():
    return signal.pthread_sigmask(signal.SIG_BLOCK, set())


def write_pid_and_wait(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


def is_alive(pid):
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_workers_start_once_and_then_work():
    with worker_pool(2, start, 10) as submit:
        assert [f.result() for f in [submit(add, i) for i in range(5)]] == [10, 11, 12, 13, 14]


def test_workers_leave_ctrl_c_to_their_parent():
    before = blocked_signals()
    with worker_pool(1, start, 0) as submit:
        assert signal.SIGINT in submit(blocked_signals).result()
    assert blocked_signals() == before


def test_a_killed_worker_is_one_clear_error():
    message = "a worker process was killed, perhaps for want of memory; run the same command again"
    with pytest.raises(WorkerKilledError, match=message), worker_pool(1, start, 0) as submit:
        submit(os._exit, 9).result()


def test_an_error_cancels_what_waits():
    def fail():
        with worker_pool(1, start, 0) as submit:
            futures.extend(submit(time.sleep, 0.1) for _ in range(50))
            raise KeyError

    futures = []
    with pytest.raises(KeyError):
        fail()
    assert sum(future.cancelled() for future in futures) > 40


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import sys\n"
        "from atmodist.files.workers import worker_pool\n"
        "from tests.files.test_workers import start, write_pid_and_wait\n"
        "if __name__ == '__main__':\n"
        "    with worker_pool(2, start, 0) as submit:\n"
        "        [f.result() for f in [submit(write_pid_and_wait, sys.argv[1]) for _ in 'ab']]\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(item.name) for item in tmp_path.iterdir()]
    assert len(workers) == 2
    process.kill()
    process.wait()
    while any(is_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(pid) for pid in workers)


def test_a_script_needs_no_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import operator, os\n"
        "from atmodist.files.workers import worker_pool\n"
        "print('ran')\n"
        "with worker_pool(2, os.getpid) as submit:\n"
        "    print(submit(operator.add, 1, 2).result())\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("ran\n3\n", "")
