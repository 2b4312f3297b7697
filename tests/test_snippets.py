"""Examples of README.md and docs/ run as plain scripts; every command there can be parsed.

Scripts run as `python snippet.py`, so that worker processes are real, in a folder with small files
of the names that the pages use. Those of docs/extending.md have a test of their own
(`tests/test_extending.py`). `SIZES` and `GIVEN` say all that differs from what a reader types:
sizes, and the fields that a page takes as given. What cannot be run is marked in the page, right
above: `<!-- not run: reason -->`.
"""

import importlib
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

from tests.test_made_by_0_1 import DATA, PAIRS, unpack

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:<!-- not run: ([^>]+) -->\n+)?^```(\w+)\n(.*?)^```$", re.M | re.S)
MOST_NOT_RUN = 1
OTHERS = {"python3", ".", "pip", "export", "cp"}  # programs that are not ours

# Pages whose examples are run so far; SIZES and GIVEN hold what the others will need.
TRIED = ("README.md", "learned-distance.md", "simulation.md")

SIZES = {
    "evaluation.md": [
        ('"sr.h5"}', '"sr.h5"}, statistics=["power_spectrum"], resamples=100'),
    ],
    "era5-trial.md": [("range(360)", "range(12)"), ("gap=20", "gap=0")],
    "pretext-tasks.md": [('task="inpainting"', 'task="inpainting", architecture="resnet-tiny", '
                          "epochs=1, warmup_epochs=0, batch_size=2")],
    "simulation.md": [("truncation=42", "truncation=10"), ("48)", "6)")],
    "super-resolution.md": [
        ('output="patches"', 'output="new-patches", patch_shape=(16, 16), patches_per_step=1, '
         "evaluation_fraction=0.3, gap=1"),
        ('records="patches", output="run"', 'records="new-patches", output="new-run", filters=4, '
         "blocks=1, pretraining_epochs=1, epochs=0, batch_size=2, samples=0"),
        ('load_generator("run")(', 'load_generator("new-run")('),
        ('load_generator("run")', 'load_generator("generator")'),
        ('make_grid("cell-centred", 180)', 'make_grid("cell-centred", 8)'),
        ('"package")', '"new-package")'),
    ],
    "tutorial.md": [("read(200)", "read(2)"), ("read(204)", "read(3)")],
}  # fmt: skip
FIELDS = """
from atmodist.fields.archive import Archive
with Archive("archive.h5") as archive:
    a, b, grid = archive.read(2), archive.read(3), archive.grid
    fields = archive.to_xarray().load()
"""
GIVEN = {
    "README.md": FIELDS,
    "learned-distance.md": FIELDS,
    "evaluation.md": FIELDS + (
        "truth, forecast, field = fields, 1.1 * fields, fields\n"
        "import xarray\n"
        'members = xarray.concat([0.9 * fields, forecast], "member")\n'
    ),
    "super-resolution.md": (
        "import xarray\n"
        "from atmodist.fields.archive import Archive\n"
        'with Archive("coarse.h5") as archive:\n'
        "    low, latitude = archive.read(0), archive.grid.latitude\n"
        "    longitude = archive.grid.longitude\n"
    ),
}  # fmt: skip


class Block(NamedTuple):
    """A block of code in a page."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None


def blocks():
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text[: match.start(2)].count("\n") + 1
            yield Block(path.name, line, match[2], match[3], match[1])


BLOCKS = list(blocks())
SCRIPTS = [b for b in BLOCKS if b.language == "python" and b.page in TRIED]


def lines(text):
    """The commands of a console, continued lines as one, without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        prompt, words = re.match(r"(\w?\$ )?(.*)", line).groups()
        if prompt:
            words = shlex.split(words, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):  # of the environment
                del words[0]
            yield words


