import concurrent.futures
import dataclasses
import multiprocessing
import os
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atmodist.fields.archive import Archive
from atmodist.fields.normalization import Normalization
from atmodist.pairs.configuration import PairSamplerConfig
from atmodist.pairs.encoder import PairRecipe
from atmodist.pairs.sampling import PairMaking
from atmodist.records import streaming
from atmodist.records.shard_layout import reserve
from atmodist.records.streaming import StepWork, _Schedule, stream_records
from tests.pairs.archives import hourly, write_archive

NORMALIZATION = Normalization(
    channels=("divergence", "vorticity"),
    mean=np.zeros(2),
    std=np.full(2, 1e-5),
    log_mean=np.zeros(2),
    log_std=np.ones(2),
)


SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def unit(step):
    nothing = np.empty(0, np.int64)
    return StepWork(step, nothing, {}, (), nothing)


class Ring:
    """Slots that remember which step they hold, and who looks at them while they change."""

    def __init__(self, num_slots, delays):
        self.slots = [None] * num_slots
        self.reads, self.writes = [], []
        self._delays = iter(delays)

    def load(self, step, slot):
        self.slots[slot] = "half a field"
        self.wait()
        self.slots[slot] = step
        self.reads.append(step)

    def write(self, pairs, slots):
        self.check(slots)
        self.wait()
        self.check(slots)
        self.writes.append(pairs.step)
        return pairs.step

    def check(self, slots):
        assert {step: self.slots[slot] for step, slot in slots.items()} == {s: s for s in slots}

    def wait(self):
        time.sleep(next(self._delays, 0) * 1e-4)


@settings(max_examples=30)
@given(
    st.sets(st.integers(0, 60), min_size=1, max_size=25),
    st.integers(1, 6),
    st.integers(1, 3),
    st.lists(st.integers(0, 5), min_size=150, max_size=150),
)
def test_whoever_is_slow_no_field_is_overwritten_while_needed_and_each_is_read_once(
    steps, lag, num_workers, delays
):
    work = [unit(step) for step in sorted(steps)]
    ring, heard = Ring(lag + 1 + num_workers, delays), []
    with concurrent.futures.ThreadPoolExecutor(num_workers) as pool:
        _Schedule(work, lag, len(ring.slots)).run(
            lambda name, *arguments: pool.submit(getattr(ring, name), *arguments), heard.append
        )
    assert sorted(ring.reads) == sorted({step + k for step in steps for k in range(lag + 1)})
    assert sorted(ring.writes) == sorted(heard) == sorted(steps)


def test_an_error_of_a_worker_ends_the_schedule():
    def submit(name, *_):
        future = concurrent.futures.Future()
        future.set_exception(ValueError("damaged"))
        return future

    with pytest.raises(ValueError, match="damaged"):
        _Schedule([unit(0), unit(1)], 2, 4).run(submit, print)


@pytest.fixture
def job(tmp_path):
    """A function that makes a recipe, its work and its (empty) shards."""

    def make(*runs, **changes):
        settings = {
            "patch_shape": (4, 5),
            "patches_per_step": 6,
            "max_temporal_distance": 3,
            "evaluation_fraction": 0.0,
        }
        archive = write_archive(tmp_path / "archive.h5", seconds=hourly(*runs))
        config = PairSamplerConfig(archive=str(archive), **{**settings, **changes})
        folder = tmp_path / "shards"
        folder.mkdir()
        with Archive(archive) as opened:
            (split,) = PairMaking(config, opened).splits(folder)
        reserve({p: int(n) for p, n in zip(split.paths, split.layout.sizes, strict=True)})
        return PairRecipe(config, NORMALIZATION), list(split.work()), split.paths

    return make


def test_each_field_is_read_from_disk_once(job, monkeypatch):
    recipe, work, _ = job(20, 9)
    reads, real = Counter(), Archive.read
    monkeypatch.setattr(
        Archive, "read", lambda self, step, **kw: reads.update([step]) or real(self, step, **kw)
    )
    stream_records(recipe, work, 1, lambda step: None)
    assert reads == Counter(range(29))


def test_memory_is_a_ring_of_lag_fields_however_long_the_archive(job, monkeypatch):
    recipe, work, _ = job(120)
    shapes, real = [], streaming.RecordWriter

    def recorded(recipe, ring):
        shapes.append(ring.shape)
        return real(recipe, ring)

    monkeypatch.setattr(streaming, "RecordWriter", recorded)
    stream_records(recipe, work, 1, lambda step: None)
    assert shapes == [(3 + 1 + 1, 2 * 13 * 24)]


def test_steps_are_reported_once_they_are_on_disk(job):
    recipe, work, paths = job(20, shard_megabytes=1e-3)
    assert len(paths) > 3
    sizes = {unit.step: unit for unit in work}
    heard = []

    def on_written(step):
        for path, offset in zip(sizes[step].path, sizes[step].offset, strict=True):
            assert Path(path).read_bytes()[int(offset) : int(offset) + 12] != bytes(12)
        heard.append(step)

    stream_records(recipe, work, 1, on_written)
    assert sorted(heard) == [unit.step for unit in work]


def test_few_files_are_open_at_once(job, monkeypatch):
    recipe, work, paths = job(20, shard_megabytes=1e-3)
    monkeypatch.setattr(streaming, "MAX_OPEN_FILES", 3)
    before, most = open_files(), []
    stream_records(recipe, work, 1, lambda _: most.append(open_files()))
    assert len(paths) > 20
    assert max(most) - before <= 3 + 1  # and the archive
    assert open_files() == before


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_a_normalisation_that_makes_infinite_numbers_is_refused(job):
    recipe, work, _ = job(20)
    normalization = dataclasses.replace(NORMALIZATION, std=np.full(2, 1e-44))
    narrow = dataclasses.replace(recipe, normalization=normalization)
    with pytest.raises(ValueError, match="makes infinite numbers of the values at 1970-01-01T00"):
        stream_records(narrow, work, 1, lambda step: None)


def test_no_work_is_no_trouble(job):
    recipe, _, _ = job(20)
    stream_records(recipe, [], 2, print)


def test_a_small_shared_memory_is_said_before_any_work(job, monkeypatch):
    recipe, work, _ = job(20)

    def full(*_):
        raise OSError(28, "No space left on device")

    before = set(SHARED_MEMORY.iterdir())
    monkeypatch.setattr(streaming.os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"no room for 0 MB of shared memory \(No space .*workers 1"):
        stream_records(recipe, work, 2, print)
    assert set(SHARED_MEMORY.iterdir()) <= before


@pytest.mark.slow
def test_a_worker_that_is_killed_is_reported(job):
    recipe, work, _ = job(400, patches_per_step=100)

    def kill_one(_):
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    with pytest.raises(OSError, match=r"a worker process was killed.*run the same command again"):
        stream_records(recipe, work, 2, kill_one)
    assert not multiprocessing.active_children()
