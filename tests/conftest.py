"""Fixtures and settings for all tests."""

import os
import signal
from pathlib import Path

# Tests share machines with other work, and small arrays gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.pop("ATMODIST_DEBUG", None)  # it turns messages back into tracebacks
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of jobs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis
import pytest

# The same examples on every run, and no deadline: the first call of a function may import.
hypothesis.settings.register_profile("atmodist", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("atmodist")


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of real files named by ATMODIST_SAMPLE_DATA; the test is skipped without it."""
    folder = os.environ.get("ATMODIST_SAMPLE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ATMODIST_SAMPLE_DATA does not name a folder of sample data")
    return Path(folder)
