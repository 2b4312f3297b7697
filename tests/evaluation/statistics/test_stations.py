import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats

from atmodist.fields.grid import Grid, make_grid
from evaluation.contract.cities import cities, unit_vectors
from evaluation.contract.statistic import Sample
from evaluation.significance.station_tests import station_tests
from evaluation.statistics.stations import BOXES, STATISTIC, box_points
from tests.evaluation.fields import accumulate, blurred, in_parts, joined, random_fields, setting


@pytest.fixture(scope="module")
def common():
    return setting(make_grid("regular", 37))


@pytest.fixture(scope="module")
def fields(common):
    return random_fields(common.grid, 12)


@pytest.fixture(scope="module")
def soft(common, fields):
    return accumulate(STATISTIC, common, blurred(fields), fields).result()


@pytest.mark.parametrize("west", [-180.0, 0.0])
def test_boxes_lie_around_their_stations(west):
    base = make_grid("cell-centred", 45)
    grid = Grid(base.latitude, base.longitude + west)
    rows, columns, places = box_points(grid, cities())
    for i, city in enumerate(cities()):
        north, east = grid.latitude[rows[i]], grid.longitude[columns[i]]
        east = (east - city.longitude + 180) % 360 - 180
        one, four = places["1x1"][i, 0], places["2x2"][i]
        assert abs(north[one] - city.latitude) <= 2 + 1e-9
        assert abs(east[one]) <= 2 + 1e-9
        # the four points are the corners of the cell that holds the city, the nearest among them
        assert north[four].min() <= city.latitude <= north[four].max()
        assert east[four].min() <= 1e-9
        assert east[four].max() >= -1e-9
        assert_allclose(np.ptp(north[four]), 4, rtol=1e-9)
        assert_allclose(np.ptp(east[four]), 4, rtol=1e-9)
        assert one in four
        assert one == 4  # the middle of the nine


def test_boxes_hold_known_values(common):
    """A field that says where it is: boxes west of Greenwich and at the seam too."""
    grid = common.grid
    x, y, _ = np.moveaxis(unit_vectors(grid.latitude[:, None], grid.longitude[None]), -1, 0)
    field = np.stack([x, y]).astype(np.float32)
    accumulator = STATISTIC.accumulator(common)
    accumulator.update(Sample(setting=common, candidate=field, reference=0 * field, seconds=0))
    result = accumulator.result()
    phi, lam = np.radians(result.station_latitude), np.radians(result.station_longitude)
    expected = np.abs(np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam)]))
    nearest = result.station_wasserstein.sel(box="1x1")  # |value| for one step against zero
    assert np.abs(nearest.values - expected).max() < np.radians(2.5) * np.sqrt(2)


def test_the_identical_candidate_is_at_no_distance(common, fields):
    result = accumulate(STATISTIC, common, fields, fields.copy()).result()
    assert (result.station_wasserstein == 0).all()


def test_order_in_time_does_not_matter_and_blur_is_seen(common, fields, soft):
    shuffled = accumulate(STATISTIC, common, fields[::-1], fields).result()
    assert_allclose(shuffled.station_wasserstein, 0)
    assert (soft.wasserstein_1x1 > 0).all()


def test_a_box_pools_its_points(common, fields, soft):
    rows, columns, places = box_points(common.grid, cities())
    for box in BOXES:
        at = places[box][3]
        a, b = (x[:, 1, rows[3, at], columns[3, at]].ravel() for x in (blurred(fields), fields))
        own = soft.station_wasserstein.sel(box=box, channel="vorticity")[3]
        assert_allclose(own, stats.wasserstein_distance(a, b), rtol=1e-5)


def test_regions_average_their_stations(soft):
    globe = soft.wasserstein_3x3.sel(region="globe")
    assert_allclose(globe, soft.station_wasserstein.sel(box="3x3").mean("station"), rtol=1e-12)
    names = soft.station[np.abs(soft.station_latitude) < 19].values
    tropics = soft.station_wasserstein.sel(box="3x3").sel(station=names).mean("station")
    assert_allclose(soft.wasserstein_3x3.sel(region="tropics"), tropics, rtol=0.2)