COMMANDS = [
    pytest.param(words, id=f"{block.page}:{block.line}-{number}")
    for block in BLOCKS
    if block.language in ("console", "sh", "shell", "bash") and block.page != "extending.md"
    for number, words in enumerate(lines(block.text))
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The files of version 0.1, under the names that the pages use too, and a few more."""
    folder = tmp_path_factory.mktemp("prepared")
    unpack(DATA / "files.tar.xz", folder)
    for old, new in {
        "archive.h5": ("truth.h5", "vo850.h5"),
        PAIRS: ("records",),
        "encoder": ("my-encoder",),
    }.items():
        for name in new:
            (shutil.copytree if (folder / old).is_dir() else shutil.copy)(
                folder / old, folder / name
            )
    setup = """
import numpy as np
from atmodist.cli.main import main
from evaluation import EvaluationConfig, evaluate
from evaluation.report.report import write_report
from atmodist.fields.archive import Archive
from srgan.cli import phire_infer
if __name__ == "__main__":
    main(["embed", "archive.h5", "--metric", "encoder", "--output", "features.zarr"])
    masks = np.zeros((1, 16, 16), bool)
    masks[:, 4:8, 4:8] = True
    np.save("masks.npy", masks)
    for rows, name in (("8", "coarse.h5"), ("16", "low.h5")):
        main(["generate", name, "--num_rows", rows, "--num_steps", "2", "--truncation", "5"])
    with Archive("coarse.h5") as archive:
        archive.to_xarray().to_netcdf("low.nc", engine="h5netcdf")
"""
    script(setup, folder)
    return folder


def script(text, folder):
    """Runs a text as a file; returns what it printed."""
    path = folder / "snippet.py"
    path.write_text(text, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, str(path)], cwd=folder, capture_output=True, text=True, timeout=500,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


def test_few_examples_are_not_run():
    not_run = [b for b in BLOCKS if b.not_run]
    assert len(not_run) <= MOST_NOT_RUN, [(b.page, b.line, b.not_run) for b in not_run]


@pytest.mark.slow
@pytest.mark.parametrize("block", SCRIPTS, ids=lambda b: f"{b.page}:{b.line}")
def test_examples_run_as_scripts(prepared, block, tmp_path):
    if block.not_run:
        pytest.skip(block.not_run)
    text = block.text
    for usual, small in SIZES.get(block.page, ()):
        text = text.replace(usual, small)
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder)
    script(GIVEN.get(block.page, "") + text, folder)


def parse_only(words, monkeypatch):
    """Parses a command without doing what it says."""
    seen = []

    def parsed(parser, config_class, argv, action):
        parser.parse_args(parser.spell_out(argv))
        seen.append(parser.prog)
        return 0

    for folder in ("atmodist/cli", "dynamics/cli", "srgan/cli", "evaluation/cli"):
        for path in (ROOT / folder).glob("[a-z]*.py"):
            module = importlib.import_module(f"{folder.replace('/', '.')}.{path.stem}")
            if hasattr(module, "run_command"):
                monkeypatch.setattr(module, "run_command", parsed)
    (point,) = importlib.metadata.entry_points(group="console_scripts", name=words[0])
    main = point.load()
    assert main(words[1:]) == 0
    assert seen, words


@pytest.mark.parametrize("words", COMMANDS)
def test_commands_have_the_options_that_pages_give_them(words, monkeypatch):
    if ">" in words:
        words = words[: words.index(">")]
    if words[-1] == "...":  # else the same as above
        words = words[:-1]
    if words[0] == "python":
        assert (ROOT / words[1]).is_file()
        flags = [word for word in words[2:] if word.startswith("--")]
        text = (ROOT / words[1]).read_text(encoding="utf-8")
        assert all(f'"{flag}"' in text or flag[2:] in text for flag in flags)
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)
    elif words[0].startswith(("atmodist", "rplearn-", "phire-")):
        if "--config" in words:  # which says all that is required
            at = words.index("--config")
            del words[at : at + 2]
            words += ["x", "--candidates", "x"] if words[0] == "phire-eval" else []
        parse_only([word for word in words if word != "--print_config"], monkeypatch)
    else:
        assert words[0] in OTHERS
