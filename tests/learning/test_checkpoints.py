import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.learning import checkpoints


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


def test_pruning_keeps_the_latest_and_the_best(tmp_path):
    for epoch in range(1, 6):
        save(tmp_path, epoch)
    checkpoints.prune(tmp_path, keep=2, besides=[1])
    assert checkpoints.epochs(tmp_path) == [1, 4, 5]
