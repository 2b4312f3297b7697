"""What a generator gets: weights of rows from the geometry, and noise that never comes twice."""

import numpy as np
import pytest

from atmodist.records.frames import read_payloads
from srgan.samples.format import decode_patches
from srgan.training.configuration import GeneratorTrainingConfig
from srgan.training.source import PatchSource
from tests.srgan.training.sources import GRID, write_records


def source(folder, **options):
    config = {"records": folder, "batch_size": 8, **options}
    return PatchSource(GeneratorTrainingConfig(**config).resolved())


def expected_weights(made, factor=2):
    """Weights by the first value of a patch: rows of equal spacing have areas like cos φ."""
    found = {}
    for split in made.patches.splits:
        for path in made.patches.records.paths(split):
            for record in map(decode_patches, read_payloads(path)):
                rows = record["row"] + np.arange(record["h_HR"])
                areas = np.cos(np.radians(GRID.latitude[rows])).reshape(-1, factor)
                weights = areas / areas.mean(axis=1, keepdims=True)
                found[float(record["data_HR"][0, 0, 0])] = weights.ravel()
    return found


@pytest.mark.parametrize("consistency", ["none", "projection"])
def test_rows_weigh_as_their_area_within_their_block(tmp_path, consistency):
    made = source(write_records(tmp_path), consistency=consistency)
    expected = expected_weights(made)
    count = 0
    for batches in (made.training_batches(0), made.evaluation_batches()):
        for inputs, targets in batches:
            assert ("row_weights" in inputs) == (consistency == "projection")
            for weights in (part["row_weights"] for part in (inputs, targets) if len(part) > 1):
                for high, row in zip(targets["high"].numpy(), weights.numpy(), strict=True):
                    np.testing.assert_allclose(row, expected[float(high[0, 0, 0])], rtol=1e-5)
            count += len(targets["high"])
    assert count == 32 + 8
    assert max(np.ptp(weights) for weights in expected.values()) > 0.2  # areas differ


def test_plain_means_weigh_all_rows_alike(tmp_path):
    made = source(write_records(tmp_path, degradation="normalized"), consistency="projection")
    assert made.means_in is None
    for inputs, targets in made.training_batches(0):
        np.testing.assert_array_equal(targets["row_weights"], 1)
        np.testing.assert_array_equal(inputs["row_weights"], 1)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("records"))


def noise(batches):
    return [inputs["noise"].numpy() for inputs, _ in batches]


def test_each_batch_of_each_epoch_gets_noise_of_its_own(records):
    made = source(records, noise_channels=2)
    drawn = [field for epoch in range(3) for field in noise(made.training_batches(epoch))]
    drawn += noise(made.evaluation_batches())
    drawn += noise(source(records, noise_channels=2, seed=1).training_batches(0))
    assert len(drawn) == 3 * 4 + 1 + 4
    assert len({field.tobytes() for field in drawn}) == len(drawn)
    for field in drawn:
        assert field.shape == (8, 8, 8, 2)
        correlations = np.corrcoef([field.ravel(), *(x.ravel() for x in drawn if x is not field)])
        assert np.abs(correlations[0, 1:]).max() < 0.2  # 1024 numbers: six standard errors


def test_noise_is_a_function_of_seed_and_epoch(records):
    for batches in (lambda made: made.training_batches(1), lambda made: made.evaluation_batches()):
        first, second = (noise(batches(source(records, noise_channels=1))) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_a_generator_without_noise_gets_none(records):
    ((inputs, targets),) = source(records).evaluation_batches()
    assert set(inputs) == {"low"}
    assert set(targets) == {"high", "row_weights"}
