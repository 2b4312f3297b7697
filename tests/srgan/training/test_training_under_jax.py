"""A generator trained under JAX has the losses of one trained under TensorFlow, as far as it goes.

Both kinds of extra steps, a penalty, noise and a batch in parts are in it.
"""

import csv

import numpy as np
import pytest

from tests.backends import needs, run_under
from tests.srgan.training.sources import write_records

pytestmark = pytest.mark.slow

RUN = """
import sys
import keras
assert keras.backend.backend() == sys.argv[1]
from srgan.cli.phire_train import main
sys.exit(main(sys.argv[2:]))
"""
OPTIONS = {
    "filters": 4,
    "blocks": 1,
    "batch_size": 8,
    "pretraining_epochs": 2,
    "content": "mse=1,spectral=0.1",
    "consistency": "penalty",
    "noise_channels": 1,
    "accumulation": 2,
    "samples": 1,
    "ema": 0.9,
}


@pytest.mark.parametrize("balance", ["[0.0,0.1]", "[5.0,9.0]"])
def test_a_generator_trained_under_both_has_the_losses_of_one_alone(tmp_path, balance):
    needs("jax")
    records = write_records(tmp_path / "records")
    flags = [text for name, value in OPTIONS.items() for text in (f"--{name}", value)]

    def go(backend, name, epochs):
        arguments = [records, "--output", tmp_path / name, *flags, "--epochs", epochs]
        run_under(backend, RUN, backend, *arguments, "--balance", balance)
        return numbers(tmp_path / name)

    expected = go("tensorflow", "alone", 2)
    found = go("jax", "other", 1)  # from first weights
    np.testing.assert_allclose(found, expected[:3], rtol=2e-4, atol=1e-5)
    found = go("tensorflow", "other", 2)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)


def numbers(output):
    with (output / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("phase", "seconds", "patches_per_second")]
    return np.array([[float(row[name] or 0.0) for name in names] for row in rows])
