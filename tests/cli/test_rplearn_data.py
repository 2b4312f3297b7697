import contextlib
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from atmodist.cli.rplearn_data import main
from atmodist.fields.normalization import Normalization
from atmodist.records import making
from tests.cli.mistakes import mistake
from tests.pairs.archives import hourly, shard_digests, write_archive

OPTIONS = (
    *("--patch_shape", "[4,6]", "--patches_per_step", "5", "--max_temporal_distance", "3"),
    *("--workers", "1"),
)
SCRIPT = "import sys; from atmodist.cli.rplearn_data import main; sys.exit(main())"
COMMAND = (sys.executable, "-c", SCRIPT)


@pytest.fixture
def archive(tmp_path):
    return write_archive(tmp_path / "archive.h5", seconds=hourly(30))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(making, "write_tfds_metadata", lambda records: None)


@pytest.fixture
def complain(capsys, tmp_path):
    """Runs the command, which must end with one line and status 2; returns that line."""

    def run(archive, *options, output=tmp_path / "records"):
        arguments = [str(archive), "--output", str(output), *OPTIONS, *options]
        err = mistake(main, arguments, capsys)
        assert err.startswith("rplearn-data: error: ")
        return err.removeprefix("rplearn-data: error: ")

    return run


def rewrite(archive, change):
    """Replaces /data by what `change` makes of it, and keeps nothing else."""
    with h5py.File(archive, "r") as file:
        data = file["data"][...]
    with h5py.File(archive, "w") as file:
        file["data"] = change(data)


def left_over(folder):
    """All files below a folder."""
    return [path for path in folder.rglob("*") if not path.is_dir()] if folder.exists() else []


def test_it_says_what_was_made_and_what_to_run_next(archive, tmp_path, capsys, quick):
    arguments = [str(archive), "--output", str(tmp_path / "records"), *OPTIONS]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    folder = tmp_path / "records/atmodist_pairs/1.0.0"
    assert lines[0] == f"records    {folder}"
    assert lines[1].startswith("train      105 pairs, 1 shard, ")
    assert lines[1].endswith("1970-01-01T00:00:00 .. 1970-01-03T21:00:00")
    assert lines[-1] == f"Next: rplearn-train {folder}"
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines() == ["These records exist already.", *lines]


def test_flags_override_the_file_and_the_file_the_defaults(archive, tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text("seed: 5\npatches_per_step: 3\nlatitude_range: [-60, 60]\n")
    with pytest.raises(SystemExit) as ended:
        main(["--config", str(config), str(archive), "--seed", "6", "--print_config"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for line in ("seed: 6", "patches_per_step: 3", "- -60.0", "max_temporal_distance: 23"):
        assert line in printed


def test_the_archive_may_stand_in_the_file(archive, tmp_path, capsys, quick):
    config = tmp_path / "run.yaml"
    config.write_text(f"archive: {archive}\noutput: {tmp_path / 'records'}\n")
    assert main(["--config", str(config), *OPTIONS]) == 0
    assert "105 pairs" in capsys.readouterr().out


def test_a_missing_archive(complain, tmp_path):
    assert complain(tmp_path / "none.h5") == f"there is no archive {tmp_path / 'none.h5'}\n"


def test_a_file_that_is_no_hdf5(complain, tmp_path):
    (tmp_path / "page.h5").write_text("<html>404</html>")
    assert f"{tmp_path / 'page.h5'} is an HTML page" in complain(tmp_path / "page.h5")


def test_an_archive_without_data(complain, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["vorticity"] = np.zeros(3)
    text = "a.h5 has no dataset /data, it is no archive; it holds vorticity"
    assert text in complain(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: data[0], "/data must have four axes (channel, time, latitude, longitude)"),
        (lambda data: (data * 1e8).astype(np.int16), "/data must be float32; it is int16"),
        (lambda data: data.astype(np.float64), "/data must be float32; it is float64"),
        (lambda data: data[..., :23], "13 x 23 is neither n x 2n nor (n+1) x 2n"),
        (lambda data: 0 * data, "divergence, vorticity has the same value everywhere"),
    ],
)
def test_data_of_the_wrong_kind(complain, archive, tmp_path, change, text):
    rewrite(archive, change)
    assert text in complain(archive)
    assert not left_over(tmp_path / "records")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("step", [10, 29])  # of training, found by its statistics; of evaluation
def test_missing_values_are_named_with_time_and_channel(
    complain, archive, tmp_path, monkeypatch, step, workers
):
    with h5py.File(archive, "r+") as file:
        file["data"][1, step, :, ::2] = np.nan
    text = complain(archive, "--workers", workers, "--patches_per_step", "40")
    time = np.datetime64(step * 10_800, "s")
    assert f"{archive}: 156 of 312 values of vorticity at {time} are missing (NaN)" in text
    if step == 10:
        assert not left_over(tmp_path / "records")
    assert not (tmp_path / "records/atmodist_pairs/1.0.0").exists()


def test_fewer_steps_than_the_largest_label(complain, archive):
    text = complain(archive, "--max_temporal_distance", "24")
    assert "the train split has no pairs: its longest run" in text
    assert "has 24 steps, and labels up to 24 need at least 25" in text


def test_an_evaluation_that_is_too_short(complain, archive):
    assert "the evaluation split has no pairs" in complain(archive, "--evaluation_fraction", "0.1")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--patch_shape", "[14,6]"], "patches of 14 rows do not fit a grid of 13 rows"),
        (["--patch_shape", "[4,25]"], "patches of 25 columns do not fit a grid of 24 columns"),
        (["--latitude_range", "[10,50]"], "10..50 leaves no room for patches of 4 rows (45 deg"),
        (["--latitude_range", "[50,10]"], "south, north in degrees north, -90 to 90; got 50, 10"),
        (["--gap", "2"], "gap must be at least max_temporal_distance = 3"),
        (["--patch_sahpe", "[4,6]"], "--patch_sahpe"),
        (["--patch_shape", "4"], "patch_shape"),
        (["--compression", "lzma"], "compression"),
        (["--seed", "half"], "seed"),
        (["--normalization", "none.json"], "there is no normalisation none.json"),
    ],
)
def test_settings_that_do_not_fit(complain, archive, tmp_path, options, text):
    assert text in complain(archive, *options)
    assert not left_over(tmp_path / "records")


