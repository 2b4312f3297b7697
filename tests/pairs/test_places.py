"""Places of the reference implementation's records, on southern patches, where they hurt most."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.assessment.predictions import predict_split
from atmodist.calibration.pair_measures import measure_pairs
from atmodist.inspection import inspect_path
from atmodist.pairs.pair_records import open_records
from atmodist.pairs.places import PLACE, places
from atmodist.pairs.reading import read_pairs
from atmodist.records.frames import read_payloads
from tests.pretext.sources import normalization, write_as_reference, write_records

ROW, COLUMN = 130, 200  # of 180 x 360 points: 40° S to 71° S, 200° E to 231° E
RIGHT = {"lat_start": -40.0, "lat_end": -71.0, "long_start": 200.0, "long_end": 231.0}


@pytest.fixture
def folder(tmp_path):
    write_as_reference(tmp_path / "rplearn_eval.000.tfrecords", 8, row=ROW, column=COLUMN)
    return tmp_path


def test_a_patch_at_either_pole():
    first = places(dict(zip(PLACE, (0.0, 22.5, 0.0, 45.0), strict=True)), (4, 4))
    assert first == {"lat_start": 90, "lat_end": 73.125, "long_start": 0, "long_end": 33.75}
    last = places(dict(zip(PLACE, (157.5, 180.0, 315.0, 360.0), strict=True)), (4, 4))
    # On n x 2n points the last row is one spacing away from the south pole.
    assert last == {"lat_start": -67.5, "lat_end": -84.375, "long_start": 315, "long_end": 348.75}


@pytest.mark.parametrize("asked", [list(RIGHT), ["lat_end"], ["long_end", "index"]])
def test_batches_have_degrees_north_and_east(folder, asked):
    (batch,) = read_pairs(
        open_records(folder), "evaluation", batch_size=8, shuffle=False, extras=asked
    )
    extras = batch[2]
    assert sorted(extras) == sorted(asked)
    for name in set(asked) & set(RIGHT):
        assert_allclose(extras[name], np.full(8, RIGHT[name]), rtol=1e-6)


def test_single_records_have_them_as_well(folder):
    records = open_records(folder)
    payload = next(read_payloads(records.paths("evaluation")[0], compression="zlib"))
    decoded = records.decode(payload)
    assert {name: decoded[name] for name in RIGHT} == pytest.approx(RIGHT)
    assert not list(records.find_damage())


def test_every_consumer_sees_the_southern_hemisphere(folder):
    records = open_records(folder)
    answers = predict_split(
        lambda patches: np.zeros((len(patches), 4)),
        records,
        "evaluation",
        num_classes=4,
        batch_size=8,
    )
    assert_allclose(answers.pairs.latitude, -55.5, rtol=1e-6)
    assert_allclose(answers.pairs.longitude, 215.5, rtol=1e-6)
    measures = measure_pairs(
        lambda patches: {"stage1": patches}, records, normalization(), step_seconds=3600
    )
    assert_allclose(measures.latitude, -55.5, rtol=1e-6)


def test_rows_near_the_pole_weigh_less(folder):
    """In these patches only the last row, at 71° S, differs."""

    def last_row(patches):
        features = np.zeros((len(patches), 32, 32, 1), np.float32)
        features[::2, -1] = 1.0
        return {"stage1": features}

    measures = measure_pairs(last_row, open_records(folder), normalization(), step_seconds=3600)
    weights = np.cos(np.radians(np.arange(40, 72)))
    assert_allclose(measures.content["stage1"], weights[-1] / weights.sum(), rtol=1e-5)


def test_our_own_places_are_left_alone(tmp_path):
    records = open_records(write_records(tmp_path))
    assert not records.is_of_reference
    (batch,) = read_pairs(records, "evaluation", batch_size=16, extras=["lat_start", "lat_end"])
    assert_allclose(batch[2]["lat_start"], 40.0)
    assert_allclose(batch[2]["lat_end"], 9.0)


def test_inspect_says_who_wrote_them(folder, tmp_path):
    assert "made by   the reference implementation" in inspect_path(folder)
    write_records(tmp_path / "ours")
    assert "reference" not in inspect_path(tmp_path / "ours")
