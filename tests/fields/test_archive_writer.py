import contextlib
import itertools
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.cli.common import guarded
from atmodist.fields import archive_writer
from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveExistsError, ArchiveWriter
from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import make_grid

GRID = make_grid("cell-centred", 32)
HOUR = 3600
NUM_STEPS = 11
FIELD_BYTES = 4 * 2 * 32 * 64
OPTIONS = {"channels": (DIVERGENCE, VORTICITY), "grid": GRID, "compression": "gzip", "identity": 1}


@pytest.fixture(autouse=True)
def parts_of_four_steps(monkeypatch):
    monkeypatch.setattr(archive_writer, "PART_BYTES", 4 * FIELD_BYTES)


def field_of(step):
    """Noise that is the same in every process, and does not compress."""
    return np.random.default_rng([7, step]).standard_normal((2, *GRID.shape), np.float32)


def write(path, steps=range(NUM_STEPS), **options):
    with ArchiveWriter(path, **{**OPTIONS, **options}) as writer:
        done = set(writer.written.tolist())
        for step in steps:
            if step * HOUR not in done:
                writer.append(step * HOUR, field_of(step))
    return path


def parts_folder(path):
    return path.with_name(f".{path.name}.parts")


def parts(path):
    return sorted(item.name for item in parts_folder(path).glob("part-*"))


def assert_complete(path, num_steps=NUM_STEPS):
    with Archive(path) as archive:
        assert archive.time.seconds.tolist() == [step * HOUR for step in range(num_steps)]
        for step in range(num_steps):
            assert_array_equal(archive.read(step), field_of(step))
    assert [item.name for item in path.parent.iterdir()] == [path.name]  # nothing is left beside


def steps_found(path, **options):
    """The steps that an interrupted run has left."""
    with (
        contextlib.suppress(FailureError),
        ArchiveWriter(path, **{**OPTIONS, **options}) as writer,
    ):
        raise FailureError
    return (writer.written // HOUR).tolist()


class FailureError(Exception):
    pass


@pytest.mark.parametrize("compression", ["blosc2", "zstd", "gzip", "none"])
@pytest.mark.parametrize("num_steps", [1, 4, 11])  # a part and less, exactly one, several
def test_parts_are_joined_in_order(tmp_path, compression, num_steps):
    assert_complete(write(tmp_path / "a.h5", range(num_steps), compression=compression), num_steps)


def test_every_step_may_be_a_part_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_writer, "PART_BYTES", 1)
    assert_complete(write(tmp_path / "a.h5"))


def test_the_target_is_untouched_until_the_end(tmp_path):
    path = write(tmp_path / "a.h5", range(3))
    before = path.read_bytes()
    with ArchiveWriter(path, **{**OPTIONS, "identity": "new"}, overwrite=True) as writer:
        for step in range(NUM_STEPS):
            writer.append(step * HOUR, field_of(step))
            assert path.read_bytes() == before
    assert_complete(path)


def test_an_exception_leaves_the_old_archive_and_all_steps_written_so_far(tmp_path):
    path = write(tmp_path / "a.h5", range(3))
    before = path.read_bytes()

    def fail_after_six_steps():
        with ArchiveWriter(path, **OPTIONS, overwrite=True) as writer:
            for step in range(6):
                writer.append(step * HOUR, field_of(step))
            raise FailureError

    with pytest.raises(FailureError):
        fail_after_six_steps()
    assert path.read_bytes() == before
    assert steps_found(path, overwrite=True) == list(range(6))
    assert_complete(write(path, overwrite=True))


def test_an_exception_before_the_first_step_leaves_nothing(tmp_path):
    with pytest.raises(FailureError), ArchiveWriter(tmp_path / "a.h5", **OPTIONS):
        raise FailureError
    assert list(tmp_path.iterdir()) == []


def kill_at(moment, count):
    """Makes this process kill itself (SIGKILL) at the `count`-th occurrence of a moment."""
    counter = itertools.count(1)

    def countdown(function):
        def wrapped(*arguments, **keywords):
            if next(counter) == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **keywords)

        return wrapped

    owner, name = {
        "append": (ArchiveWriter, "append"),
        "rename": (archive_writer, "replace"),
        "copy": (archive_writer, "_copy"),
        "clean up": (ArchiveWriter, "_join"),
    }[moment]
    function = getattr(owner, name)
    if moment == "clean up":  # after joining, before the parts are removed

        def joined(*arguments):
            function(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, name, joined)
    else:
        setattr(owner, name, countdown(function))


