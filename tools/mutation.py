"""Do tests notice when a formula is wrong? Changes modules in one place, and runs their tests.

    python tools/mutation.py atmodist/fields/winds.py [...] [--each 15] [--seed 0] [--list]

Each change exchanges a sign, an operation, a comparison, a number or an axis, in one place that
the seed picks, in a copy of the repository; the tests of the module (`tests/.../test_<module>.py`,
or all of its folder's where there is none) should then fail. Those changes that no test notices are
printed, and the count for each module. Tests that are slow are not run.
"""

import argparse
import ast
import copy
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("atmodist", "dynamics", "srgan", "evaluation", "tools", "tests", "pyproject.toml")
LOADED = ("hypothesis", "scipy.stats", "scipy.interpolate", "xarray", "h5py", "hdf5plugin")
OPERATIONS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip
PAIRED = {"cos": "sin", "sin": "cos", "minimum": "maximum", "maximum": "minimum", "floor": "ceil"}


@dataclass(frozen=True)
class Mutation:
    """One change of a module: what is there and what is there instead."""

    path: str
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  ->  {self.after}"


def changes(node: ast.AST) -> Iterator[Callable[[ast.AST], None]]:
    """What can be changed in a node of a syntax tree, in place."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        if not isinstance(node.left, ast.Constant | ast.JoinedStr) or not isinstance(
            getattr(node.left, "value", None), str
        ):
            yield lambda n: setattr(n, "op", OPERATIONS[type(n.op)]())
            if isinstance(node.op, ast.Sub):
                yield _exchange
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield lambda n: setattr(n, "op", ast.UAdd())
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield lambda n: n.ops.__setitem__(0, COMPARISONS[type(n.ops[0])]())
    elif isinstance(node, ast.AugAssign) and type(node.op) in OPERATIONS:
        yield lambda n: setattr(n, "op", OPERATIONS[type(n.op)]())
    elif isinstance(node, ast.keyword) and node.arg in ("axis", "axes") and _integer(node.value):
        yield lambda n: setattr(n, "value", ast.Constant(0 if _integer(n.value) != "0" else -1))
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield lambda n: setattr(n, "value", n.value + 1 if type(n.value) is int else 1.5 * n.value)
    elif isinstance(node, ast.Attribute) and node.attr in PAIRED:
        yield lambda n: setattr(n, "attr", PAIRED[n.attr])


def _exchange(node: ast.AST) -> None:
    node.left, node.right = node.right, node.left


def _integer(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if text.lstrip("-").isdigit() else ""


def mutations(path: str, text: str) -> list[Mutation]:
    """All changes of a module."""
    tree = ast.parse(text)
    found = []
    skipped = set()
    for node in ast.walk(tree):  # what is raised, annotated or drawn is no formula
        if isinstance(node, ast.Raise | ast.JoinedStr):
            skipped |= {id(child) for child in ast.walk(node)}
        if isinstance(node, ast.keyword) and node.arg in ("axis", "axes"):
            skipped |= {id(child) for child in ast.walk(node.value)}  # the axis is changed as one
        for part in ("annotation", "returns"):
            if getattr(node, part, None) is not None:
                skipped |= {id(child) for child in ast.walk(getattr(node, part))}
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in skipped:
            continue
        for which, _ in enumerate(changes(node)):
            other = copy.deepcopy(tree)
            changed = list(ast.walk(other))[number]
            line = getattr(node, "lineno", getattr(getattr(node, "value", None), "lineno", 0))
            list(changes(changed))[which](changed)
            if isinstance(node, ast.keyword):
                before, after = (f"{n.arg}={ast.unparse(n.value)}" for n in (node, changed))
            else:
                before, after = ast.unparse(node), ast.unparse(changed)
            if isinstance(node, ast.Constant):
                before, after = (
                    f"{text.splitlines()[line - 1].strip()} [{before}]",
                    after,
                )
            if before != after:
                found.append(Mutation(path, line, before, after, ast.unparse(other)))
    return found


def tests_of(path: str) -> str:
    """The tests of a module, or those of its folder."""
    package, *folders, name = Path(path).with_suffix("").parts
    start = [] if package == "atmodist" else [package]
    folder = Path("tests", *start, *folders)
    own = folder / f"test_{name}.py"
    return str(own if (ROOT / own).is_file() else folder)


def survives(mutation: Mutation, copied: Path, timeout: float) -> bool:
    """Whether the tests pass with the change; one that never ends is noticed."""
    target = copied / mutation.path
    original = target.read_text()
    target.write_text(mutation.source)
    try:
        return passes(copied, mutation.path, timeout)
    finally:
        target.write_text(original)


def passes(copied: Path, path: str, timeout: float) -> bool:
    """Runs the tests of a module in a fork, which has third parties' packages loaded already."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            os.chdir(copied)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            os.environ["PYTHONPATH"] = str(copied)  # of commands that tests start
            os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(copied / ".hypothesis")
            sys.path.insert(0, str(copied))
            sys.dont_write_bytecode = True
            options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
            code = int(pytest.main([*options, tests_of(path)]))
        finally:
            os._exit(code)
    ends = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        if time.monotonic() > ends:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="+", help="paths of modules, from the repository's root")
    parser.add_argument("--each", type=int, default=15, help="changes tried in each module")
    parser.add_argument("--seed", type=int, default=0, help="picks them")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one run of tests")
    parser.add_argument("--list", action="store_true", help="print the changes, and try none")
    parser.add_argument("--load", nargs="*", default=LOADED, help="packages that are loaded first")
    options = parser.parse_args()
    if not options.list:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        for name in options.load:
            importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copied / name)
        for module in options.modules:
            path = str(Path(module).resolve().relative_to(ROOT))
            everything = mutations(path, (ROOT / path).read_text())
            lots = random.Random(f"{options.seed} {path}")  # noqa: S311  no secret
            chosen = lots.sample(everything, min(options.each, len(everything)))
            if options.list:
                print(*chosen, sep="\n")
                continue
            if not passes(copied, path, options.timeout):
                print(f"{path}: its tests do not pass as it is", flush=True)
                continue
            left = []
            for mutation in chosen:
                if survives(mutation, copied, options.timeout):
                    left.append(mutation)
                    print(f"  unnoticed: {mutation}", flush=True)
            print(f"{path}: {len(chosen) - len(left)} of {len(chosen)} noticed", flush=True)


if __name__ == "__main__":
    main()
