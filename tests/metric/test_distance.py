import dataclasses
import math
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from atmodist import load_metric
from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from atmodist.files.outputs import write_json
from atmodist.metric.calibration import Calibration, StageCalibration
from atmodist.metric.distance import Metric
from atmodist.metric.extent import Extent
from atmodist.metric.features import StageFeatures
from atmodist.metric.lag_curve import LagCurve
from atmodist.training.saving import save_network
from tests.metric.encoders import CHANNELS, made_encoder, made_fields, made_normalization

GRID = make_grid("regular", 17, 32)
BOTH = {"stage1": 0.5, "stage2": 2.0}


@pytest.fixture(scope="module")
def features():
    return StageFeatures(made_encoder(), made_normalization())


@pytest.fixture(scope="module")
def metric(features):
    return Metric(features, grid=GRID)


@pytest.fixture(scope="module")
def calibrated(features):
    lags = np.array([3.0, 6.0, 9.0])
    median = np.array([0.5, 1.0, 2.0])
    curve = LagCurve(
        lag_hours=lags, median=median, quantile16=0.5 * median, quantile84=2 * median, mean=median
    )
    stages = {"stage1": 4.0, "stage2": 0.25}
    calibration = Calibration(
        step_seconds=10_800,
        stages={s: StageCalibration(alpha=alpha, curve=curve) for s, alpha in stages.items()},
        extent=Extent.of_fields(GRID),
    )
    return Metric(features, calibration=calibration, grid=GRID)


def labelled(fields, grid=GRID, **coords):
    dims = ("time", "channel", "latitude", "longitude")[-fields.ndim :]
    coords = {
        "channel": list(CHANNELS)[-fields.shape[-3] :],
        "latitude": grid.latitude,
        "longitude": grid.longitude,
        **coords,
    }
    return xr.DataArray(fields, dims=dims, coords=coords)


def test_distance_is_the_formula_written_out(metric, features):
    a, b = made_fields(GRID, 2)
    total = 0.0
    for stage, weight in BOTH.items():
        f, g = (features.field(x, GRID)[stage].astype(np.float64) for x in (a, b))
        areas = features.cell_weights(stage, GRID)
        total += weight * (areas * ((f - g) ** 2).mean(-1)).sum()
    assert_allclose(metric(a, b, stages=BOTH), math.sqrt(total), rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["stage1", "stage2", BOTH]), st.floats(0, 2))
@settings(max_examples=15)
def test_it_is_a_metric(metric, seed, stages, nearness):
    a, b, c = made_fields(GRID, 3, seed=seed)
    b = a + nearness * (b - a)
    ab, ba, bc, ac = (metric(x, y, stages=stages) for x, y in ((a, b), (b, a), (b, c), (a, c)))
    assert ab == ba
    assert ab >= 0
    assert metric(a, a, stages=stages) == 0
    # Sums are in double precision, and all four distances compare the same float32 features.
    assert ac <= (ab + bc) * (1 + 1e-12)


def test_rolling_both_fields_by_the_stride_changes_nothing(metric):
    a, b = made_fields(GRID, 2)
    rolled = metric(*(np.roll(x, 12, axis=-1) for x in (a, b)), stages=BOTH)
    assert_allclose(rolled, metric(a, b, stages=BOTH), rtol=1e-6)  # float32 sums in another order


def test_a_difference_counts_by_its_area(metric):
    (a,) = made_fields(GRID)
    polar, tropical = a.copy(), a.copy()
    polar[:, :1] += 1e-4
    tropical[:, 8:9] += 1e-4
    assert metric(a, polar) < 0.5 * metric(a, tropical)


@pytest.mark.parametrize("columns", [32, 30])
def test_maps_and_contributions_sum_to_the_square(metric, columns):
    grid = make_grid("regular", 17, columns)
    a, b = made_fields(grid, 2)
    expected = metric(a, b, grid=grid, stages=BOTH) ** 2
    whole = metric.map(a, b, grid=grid, stages=BOTH)
    assert whole.shape == grid.shape
    assert (whole >= 0).all()
    assert_allclose((whole * grid.area_weights).sum(), expected, rtol=1e-12)
    for by, number in (("stage", 2), ("feature", 16 + 32)):
        parts = metric.map(a, b, grid=grid, stages=BOTH, by=by)
        assert parts.shape == (number, *grid.shape)
        assert_allclose(parts.sum(axis=0), whole, rtol=1e-12)
    found = metric.contributions(a, b, grid=grid, stages=BOTH)
    assert_allclose(sum(values.sum() for values in found.values()), expected, rtol=1e-12)
    by_feature = (parts * grid.area_weights).sum(axis=(-2, -1))
    assert_allclose(np.concatenate(list(found.values())), by_feature, rtol=1e-10)
    assert metric.feature_names(BOTH)[15:17] == ("stage1/15", "stage2/0")


