"""`atmodist COMMAND ...`: the commands that are not part of training or super-resolution."""

import difflib
import importlib
import sys
from collections.abc import Sequence

# Some commands live in packages that stand above this one, which must not import them: their
# modules are named, and found when they are asked for.
MODULES = {"quickstart": "evaluation.cli.quickstart", "simulate": "dynamics.cli.simulate"}
COMMANDS = {
    "quickstart": "The whole path on a small simulated atmosphere, in a few minutes.",
    "simulate": "Make an archive of a simulated atmosphere, or of a test case of dynamics.",
    "generate": "Make a small made-up archive, within seconds, to try things on.",
    "ingest": "Make an archive from GRIB or NetCDF files.",
    "statistics": "Mean, spread and normalisation of an archive.",
    "calibrate": "What distances of a trained encoder mean in hours, and how they compare.",
    "package": "A trained encoder with its calibration and grid in one folder, to share.",
    "embed": "Features of every field of an archive.",
    "distance": "How different the fields of two files are, or of one after a lag.",
    "inspect": "Say what an archive, a folder of records or a network contains.",
}


OTHERS = {
    "rplearn-data": "Draw training pairs from an archive.",
    "rplearn-train": "Train an encoder on them.",
    "rplearn-eval": "Judge a trained encoder.",
    "phire-data": "Draw patches for super-resolution from an archive.",
    "phire-train": "Train a generator on them.",
    "phire-infer": "Super-resolve the fields of a file.",
    "phire-eval": "Judge fields against a reference: errors, spectra, distances, a report.",
}


def module_of(command: str) -> str:
    """The module of a command."""
    return MODULES.get(command, f"atmodist.cli.{command}")


def usage() -> str:
    """The text of `atmodist --help`."""
    width = max(map(len, [*COMMANDS, *OTHERS]))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: atmodist COMMAND ... (atmodist COMMAND --help says more)",
            "",
            "A learned ruler for the atmosphere.",
            "",
            "commands:",
            *lines,
            "",
            "commands of their own:",
            *(f"  {name:<{width}}  {text}" for name, text in OTHERS.items()),
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Hands the arguments to the module of the command; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    if arguments[0] == "--version":
        from atmodist import __version__

        print(f"atmodist {__version__}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"atmodist: error: {_unknown(command)}", file=sys.stderr)
        return 2
    module = importlib.import_module(module_of(command))
    return int(module.main(rest))


def _unknown(command: str) -> str:
    if command in OTHERS:
        return f"{command} is a command of its own: type {command} without atmodist"
    near = difflib.get_close_matches(command, [*COMMANDS, *OTHERS], n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"no command {command!r}{hint}; there are {', '.join(COMMANDS)}"
