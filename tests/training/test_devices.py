import csv
import json
import time

import numpy as np
import pytest
import tensorflow as tf

from atmodist.training import checkpoints
from atmodist.training.devices import Devices, check_cluster, naming_lost_workers
from tests.pretext.sources import write_records
from tests.training.cluster import finish, start, start_workers

# Layer instead of batch normalisation: what a step does then depends on the whole batch alone.
WITHOUT_BATCH_STATISTICS = """
import keras
from atmodist.pretext import networks
from atmodist.pretext.architectures import resnet_tiny
from tests.pretext.sources import MICRO
resnet_tiny.ARCHITECTURE = MICRO
networks.normalization = lambda spec, name: keras.layers.LayerNormalization(name=name)
"""

MIRRORED = """
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from atmodist.pretext.configuration import TrainingConfig
from atmodist.training.devices import Devices
from atmodist.pretext.optimization import Optimization
from atmodist.pretext.tasks.temporal_distance import TemporalDistance
from tests.pretext.sources import decorrelating_pairs

pairs, labels = map(tf.constant, decorrelating_pairs(16))

def trained(devices, **options):
    keras.utils.set_random_seed(0)
    options = {"records": "x", "architecture": "resnet-tiny", "batch_size": 16, **options}
    config = TrainingConfig(**options).resolved()
    task = TemporalDistance(config, (32, 32, 2), 4)
    optimization = Optimization(task.network(), task, config, devices=devices)
    for number in range(4):
        optimization.step(pairs, labels, number=number, learning_rate=1e-2)
    for variable in optimization.trained.variables + optimization.optimizer.variables:
        first, *others = [copy.numpy() for copy in optimization.backend.copies(variable)]
        assert len(others) == devices.num_replicas - 1
        for other in others:
            np.testing.assert_array_equal(first, other)
    optimization.restore(optimization.state())
    return optimization

def compare(one, two):
    np.testing.assert_allclose([*one.losses().values()], [*two.losses().values()], rtol=1e-4)
    for name, array in one.state().items():
        np.testing.assert_allclose(array, two.state()[name], atol=2e-5, err_msg=name)
    np.testing.assert_allclose(one.predict(pairs), two.predict(pairs), atol=1e-4)

two = Devices(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
assert (two.num_replicas, two.num_workers, two.is_chief) == (2, 1, True)
SGD = {"optimizer": "sgd", "learning_rate": 0.1, "ema": 0.0}
"""


def test_one_device_is_no_strategy():
    devices = Devices.of("one")
    assert (devices.num_replicas, devices.num_workers, devices.is_chief) == (1, 1, True)
    devices.require_same("anything", [1])
    devices.wait()


def test_a_batch_that_devices_cannot_share_is_refused():
    devices = Devices()
    devices.num_replicas = 4
    devices.check_batch(24, 3)
    message = r"4 devices times accumulation=2; got batch_size=12"
    with pytest.raises(ValueError, match=message):
        devices.check_batch(12, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, 'needs the environment variable TF_CONFIG, for instance {"cluster"'),
        ("{", "must name a cluster and a task in it.*got '{'"),
        ('{"cluster": {"worker": ["a:1"]}}', "must name a cluster"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "must name"),
        ('{"cluster": {}, "task": {"type": "worker", "index": 0}}', "must name"),
        ("[]", "must name"),
    ],
)
def test_a_wrong_description_of_a_cluster_is_refused(monkeypatch, text, message):
    with pytest.raises(ValueError, match=message):
        check_cluster(text)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=message):
        Devices.of("cluster")


