import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from atmodist.metric.pair_measures import (
    PairMeasures,
    content_losses,
    l1,
    l2,
    measure_pairs,
    psnr,
    ssim,
    standardized,
)
from tests.cli.test_rplearn_train import write_records
from tests.learning.sources import normalization


def even(count, rows):
    return np.full((count, rows), 1 / rows)


def fields(count=3, size=16, seed=0):
    return np.random.default_rng(seed).standard_normal((2, count, size, size, 2)).astype("f4")


def pooled(patches):
    """An encoder with one stage of stride 4: means of 4 x 4 points."""
    n, h, w, c = patches.shape
    return {"stage1": patches.reshape(n, h // 4, 4, w // 4, 4, c).mean(axis=(2, 4))}


def test_standardized_is_the_normalisation_without_its_logarithm():
    scheme = normalization(mean=(1e-6, -2e-6))
    physical = fields()[0] * 1e-4
    z = (physical - scheme.mean) / scheme.std
    assert_allclose(standardized(scheme(physical), scheme), z, rtol=1e-4, atol=1e-5)


def test_l1_and_l2_of_a_constant_difference():
    a = fields()[0]
    weights = even(3, 16)
    assert_allclose(l1(a, a + 0.5, weights), 0.5, rtol=1e-5)
    assert_allclose(l2(a, a + 0.5, weights), 0.25, rtol=1e-5)


def test_rows_count_with_their_weights():
    a = np.zeros((1, 4, 3, 1))
    b = a.copy()
    b[0, 1] = 2.0
    weights = np.array([[0.1, 0.3, 0.4, 0.2]])
    assert_allclose(l2(a, b, weights), 0.3 * 4)
    assert_allclose(l1(a, b, weights), 0.3 * 2)


def test_psnr_pools_the_range_of_both_fields_of_each_pair():
    a = np.zeros((2, 4, 4, 1))
    a[:, 0, 0] = 3.0
    b = a.copy()
    b[:, 3, 3] = -1.0
    b[1] *= 10
    a[1] *= 10  # the same pair in other units: PSNR does not care, and pairs do not mix
    expected = 10 * np.log10(4.0**2 / (1 / 16))
    assert_allclose(psnr(a, b, even(2, 4)), expected)


def test_psnr_of_equal_fields_is_infinite():
    a = fields()[0]
    assert np.isposinf(psnr(a, a, even(3, 16))).all()


def test_ssim_agrees_with_its_definition_at_every_place():
    a, b = fields(count=1, size=13)
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(window, window) / np.outer(window, window).sum()
    values = []
    for c in range(2):
        x, y = a[0, ..., c].astype(float), b[0, ..., c].astype(float)
        span = max(x.max(), y.max()) - min(x.min(), y.min())
        c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
        for row in range(5, 8):
            for column in range(5, 8):
                place = np.s_[row - 5 : row + 6, column - 5 : column + 6]
                mx, my = (window * x[place]).sum(), (window * y[place]).sum()
                vx = (window * (x[place] - mx) ** 2).sum()
                vy = (window * (y[place] - my) ** 2).sum()
                cov = (window * (x[place] - mx) * (y[place] - my)).sum()
                values.append(
                    (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
                )
    assert_allclose(ssim(a, b, even(1, 13)), np.mean(values), rtol=1e-9)


@given(st.floats(0.1, 100), st.integers(0, 50))
def test_ssim_is_symmetric_at_most_one_and_free_of_units(factor, seed):
    a, b = fields(count=2, size=12, seed=seed).astype(np.float64)
    weights = even(2, 12)
    value = ssim(a, b, weights)
    assert (value < 1).all()
    assert_allclose(ssim(b, a, weights), value, rtol=1e-12)
    assert_allclose(ssim(factor * a, factor * b, weights), value, rtol=1e-9)
    assert_allclose(ssim(a, a, weights), 1.0)


def test_ssim_of_constant_fields_is_finite():
    a = np.ones((1, 12, 12, 1))
    assert_allclose(ssim(a, a, even(1, 12)), 1.0)


def test_ssim_refuses_patches_smaller_than_its_window():
    a = np.zeros((1, 10, 12, 1))
    with pytest.raises(ValueError, match="more than 10 x 10 grid points; got 10 x 12"):
        ssim(a, a, even(1, 10))


def test_content_loss_weights_rows_of_features_by_the_rows_they_stand_for():
    patches = np.zeros((1, 2, 8, 8, 1), np.float32)
    patches[0, 1, 4:] = 3.0  # the southern row of features differs by 3
    weights = np.array([[0.02] * 4 + [0.23] * 4])
    assert_allclose(content_losses(pooled, patches, weights)["stage1"], 0.92 * 9, rtol=1e-6)


def measured(tmp_path, **options):
    from atmodist.records.record_set import open_records

    write_records(tmp_path / "records")
    return measure_pairs(pooled, open_records(tmp_path / "records"), normalization(), **options)


def test_pairs_of_records_are_measured_in_order(tmp_path, monkeypatch):
    from atmodist.metric import pair_measures
    from tests.learning.sources import decorrelating_pairs

    monkeypatch.setattr(pair_measures, "_checked_step", lambda records: 10_800)
    pixel = ("l1", "l2", "l2_normalized", "psnr", "ssim")
    result = measured(tmp_path, pixel=pixel, batch_size=5, area_weighted=False)
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
    few = measured(tmp_path / "again", max_pairs=7, batch_size=5, area_weighted=False)
    assert_allclose(few.content["stage1"], result.content["stage1"][:7])


def test_records_without_a_time_step_are_refused(tmp_path):
    with pytest.raises(ValueError, match="do not say how long a time step is"):
        measured(tmp_path)


def test_records_of_another_normalisation_are_refused(tmp_path, monkeypatch):
    from atmodist.metric import pair_measures
    from atmodist.records.record_set import open_records

    monkeypatch.setattr(pair_measures, "_checked_step", lambda records: 10_800)
    write_records(tmp_path / "records")
    other = normalization(mean=(1.0, 2.0))
    with pytest.raises(ValueError, match="the encoder was trained with"):
        measure_pairs(pooled, open_records(tmp_path / "records"), other)


def test_an_empty_or_ragged_table_is_refused():
    table = {"label": np.ones(2), "step": np.ones(2), "latitude": np.ones(2), "pixel": {}}
    with pytest.raises(ValueError, match=r"must have the shape \(2,\); got \{'stage1': \(3,\)\}"):
        PairMeasures(step_seconds=1, content={"stage1": np.ones(3)}, **table)
    with pytest.raises(ValueError, match="no pairs"):
        PairMeasures(step_seconds=1, label=[], step=[], latitude=[], content={}, pixel={})