def test_parts_merge_to_the_whole(common, fields, soft):
    parts = in_parts(STATISTIC, common, blurred(fields), fields, [0, 5, 6])
    assert parts.result().identical(soft)


def test_grids_without_cities_give_nothing(tmp_path):
    common = setting(Grid(np.linspace(-60, -65, 6), np.linspace(0, 5, 6)), {"globe": None})
    result = accumulate(STATISTIC, common, *random_fields(common.grid, 4).reshape(2, 2, 2, 6, 6))
    result = result.result()
    assert result.sizes["station"] == 0
    assert np.isnan(result.wasserstein_1x1).all()
    assert not list(STATISTIC.draw(joined({"x": result})))
    with pytest.raises(ValueError, match="there is no file"):
        STATISTIC.accumulator(setting(stations=tmp_path / "none.csv"))
    with pytest.raises(ValueError, match="no option 'town'"):
        STATISTIC.accumulator(setting(town="x"))


def test_it_draws_and_tests_pairs(common, fields, soft):
    same = accumulate(STATISTIC, common, fields, fields).result()
    result = joined({"soft": soft, "same": same, "twin": same})
    assert len(list(STATISTIC.draw(result))) == 6
    assert len(list(STATISTIC.draw(joined({"soft": soft})))) == 4  # nobody to compare with
    tests = {(t["a"], t["b"]): t for t in station_tests(result) if t["box"] == "1x1"}
    assert len(tests) == 3
    assert tests["soft", "same"]["worse"] == tests["soft", "same"]["num_stations"] == 152
    assert tests["soft", "same"]["wilcoxon_adjusted"] < 1e-6
    assert tests["same", "twin"]["equal"] == 152
    assert tests["same", "twin"]["permutation_adjusted"] == 1


def result_of(**distances):
    values = np.array([[[d]] for d in distances.values()])  # (candidate, box, channel, station)
    return xr.Dataset(
        {
            "station_wasserstein": (
                ("candidate", "box", "channel", "station"),
                values,
                {"units": "m"},
            )
        },
        coords={"candidate": list(distances), "box": ["1x1"], "channel": ["x"]},
    )


def test_pairs_of_candidates_over_stations_are_told_with_both_rules():
    far = np.linspace(1.0, 2.0, 20)
    near = far * np.where(np.arange(20) < 15, 0.5, 0.99)
    (row,) = STATISTIC.rows(result_of(near=near, far=far), seed=0)
    assert (row["candidate"], row["baseline"], row["verdict"]) == ("near", "far", "better")
    assert (row["stations_better"], row["stations_equal"], row["stations_worse"]) == (15, 5, 0)
    assert row["baseline_p"] < 0.05
    assert row["sign_flip_p"] < 0.05
    assert row["baseline_difference"] == row["value"] < 0
    (row,) = STATISTIC.rows(result_of(far=far, near=near), seed=0)
    assert row["verdict"] == "worse"


def test_equal_distances_at_stations_are_called_equal():
    same = np.linspace(1.0, 2.0, 20)
    (row,) = STATISTIC.rows(result_of(a=same, b=same), seed=0)
    assert (row["verdict"], row["baseline_p"], row["stations_equal"]) == ("equal", 1.0, 20)


def test_p_values_over_stations_are_adjusted_for_all_pairs():
    rng = np.random.default_rng(0)
    distances = {
        name: rng.gamma(2.0, size=20) + shift
        for name, shift in zip("abc", (0, 1, 0.5), strict=True)
    }
    one = STATISTIC.rows(result_of(a=distances["a"], b=distances["b"]), seed=0)
    of_all = STATISTIC.rows(result_of(**distances), seed=0)
    for name in ("baseline_p", "sign_flip_p"):
        assert of_all[0][name] > one[0][name]
    assert one[0]["baseline_p"] != one[0]["sign_flip_p"]


def test_deviations_are_those_of_the_reference(common, fields):
    own = accumulate(STATISTIC, common, fields, fields).result()
    result = accumulate(STATISTIC, common, 3 * fields, fields).result()
    assert_allclose(result.station_deviation, own.station_deviation, rtol=1e-12)
