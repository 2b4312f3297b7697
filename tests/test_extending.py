"""The examples of docs/extending.md as they stand: put into a copy of the packages, and run."""

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
PACKAGES = ("atmodist", "dynamics", "srgan", "evaluation")
RUN = "import sys; from {module} import {function}; sys.exit({function}(sys.argv[1:]))"


class Block(NamedTuple):
    """A block of code: its language, the file it goes to (with how), and its text."""

    language: str
    place: str | None
    appended: bool
    text: str


def blocks(section):
    """The blocks of a section; "saved as `PATH`" or "appended to `PATH`" before one says where."""
    parts = re.split(r"^```(\w+)\n(.*?)^```$", section, flags=re.M | re.S)
    for before, language, text in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        places = re.findall(r"(saved as|appended to)\s+`([\w/]+\.py)`", before, re.I)
        how, place = places[-1] if places else ("", None)
        yield Block(language, place, how.lower() == "appended to", text)


INTRODUCTION, *SECTIONS = re.split(r"^## ", PAGE, flags=re.M)
TITLED = {section.splitlines()[0]: list(blocks(section)) for section in SECTIONS}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A copy of the packages with all examples in it, and a folder to work in."""
    tree, work = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("work")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tree / package, ignore=ignored)
    for block in [block for found in TITLED.values() for block in found if block.place]:
        path = tree / block.place
        assert path.exists() == block.appended, path
        with path.open("a", encoding="utf-8") as file:
            file.write(block.text)
    return tree, work


@pytest.fixture(scope="module")
def began(world):
    """The world after the commands that the page begins with."""
    for block in blocks(INTRODUCTION):
        perform(block, *world)
    return world


def perform(block, tree, work):
    """Runs the commands of a console, or a script."""
    if block.language == "console":
        for line in block.text.replace("\\\n", " ").splitlines():
            assert line.startswith("$ "), line
            command, *arguments = shlex.split(line[2:])
            (point,) = importlib.metadata.entry_points(group="console_scripts", name=command)
            program = RUN.format(module=point.module, function=point.attr)
            python([program, *arguments], tree, work)
    elif block.language == "python" and block.place is None:
        python([block.text], tree, work)


def python(arguments, tree, work):
    environment = {**os.environ, "PYTHONPATH": str(tree), "CUDA_VISIBLE_DEVICES": "-1"}
    result = subprocess.run(
        [sys.executable, "-c", *arguments],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_every_kind_of_part_has_an_example_that_is_a_file():
    words = ("statistic", "candidate", "pretext task", "architecture", "content loss", "variable")
    words += ("case", "core")
    for word in words:
        (found,) = [found for title, found in TITLED.items() if word in title]
        assert any(block.place for block in found), word


def test_examples_are_found_and_offered_without_importing_anything_heavy(world):
    tree, work = world
    program = """
import contextlib, io, sys
from atmodist.cli.rplearn_train import main as rplearn_train
from srgan.cli.phire_train import main as phire_train
from atmodist.cli.ingest import main as ingest
for main in (rplearn_train, phire_train, ingest):
    with contextlib.suppress(SystemExit):
        main(["--help"])
assert not {"tensorflow", "keras", "xarray", "matplotlib"} & set(sys.modules)
"""
    text = " ".join(python([program], tree, work).split())
    assert "rotation: by how many quarter turns two fields differ." in text
    assert "resnet-wide: wide and shallow." in text
    assert "gradient: differences of neighbours." in text
    assert "--gradient_power" in text
    assert "Name (or GRIB short name or paramId) of the air temperature" in text


@pytest.mark.slow
@pytest.mark.parametrize("title", TITLED)
def test_an_example_runs_as_it_stands(title, began):
    for block in TITLED[title]:
        perform(block, *began)


@pytest.mark.slow
def test_what_an_example_is_not_for_is_refused(began):
    tree, work = began
    program = """
import pytest
from atmodist.pretext.configuration import TrainingConfig
from srgan.training.configuration import GeneratorTrainingConfig
with pytest.raises(ValueError, match="`mask` is for the task inpainting; got mask='hole'"):
    TrainingConfig(records="pairs", task="rotation", mask="hole")
with pytest.raises(ValueError, match="`gradient_power` is for content gradient"):
    GeneratorTrainingConfig(records="patches", gradient_power=2.0)
with pytest.raises(ValueError, match="`gradient_power` must be positive; got 0.0"):
    GeneratorTrainingConfig(records="patches", content="gradient", gradient_power=0.0)
"""
    python([program], tree, work)