def test_a_map_shows_where_fields_differ(metric):
    (a,) = made_fields(GRID)
    b = a.copy()
    b[:, 8, 16] += 1e-4
    found = metric.map(a, b)
    rows, _ = np.nonzero(found)
    assert found[8, 16] > 0
    assert (np.abs(rows - 8) <= 16).all()
    assert found[:, 0].max() < found.max()


def test_series_are_compared_step_by_step_and_broadcast(metric):
    a, b = made_fields(GRID, 3), made_fields(GRID, 3, seed=1)
    expected = [metric(x, y) for x, y in zip(a, b, strict=True)]
    assert_array_equal(metric(a, b), expected)
    assert_array_equal(metric(a, b[0]), [metric(x, b[0]) for x in a])
    assert metric(a[:, None], b[None, :2]).shape == (3, 2)
    assert metric.map(a, b[0]).shape == (3, *GRID.shape)
    assert isinstance(metric(a[0], b[0]), float)


def test_stages_by_name_or_weights(metric, features):
    a, b = made_fields(GRID, 2)
    assert metric.stages == {"stage2": 1.0}  # the deepest, as there is no stage 3
    assert metric(a, b) == metric(a, b, stages="stage2") == metric(a, b, stages={"stage2": 1})
    four_times = metric(a, b, stages={"stage2": 4.0, "stage1": 0.0})
    assert_allclose(four_times, 2 * metric(a, b), rtol=1e-12)
    assert Metric(features, stages=BOTH, grid=GRID)(a, b) == metric(a, b, stages=BOTH)


def test_labelled_fields_give_labelled_distances(metric):
    a, b = made_fields(GRID, 3), made_fields(GRID, 3, seed=1)
    times = np.array(["2020-01-01", "2020-01-02", "2020-01-03"], "datetime64[ns]")
    x, y = labelled(a, time=times), labelled(b[0])
    found = metric(x, y)
    assert found.dims == ("time",)
    assert_array_equal(found.time, times)
    assert_array_equal(found, metric(a, b[0]))
    assert "uncalibrated" in found.attrs["comment"]
    by_stage = metric.map(x, y, stages=BOTH, by="stage")
    assert by_stage.dims == ("time", "stage", "latitude", "longitude")
    assert by_stage.stage.values.tolist() == ["stage1", "stage2"]
    assert_array_equal(by_stage.latitude, GRID.latitude)
    assert_array_equal(by_stage, metric.map(a, b[0], stages=BOTH, by="stage"))


def test_orientation_order_and_container_do_not_matter(metric):
    a, b = made_fields(GRID, 2)
    expected, expected_map = metric(a, b), metric.map(a, b)
    x = labelled(a)
    flipped = x.isel(latitude=slice(None, None, -1), channel=[1, 0])
    west = flipped.roll(longitude=16, roll_coords=True)
    west = west.assign_coords(longitude=(west.longitude + 180) % 360 - 180)
    west = west.rename(latitude="lat", longitude="lon").transpose("lon", "channel", "lat")
    y = labelled(b)
    dataset = xr.Dataset({name: y.isel(channel=c, drop=True) for c, name in enumerate("dv")})
    dataset = dataset.rename(v="vorticity")
    dataset.d.attrs.update(units="1/s", standard_name=DIVERGENCE.standard_name)
    dataset.vorticity.attrs["units"] = "s**-1"
    assert metric(west, dataset) == expected
    found = metric.map(west, y)
    assert_array_equal(found.lat, GRID.latitude[::-1])
    back = found.assign_coords(lon=found.lon % 360).sortby("lon").isel(lat=slice(None, None, -1))
    assert_array_equal(back, expected_map)


