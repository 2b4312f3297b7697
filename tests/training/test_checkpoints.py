import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.training import checkpoints


class Network:
    def __init__(self, fails=False):
        self.fails = fails

    def save(self, path):
        path.write_text("network")
        if self.fails:
            raise OSError("disk full")


def save(output, epoch, **options):
    arrays = {"trained/0000": np.arange(3.0), "optimizer/0000": np.int64(7) * np.ones(())}
    checkpoints.save(
        output, epoch, network=Network(**options), arrays=arrays, state={"epoch": epoch}
    )
    return arrays


def test_a_checkpoint_gives_back_what_was_saved(tmp_path):
    arrays = save(tmp_path, 3)
    assert checkpoints.load_state(tmp_path, 3) == {"epoch": 3}
    loaded = checkpoints.load_arrays(tmp_path, 3)
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert_array_equal(loaded[name], array)


def test_a_failed_checkpoint_leaves_nothing(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(OSError, match="disk full"):
        save(tmp_path, 2, fails=True)
    assert checkpoints.epochs(tmp_path) == [1]
    assert [item.name for item in checkpoints.folder(tmp_path).iterdir()] == ["epoch-0001"]


def test_leftovers_of_a_killed_run_are_no_checkpoints_and_are_removed(tmp_path):
    save(tmp_path, 1)
    leftover = checkpoints.folder(tmp_path) / ".epoch-0002.123.tmp"
    leftover.mkdir()
    assert checkpoints.epochs(tmp_path) == [1]
    checkpoints.remove_leftovers(tmp_path)
    assert not leftover.exists()
    assert checkpoints.epochs(tmp_path) == [1]


def test_within_an_epoch_only_the_latest_stays_until_the_epoch_is_done(tmp_path):
    def within(epoch, step):
        checkpoints.save(tmp_path, epoch, step, arrays={"a": np.ones(2)}, state={"step": step})

    assert checkpoints.latest(tmp_path, 9) is None
    within(1, 20)
    within(1, 7)  # after going on from an older one
    assert checkpoints.within(tmp_path) == [(1, 7)]
    assert checkpoints.latest(tmp_path, 9) == (1, 7)
    assert checkpoints.load_state(tmp_path, 1, 7) == {"step": 7}
    assert not (checkpoints.path(tmp_path, 1, 7) / checkpoints.NETWORK).exists()
    save(tmp_path, 1)
    assert checkpoints.within(tmp_path) == []
    within(2, 5)
    assert checkpoints.latest(tmp_path, 9) == (2, 5)
    assert checkpoints.latest(tmp_path, 1) == (1, None)  # a run that ends before
    assert checkpoints.epochs(tmp_path) == [1]


def test_one_within_an_epoch_that_is_done_is_outdated(tmp_path):
    checkpoints.save(tmp_path, 2, 5, arrays={"a": np.ones(2)}, state={})
    left = checkpoints.path(tmp_path, 2, 5)
    shutil.copytree(left, tmp_path / "copy")
    save(tmp_path, 2)
    shutil.copytree(tmp_path / "copy", left)  # as if it was killed before it removed this one
    assert checkpoints.latest(tmp_path, 9) == (2, None)


def test_pruning_keeps_the_latest_and_the_best(tmp_path):
    for epoch in range(1, 6):
        save(tmp_path, epoch)
    checkpoints.prune(tmp_path, keep=2, besides=[1])
    assert checkpoints.epochs(tmp_path) == [1, 4, 5]


@pytest.mark.parametrize("content", [b"", b"junk" * 9, b"PK\x03\x04junk", b"\x93NUMPY\x01\x00"])
def test_damaged_arrays_are_said_to_be_damaged(tmp_path, content):
    save(tmp_path, 2)
    (checkpoints.path(tmp_path, 2) / checkpoints.ARRAYS).write_bytes(content)
    with pytest.raises(ValueError, match=r"epoch-0002 is damaged \(.*remove it to go on from"):
        checkpoints.load_arrays(tmp_path, 2)


def test_an_array_in_place_of_arrays_is_damage(tmp_path):
    save(tmp_path, 2)
    with (checkpoints.path(tmp_path, 2) / checkpoints.ARRAYS).open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(ValueError, match=r"epoch-0002 is damaged"):
        checkpoints.load_arrays(tmp_path, 2)


def test_a_flipped_bit_in_arrays_is_damage(tmp_path):
    save(tmp_path, 2)
    path = checkpoints.path(tmp_path, 2) / checkpoints.ARRAYS
    content = path.read_bytes()
    place = content.index(np.arange(3.0).tobytes())
    path.write_bytes(content[:place] + b"\x01" + content[place + 1 :])
    with pytest.raises(ValueError, match=r"epoch-0002 is damaged .*Bad CRC"):
        checkpoints.load_arrays(tmp_path, 2)


@pytest.mark.parametrize("content", ["", "[]", '"epoch"', '{"step": 1}'])
def test_a_damaged_state_is_said_to_be_damaged(tmp_path, content):
    save(tmp_path, 2)
    (checkpoints.path(tmp_path, 2) / checkpoints.STATE).write_text(content)
    with pytest.raises(ValueError, match=r"epoch-0002 is damaged \(.*remove it to go on from"):
        checkpoints.load_state(tmp_path, 2, required=["epoch"])


def test_a_checkpoint_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    events = []

    def sync(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append(("sync", str(path).replace(str(tmp_path), "")))

    rename = type(tmp_path).replace
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(
        type(tmp_path),
        "replace",
        lambda self, to: (events.append(("rename", to.name)), rename(self, to))[1],
    )
    save(tmp_path, 1)
    place = events.index(("rename", "epoch-0001"))
    temporary = f"/checkpoints/.epoch-0001.{os.getpid()}.tmp"
    files = {f"{temporary}/{name}" for name in ("pretext.keras", "training.npz", "state.json")}
    assert {path for _, path in events[:place]} > files | {temporary}
    assert events[place + 1] == ("sync", "/checkpoints")
