"""Prints the lowest versions that setup.py allows, as constraints for pip.

    python tools/lower_bounds.py > lowest.txt
    python -m pip install --constraint lowest.txt '.[all]' pytest hypothesis

setup.py says that its lower bounds are tested; continuous integration makes it true.
"""

import re
import runpy
from itertools import chain
from pathlib import Path
from unittest.mock import patch

BOUND = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?>=([0-9.]+)")


def lower_bounds(setup_file: Path) -> dict[str, str]:
    """The lowest version of each package that a setup.py names, of extras as well."""
    with patch("setuptools.setup") as setup:
        runpy.run_path(str(setup_file))
    arguments = setup.call_args.kwargs
    groups = [arguments["install_requires"], *arguments["extras_require"].values()]
    found = {}
    for requirement in chain.from_iterable(groups):
        bound = BOUND.match(requirement)
        if bound is None:
            raise ValueError(f"{requirement!r} in {setup_file} has no lower bound: write NAME>=X")
        found[bound[1]] = bound[2]
    return found


def main() -> None:
    for name, version in sorted(lower_bounds(Path(__file__).parents[1] / "setup.py").items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