def child(path, *, moment="", count=0, max_bytes=0, user=0, **options):
    """What the subprocesses of these tests run; ends like a command."""
    archive_writer.PART_BYTES = 4 * FIELD_BYTES
    if moment:
        kill_at(moment, count)
    if max_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
    if user:
        os.setuid(user)
    sys.exit(guarded("atmodist", lambda: f"wrote {write(Path(path), **options)}"))


def run_child(path, **options):
    code = (
        f"from tests.fields.test_archive_writer import child; child({str(path)!r}, **{options!r})"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("moment", "count", "survivors"),
    [
        ("append", 10, 2),  # in the middle of the third part
        ("rename", 2, 1),  # the second part is complete, but not yet named
        ("copy", 2, 3),  # in the middle of joining
        ("rename", 4, 3),  # joined, but not yet in place
        ("clean up", 1, 3),  # in place, but the parts are still there
    ],
)
def test_a_killed_run_goes_on_and_ends_in_the_same_file(tmp_path, moment, count, survivors):
    path = tmp_path / "killed" / "a.h5"
    result = run_child(path, moment=moment, count=count)
    assert result.returncode == -signal.SIGKILL
    assert path.exists() == (moment == "clean up")
    assert len(parts(path)) == survivors
    first = parts_folder(path) / "part-000000.h5"
    before = first.stat().st_mtime_ns

    assert steps_found(path) == list(range(min(4 * survivors, NUM_STEPS)))
    if moment == "clean up":
        assert not parts_folder(path).exists()
    else:
        assert first.stat().st_mtime_ns == before  # kept, not made again
    assert not list(tmp_path.rglob("*.tmp"))  # half a file may be large
    assert_complete(write(path))
    assert path.read_bytes() == write(tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"identity": {"source": "other.nc"}},
        {"compression": "none"},
        {"calendar": "noleap"},
        {"channels": (VORTICITY, DIVERGENCE)},
        {"grid": make_grid("driscoll-healy", 32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_parts_of_another_making_are_discarded(tmp_path, change):
    def interrupted():
        with ArchiveWriter(tmp_path / "a.h5", **OPTIONS) as writer:
            writer.append(0, field_of(0))
            raise FailureError

    with pytest.raises(FailureError):
        interrupted()
    assert steps_found(tmp_path / "a.h5") == [0]
    assert ArchiveWriter(tmp_path / "a.h5", **{**OPTIONS, **change}).discarded == 1
    assert steps_found(tmp_path / "a.h5") == []


@pytest.mark.parametrize("other", [b"thesis", "archive"])
def test_what_is_there_is_replaced_on_request_only(tmp_path, other):
    path = tmp_path / "a.h5"
    if other == "archive":
        write(path, range(3), identity="another")
    else:
        path.write_bytes(other)
    before = path.read_bytes()
    with pytest.raises(ArchiveExistsError, match=r"a\.h5 exists already, .*; give --overwrite to"):
        ArchiveWriter(path, **OPTIONS)
    assert path.read_bytes() == before
    assert_complete(write(path, overwrite=True))


def test_an_archive_without_identity_is_not_taken_for_another(tmp_path):
    path = write(tmp_path / "a.h5", identity=None)
    with pytest.raises(ArchiveExistsError):
        ArchiveWriter(path, **{**OPTIONS, "identity": None})


def test_the_same_archive_again_needs_nothing_to_be_done(tmp_path):
    path = write(tmp_path / "a.h5")
    before = path.stat()
    with ArchiveWriter(path, **OPTIONS) as writer:
        assert writer.existed
        assert_array_equal(writer.written, np.arange(NUM_STEPS) * HOUR)
    with pytest.raises(ValueError, match="is complete"), ArchiveWriter(path, **OPTIONS) as writer:
        writer.append(NUM_STEPS * HOUR, field_of(0))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert_complete(path)


def test_a_complete_archive_keeps_the_parts_of_another_run(tmp_path):
    path = write(tmp_path / "a.h5", range(3))
    with contextlib.suppress(FailureError), ArchiveWriter(path, **OPTIONS, append=True) as writer:
        writer.append(3 * HOUR, field_of(3))
        raise FailureError
    with ArchiveWriter(path, **OPTIONS) as writer:
        assert writer.existed
    assert steps_found(path, append=True) == [0, 1, 2, 3]


@pytest.mark.parametrize("compression", ["gzip", "none", "blosc2"])
def test_appending_adds_later_steps_and_keeps_what_was_there(tmp_path, compression):
    path = write(tmp_path / "a.h5", range(6), attributes={"source": "here"}, compression="gzip")
    write(path, append=True, compression=compression, attributes={"note": "continued"})
    assert_complete(path)
    with Archive(path) as archive:
        assert archive.attributes["source"] == "here"
        assert archive.attributes["note"] == "continued"


def test_appending_to_nothing_makes_a_new_archive(tmp_path):
    assert_complete(write(tmp_path / "a.h5", append=True))


def test_appending_nothing_keeps_the_archive(tmp_path):
    path = write(tmp_path / "a.h5")
    assert_complete(write(path, append=True))


def test_an_interrupted_append_goes_on(tmp_path):
    path = write(tmp_path / "a.h5", range(3))
    assert run_child(path, append=True, moment="append", count=7).returncode == -signal.SIGKILL
    assert_array_equal(parts(path), ["part-000000.h5"])
    with Archive(path) as archive:
        assert len(archive.time) == 3
    assert_complete(write(path, append=True))


def test_parts_for_an_archive_that_has_changed_since_are_discarded(tmp_path):
    path = write(tmp_path / "a.h5", range(3))

    def interrupted():
        with ArchiveWriter(path, **OPTIONS, append=True) as writer:
            writer.append(3 * HOUR, field_of(3))
            raise FailureError

    with pytest.raises(FailureError):
        interrupted()
    assert steps_found(path, append=True) == [0, 1, 2, 3]
    with h5py.File(path, "a") as file:
        file["data"][0, 1, 5, 5] += 1
    assert steps_found(path, append=True) == [0, 1, 2]


def test_appending_an_earlier_step_is_refused(tmp_path):
    path = write(tmp_path / "a.h5", range(3))
    with (
        pytest.raises(
            ValueError, match=r"time order; 1970-01-01T02:00:00 is not after 1970-01-01T"
        ),
        ArchiveWriter(path, **OPTIONS, append=True) as writer,
    ):
        writer.append(2 * HOUR, field_of(2))
    assert_complete(path, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": (VORTICITY, DIVERGENCE)}, r"another channels?: .*divergence.*, not .*vort"),
        (
            {"grid": make_grid("gauss", 30)},
            "another grid: 32 x 64 cell-centred .*, not 30 x 60 gauss",
        ),
        ({"calendar": "noleap"}, "another calendar: standard, not noleap"),
    ],
)
def test_appending_something_else_is_refused(tmp_path, change, message):
    path = write(tmp_path / "a.h5", range(3))
    with pytest.raises(ValueError, match=f"cannot append to .*a.h5, which has {message}"):
        ArchiveWriter(path, **{**OPTIONS, **change}, append=True)
    assert_complete(path, 3)


@pytest.mark.parametrize(
    ("seconds", "field", "message"),
    [
        (0, field_of(1), "steps must be added in time order; 1970-01-01T00:00:00 is not after"),
        (-HOUR, field_of(1), "steps must be added in time order"),
        (HOUR, field_of(1)[0], r"T01:00:00 has shape \(32, 64\); expected \(2, 32, 64\)"),
        (HOUR, field_of(1)[..., :-1], r"has shape \(2, 32, 63\); expected"),
        (HOUR, np.where(field_of(1) > 3, np.nan, 0), r"values of divergence at 1970-01-01T01"),
        (HOUR, np.full((2, 32, 64), 1e300), "2048 of 2048 values of divergence"),
    ],
    ids=["same time", "earlier", "two axes", "shape", "NaN", "too large for float32"],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_field_that_does_not_fit_is_refused_and_the_rest_kept(tmp_path, seconds, field, message):
    path = tmp_path / "a.h5"

    def append_both():
        with ArchiveWriter(path, **OPTIONS) as writer:
            writer.append(0, field_of(0))
            writer.append(seconds, field)

    with pytest.raises(ValueError, match=message):
        append_both()
    assert parts(path) == ["part-000000.h5"]
    assert_complete(write(path))


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_fields_of_other_types_become_float32(tmp_path, dtype):
    field = np.arange(2 * 32 * 64).reshape(2, 32, 64).astype(dtype)
    with ArchiveWriter(tmp_path / "a.h5", **OPTIONS) as writer:
        writer.append(0, field)
    with Archive(tmp_path / "a.h5") as archive:
        assert_array_equal(archive.read(0), field)


def test_an_archive_without_steps_is_not_made(tmp_path):
    with pytest.raises(ValueError, match=r"nothing was written to .*a.h5: there are no steps"):
        write(tmp_path / "a.h5", ())
    assert not (tmp_path / "a.h5").exists()


def test_a_folder_as_target_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is a folder; the output must be a file name"):
        ArchiveWriter(tmp_path, **OPTIONS)


def test_an_unknown_compression_lists_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="must be one of blosc2, zstd, gzip, none; got 'zip'"):
        write(tmp_path / "a.h5", compression="zip")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"Not a directory: .*file"):
        ArchiveWriter(tmp_path / "file" / "a.h5", **OPTIONS)


