import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from atmodist.calibration.calibrate import calibrate_measures, draw_calibration, scale_to_l2
from atmodist.calibration.pair_measures import PairMeasures
from tests.metric.test_calibration import calibration


def made_measures(num_lags=8, per_lag=200, seed=0):
    """l2 grows with the lag; losses are it divided by 4 and by 9, with noise of mean one."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(1, num_lags + 1), per_lag)
    l2 = 1 - np.exp(-label / 3)
    noise = rng.gamma(20, 1 / 20, (2, len(label)))
    return PairMeasures(
        step_seconds=10_800,
        label=label,
        step=rng.integers(0, 10, len(label)),
        content={"stage1": l2 / 4 * noise[0], "stage2": l2 / 9 * noise[1]},
        pixel={"l2": l2},
        latitude=np.zeros(len(label)),
    )


def test_alpha_is_the_least_squares_solution_over_the_larger_lags_alone():
    label = np.array([1, 1, 2, 2, 3, 3, 4, 4])
    loss = np.array([50.0, 70.0, 1.0, 9.0, 1.0, 3.0, 2.0, 4.0])  # means 60, 5, 2, 3
    l2 = np.array([0.0, 0.0, 9.0, 9.0, 3.0, 5.0, 5.0, 7.0])  # means 0, 9, 4, 6
    expected = (2 * 4 + 3 * 6) / (2**2 + 3**2)
    assert scale_to_l2(loss, l2, label) == pytest.approx(expected)


def test_the_middle_of_an_odd_number_of_lags_counts_as_large():
    label = np.array([1, 2, 3])
    loss, l2 = np.array([1.0, 1.0, 2.0]), np.array([100.0, 3.0, 6.0])
    assert scale_to_l2(loss, l2, label) == pytest.approx(3.0)


@given(st.floats(0.01, 100.0))
def test_alpha_undoes_a_scale_of_the_features(factor):
    measures = made_measures()
    loss, l2 = measures.content["stage1"], measures.pixel["l2"]
    alpha = scale_to_l2(loss, l2, measures.label)
    assert scale_to_l2(factor * loss, l2, measures.label) * factor == pytest.approx(alpha)


def test_alpha_of_a_dead_stage_is_refused():
    with pytest.raises(ValueError, match="zero at all large lags"):
        scale_to_l2(np.zeros(4), np.ones(4), np.array([1, 1, 2, 2]))


def test_calibrated_stages_are_comparable():
    result = calibrate_measures(made_measures(), combinations=[{"stage1": 2, "stage2": 2}])
    assert result.alpha("stage1") == pytest.approx(4, rel=0.02)
    assert result.alpha("stage2") == pytest.approx(9, rel=0.02)
    first, second = (result.curve(s) for s in ("stage1", "stage2"))
    assert_allclose(first.median, second.median, rtol=0.05)
    assert_allclose(first.lag_hours, 3.0 * np.arange(1, 9))
    # The combination of two noisy distances with the same mean square varies less than either.
    both = result.curve({"stage1": 1, "stage2": 1})
    assert (both.quantile84 - both.quantile16).mean() < (first.quantile84 - first.quantile16).mean()


def test_table_and_figure_show_every_curve(tmp_path):
    made = calibration()
    table = made.table()
    assert "stage1" in table
    assert "0.25 stage1 + 0.75 stage2" in table
    assert "1.5000 [1.0000, 2.0000]" in table
    paths = draw_calibration(made, tmp_path / "figure")
    assert [path.name for path in paths] == ["figure.png", "figure.pdf"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_bytes().startswith(b"%PDF")


def test_whole_fields_are_calibrated_on_whole_fields(tmp_path):
    from atmodist.calibration.calibrate import calibrate_fields
    from atmodist.fields.archive import Archive
    from atmodist.fields.synthetic import generate_archive
    from atmodist.files.outputs import write_json
    from atmodist.metric.features import StageFeatures
    from atmodist.pretext.networks import residual_encoder
    from atmodist.training.saving import save_network
    from tests.pretext.sources import MICRO, normalization

    path = tmp_path / "archive.h5"
    generate_archive(path, num_steps=6, num_rows=16, truncation=10)
    encoder = residual_encoder(MICRO.spec, (32, 32, 2))
    save_network(encoder, tmp_path / "encoder.keras")
    normalization().save(tmp_path / "normalization.json")
    write_json(tmp_path / "manifest.json", {"normalization": normalization().identity})
    result = calibrate_fields(tmp_path, path, max_label=2, start="1970-01-01T03")
    assert result.source["num_pairs"] == 4 + 3
    assert result.curve("stage1").lag_hours.tolist() == [3.0, 6.0]
    assert (result.extent.kind, result.extent.shape) == ("whole fields", (16, 32))
    features = StageFeatures(encoder, normalization())
    with Archive(path) as archive:
        maps = [features.field(archive.read(i), archive.grid)["stage1"] for i in range(1, 6)]
        weights = features.cell_weights("stage1", archive.grid)
        with pytest.raises(ValueError, match=r"`max_label` must lie in 1..4; got 5"):
            calibrate_fields(tmp_path, path, max_label=5, start="1970-01-01T03")
    losses = [
        (((b - a) ** 2).mean(-1) * weights).sum() for a, b in zip(maps[:-2], maps[2:], strict=True)
    ]
    distances = np.sqrt(result.alpha("stage1") * np.array(losses))
    assert_allclose(result.curve("stage1").median[1], np.median(distances), rtol=1e-5)
    other = normalization(std=(3e-5, 3e-5))  # sound, but not what the encoder was trained with
    other.save(tmp_path / "normalization.json")
    with pytest.raises(ValueError, match=f"normalization.json is {other.identity}"):
        calibrate_fields(tmp_path, path, max_label=2)