def test_a_repeated_meridian_is_dropped_and_comes_back(metric):
    a, b = made_fields(GRID, 2)
    grid = {"latitude": GRID.latitude, "longitude": np.append(GRID.longitude, 360.0)}
    dims = ("channel", "latitude", "longitude")
    coords = {"channel": list(CHANNELS), **grid}
    x, y = (
        xr.DataArray(np.concatenate([f, f[..., :1]], axis=-1), dims=dims, coords=coords)
        for f in (a, b)
    )
    assert metric(x, y) == metric(a, b)
    found = metric.map(x, y)
    assert_array_equal(found[..., :-1], metric.map(a, b))
    assert_array_equal(found[..., -1], found[..., 0])


def test_chunked_fields_stay_lazy(metric, calibrated):
    a, b = made_fields(GRID, 3), made_fields(GRID, 3, seed=1)
    x = labelled(a, time=np.arange(3)).chunk({"time": 2, "latitude": 5})
    y = labelled(b, time=np.arange(3))
    for found, expected in (
        (metric(x, y), metric(a, b)),
        (metric.map(x, y, by="feature"), metric.map(a, b, by="feature")),
        (calibrated.hours(x, y).low, calibrated.hours(a, b).low),
    ):
        assert found.chunks is not None
        assert_array_equal(found.compute(scheduler="synchronous"), expected)


def test_an_archive_opened_by_xarray_is_understood(metric):
    a, b = made_fields(GRID, 2)
    units = {"channel_units": ("channel", ["s-1", "s-1"])}
    x = xr.Dataset({"data": labelled(a[:, None].swapaxes(0, 1)).assign_coords(units)})
    assert metric(x, x.isel(time=0)).values.tolist() == [0.0]
    assert_array_equal(metric(x, labelled(b)), [metric(a, b)])


def test_scales_and_hours_come_from_the_calibration(metric, calibrated):
    a, b = made_fields(GRID, 2)
    assert_allclose(calibrated(a, b, stages="stage1"), 2 * metric(a, b, stages="stage1"))
    distance = metric(a, b, stages="stage1")
    b = a + (b - a) * np.float32(0.1 / distance)  # near enough to lie on the curve
    distance = calibrated(a, b, stages="stage1")
    assert 0 < distance < 2
    hours, low, high = calibrated.hours(a, b, stages="stage1")
    assert_allclose(hours, np.interp(distance, [0, 0.5, 1, 2], [0, 3, 6, 9]), rtol=1e-6)
    assert low < hours < high
    found = calibrated.hours(labelled(np.stack([a, b])), labelled(b), stages="stage1")
    assert set(found) == {"hours", "low", "high"}
    assert found.hours.values.tolist() == [hours, 0.0]
    for values in found.values():
        assert values.units == "h"
        assert values.long_name.startswith("equivalent hours")
    assert set(found.attrs) == {"comment"}
    assert "calibrated" in str(calibrated)
    assert "uncalibrated" in str(metric)
    with pytest.raises(ValueError, match="not calibrated, so that distances cannot be read"):
        metric.hours(a, b)
    with pytest.raises(ValueError, match="were not calibrated"):
        calibrated.hours(a, b, stages=BOTH)


@pytest.mark.parametrize("named", [False, True])
def test_hours_of_fields_unlike_those_calibrated_are_warned_of_once(features, calibrated, named):
    curves = calibrated.calibration
    a, b = map(labelled, made_fields(GRID, 2)) if named else made_fields(GRID, 2)

    def warned(calibration, grid=GRID):
        metric = Metric(features, calibration=calibration, grid=grid)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            options = {} if named else {"grid": GRID}
            metric.hours(a, b, **options)
            metric.hours(a, b, **options)
        assert all(warning.filename == __file__ for warning in caught)
        return [str(warning.message) for warning in caught]

    assert warned(curves) == []
    patches = dataclasses.replace(curves, extent=Extent.of_patches((8, 8), GRID))
    (text,) = warned(patches)
    assert text.startswith("the distance is calibrated on patches of 8 x 8 points (90 x 90 degrees")
    (text,) = warned(dataclasses.replace(curves, extent=None))
    assert "does not say whether it was made of patches or of whole fields" in text
    (text,) = warned(curves, grid=make_grid("regular", 33, 64))
    assert "have a spacing of 11.25 x 11.25 degrees; the encoder was trained on 5.625" in text
    coarse = dataclasses.replace(curves, extent=Extent.of_fields(make_grid("regular", 9, 16)))
    (text,) = warned(coarse, grid=None)
    assert "trained on 22.5 x 22.5 degrees" in text