def test_a_lost_worker_is_told_in_one_line(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{}")
    stopped = pytest.raises(ConnectionError, match="a worker of the cluster stopped")
    with stopped as error, naming_lost_workers():
        raise tf.errors.UnavailableError(None, None, "no route\nto host")
    assert "\n" not in str(error.value)
    monkeypatch.delenv("TF_CONFIG")
    with pytest.raises(tf.errors.UnavailableError), naming_lost_workers():
        raise tf.errors.UnavailableError(None, None, "no cluster here")


@pytest.mark.slow
def test_two_devices_make_the_steps_of_one():
    program = f"""{WITHOUT_BATCH_STATISTICS}{MIRRORED}
for options in (SGD, {{}}, {{"accumulation": 2}}):
    compare(trained(Devices(), **options), trained(two, **options))
"""
    [(status, _, stderr)] = finish([start(program)])
    assert status == 0, stderr


@pytest.mark.slow
def test_two_devices_see_the_batch_statistics_of_two_parts_and_stay_equal():
    # Also with a scaled loss; gradients are those of two parts, moving statistics move once.
    program = f"""
import keras
from atmodist.pretext.architectures import resnet_tiny
from tests.pretext.sources import MICRO
resnet_tiny.ARCHITECTURE = MICRO
{MIRRORED}
one, both = trained(Devices(), accumulation=2, **SGD), trained(two, **SGD)
np.testing.assert_allclose([*one.losses().values()], [*both.losses().values()], rtol=1e-4)
half = trained(two, precision="mixed_float16", **SGD)
np.testing.assert_allclose(half.losses()["loss"], both.losses()["loss"], rtol=1e-2)
"""
    [(status, _, stderr)] = finish([start(program)])
    assert status == 0, stderr


TRAINING = f"""{WITHOUT_BATCH_STATISTICS}
import sys
import numpy as np
from atmodist.pretext import training
end = training.TrainingRun.finish

def finish(run):
    np.savez(sys.argv.pop(), **run.optimization.state())
    return end(run)

training.TrainingRun.finish = finish
from atmodist.cli.rplearn_train import main
raise SystemExit(main(sys.argv[1:-1]))
"""
EPOCHS = 6


def arguments(records, output, weights, *more):
    options = {"architecture": "resnet-tiny", "batch_size": 16, "epochs": EPOCHS, "ema": 0.9}
    settings = [text for name, value in options.items() for text in (f"--{name}", value)]
    return [records, "--output", output, *settings, *more, weights]


def losses(output):
    with (output / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ("epoch", "step", "learning_rate", "loss", "gradient_norm", "evaluation_loss")
    return np.array([[float(row[name]) for name in names] for row in rows])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    records = write_records(folder / "records", num_train=96)
    weights = folder / "weights.npz"
    [(status, _, stderr)] = finish([start(TRAINING, *arguments(records, folder / "run", weights))])
    assert status == 0, stderr
    return records, losses(folder / "run"), dict(np.load(weights))


def cluster(records, folder):
    lists = [
        arguments(records, folder / "run", folder / f"weights{k}.npz", "--devices", "cluster")
        for k in range(2)
    ]
    return start_workers(TRAINING, lists)


@pytest.mark.slow
def test_two_workers_train_as_one_and_go_on_when_killed(alone, tmp_path):
    records, expected, weights = alone
    workers = cluster(records, tmp_path)
    deadline = time.monotonic() + 240
    while not checkpoints.epochs(tmp_path / "run") and time.monotonic() < deadline:
        time.sleep(0.02)
    for worker in workers:
        worker.kill()
    finish(workers)
    assert 0 < len(checkpoints.epochs(tmp_path / "run")) < EPOCHS
    for status, _, stderr in finish(cluster(records, tmp_path)):
        assert status == 0, stderr
    first, second = (dict(np.load(tmp_path / f"weights{k}.npz")) for k in range(2))
    for name, array in weights.items():
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_allclose(first[name], array, atol=1e-4)  # another order of summation
    np.testing.assert_allclose(losses(tmp_path / "run"), expected, rtol=1e-4)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["config"]["devices"] == "cluster"


@pytest.mark.slow
def test_workers_that_disagree_all_say_so(alone, tmp_path):
    records = alone[0]
    lists = [
        arguments(records, tmp_path / "run", tmp_path / "w", "--devices", "cluster", *more)
        for more in ([], ["--seed", "1"])
    ]
    for status, _, stderr in finish(start_workers(TRAINING, lists)):
        assert status == 2
        assert "the workers of the cluster do not agree on what to do" in stderr
    assert not checkpoints.epochs(tmp_path / "run")
