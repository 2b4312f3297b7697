"""A path that is not there is told at once, in one line, before TensorFlow loads."""

import subprocess
import sys

import pytest

from tests.test_made_by_0_1 import DATA, PATCHES, unpack

RUN = """
import atexit, sys
HEAVY = "tensorflow", "keras"
atexit.register(lambda: print([name for name in HEAVY if name in sys.modules]))
from {module} import main
sys.exit(main(sys.argv[1:]))
"""
ATMODIST = "atmodist.cli.main"
INFER, EVALUATE = "srgan.cli.phire_infer", "evaluation.cli.phire_eval"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of all kinds, so that a single path is missing at a time."""
    folder = tmp_path_factory.mktemp("files")
    unpack(DATA / "files.tar.xz", folder)
    return folder


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("atmodist.cli.rplearn_data", "missing"),
        ("atmodist.cli.rplearn_train", "missing"),
        ("atmodist.cli.rplearn_eval", "missing"),
        ("atmodist.cli.rplearn_eval", "run --archive missing"),
        ("atmodist.cli.rplearn_eval", "run --records missing"),
        ("srgan.cli.phire_data", "missing"),
        ("srgan.cli.phire_train", "missing"),
        ("srgan.cli.phire_train", f"{PATCHES} --content mse --start_from missing"),
        ("srgan.cli.phire_train", f"{PATCHES} --content atmodist --encoder missing"),
        (INFER, "missing archive.h5"),
        (INFER, "generator missing"),
        (INFER, "generator archive.h5 --like missing"),
        (EVALUATE, "missing --candidates a=persistence:1"),
        (EVALUATE, "archive.h5 --candidates a=missing"),
        (EVALUATE, "archive.h5 --candidates a=generator:missing --factor 2"),
        (EVALUATE, "archive.h5 --candidates a=persistence:1 --encoder missing"),
        (EVALUATE, "compare missing results"),
        (ATMODIST, "calibrate missing"),
        (ATMODIST, "calibrate run --archive missing"),
        (ATMODIST, "calibrate run --records missing"),
        (ATMODIST, "package missing --output new"),
        (ATMODIST, "package run --archive missing --output new"),
        (ATMODIST, "embed missing --metric encoder"),
        (ATMODIST, "embed archive.h5 --metric missing"),
        (ATMODIST, "distance missing --lag 1 --metric encoder"),
        (ATMODIST, "distance archive.h5 --lag 1 --metric missing"),
        (ATMODIST, "inspect missing"),
        (ATMODIST, "ingest missing --output new.h5"),
        (ATMODIST, "statistics missing"),
    ],
)
def test_a_missing_path_is_told_before_anything_heavy_loads(folder, module, arguments):
    program = [sys.executable, "-c", RUN.format(module=module), *arguments.split()]
    run = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=120)
    assert run.returncode == 2, run.stderr
    assert run.stdout == "[]\n"
    assert run.stderr.count("\n") == 1, run.stderr
    assert "missing" in run.stderr