def test_one_channel_without_a_channel_axis():
    features = StageFeatures(made_encoder(channels=1), made_normalization(("vorticity",)))
    metric = Metric(features)
    a, b = made_fields(GRID, 2, channels=1)
    x, y = (labelled(f).isel(channel=0, drop=True) for f in (a, b))
    assert metric(x, y) == metric(a, b, grid=GRID)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda x: x[:1], ValueError, r"`b` must have axes .* end in \(2, 17, 32\).*\(1, 17, 32\)"),
        (lambda x: x[:, :16], ValueError, r"got shape \(2, 16, 32\)"),
        (lambda x: x * np.nan, ValueError, "values of divergence are missing"),
        (lambda x: labelled(x), TypeError, "two xarray objects or two arrays"),
    ],
)
def test_wrong_arrays_are_refused(metric, change, error, text):
    (a,) = made_fields(GRID)
    with pytest.raises(error, match=text):
        metric(a, change(a))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x: x.isel(channel=[0]), "the field lacks vorticity; it has divergence"),
        (lambda x: x.drop_vars("latitude"), "no 1-D latitude axis"),
        (lambda x: x.assign_attrs(units="1e-5 s-1"), "divergence is in '1e-5 s-1'"),
        (lambda x: x.isel(channel=0, drop=True), "needs a dimension 'channel'"),
        (lambda x: x.isel(latitude=slice(1, None)), "different grids"),
        (lambda x: x.to_dataset("channel")[["vorticity"]], "one variable 'divergence'"),
        (lambda x: x.drop_vars("channel").isel(channel=[0, 1, 1]), "3 channels without names"),
        (lambda x: x.assign_coords(latitude=x.latitude * 2), "latitude"),
    ],
)
def test_wrong_labels_are_refused(metric, change, text):
    (a,) = made_fields(GRID)
    x = labelled(a)
    with pytest.raises(ValueError, match=text):
        metric(x, change(x))


@pytest.mark.parametrize(
    ("stages", "error", "text"),
    [
        ("stage7", ValueError, "no stage 'stage7'; there are stage1, stage2"),
        ({"stage1": -1.0}, ValueError, "must be finite and not negative; got -1"),
        ({"stage1": "much"}, TypeError, "must be a number; got 'much'"),
        ({"stage1": 0.0}, ValueError, "at least one stage"),
        ({}, ValueError, "at least one stage"),
    ],
)
def test_wrong_stages_are_refused(metric, stages, error, text):
    a, b = made_fields(GRID, 2)
    with pytest.raises(error, match=text):
        metric(a, b, stages=stages)


def test_arrays_need_a_grid(features):
    a, b = made_fields(GRID, 2)
    with pytest.raises(ValueError, match="arrays need a grid"):
        Metric(features)(a, b)
    with pytest.raises(ValueError, match="`by` must be"):
        Metric(features, grid=GRID).map(a, b, by="channel")


def test_regional_fields(metric):
    grid = Grid(np.linspace(60, 40, 21), np.linspace(0, 29, 30))
    a, b = made_fields(grid, 2)
    expected = metric(a, b, grid=grid) ** 2
    assert_allclose((metric.map(a, b, grid=grid) * grid.area_weights).sum(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="different grids"):
        metric.between(metric.encode(a, grid), metric.encode(made_fields(GRID)[0]))


def test_a_metric_survives_pickling_and_loading(tmp_path, metric):
    a, b = made_fields(GRID, 2)
    assert pickle.loads(pickle.dumps(metric))(a, b) == metric(a, b)  # noqa: S301
    save_network(made_encoder(), tmp_path / "encoder.keras")
    made_normalization().save(tmp_path / "normalization.json")
    write_json(tmp_path / "manifest.json", {"command": "rplearn-train"})
    loaded = load_metric(tmp_path, stages=BOTH)
    assert loaded(a, b, grid=GRID) == metric(a, b, stages=BOTH)
    assert loaded.channels == (DIVERGENCE.name, VORTICITY.name)
    assert not loaded.is_calibrated


def test_importing_the_package_imports_nothing_heavy():
    script = """
import sys, atmodist
assert {"ContentLoss", "load_metric"} <= set(dir(atmodist))
print(*{"keras", "tensorflow", "xarray", "h5py", "numpy"} & set(sys.modules))
print(hasattr(atmodist, "load_metrics"))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["", "False"]
