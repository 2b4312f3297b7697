import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.assessment.maps import map_lag, map_steps, window_starts
from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import make_grid
from tests.assessment.series import STEP, identity

PATCH = (5, 6)


def write(path, roll=0, steps=(0, 1, 2, 3, 6, 7)):
    grid = make_grid("regular", 13)
    with ArchiveWriter(
        path, channels=(DIVERGENCE, VORTICITY), grid=grid, compression="none"
    ) as writer:
        for step in steps:
            field = np.random.default_rng(step).normal(size=(2, *grid.shape))
            writer.append(step * STEP, np.roll(field, roll, axis=-1).astype(np.float32))
    return path


def mean_reader(pairs):
    """Answers that depend on what a window holds, and on the order of its fields."""
    means = pairs.astype(np.float64).mean(axis=(2, 3))
    return 20 * np.stack([means[:, 0, 0], means[:, 1, 1], means[:, 0, 1]], axis=1)


def make(path, **options):
    with Archive(path) as archive:
        steps = map_steps(archive, range(6), 2, at_most=10)
        return map_lag(
            mean_reader, archive, identity(), lag=2, steps=steps, patch_shape=PATCH, **options
        )


def test_a_rolled_series_has_a_rolled_map(tmp_path):
    ours = make(write(tmp_path / "a.h5"), stride=3)
    rolled = make(write(tmp_path / "b.h5", roll=6), stride=3, batch_size=7)
    for name in ("accuracy", "entropy", "error"):
        assert_allclose(getattr(rolled, name), np.roll(getattr(ours, name), 2, axis=1), atol=1e-6)


def test_values_stand_at_the_centres_and_reach_both_poles(tmp_path):
    result = make(write(tmp_path / "a.h5"), stride=4)
    assert result.covered == (-90, 90)
    assert_allclose(result.latitude, [60, 0, -60])  # 5 rows of 15 degrees
    assert_allclose(result.longitude, 37.5 + 60 * np.arange(6))
    assert result.accuracy.shape == (3, 6)
    assert np.all((result.entropy >= 0) & (result.entropy <= np.log(3)))
    assert len(result.rows()) == 18


def test_steps_leap_over_no_hole(tmp_path):
    with Archive(write(tmp_path / "a.h5")) as archive:
        assert map_steps(archive, range(6), 2, at_most=10).tolist() == [0, 1]
        assert map_steps(archive, range(6), 1, at_most=2).tolist() == [0, 4]
        with pytest.raises(ValueError, match="no two fields 4 steps apart"):
            map_steps(archive, range(6), 4, at_most=2)


def test_the_last_row_is_reached_by_any_stride(tmp_path):
    with Archive(write(tmp_path / "a.h5")) as archive:
        for stride in (1, 3, 7, None):
            rows, columns = window_starts(archive, PATCH, stride)
            assert rows[-1] == 13 - 5
            assert columns[-1] < 24
        with pytest.raises(ValueError, match="do not fit a grid"):
            window_starts(archive, (14, 2))
