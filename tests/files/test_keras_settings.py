"""A keras.json that asks for something else changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from atmodist.files.keras_settings import settled_keras

SETTINGS = {
    "float64": {"floatx": "float64"},
    "float16": {"floatx": "float16"},
    "channels first": {"image_data_format": "channels_first"},
}

TRAIN = """
import sys
from pathlib import Path
import keras
import numpy as np
from atmodist.metric.content_loss import ContentLoss
from tests.metric.encoders import made_normalization
from tests.pretext.sources import MICRO, write_records

folder, way = sys.argv[1:]
before = keras.config.floatx(), keras.config.image_data_format()
from atmodist.pretext.architectures import resnet_tiny

resnet_tiny.ARCHITECTURE = MICRO
records = write_records(f"{folder}/records")
options = {"architecture": "resnet-tiny", "epochs": 1, "batch_size": 16}
if way == "command":
    from atmodist.cli.rplearn_train import main

    words = [str(records), "--output", f"{folder}/run"]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    assert main(words) == 0
else:
    from atmodist.pretext.configuration import TrainingConfig
    from atmodist.pretext.training import train

    train(TrainingConfig(records=records, output=f"{folder}/run", **options))
    assert (keras.config.floatx(), keras.config.image_data_format()) == before

from atmodist.training.saving import load_network

network = load_network(f"{folder}/run/encoder.keras")
assert {weight.dtype for weight in network.weights} == {"float32"}
fields = 1e-5 * np.random.default_rng(0).normal(size=(2, 1, 32, 32, 2)).astype(np.float32)
loss = ContentLoss(
    network, inputs="physical", normalization=made_normalization(), pixel_weight=1.0
)
np.save(f"{folder}/loss.npy", np.float64(keras.ops.convert_to_numpy(loss(*fields))))
"""


def trained(folder, settings, way):
    """The training log of a run under a keras.json, and a content loss by its encoder."""
    home = folder / "keras"
    home.mkdir(parents=True)
    (home / "keras.json").write_text(json.dumps({"backend": "tensorflow", **settings}))
    environment = {**os.environ, "KERAS_HOME": str(home), "KERAS_BACKEND": "tensorflow"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", TRAIN, str(folder), way]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    scores = json.loads((folder / "run" / "evaluation.json").read_text())
    return scores["best"]["loss"], float(np.load(folder / "loss.npy"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("plain"), {}, "command")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["command", "library"])
@pytest.mark.parametrize("name", SETTINGS)
def test_training_is_the_same_under_any_keras_json(name, way, expected, tmp_path):
    assert trained(tmp_path, SETTINGS[name], way) == expected


def test_settings_are_as_they_were_afterwards():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        with settled_keras():
            assert keras.config.floatx() == "float32"
            assert keras.layers.Dense(1).compute_dtype == "float32"
        assert keras.config.floatx() == "float64"
    finally:
        keras.config.set_floatx(before)