def test_an_unknown_key_of_the_file_is_named(complain, archive, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("seed: 1\npatches_per_stpe: 3\n")
    assert "patches_per_stpe" in complain(archive, "--config", str(config))


def test_a_normalisation_of_other_channels(complain, archive, tmp_path):
    wind = Normalization(
        channels=("u", "v"), mean=[0, 0], std=[1, 1], log_mean=[0, 0], log_std=[1, 1]
    )
    wind.save(tmp_path / "wind.json")
    text = complain(archive, "--normalization", str(tmp_path / "wind.json"))
    assert f"wind.json is for the channels u, v; {archive} has divergence, vorticity" in text
    assert not left_over(tmp_path / "records")


def test_records_of_other_settings_are_in_the_way(complain, archive, tmp_path, capsys, quick):
    assert main([str(archive), "--output", str(tmp_path / "records"), *OPTIONS]) == 0
    capsys.readouterr()
    before = shard_digests(tmp_path / "records/atmodist_pairs/1.0.0")
    text = complain(archive, "--seed", "1")
    assert "holds records made from another archive or with other settings; choose another" in text
    assert shard_digests(tmp_path / "records/atmodist_pairs/1.0.0") == before


def test_a_file_where_the_folder_should_be(complain, archive, tmp_path):
    (tmp_path / "records").write_text("not a folder")
    assert "Not a directory" in complain(archive)


def test_a_folder_where_nobody_may_write(complain, archive):
    # A folder of its own: those of pytest can be entered by their owner only.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = folder / "archive.h5"
        own.write_bytes(archive.read_bytes())
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
        with someone_else():
            text = complain(own, output=folder / "records")
        folder.chmod(stat.S_IRWXU)
    assert "Permission denied" in text


@contextlib.contextmanager
def someone_else():
    """Root may write anywhere; as root, we become nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_disk_that_is_too_small_is_known_before_the_work(complain, archive, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        text = complain(archive)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"no room for 0.1 MB of records in {tmp_path / 'records/atmodist_pairs'}: " in text
    assert not left_over(tmp_path / "records")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk(complain, archive, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk]).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        text = complain(archive, "--patches_per_step", "500", output=disk / "records")
        assert not left_over(disk)
    finally:
        subprocess.run(["umount", disk], check=True)
    assert "no room for 7.1 MB of records" in text
    assert "No space left on device (1.0 MB free)" in text


def wait_for_journal(process, output, entries):
    journal = output / "atmodist_pairs/.1.0.0.partial/journal"
    while not journal.is_file() or journal.stat().st_size < 8 * entries:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)


def children(process):
    listed = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in listed.stdout.split()]


def is_alive(pid):
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_run_killed_halfway_goes_on_to_the_same_bytes(tmp_path, capsys, workers, compression):
    archive = write_archive(tmp_path / "archive.h5", seconds=hourly(120, 80))
    options = (*OPTIONS, "--patches_per_step", "100", "--workers", workers)
    options += ("--compression", compression)
    output = tmp_path / "killed"
    arguments = [str(archive), "--output", str(output), *options]
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.DEVNULL)
    wait_for_journal(process, output, entries=40)
    workers_then = children(process)
    process.kill()
    process.wait()
    entries = (output / "atmodist_pairs/.1.0.0.partial/journal").stat().st_size // 8
    assert 40 <= entries < 180
    assert main(arguments) == 0
    assert main([str(archive), "--output", str(tmp_path / "once"), *options]) == 0
    once, killed = (tmp_path / name / "atmodist_pairs/1.0.0" for name in ("once", "killed"))
    assert shard_digests(once) == shard_digests(killed)
    assert {path.name for path in once.iterdir()} == {path.name for path in killed.iterdir()}
    deadline = time.monotonic() + 20
    while any(map(is_alive, workers_then)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_alive, workers_then))  # workers do not outlive their parent


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_it_with_one_line(tmp_path, workers):
    archive = write_archive(tmp_path / "archive.h5", seconds=hourly(500))
    output = tmp_path / "records"
    options = (*OPTIONS, "--patches_per_step", "200", "--workers", workers)
    process = subprocess.Popen(
        [*COMMAND, str(archive), "--output", str(output), *options],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for_journal(process, output, entries=20)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to all processes
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "rplearn-data: interrupted; run the same command again to go on."
