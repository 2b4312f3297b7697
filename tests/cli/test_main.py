import importlib
import pkgutil
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import evaluation.cli
import srgan.cli
from atmodist import __version__
from atmodist.cli.main import COMMANDS, OTHERS, main, module_of

HEAVY = ("tensorflow", "keras", "pyshtools", "matplotlib", "xarray", "dask", "cartopy")


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_lists_every_command(capsys, arguments):
    assert main(arguments) == 0
    out = capsys.readouterr().out
    for name, text in COMMANDS.items():
        assert name in out
        assert text in out
    assert "rplearn-data" in out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"atmodist {__version__}\n"


def test_an_unknown_command_is_one_line_that_names_the_others(capsys):
    assert main(["ingset", "file"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    known = ", ".join(COMMANDS)
    assert err == (
        f"atmodist: error: no command 'ingset' (did you mean ingest?); there are {known}\n"
    )
    assert main(["zzz"]) == 2
    assert capsys.readouterr().err == f"atmodist: error: no command 'zzz'; there are {known}\n"
    assert main(["phire-eval", "--help"]) == 2
    assert "phire-eval is a command of its own" in capsys.readouterr().err


def test_every_installed_command_is_named():
    installed = {
        entry.name
        for entry in entry_points(group="console_scripts")
        if entry.dist.name == "atmodist"
    }
    assert {"atmodist", *OTHERS} == installed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(capsys, command):
    module = importlib.import_module(module_of(command))
    assert callable(module.main)
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert f"atmodist {command}" in out
    assert "--config" in out


def test_help_imports_nothing_heavy():
    modules = [module_of(name) for name in COMMANDS]
    modules += ["atmodist.cli.rplearn_data", "atmodist.cli.rplearn_train"]
    modules += [f"srgan.cli.{module.name}" for module in pkgutil.iter_modules(srgan.cli.__path__)]
    modules += [f"evaluation.cli.{m.name}" for m in pkgutil.iter_modules(evaluation.cli.__path__)]
    assert {"srgan.cli.phire_data", "evaluation.cli.phire_eval"} <= set(modules)
    script = f"""
import contextlib, importlib, io, sys
for name in {modules!r}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        importlib.import_module(name).main(["--help"])
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
