"""What all scores have in common, shown with a few of them."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from atmodist.fields.grid import Grid, make_grid
from evaluation import scores

GRID = make_grid("regular", 9)
DIMS = ("time", "latitude", "longitude")


@pytest.fixture
def fields():
    return np.random.default_rng(0).normal(size=(2, 4, *GRID.shape))


def labelled(values, grid=GRID, **names):
    coords = {"time": np.arange(len(values)), "latitude": grid.latitude}
    array = xr.DataArray(values, dims=DIMS, coords={**coords, "longitude": grid.longitude})
    return array.rename(names)


def test_labelled_fields_give_what_arrays_do(fields):
    a, b = (labelled(x) for x in fields)
    for reduce, axes in (
        (("latitude", "longitude"), ("latitude", "longitude")),
        (("time", "latitude", "longitude"), (0, "latitude", "longitude")),
        (("longitude",), ("longitude",)),
        (("latitude",), ("latitude",)),
        (("time",), (0,)),
    ):
        found = scores.rmse(a, b, reduce=reduce)
        assert found.dims == tuple(dim for dim in DIMS if dim not in reduce)
        assert_allclose(found, scores.rmse(*fields, grid=GRID, reduce=axes), rtol=1e-12)
        for dim in found.dims:
            assert_allclose(found[dim], a[dim])


def test_neither_names_nor_order_nor_orientation_matter(fields):
    a, b = (labelled(x) for x in fields)
    expected = scores.correlation(a, b)
    turned = labelled(fields[0], latitude="lat", longitude="lon").transpose("lon", "time", "lat")
    turned = turned.isel(lat=slice(None, None, -1))
    east = (turned.lon + 180) % 360 - 180
    turned = turned.assign_coords(lon=east).sortby("lon")
    assert turned.lon[0] == -180
    assert_allclose(scores.correlation(turned, b), expected, rtol=1e-12)
    rows = scores.bias(turned, b, reduce=("time", "longitude"))
    assert_allclose(rows.lat, GRID.latitude)
    assert_allclose(rows, (fields[0] - fields[1]).mean((0, 2)), rtol=1e-9)


def test_lazy_fields_stay_lazy_and_datasets_have_a_score_for_each_variable(fields):
    dask = pytest.importorskip("dask.array")
    a, b = (labelled(x) for x in fields)
    lazy = scores.rmse(a.chunk(time=1, latitude=3), b.chunk(time=2))
    assert isinstance(lazy.data, dask.Array)
    assert_allclose(lazy, scores.rmse(a, b))
    both = scores.rmse(xr.Dataset({"u": a, "v": b}), xr.Dataset({"u": b, "v": b}))
    assert_allclose(both.u, scores.rmse(a, b))
    assert (both.v == 0).all()


def test_missing_values_are_refused_or_left_out(fields):
    a, b = fields.copy()
    a[0, 2, 3], b[1, 4], b[2, 0, 0] = np.nan, np.nan, np.inf
    a[3] = np.nan  # nothing is left
    with pytest.raises(ValueError, match=r"of 576 values are missing .*skipna=True leaves"):
        scores.mae(a, b, grid=GRID)
    found = scores.mae(a, b, grid=GRID, skipna=True)
    for step in range(3):
        known = np.isfinite(a[step]) & np.isfinite(b[step])
        weights = np.broadcast_to(GRID.area_weights, GRID.shape)[known]
        error = np.abs(a[step] - b[step])[known]
        assert_allclose(found[step], (weights * error).sum() / weights.sum(), rtol=1e-12)
    assert np.isnan(found[3])
    assert_allclose(scores.mae(labelled(a), labelled(b), skipna=True), found, rtol=1e-12)
    of_all = scores.moments(a, grid=GRID, skipna=True)
    assert of_all.shape == (4, 4)
    assert np.isnan(of_all[:, 3]).all()
    with pytest.raises(ValueError, match="this needs whole fields"):
        scores.power_spectrum(a, grid=GRID)


def test_weights_of_latitudes_can_be_others(fields):
    a, b = fields
    weights = np.zeros(9)
    weights[3] = 2.0
    expected = np.abs(a - b)[:, 3].mean(-1)
    assert_allclose(scores.mae(a, b, weights=weights), expected)
    south_first = [labelled(x).isel(latitude=slice(None, None, -1)) for x in fields]
    assert_allclose(scores.mae(*south_first, weights=weights), expected)  # north to south
    with pytest.raises(ValueError, match=r"`weights` must be 9 numbers from 0.*got shape \(8,\)"):
        scores.mae(a, b, weights=weights[1:])


def test_weights_are_right_on_the_sphere():
    # the mean of sin² is 1/3 on every kind of grid, exactly, which cos φ at points is not
    for kind, rows in (("regular", 9), ("gauss", 8), ("driscoll-healy", 10), ("cell-centred", 9)):
        grid = make_grid(kind, rows)
        square = np.sin(np.radians(grid.latitude))[:, None] * np.ones(grid.shape)
        assert_allclose(scores.mse(square, 0 * square, grid=grid), 1 / 3, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": None}, "need the `grid` they are on, or `weights`"),
        ({"grid": make_grid("regular", 7)}, r"must end in \(7, 12\); got \(4, 9, 16\)"),
        ({"reduce": ("time",)}, "arrays have no axis 'time'"),
        ({"reduce": (3, "latitude")}, "`reduce` must be of axes 0 to 0; got 3"),
    ],
)
def test_mistakes_with_arrays_are_told(fields, change, message):
    with pytest.raises(ValueError, match=message):
        scores.rmse(*fields, **{"grid": GRID, **change})
    with pytest.raises(ValueError, match=r"one shape; got \(4, 9, 16\) and \(3, 9, 16\)"):
        scores.rmse(fields[0], fields[1, 1:], grid=GRID)


def test_mistakes_with_labelled_fields_are_told(fields):
    a, b = (labelled(x) for x in fields)
    with pytest.raises(ValueError, match="no dimension 'level'; there are"):
        scores.rmse(a, b, reduce=("level",))
    with pytest.raises(ValueError, match="different coordinates"):
        scores.rmse(a, b.isel(time=[0, 1]))
    with pytest.raises(ValueError, match="lie on different grids"):
        scores.rmse(a, b.assign_coords(longitude=b.longitude + 1.0))
    with pytest.raises(ValueError, match="`grid` is for arrays"):
        scores.rmse(a, b, grid=GRID)
    with pytest.raises(TypeError, match="all be xarray objects, or all arrays"):
        scores.rmse(a, fields[1])
    with pytest.raises(ValueError, match="the same variables; got u and v"):
        scores.rmse(xr.Dataset({"u": a}), xr.Dataset({"v": a}))


def test_part_of_a_grid_weighs_its_rows_by_area(fields):
    a, b = (labelled(x).sel(latitude=slice(60, -60)) for x in fields)
    areas = Grid(a.latitude.values, GRID.longitude).band_areas
    expected = ((a - b).mean("longitude") * areas).sum("latitude") / areas.sum()
    assert_allclose(scores.bias(a, b), expected, rtol=1e-9)


def test_scores_are_there_without_being_imported():
    code = (
        "import sys, evaluation; "
        "heavy = ('xarray', 'scipy', 'tensorflow', 'pyshtools', 'matplotlib', 'h5py'); "
        "assert not [name for name in heavy if name in sys.modules]; "
        "assert callable(evaluation.scores.rmse); assert 'rmse' in dir(evaluation.scores)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
