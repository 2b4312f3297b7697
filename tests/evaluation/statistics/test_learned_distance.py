import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter

from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
from atmodist.fields.grid import make_grid
from atmodist.files.outputs import write_json
from atmodist.metric.calibration import Calibration, StageCalibration
from atmodist.metric.extent import Extent
from atmodist.metric.lag_curve import LagCurve
from atmodist.training.saving import save_network
from evaluation.contract.statistic import Sample
from evaluation.numerics.setting import GLOBE, Region, Setting
from evaluation.statistics import learned_distance, projections
from evaluation.statistics.learned_distance import STATISTIC, FeatureStore, cell_shares, loaded
from tests.metric.encoders import made_encoder, made_fields, made_normalization

GRID = make_grid("regular", 33, 64)
REGIONS = {
    GLOBE: None,
    "pacific": Region(south=-40, north=40, west=150, east=-150),
    "north": Region(south=1, north=90, west=-180, east=180),
    "south": Region(south=-90, north=0.5, west=-180, east=180),
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder with an encoder, calibrated up to a distance of 2 at 9 h."""
    return made_package(tmp_path_factory.mktemp("encoder"), Extent.of_fields(GRID))


def made_package(folder, extent):
    save_network(made_encoder(), folder / "encoder.keras")
    made_normalization().save(folder / "normalization.json")
    write_json(folder / "manifest.json", {})
    median = np.array([0.5, 1.0, 2.0])
    curve = LagCurve(
        lag_hours=np.array([3.0, 6.0, 9.0]),
        median=median,
        quantile16=0.5 * median,
        quantile84=2 * median,
        mean=median,
    )
    stages = {"stage1": 4.0, "stage2": 0.25}
    Calibration(
        step_seconds=10_800,
        stages={s: StageCalibration(alpha=alpha, curve=curve) for s, alpha in stages.items()},
        extent=extent,
    ).save(folder / "calibration.json")
    return str(folder)


def setting(package, channels=(DIVERGENCE, VORTICITY), **options):
    return Setting(grid=GRID, channels=channels, regions=REGIONS, encoder=package, options=options)


def accumulated(its, candidates, references, first=0, statistic=STATISTIC):
    sums = statistic.accumulator(its)
    for step, (c, r) in enumerate(zip(candidates, references, strict=True)):
        sums.update(Sample(setting=its, candidate=c, reference=r, seconds=3600 * (first + step)))
    return sums


def test_distance_map_and_hours_are_those_of_the_metric(package):
    a, b = made_fields(GRID, 2), made_fields(GRID, 2, seed=1)
    result = accumulated(setting(package), a, b).result()
    metric = loaded(package)
    assert loaded(package) is metric
    expected = metric(a, b, grid=GRID)
    assert_allclose(result.learned_distance.sel(region=GLOBE), expected, rtol=1e-9)
    assert_allclose(result.hours.sel(region=GLOBE), metric.hours(a, b, grid=GRID).hours)
    squares = metric.map(a, b, grid=GRID).mean(axis=0)
    assert_allclose(result.distance_map**2, squares, rtol=1e-5)
    for stage in metric.features.names:
        found = result.distance_by_stage.sel(region=GLOBE, stage=stage)
        assert_allclose(found, metric(a, b, grid=GRID, stages=stage), rtol=1e-9)


def test_regions_average_their_part_of_the_map(package):
    a, b = made_fields(GRID, 1), made_fields(GRID, 1, seed=1)
    its = setting(package)
    result = accumulated(its, a, b).result()
    squares = loaded(package).map(a[0], b[0], grid=GRID)
    for region in REGIONS:
        rows, columns = its.window(region)
        inside = squares[np.ix_(rows, columns)]
        weights = np.broadcast_to(GRID.area_weights[rows], inside.shape)
        expected = np.sqrt((inside * weights).sum() / weights.sum())
        assert_allclose(result.learned_distance.sel(region=region)[0], expected, rtol=1e-9)


def test_shares_of_the_whole_grid_are_those_of_the_metric(package):
    features = loaded(package).features
    for stage in features.names:
        found = cell_shares(features, stage, GRID, np.arange(33), np.arange(64))
        assert_allclose(found, features.cell_weights(stage, GRID), rtol=1e-12)


def test_identical_fields_have_no_distance_and_blur_has(package):
    fields = made_fields(GRID, 2)
    blurred = [gaussian_filter(fields, (0, 0, s, s), mode="wrap") for s in (0.4, 1.0)]
    means = [
        accumulated(setting(package), x, fields).result().learned_distance.values
        for x in (fields, *blurred)
    ]
    assert_array_equal(means[0], 0.0)
    assert (means[0] < means[1]).all()
    assert (means[1] < means[2]).all()


def test_hours_of_another_extent_have_a_note_and_are_no_main_number(package, tmp_path):
    fields = made_fields(GRID, 1)
    whole = accumulated(setting(package), fields, fields).result()
    assert "notes" not in whole.attrs
    assert "main" in whole.hours.attrs
    patches = made_package(tmp_path, Extent.of_patches((8, 8), GRID))
    doubtful = accumulated(setting(patches), fields, fields).result()
    assert "so that hours are wrong" in doubtful.attrs["notes"][0]
    assert "main" not in doubtful.hours.attrs
    assert "main" in doubtful.learned_distance.attrs


def test_beyond_the_curve_hours_are_a_flagged_bound(package):
    fields = made_fields(GRID, 1)
    far = accumulated(setting(package), 30 * fields, -30 * fields).result()
    near = accumulated(setting(package), fields, fields).result()
    assert_array_equal(far.hours.sel(region=GLOBE), 9.0)
    assert_array_equal(far.beyond_curve.sel(region=GLOBE), 1.0)
    assert_array_equal(near.hours, 0.0)
    assert_array_equal(near.beyond_curve, 0.0)


def test_without_a_calibration_there_are_no_hours(package, tmp_path):
    import shutil

    for name in ("encoder.keras", "normalization.json", "manifest.json"):
        shutil.copy(f"{package}/{name}", tmp_path)
    fields = made_fields(GRID, 1)
    result = accumulated(setting(str(tmp_path)), 0 * fields, fields).result()
    assert "hours" not in result
    assert (result.learned_distance > 0).all()


def test_channels_are_found_by_name(package):
    a, b = made_fields(GRID, 1), made_fields(GRID, 1, seed=1)
    more = (VORTICITY, Channel("speed", "m s-1", ""), DIVERGENCE)
    swapped = [x[:, [1, 1, 0]] for x in (a, b)]
    plain, other = (
        accumulated(its, *fields).result()
        for its, fields in ((setting(package), (a, b)), (setting(package, more), swapped))
    )
    assert_array_equal(plain.learned_distance, other.learned_distance)


def test_what_the_encoder_needs_is_named(package):
    fields = made_fields(GRID, 1)
    lacking = setting(package, (DIVERGENCE, Channel("speed", "m s-1", "")))
    with pytest.raises(ValueError, match="the encoder needs vorticity"):
        accumulated(lacking, fields, fields)
    other = setting(package, (DIVERGENCE, Channel("vorticity", "day-1", "")))
    with pytest.raises(ValueError, match="vorticity in s-1; the fields have day-1"):
        accumulated(other, fields, fields)
    with pytest.raises(ValueError, match="needs an encoder package"):
        STATISTIC.accumulator(setting(None))
    with pytest.raises(ValueError, match="has no options; got stage"):
        STATISTIC.accumulator(setting(package, stage="stage1"))


def test_parts_merge_and_come_back_from_disk(package):
    a, b = made_fields(GRID, 3), made_fields(GRID, 3, seed=1)
    its = setting(package)
    whole = accumulated(its, a, b).result()
    restored = STATISTIC.accumulator(its)
    restored.restore(accumulated(its, a[:2], b[:2]).arrays())
    restored.merge(accumulated(its, a[2:], b[2:], first=2))
    for name in whole:
        assert_allclose(restored.result()[name], whole[name], rtol=1e-6)
    assert_array_equal(restored.result().time, whole.time)


def test_features_are_computed_once_for_equal_fields_and_forgotten_for_lack_of_room():
    class Counting:
        calls = 0

        @property
        def features(self):
            return self

        def field(self, field, grid, stages):
            self.calls += 1
            return {stage: np.full((2, 2, 4), field[0, 0]) for stage in stages}

    metric, fields = Counting(), [np.full((3, 3), float(k)) for k in range(3)]
    store = FeatureStore(num_bytes=300)  # two fields of one stage
    for k in (0, 1, 0, 1, 0):
        found = store.features(metric, "e", fields[k].copy(), GRID, ["s"])
        assert found["s"][0, 0, 0] == k
    assert metric.calls == 2
    store.features(metric, "e", fields[2], GRID, ["s"])
    store.features(metric, "e", fields[0], GRID, ["s"])
    assert metric.calls == 3  # 1 was forgotten, not 0
    store.features(metric, "e", fields[1], GRID, ["s"])
    assert metric.calls == 4
    store.features(metric, "other", fields[1], GRID, ["s"])
    assert metric.calls == 5


def test_features_of_an_encoder_are_a_space_of_projections(package, monkeypatch):
    store = FeatureStore()
    monkeypatch.setattr(learned_distance, "STORE", store)
    fields, other = made_fields(GRID, 3), made_fields(GRID, 3, seed=1)
    its = setting(package, spaces=["encoder"], patch=16)
    same = accumulated(its, fields, fields, statistic=projections.STATISTIC).result()
    apart = accumulated(its, 2 * other, fields, statistic=projections.STATISTIC).result()
    assert_allclose(same.rv_encoder, 1.0)
    assert_allclose(same.frechet_encoder, 0.0, atol=1e-6)
    assert_array_equal(same.wasserstein_encoder, 0.0)
    assert float(apart.frechet_encoder) > 0.1
    assert float(apart.rv_encoder) < 0.99
    assert same.rv_encoder.dims == ()


def test_pictures_are_drawn(package):
    import xarray as xr

    fields = made_fields(GRID, 2)
    results = [accumulated(setting(package), x, fields).result() for x in (fields, 0.5 * fields)]
    joined = xr.concat(results, xr.Variable("candidate", ["same", "half"]))
    names = [picture.name for picture in STATISTIC.draw(joined)]
    assert names == [*(f"learned_distance_{region}" for region in REGIONS), "map", "stages"]
