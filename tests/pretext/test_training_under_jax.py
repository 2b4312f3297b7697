"""Runs under JAX have the losses of runs under TensorFlow, and each goes on with the other's."""

import csv

import numpy as np
import pytest

from tests.backends import needs, run_under
from tests.pretext.sources import write_records

pytestmark = pytest.mark.slow

RUN = """
import sys
import keras
from atmodist.pretext.architectures import resnet_tiny
from atmodist.pretext.optimization import Optimization
from tests.pretext.sources import MICRO

resnet_tiny.ARCHITECTURE = MICRO
backend, last, *arguments = sys.argv[1:]
assert keras.backend.backend() == backend
plain, done = Optimization.step, []

def step(self, *batch, **options):
    if len(done) == int(last):  # as if killed
        sys.exit(0)
    done.append(plain(self, *batch, **options))

Optimization.step = step
from atmodist.cli.rplearn_train import main
sys.exit(main(arguments))
"""
OPTIONS = {
    "temporal_distance": {"ema": 0.9, "accumulation": 2, "schedule": "constant", "mirror": "true"},
    "inpainting": {"optimizer": "sgd", "schedule": "plateau", "plateau_patience": 1, "mask": "hole"}
    | {"mirror": "false", "reverse": "false"},
}
EPOCHS, STEPS = 3, 4


@pytest.fixture(scope="module", params=OPTIONS)
def run(request, tmp_path_factory):
    """From (backend, name, last step) to a run, which is looked up where it was made before."""
    needs("jax")
    folder = tmp_path_factory.mktemp("runs")
    records = write_records(folder / "records", num_train=16 * STEPS)
    settings = {"architecture": "resnet-tiny", "batch_size": 16, "epochs": EPOCHS}
    settings |= {"learning_rate": 0.01, "checkpoint_minutes": 0, "task": request.param}
    settings |= OPTIONS[request.param]
    flags = [text for name, value in settings.items() for text in (f"--{name}", value)]

    def go(backend, name, last=10**9):
        output = folder / name
        run_under(backend, RUN, backend, last, records, "--output", output, *flags)
        return output

    return go


@pytest.fixture(scope="module")
def whole(run):
    return numbers(run("tensorflow", "whole"))


def numbers(output):
    with (output / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(STEPS * (k + 1)) for k in range(len(rows))]
    measured = ("phase", "seconds", "pairs_per_second")
    names = [name for name in rows[0] if name not in measured]
    return np.array([[float(row[name]) for name in names] for row in rows])


def assert_same_to_rounding(found, expected):
    # Sums of some hundred float32 terms in another order, through a dozen steps.
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)


def test_a_run_under_jax_has_the_losses_of_one_under_tensorflow(run, whole):
    assert_same_to_rounding(numbers(run("jax", "under jax")), whole)


def test_a_run_killed_under_one_goes_on_under_the_other(run, whole):
    # Ends within the first epoch under TensorFlow, within the second under JAX.
    run("tensorflow", "both", 2)
    run("jax", "both", 4)
    assert_same_to_rounding(numbers(run("tensorflow", "both")), whole)


def test_a_run_killed_under_jax_repeats_digit_by_digit_one_that_was_not(run):
    expected = numbers(run("jax", "not killed"))
    run("jax", "killed", 6)
    np.testing.assert_array_equal(numbers(run("jax", "killed")), expected)
