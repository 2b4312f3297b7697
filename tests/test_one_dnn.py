"""TensorFlow's oneDNN kernels: on unless the user says otherwise, and repeatable either way."""

import os
import subprocess
import sys

import pytest

FLAG = "TF_ENABLE_ONEDNN_OPTS"

TWICE = """
import hashlib
import os
import sys
from pathlib import Path

from atmodist.pretext.architectures import resnet_tiny
from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.training import train
from tests.pretext.sources import MICRO, array_source

resnet_tiny.ARCHITECTURE = MICRO
folder = Path(sys.argv[1])


def run(name, epochs):
    options = {"architecture": "resnet-tiny", "batch_size": 32, "schedule": "constant"}
    config = TrainingConfig(records=folder, output=folder / name, epochs=epochs, **options)
    train(config, array_source())
    network = networks_of(folder / name)
    return hashlib.sha256(b"".join(weight.tobytes() for weight in network)).hexdigest()


def networks_of(output):
    from atmodist.training import checkpoints
    from atmodist.training.saving import load_network

    last = checkpoints.path(output, checkpoints.epochs(output)[-1])
    return load_network(last / checkpoints.NETWORK).get_weights()


whole = run("whole", 2)
run("parts", 1)
assert run("parts", 2) == whole, "going on gives other weights"
assert run("again", 2) == whole, "the same command gives other weights"
print(os.environ["TF_ENABLE_ONEDNN_OPTS"])
"""


def environment(value):
    kept = {name: text for name, text in os.environ.items() if name != FLAG}
    return kept if value is None else {**kept, FLAG: value}


def answer(script, value, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(value)
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("package", ["atmodist", "srgan", "evaluation", "dynamics"])
@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_they_are_on_unless_the_user_says_otherwise(package, given, expected):
    script = f"import os, {package}; print(os.environ['{FLAG}'])"
    assert answer(script, given) == expected


def test_workers_inherit_them():
    script = (
        "import atmodist, multiprocessing, os\n"
        "context = multiprocessing.get_context('spawn')\n"
        "if __name__ == '__main__':\n"
        f"    with context.Pool(1) as pool: print(pool.apply(os.getenv, ('{FLAG}',)))"
    )
    assert answer(script, None) == "1"


@pytest.mark.slow
@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_runs_repeat_and_go_on_bit_for_bit_with_and_without_them(given, expected, tmp_path):
    assert answer(TWICE, given, tmp_path) == expected
