import dataclasses

import h5py
import numpy as np
import pytest

from atmodist.assessment.provenance_check import require_origin
from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.pairs.pair_records import open_records
from tests.assessment import series


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return series.write_series(tmp_path_factory.mktemp("series"), num_days=8)


def copied(path, target, change=lambda field: field, later=0):
    """Writes the archive anew, in another layout."""
    with (
        Archive(path) as archive,
        ArchiveWriter(
            target, channels=archive.channels, grid=archive.grid, compression="gzip"
        ) as writer,
    ):
        for step in range(len(archive.time)):
            time = int(archive.time.seconds[step]) + later
            writer.append(time, change(archive.read(step)))
    return target


def check(archive_path, folder, split="evaluation"):
    with Archive(archive_path) as archive:
        return require_origin(archive, series.identity(), open_records(folder), split)


@pytest.mark.parametrize("split", ["train", "evaluation"])
def test_the_archive_of_the_records_is_accepted_in_any_layout(made, tmp_path, split):
    path, folder = made
    assert check(path, folder, split)
    assert check(copied(path, tmp_path / "a.h5"), folder, split)


def test_rounding_and_lossy_compression_are_not_other_weather(made, tmp_path):
    path, folder = made
    assert check(copied(path, tmp_path / "a.h5", lambda field: field * (1 + 1e-4)), folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda field: field[:, ::-1] + 1, r"a patch of them differs from it by up to [\d.]+ \(n"),
        (lambda field: field[::-1], "differs from it by"),
        (lambda field: np.full_like(field, np.nan), "differs from it by up to nan"),
    ],
    ids=["other weather", "exchanged channels", "missing values"],
)
def test_other_fields_on_the_same_grid_are_refused(made, tmp_path, change, message):
    path, folder = made
    other = tmp_path / "b.h5"
    with h5py.File(path) as source, h5py.File(other, "w") as target:  # NaN and all
        for name in source:
            source.copy(name, target)
        target.attrs.update(source.attrs)
        target["data"][...] = np.stack([change(f) for f in source["data"][...].swapaxes(0, 1)], 1)
    with pytest.raises(ValueError, match=r"b.h5 is not the archive that .* was drawn from: .*"):
        check(other, folder)
    with pytest.raises(ValueError, match=message):
        check(other, folder)


def test_other_times_are_refused(made, tmp_path):
    path, folder = made
    with pytest.raises(
        ValueError, match=r"it has no field at 1970-01-0\dT\d\d:00:00; give that one"
    ):
        check(copied(path, tmp_path / "b.h5", later=1800), folder)


def test_records_without_times_are_not_looked_up(made):
    path, folder = made
    records = open_records(folder)
    records = dataclasses.replace(
        records, features=tuple(name for name in records.features if name != "time")
    )
    with Archive(path) as archive:
        assert not require_origin(archive, series.identity(), records, "evaluation")
