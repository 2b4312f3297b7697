"""Metric and content loss give the same under each backend of Keras, each in its own process."""

import json

import numpy as np
import pytest

from atmodist.fields.grid import make_grid
from atmodist.files.outputs import write_json
from atmodist.metric.calibration import Calibration, StageCalibration
from atmodist.metric.extent import Extent
from atmodist.metric.lag_curve import LagCurve
from atmodist.metric.weights import weights_digest
from atmodist.training.saving import save_network
from tests.backends import needs, run_under
from tests.metric.encoders import made_encoder, made_fields, made_normalization

pytestmark = pytest.mark.slow

RUN = """
import json
import sys
import keras
import numpy as np
from atmodist import ContentLoss, load_metric
from atmodist.fields.grid import make_grid

folder, backend = sys.argv[1:]
assert keras.backend.backend() == backend
grid, stages = make_grid("regular", 33, 64), {"stage1": 0.5, "stage2": 2.0}
a, b = np.load(f"{folder}/fields.npy")
metric = load_metric(folder)  # also finds that the calibration is of these weights
patches = [np.moveaxis(x, 0, -1)[None, :32] for x in (a, b)]
loss = ContentLoss.from_package(folder, stages=stages, inputs="physical", pixel_weight=0.5)
numbers = {
    "distance": metric(a, b, grid=grid),
    "several stages": metric(a, b, grid=grid, stages=stages),
    "map": float(metric.map(a, b, grid=grid)[10, 20]),
    "hours": metric.hours(a, b, grid=grid).hours,
    "content loss": float(keras.ops.convert_to_numpy(loss(*patches))),
}
with open(f"{folder}/{backend}.txt", "w") as file:
    json.dump([loss.identity, numbers], file)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A calibrated run, and two fields."""
    folder, grid = tmp_path_factory.mktemp("backends"), make_grid("regular", 33)
    network = made_encoder()
    save_network(network, folder / "encoder.keras")
    made_normalization().save(folder / "normalization.json")
    write_json(folder / "manifest.json", {"command": "rplearn-train"})
    median = np.array([1.0, 1e3])
    curve = LagCurve(
        lag_hours=[3, 6], median=median, quantile16=median, quantile84=median, mean=median
    )
    Calibration(
        step_seconds=10_800,
        stages={f"stage{n}": StageCalibration(alpha=0.5 * n, curve=curve) for n in (1, 2)},
        weights=weights_digest(network),
        extent=Extent.of_fields(grid),
    ).save(folder / "calibration.json")
    np.save(folder / "fields.npy", made_fields(grid, 2))
    return folder


def numbers_under(backend, folder):
    run_under(backend, RUN, folder, backend)
    return json.loads((folder / f"{backend}.txt").read_text())


@pytest.fixture(scope="module")
def under_tensorflow(folder):
    return numbers_under("tensorflow", folder)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_distances_and_losses_are_the_same_under_every_backend(backend, folder, request):
    needs(backend)
    identity, expected = request.getfixturevalue("under_tensorflow")
    found_identity, found = numbers_under(backend, folder)
    assert found_identity == identity
    assert 0 < expected["hours"] < 6
    # Means of float32 sums of some hundred terms in another order.
    assert found == pytest.approx(expected, rel=1e-5)