def test_an_unwritable_folder_ends_with_one_line(tmp_path):
    tmp_path.chmod(0o555)
    user = 65_534 if os.geteuid() == 0 else 0  # root may write everywhere, nobody may not
    for folder in (tmp_path, *tmp_path.parents[:3]) if user else ():
        if folder.owner() == tmp_path.owner() and folder != Path("/tmp"):  # noqa: S108
            folder.chmod(folder.stat().st_mode | 0o055)
    result = run_child(tmp_path / "a.h5", user=user)
    tmp_path.chmod(0o755)
    assert result.returncode == 2
    assert_one_line(result, "Permission denied")


def assert_one_line(result, cause):
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("atmodist: error: ")
    assert cause in result.stderr


# Failing while a part is written, while it is closed (what is small stays in caches until then),
# and while the parts are joined. HDF5 itself would segfault at the exit of each.
@pytest.mark.parametrize(
    ("compression", "num_fields", "num_kept"),
    [("gzip", 0.1, 0), ("gzip", 2, 0), ("none", 3.999, 0), ("gzip", 6, 3)],
)
def test_a_file_size_limit_ends_with_one_line_and_loses_nothing(
    tmp_path, compression, num_fields, num_kept
):
    path = write(tmp_path / "a.h5", range(2))
    before = path.read_bytes()
    options = {"compression": compression, "overwrite": True}
    result = run_child(path, **options, max_bytes=int(num_fields * FIELD_BYTES))
    assert result.returncode == 2, result.stderr
    assert_one_line(result, f"{path}: File too large")
    assert path.read_bytes() == before
    assert len(parts(path)) == num_kept
    assert not list(tmp_path.rglob("*.tmp"))
    assert_complete(write(path, **options))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 0.25 MB: enough for the parts of eleven fields, but not for the archive too."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=250k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("num_steps", [11, 40])  # full when joining, full when writing
