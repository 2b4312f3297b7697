import errno
import os
import pkgutil
import signal
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

import atmodist.cli
from atmodist.cli.common import command_parser, guarded, run_command


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How fast it learns."""

    rate: float = 0.1
    """Step size; positive."""

    def __post_init__(self):
        if self.rate <= 0:
            raise ValueError(f"`rate` must be positive; got {self.rate}")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Draws things from somewhere.

    The rest of the docstring is for readers of the code.
    """

    seed: int
    """Where randomness starts."""
    shape: tuple[int, int] = (160, 160)
    """Grid points."""
    verify: bool = False
    """Whether to look twice."""
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self):
        if self.seed < 0:
            raise ValueError(f"`seed` must not be negative;\n   got {self.seed}")


def main(argv):
    return run_command(command_parser("draw", Config), Config, argv, repr)


def run(capsys, *argv):
    """(status, stdout, stderr) of the command."""
    try:
        status = main(list(argv))
    except SystemExit as exit_:
        status = exit_.code
    return status, *capsys.readouterr()


def fails(capsys, *argv):
    """The one line on stderr with which the command must end."""
    status, out, err = run(capsys, *argv)
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("draw: error: ")
    return err


@pytest.fixture
def settings(tmp_path):
    def write(text):
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_flags_override_the_file_which_overrides_defaults(capsys, settings):
    path = settings("seed: 5\nshape: [1, 2]\nschedule:\n  rate: 5e-4\n")
    status, out, _ = run(capsys, "--config", path, "--seed", "7", "--shape", "[3,4]")
    assert status == 0
    assert out == f"{Config(seed=7, shape=(3, 4), schedule=Schedule(rate=5e-4))!r}\n"
    _, out, _ = run(capsys, "--config", path, "--schedule.rate", "2")
    assert out == f"{Config(seed=5, shape=(1, 2), schedule=Schedule(rate=2.0))!r}\n"


def test_a_printed_configuration_can_be_read_again(capsys, settings):
    status, out, _ = run(capsys, "--seed", "7", "--schedule.rate", "0.25", "--print_config")
    assert status == 0
    assert yaml.safe_load(out) == {
        "seed": 7,
        "shape": [160, 160],
        "verify": False,
        "schedule": {"rate": 0.25},
    }
    assert (
        run(capsys, "--config", settings(out))[1]
        == run(capsys, "--seed", "7", "--schedule.rate", "0.25")[1]
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--verify"], True),
        (["--verify", "true"], True),
        (["--verify", "True"], True),
        (["--verify", "false"], False),
        (["--verify=false"], False),
        ([], False),
    ],
)
def test_switches_need_no_value(capsys, words, expected):
    for argv in ([*words, "--seed", "1"], ["--seed", "1", *words]):
        assert run(capsys, *argv) == (0, f"{Config(seed=1, verify=expected)!r}\n", "")


def test_help_shows_descriptions_types_and_defaults(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0
    text = " ".join(out.split())
    assert "usage: draw" in text
    assert "Draws things from somewhere." in text
    assert "Where randomness starts. (required, type: whole number)" in text
    assert "Step size; positive. (type: number, default: 0.1)" in text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--seed", "x"], "option --seed must be a whole number; got x"),
        (
            ["--seed", "1", "--shape", "[3]"],
            "option --shape must be [whole number, whole number]; got [3]",
        ),
        (["--seed", "1", "--sead", "2"], "unrecognized arguments: --sead 2"),
        (["--seed", "1", "more"], "unrecognized arguments: more"),
        (["--seed", "1", "--config", "nowhere.yaml"], "File does not exist: '"),
        ([], "the following arguments are required: seed"),
    ],
)
def test_wrong_flags_end_with_one_line_that_points_to_the_help(capsys, argv, message):
    error = fails(capsys, *argv)
    assert message in error
    assert "(help: draw --help)" in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\ncolour: red\n", "Option 'colour' is not accepted"),
        ("seed: 1\nschedule:\n  speed: 3\n", "Group 'schedule' does not accept option 'speed'"),
        ("seed: [\n", "Problems parsing config"),
        ("seed: many\n", "option --seed must be a whole number; got many"),
        ("just words\n", ""),
    ],
)
def test_mistakes_in_the_file_are_named(capsys, settings, text, message):
    assert message in fails(capsys, "--config", settings(text))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--seed", "-1"],
            "`seed` must not be negative; got -1",
        ),  # on one line, though raised on two
        (["--seed", "1", "--schedule.rate", "-2"], "`rate` must be positive; got -2.0"),
        (["--seed", "1", "--schedule", '{"rate": 0}'], "`rate` must be positive; got 0.0"),
    ],
)
def test_what_a_configuration_refuses_ends_with_its_own_words(capsys, argv, message):
    assert fails(capsys, *argv) == f"draw: error: {message}\n"


