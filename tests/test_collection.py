"""Workers of pytest-xdist must collect the same tests, or the whole run ends as an error."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
COLLECT = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider"]


def test_tests_are_named_alike_at_another_time_in_another_place_and_environment(tmp_path):
    # Parameters must not hold the time, the hash seed, the folder or the environment.
    elsewhere = {"PYTHONHASHSEED": "1", "TZ": "Asia/Kolkata", "TMPDIR": str(tmp_path), "LANG": "C"}
    first = start(PYTHONHASHSEED="0")
    time.sleep(2.1)  # time stamps of files and archives count in seconds, some in two of them
    second = start(**elsewhere, HOME=str(tmp_path), ATMODIST_SAMPLE_DATA="")
    names, others = collected(first), collected(second)
    assert len(names) > 1000
    assert sorted(set(names) ^ set(others)) == []
    assert names == others  # in the same order too


def start(**environment):
    return subprocess.Popen(
        COLLECT,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def collected(process):
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return [line for line in output.splitlines() if "::" in line]
