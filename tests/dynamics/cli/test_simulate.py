import contextlib
import subprocess
import sys

import numpy as np
import pytest

from atmodist.fields.archive import Archive
from atmodist.files.outputs import read_json
from dynamics.cli.simulate import main
from dynamics.simulation import archive as simulated_archive
from dynamics.simulation.configuration import SimulateConfig
from tests.cli.mistakes import mistake

SMALL = ("--truncation", "10", "--levels", "3", "--interval_hours", "2")
SHALLOW = ("--case", "steady-flow", "--truncation", "10", "--interval_hours", "2")


@pytest.fixture(autouse=True)
def uncompiled(request, monkeypatch):
    """Few steps at a tiny truncation take less time than their compilation."""
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr("dynamics.compilation.compiled", lambda function: function)


def fields(path):
    with Archive(path) as archive:
        archive.validate()
        return np.stack([archive.read(step) for step in range(archive.shape[1])])


def test_an_archive_and_its_manifest_are_made(tmp_path, capsys):
    path = tmp_path / "archive.h5"
    assert main([str(path), *SMALL, "--days", "0.5", "--level", "0.4"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Next: rplearn-data {path}"
    with Archive(path) as archive:
        assert archive.shape == (2, 7, 16, 32)
        assert [channel.name for channel in archive.channels] == ["divergence", "vorticity"]
        assert archive.grid.kind == "gauss"
        assert archive.time.step == 7200
        assert archive.time.isoformat(0) == "2000-01-01T00:00:00"
        # the storms of the state that is shipped, at this truncation
        assert 3e-6 < archive.read(0)[1].std() < 6e-5
    manifest = read_json(tmp_path / "archive.h5.manifest.json")
    assert manifest["level"] == 0.5
    assert {entry.name for entry in tmp_path.iterdir()} == {path.name, f"{path.name}.manifest.json"}
    assert main([str(path), *SMALL, "--days", "0.5", "--level", "0.4"]) == 0
    assert "exists already; nothing was done" in capsys.readouterr().out


def test_members_and_seeds_begin_alike_and_are_different(tmp_path, capsys):
    few = (*SMALL, "--days", "0.25")
    assert main([str(tmp_path / "a.h5"), *few, "--members", "2"]) == 0
    assert main([str(tmp_path / "b.h5"), *few]) == 0
    assert main([str(tmp_path / "c.h5"), *few, "--seed", "1"]) == 0
    printed = capsys.readouterr().out
    assert f"Next: rplearn-data {tmp_path / 'a-000.h5'}\n" in printed  # a file that is there
    first, second, alone, other = (
        fields(tmp_path / name) for name in ("a-000.h5", "a-001.h5", "b.h5", "c.h5")
    )
    np.testing.assert_array_equal(first, alone)
    for one in (second, other):
        np.testing.assert_array_equal(one[0], alone[0])  # only the temperature has noise
        assert 1e-9 < np.abs(one[-1] - alone[-1]).max() < 1e-5


def test_the_whole_state_begins_with_the_chosen_level(tmp_path, capsys):
    few = ("--days", "0.25", "--whole_state")
    assert main([str(tmp_path / "a.h5"), *SMALL, *few]) == 0
    assert "divergence_833 (s-1), vorticity_167 (s-1), ... 12 in all\n" in capsys.readouterr().out
    with Archive(tmp_path / "a.h5") as archive:
        names = [channel.name for channel in archive.channels]
        field = archive.read(1)
    assert names[2:5] == ["divergence_167", "divergence_500", "divergence_833"]
    np.testing.assert_array_equal(field[0], field[names.index("divergence_833")])
    np.testing.assert_array_equal(field[1], field[names.index("vorticity_833")])
    assert 180 < field[names.index("temperature_500")].mean() < 300
    assert 9e4 < field[-1].mean() < 1.1e5
    assert main([str(tmp_path / "b.h5"), *SHALLOW, *few]) == 0
    with Archive(tmp_path / "b.h5") as archive:
        assert [channel.name for channel in archive.channels][2:] == ["height"]


def test_a_case_that_is_steady_stays_so(tmp_path):
    assert main([str(tmp_path / "a.h5"), *SHALLOW, "--days", "1"]) == 0
    values = fields(tmp_path / "a.h5")
    assert np.abs(values[-1] - values[0]).max() < 1e-3 * np.abs(values[0]).max()


class KilledError(Exception):
    pass


@pytest.mark.parametrize("save_seconds", [0.0, 1e9])  # a state after each field, or none at all
def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch, save_seconds):
    few = (*SMALL, "--days", "0.5", "--spin_up_days", "0.25")  # three intervals
    assert main([str(tmp_path / "whole.h5"), *few]) == 0
    monkeypatch.setattr(simulated_archive, "SAVE_SECONDS", save_seconds)
    path = tmp_path / "cut.h5"
    for count in (2, 4):  # in the spin-up, and after some fields
        with monkeypatch.context() as patch, contextlib.suppress(KilledError):
            _die_after(patch, count)
            main([str(path), *few])
        assert not path.exists()
    assert main([str(path), *few]) == 0
    assert path.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert not list(tmp_path.glob(".*"))


def _die_after(patch, count):
    from dynamics.simulation.simulation import Simulation

    look, calls = Simulation.observe, []

    def observe(self, state):
        calls.append(None)
        if len(calls) > count:
            raise KilledError
        return look(self, state)

    patch.setattr(Simulation, "observe", observe)


def test_what_an_interrupted_run_made_is_not_thrown_away_unasked(tmp_path, capsys, monkeypatch):
    path = tmp_path / "a.h5"
    with monkeypatch.context() as patch, contextlib.suppress(KilledError):
        _die_after(patch, 4)
        main([str(path), *SMALL, "--days", "400"])
    short = [str(path), *SMALL, "--days", "0.5"]
    error = mistake(main, short, capsys)
    folder = tmp_path / ".a.h5.parts"
    assert f"an interrupted run with other settings (days 400.0) has fields in {folder}" in error
    assert list(folder.glob("part-*.h5"))
    assert main([*short, "--overwrite"]) == 0
    assert "discarded 4 steps of an interrupted run" in capsys.readouterr().out
    assert len(fields(path)) == 7


def test_a_run_that_goes_on_says_from_where(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(simulated_archive, "SAVE_SECONDS", 0.0)
    arguments = [str(tmp_path / "a.h5"), *SMALL, "--days", "0.5"]
    with monkeypatch.context() as patch, contextlib.suppress(KilledError):
        _die_after(patch, 4)
        main(arguments)
    assert main(arguments) == 0
    assert "a.h5: goes on from day 0.25\n" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_bytes(tmp_path):
    few = [*SMALL, "--days", "5"]
    kill = (
        "import os, sys; from dynamics.cli import simulate\n"
        "from dynamics.simulation import archive\n"
        "archive.SAVE_SECONDS = 0.0\n"
        "from atmodist.fields.archive_writer import ArchiveWriter as W; append = W.append\n"
        "def stop(self, seconds, field):\n"
        "    append(self, seconds, field)\n"
        "    if len(self.written) == 20: os.kill(os.getpid(), 9)\n"
        "W.append = stop; simulate.main(sys.argv[1:])"
    )
    path = tmp_path / "cut.h5"
    assert subprocess.run([sys.executable, "-c", kill, str(path), *few]).returncode == -9
    assert not path.exists()
    for output in (path, tmp_path / "whole.h5"):
        assert main([str(output), *few]) == 0
    assert path.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_instability_is_one_line_and_keeps_what_was_written(tmp_path, capsys, monkeypatch):
    from dynamics.simulation.simulation import InstabilityError, Simulation

    look, calls = Simulation.observe, []

    def observe(self, state):
        calls.append(None)
        if len(calls) > 3:
            raise InstabilityError("its values are no longer finite numbers")
        return look(self, state)

    monkeypatch.setattr(Simulation, "observe", observe)
    path = tmp_path / "a.h5"
    error = mistake(main, [str(path), *SMALL, "--days", "1"], capsys)
    assert error == (
        "atmodist simulate: error: the simulation became unstable by day 0.25: its values are no "
        "longer finite numbers. Try a smaller --step_minutes than 60, and --overwrite. The 3 "
        f"fields before are in {path}\n"
    )
    assert len(fields(path)) == 3
    manifest = read_json(tmp_path / "a.h5.manifest.json")
    assert "unstable by day 0.25: its values are no longer" in manifest["instability"]
    error = mistake(main, [str(path), *SMALL, "--days", "1"], capsys)
    assert "became unstable by day 0.25: as it did when it was made" in error


def test_a_start_with_too_much_noise_becomes_unstable_by_itself(tmp_path, capsys):
    options = ["--truncation", "21", "--levels", "10", "--perturbation", "60", "--days", "1"]
    error = mistake(main, [str(tmp_path / "a.h5"), *options], capsys)
    assert "became unstable by day 0.25: its values are no longer finite numbers" in error
    assert "--step_minutes than 60 or --perturbation, and --overwrite" in error
    assert len(fields(tmp_path / "a.h5")) == 1


def test_a_step_that_is_too_long_is_told_at_once(tmp_path, capsys):
    options = [*SMALL[:4], "--interval_hours", "24", "--step_minutes", "1440"]
    error = mistake(main, [str(tmp_path / "a.h5"), *options], capsys)
    assert "the start does not suit the time step: winds of" in error
    assert "too fast for steps of 1440 minutes (CFL" in error
    assert "overwrite" not in error  # nothing was written
    assert not list(tmp_path.iterdir())


def test_instability_in_the_spin_up_is_told_as_such(tmp_path, capsys):
    options = ["--truncation", "21", "--levels", "10", "--perturbation", "60", "--days", "1"]
    error = mistake(main, [str(tmp_path / "a.h5"), *options, "--spin_up_days", "0.5"], capsys)
    assert "became unstable in 0.25 days of spin-up: its values" in error
    assert "overwrite" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--days", "0"], "days must be positive; got 0"),
        (["--days", "0.1"], "hold no interval of 6.0 hours"),
        (["--level", "850"], "from 0 (top) to 1 (ground); got 850"),
        (["--level", "nan"], "option --level must be a number or null; got nan (help"),
        (["--case", "mountain", "--level", "0.5"], "(mountain) has no levels; leave level out"),
        (["--case", "mountain", "--levels", "40"], "(mountain) has no levels; leave levels out"),
        (["--case", "mountain", "--spun_up"], "held-suarez alone has a spun-up state"),
        (["--spin_up_days", "0.1"], "must be a whole number of intervals of 6.0 hours; got 0.1"),
        (["--truncation", "5000"], "truncation must be at most 1279; got 5000"),
        (["--step_minutes", "7"], "a whole number of steps must fill 6.0 hours"),
        (["--start", "tomorrow"], "start must be a date"),
        (["--members", "0"], "members must be at least 1; got 0"),
        (["--case", "venus"], "venus"),
    ],
)
def test_settings_that_cannot_be_are_one_line(tmp_path, capsys, options, text):
    error = mistake(main, [str(tmp_path / "archive.h5"), *options], capsys)
    assert text in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("backend", ["numpy", "jaxx"])
def test_backends_that_do_not_serve_are_one_line(tmp_path, capsys, monkeypatch, backend):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    error = mistake(main, [str(tmp_path / "archive.h5")], capsys)
    assert f"KERAS_BACKEND must be one of tensorflow, jax, torch; got {backend}" in error


def test_a_backend_that_is_not_installed_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    error = mistake(main, [str(tmp_path / "archive.h5")], capsys)
    assert "KERAS_BACKEND is jax, which is not installed: pip install 'atmodist[jax]'" in error


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        ("2000-01-01", 946_684_800),
        ("2000-01-01T06:00", 946_706_400),
        ("2000-01-01T00:00:00+05:00", 946_666_800),
        ("1999-12-31T19:00Z", 946_666_800),
    ],
)
def test_starts_are_in_utc_unless_they_say_otherwise(start, seconds):
    assert SimulateConfig(output="a", start=start).start_seconds == seconds


def test_only_published_starts_are_without_noise():
    climate, wave = (SimulateConfig(output="a", case=case) for case in ("held-suarez", "mountain"))
    assert (climate.noise(0), wave.noise(0), wave.noise(1)) == (0.1, 0.0, 0.1)