def test_values_that_a_nested_configuration_refuses_are_refused_from_files_too(capsys, settings):
    path = settings("seed: 1\nschedule: {rate: -2}\n")
    assert fails(capsys, "--config", path) == "draw: error: `rate` must be positive; got -2.0\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n   lines"), "two lines"),
        (TypeError("wrong type"), "wrong type"),
        (ValueError(), "ValueError"),
        (FileNotFoundError("there is no archive a.h5"), "there is no archive a.h5"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.h5"), "a.h5: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "a.h5"), "a.h5: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), "[Errno 28] No space left on device"),
        (MemoryError("Unable to allocate 93 GiB"), "not enough memory: Unable to allocate 93 GiB"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_mistakes_become_one_line_and_status_2(capsys, error, line):
    def fail():
        raise error

    assert guarded("draw", fail) == 2
    assert capsys.readouterr() == ("", f"draw: error: {line}\n")


def test_debugging_shows_the_traceback(monkeypatch):
    def fail():
        raise ValueError("the cause")

    monkeypatch.setenv("ATMODIST_DEBUG", "1")
    with pytest.raises(ValueError, match="the cause"):
        guarded("draw", fail)


def test_defects_of_the_program_keep_their_traceback():
    def fail():
        raise KeyError("a defect, not a mistake of the user")

    with pytest.raises(KeyError):
        guarded("draw", fail)


def test_ctrl_c_ends_with_one_line_and_status_130(capsys):
    assert guarded("draw", lambda: signal.raise_signal(signal.SIGINT)) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip() == "draw: interrupted; run the same command again to go on."


HEAVY = (
    "tensorflow", "keras", "pyshtools", "matplotlib", "xarray", "dask", "tensorflow_datasets",
    "scipy",
)  # fmt: skip


@pytest.mark.filterwarnings("default")
def test_warnings_for_users_are_one_line_and_others_as_ever(capsys):
    before = warnings.showwarning

    def action():
        warnings.warn("the fields\nare coarse", UserWarning, stacklevel=1)
        with pytest.warns(DeprecationWarning, match="old"):
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        return "done"

    assert guarded("some-command", action) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == ("done\n", "some-command: warning: the fields are coarse\n")
    assert warnings.showwarning is before


def test_help_of_no_command_loads_heavy_packages():
    """They take up to 8 s to import; all commands in one process, since loading one is enough."""
    modules = [
        module.name
        for module in pkgutil.iter_modules(atmodist.cli.__path__)
        if module.name not in ("common", "wording")
    ]
    assert modules
    code = f"""
import contextlib, importlib, sys
for name in {modules!r}:
    with contextlib.suppress(SystemExit):
        importlib.import_module("atmodist.cli." + name).main(["--help"])
    loaded = sorted(set({HEAVY!r}) & set(sys.modules))
    if loaded:
        sys.exit(f"{{name}} --help imports {{', '.join(loaded)}}")
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("usage:") >= len(modules)
