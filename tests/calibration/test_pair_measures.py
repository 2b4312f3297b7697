import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.calibration.pair_measures import (
    PairMeasures,
    content_losses,
    measure_pairs,
    standardized,
)
from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
from tests.cli.test_rplearn_train import write_records
from tests.metric.test_pixel_measures import fields
from tests.pairs.archives import write_archive
from tests.pretext.sources import normalization


def pooled(patches):
    """An encoder with one stage of stride 4: means of 4 x 4 points."""
    n, h, w, c = patches.shape
    return {"stage1": patches.reshape(n, h // 4, 4, w // 4, 4, c).mean(axis=(2, 4))}


def test_standardized_is_the_normalisation_without_its_logarithm():
    scheme = normalization(mean=(1e-6, -2e-6))
    physical = fields()[0] * 1e-4
    z = (physical - scheme.mean) / scheme.std
    assert_allclose(standardized(scheme(physical), scheme), z, rtol=1e-4, atol=1e-5)


def test_content_loss_weights_rows_of_features_by_the_rows_they_stand_for():
    patches = np.zeros((1, 2, 8, 8, 1), np.float32)
    patches[0, 1, 4:] = 3.0  # the southern row of features differs by 3
    weights = np.array([[0.02] * 4 + [0.23] * 4])
    assert_allclose(content_losses(pooled, patches, weights)["stage1"], 0.92 * 9, rtol=1e-6)


def measured(tmp_path, **options):
    from atmodist.pairs.pair_records import open_records

    write_records(tmp_path / "records")
    return measure_pairs(pooled, open_records(tmp_path / "records"), normalization(), **options)


def test_pairs_of_records_are_measured_in_order(tmp_path):
    from tests.pretext.sources import decorrelating_pairs

    pixel = ("l1", "l2", "l2_normalized", "psnr", "ssim")
    options = {"batch_size": 5, "area_weighted": False, "step_seconds": 10_800}
    result = measured(tmp_path, pixel=pixel, **options)
    pairs, label = decorrelating_pairs(16)
    assert len(result) == 16
    assert_allclose(result.label, label + 1)
    assert_allclose(result.hours, 3.0 * (label + 1))
    assert_allclose(
        result.pixel["l2_normalized"], ((pairs[:, 0] - pairs[:, 1]) ** 2).mean((1, 2, 3)), rtol=1e-5
    )
    # fields are made of blocks of 4 x 4 equal points, so that pooling loses nothing
    assert_allclose(result.content["stage1"], result.pixel["l2_normalized"], rtol=1e-5)
    assert set(result.pixel) == set(pixel)
    few = measured(tmp_path / "again", max_pairs=7, **options)
    assert_allclose(few.content["stage1"], result.content["stage1"][:7])


def test_records_without_a_time_step_are_refused(tmp_path):
    with pytest.raises(ValueError, match="do not say how long a time step is"):
        measured(tmp_path)


def test_records_of_another_normalisation_are_refused(tmp_path):
    from atmodist.pairs.pair_records import open_records

    write_records(tmp_path / "records")
    other = normalization(mean=(1.0, 2.0))
    with pytest.raises(ValueError, match="the encoder was trained with"):
        measure_pairs(pooled, open_records(tmp_path / "records"), other, step_seconds=10_800)


@pytest.fixture
def features():
    from atmodist.metric.features import StageFeatures
    from tests.metric.encoders import made_encoder, made_normalization

    return StageFeatures(made_encoder(), made_normalization())


def fields_measured(features, path):
    from atmodist.calibration.pair_measures import measure_fields
    from atmodist.fields.archive import Archive

    with Archive(path) as archive:
        return measure_fields(features, archive, range(4), 2)


def test_channels_of_an_archive_are_known_by_their_names(features, tmp_path):
    from tests.pairs.archives import hourly

    ours = write_archive(tmp_path / "dv.h5", seconds=hourly(4))
    theirs = write_archive(
        tmp_path / "vd.h5", seconds=hourly(4), channels=(VORTICITY, Channel("t", "K"), DIVERGENCE)
    )
    with h5py.File(ours) as file, h5py.File(theirs, "a") as swapped:
        swapped["data"][0], swapped["data"][2] = file["data"][1], file["data"][0]
    expected, found = (fields_measured(features, path) for path in (ours, theirs))
    for stage in expected.stages:
        assert_allclose(found.content[stage], expected.content[stage], rtol=1e-12)
    assert_allclose(found.pixel["l2"], expected.pixel["l2"], rtol=1e-12)


def test_fields_in_other_units_or_with_holes_are_named(features, tmp_path):
    from tests.pairs.archives import hourly

    wrong = write_archive(
        tmp_path / "a.h5", seconds=hourly(4), channels=(DIVERGENCE, Channel("vorticity", "1e-5/s"))
    )
    with pytest.raises(ValueError, match="vorticity is in '1e-5/s'"):
        fields_measured(features, wrong)
    broken = write_archive(tmp_path / "b.h5", seconds=hourly(4))
    with h5py.File(broken, "a") as file:
        file["data"][1, 2, 3, 4] = np.nan
    with pytest.raises(ValueError, match=r"b\.h5: 1 of 312 values of vorticity at 1970-01-01T06"):
        fields_measured(features, broken)


def test_an_empty_or_ragged_table_is_refused():
    table = {"label": np.ones(2), "step": np.ones(2), "latitude": np.ones(2), "pixel": {}}
    with pytest.raises(ValueError, match=r"must have the shape \(2,\); got \{'stage1': \(3,\)\}"):
        PairMeasures(step_seconds=1, content={"stage1": np.ones(3)}, **table)
    with pytest.raises(ValueError, match="no pairs"):
        PairMeasures(step_seconds=1, label=[], step=[], latitude=[], content={}, pixel={})