def test_a_full_disk_ends_with_one_line_and_the_run_goes_on_later(small_disk, num_steps):
    path = small_disk / "a.h5"
    result = run_child(path, steps=range(num_steps))
    assert result.returncode == 2
    assert_one_line(result, f"{path}: No space left on device")
    assert not path.exists()
    kept = parts(path)
    assert len(kept) >= 3
    assert [item.name for item in small_disk.iterdir()] == [parts_folder(path).name]
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert_complete(write(path, range(num_steps)), num_steps)


def test_ctrl_c_while_writing_keeps_whole_steps(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    write_to_file = archive_writer.Hdf5Output.access

    @contextlib.contextmanager
    def interrupted(self):
        with write_to_file(self) as file:
            if len(writer.written) == 6:
                signal.raise_signal(signal.SIGINT)  # to HDF5, an exception here is a failed write
            yield file

    def write_interrupted():
        nonlocal writer
        with ArchiveWriter(path, **OPTIONS) as writer, monkeypatch.context() as patch:
            patch.setattr(archive_writer.Hdf5Output, "access", interrupted)
            for step in range(NUM_STEPS):
                writer.append(step * HOUR, field_of(step))

    writer = None
    with pytest.raises(KeyboardInterrupt):
        write_interrupted()
    with h5py.File(parts_folder(path) / "part-000001.h5") as file:
        assert len(file["time"]) == 2
    assert_complete(write(path))
