import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from atmodist.fields.grid import make_grid
from evaluation import scores
from evaluation.numerics.averages import windows
from evaluation.scores.errors import area_errors
from evaluation.statistics.errors import STATISTIC
from tests.evaluation.fields import accumulate, blurred, random_fields, setting


@pytest.fixture(scope="module")
def common():
    return setting()


@pytest.fixture(scope="module")
def fields(common):
    return random_fields(common.grid, 6)


def test_errors_of_known_fields(common):
    window = windows(common)[0]
    phi = np.radians(common.grid.latitude)[:, None]
    sine = np.broadcast_to(np.sin(phi), common.grid.shape)[None]
    errors = area_errors(3 * sine + 0.5, sine, window.weights)
    # the error is 2z + ½ with z uniform in -1..1: E e² = 4/3 + 1/4, and E|e| = (1.5² + 2.5²)/8
    assert_allclose(errors["mse"], 4 / 3 + 1 / 4, rtol=1e-12)
    assert_allclose(errors["rmse"] ** 2, errors["mse"], rtol=1e-12)
    assert_allclose(errors["bias"], 0.5, rtol=1e-12)
    assert_allclose(errors["mae"], (1.5**2 + 2.5**2) / 8, rtol=0.01)  # |e| has a kink
    assert_allclose(errors["correlation"], 1, rtol=1e-12)
    assert_allclose(area_errors(-sine, sine, window.weights)["correlation"], -1, rtol=1e-12)


def test_mse_is_bias_and_variances_less_covariance(common, fields):
    a, b = fields[0].astype(float), fields[1].astype(float)
    for window in windows(common):
        x, y = window.of(a), window.of(b)
        errors = area_errors(x, y, window.weights)

        def mean(f, weights=window.weights):
            return (f * weights).sum((-2, -1))

        variances = [mean(f**2) - mean(f) ** 2 for f in (x, y)]
        shared = errors["correlation"] * np.sqrt(variances[0] * variances[1])
        assert_allclose(errors["mse"], errors["bias"] ** 2 + sum(variances) - 2 * shared, rtol=1e-9)


NAMES = ("mse", "rmse", "mae", "bias", "correlation")


def test_scores_are_those_of_the_statistic_at_each_time(common, fields):
    soft = blurred(fields) + np.float32(2e-6)
    result = accumulate(STATISTIC, common, soft, fields).result().sel(region="globe")
    for name in NAMES:
        found = getattr(scores, name)(soft, fields, grid=common.grid)
        assert_allclose(found, result[name], rtol=1e-9, err_msg=name)
    found = scores.total_variation(soft, grid=common.grid)
    assert_allclose(found, result.total_variation, rtol=1e-6)  # gradients are in float32


def test_each_score_is_its_formula_over_the_axes_that_are_reduced():
    grid = make_grid("regular", 7)
    a, b = np.random.default_rng(1).normal(size=(2, 5, *grid.shape))
    b = b + 0.7 * a + 0.3  # no symmetry between both
    area = np.broadcast_to(grid.area_weights, grid.shape) * grid.shape[1]  # of a row: w
    for reduce, axes, w in (
        (("latitude", "longitude"), (1, 2), area),
        ((0, "latitude", "longitude"), (0, 1, 2), area),
        (("longitude",), (2,), np.ones(grid.shape)),
        (("latitude",), (1,), area),
        ((0,), (0,), np.ones(grid.shape)),
    ):

        def mean(f, axes=axes, w=w):
            spread = np.broadcast_to(w, f.shape)
            return (f * spread).sum(axes, keepdims=True) / spread.sum(axes, keepdims=True)

        x, y = a - mean(a), b - mean(b)
        expected = {
            "mse": mean((a - b) ** 2),
            "rmse": np.sqrt(mean((a - b) ** 2)),
            "mae": mean(np.abs(a - b)),
            "bias": mean(a) - mean(b),
            "correlation": mean(x * y) / np.sqrt(mean(x**2) * mean(y**2)),
        }
        for name, values in expected.items():
            found = getattr(scores, name)(a, b, grid=grid, reduce=reduce)
            assert_allclose(found, np.squeeze(values, axes), rtol=1e-9, err_msg=f"{name} {reduce}")


def test_anomalies_are_what_acc_correlates():
    grid = make_grid("regular", 9)
    a, b, climate = np.random.default_rng(2).normal(size=(3, *grid.shape))
    found = scores.acc(a + 5 * climate, b + 5 * climate, 5 * climate, grid=grid)
    assert_allclose(found, scores.correlation(a, b, grid=grid), rtol=1e-9)
    assert scores.correlation(a + 5 * climate, b + 5 * climate, grid=grid) > 0.9 > found


def test_labelled_results_say_what_they_are():
    data = xr.DataArray(np.ones((4, 8)), dims=("lat", "lon"), attrs={"units": "m s-1"})
    data = data.assign_coords(lat=np.linspace(67.5, -67.5, 4), lon=np.arange(8) * 45.0)
    found = scores.mse(data, data)
    assert found.attrs == {"long_name": "mean squared error", "units": "m2 s-2"}
    assert scores.correlation(data, data).attrs["units"] == "1"
    assert scores.total_variation(data).attrs["units"] == "m s-1 km-1"
