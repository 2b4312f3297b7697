import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.fields.grid import Grid, make_grid
from evaluation.numerics.spherical import analysis
from evaluation.statistics.exceedance import STATISTIC, box_mean, without_large_scales
from tests.evaluation.fields import accumulate, blurred, in_parts, joined, random_fields, setting

RADIUS = 6.0e6


@pytest.fixture(scope="module")
def common():
    return setting(make_grid("gauss", 24))


@pytest.fixture(scope="module")
def fields(common):
    return random_fields(common.grid, 5)


def test_large_scales_go_and_small_ones_stay():
    grid = make_grid("gauss", 24)
    phi, lam = np.radians(grid.latitude)[:, None], np.radians(grid.longitude)[None]
    large = 5 + np.sin(phi) + np.cos(phi) ** 3 * np.cos(3 * lam)  # degrees 0, 1 and 3
    small = np.cos(phi) ** 4 * np.sin(4 * lam)  # degree 4
    field = (large + small)[None]
    high = without_large_scales(field, analysis(field, grid), 3, grid)
    assert_allclose(high[0], small, atol=1e-12)


@pytest.mark.parametrize("periodic", [True, False])
def test_box_means_keep_constants_and_average_boxes(periodic):
    east = np.arange(36) * 10.0 if periodic else np.linspace(0, 20, 21)
    north = np.linspace(75, 55, 21) if periodic else np.linspace(10, -10, 21)
    grid = Grid(north, east)
    assert_allclose(box_mean(np.full(grid.shape, 3.0), grid, 500.0, RADIUS), 3, rtol=1e-12)
    point = np.zeros(grid.shape)
    point[10, -1] = 1.0
    width = 2.2 * np.radians(1) * RADIUS / 1000  # a point and its neighbours, 1 degree apart
    mean = box_mean(point, grid, width, RADIUS)
    if periodic:  # 10 degrees at 65 N are further
        assert_allclose(mean[9:12, -1], 1 / 3, rtol=0.05)
        assert mean[10, 0] == 0
        wide = box_mean(point, grid, 9 * width, RADIUS)[10]  # 23 degrees east and west
        assert_allclose((wide > 0)[[-4, -3, -2, -1, 0, 1, 2]], [0, 1, 1, 1, 1, 1, 0])
    else:
        assert_allclose(mean[9:12, -2], 1 / 9, rtol=0.01)
        assert_allclose(mean[9:12, -1], 1 / 6, rtol=0.01)  # cut off at the edge
        assert_allclose(mean[10, 0], 0)


def test_box_means_wrap_around():
    grid = Grid(np.linspace(10, -10, 21), np.arange(360.0))
    field = np.random.default_rng(0).normal(size=grid.shape)
    mean = box_mean(field, grid, 800.0, RADIUS)
    turned = box_mean(np.roll(field, 100, -1), grid, 800.0, RADIUS)
    assert_allclose(turned, np.roll(mean, 100, -1), atol=1e-12)


def test_reference_exceeds_itself_by_the_tails_of_its_distribution():
    grid = make_grid("gauss", 48)
    common = setting(grid, {"globe": None})
    noise = np.random.default_rng(0).normal(size=(3, 2, *grid.shape)).astype(np.float32)
    result = accumulate(STATISTIC, common, noise, noise).result()
    # Gaussian: P(|x| > 2σ) = 4.55 %; white noise by grid points has a deviation that depends on
    # latitude once large scales are out, which widens the tails a little
    assert 0.04 < float(result.exceedance.mean()) < 0.055
    assert_allclose(
        (result.exceedance_map * grid.area_weights).sum(("latitude", "longitude")),
        result.exceedance.mean("time")[0],
        rtol=1e-5,
    )


def test_blur_hardly_ever_exceeds_and_the_identical_candidate_as_often(common, fields):
    own = accumulate(STATISTIC, common, fields, fields).result()
    same = accumulate(STATISTIC, common, fields.copy(), fields).result()
    soft = accumulate(STATISTIC, common, blurred(fields), fields).result()
    assert same.identical(own)
    assert (soft.exceedance.sel(region="globe") < 0.3 * own.exceedance.sel(region="globe")).all()


def test_turning_the_globe_turns_the_map(common, fields):
    own = accumulate(STATISTIC, common, fields, fields).result()
    turned = np.roll(fields, 7, -1)
    result = accumulate(STATISTIC, common, turned, turned).result()
    assert_allclose(result.exceedance[:, 0], own.exceedance[:, 0], atol=2e-3)
    assert (result.exceedance_map.values != np.roll(own.exceedance_map, 7, -1)).mean() < 1e-3


def test_parts_merge_to_the_whole(common, fields):
    soft = blurred(fields)
    whole = accumulate(STATISTIC, common, soft, fields).result()
    assert in_parts(STATISTIC, common, soft, fields, [0, 2]).result().identical(whole)


def test_regional_grids_are_filtered_with_boxes():
    grid = Grid(np.linspace(60, 40, 21), np.linspace(-10, 20, 31))
    common = setting(grid, {"globe": None})
    fields = random_fields(grid, 3)
    results = {
        "reference": accumulate(STATISTIC, common, fields, fields).result(),
        "soft": accumulate(STATISTIC, common, blurred(fields), fields).result(),
    }
    assert results["soft"].exceedance.mean() < results["reference"].exceedance.mean()
    assert "box means over 889" in results["soft"].exceedance.attrs["comment"]
    assert len(list(STATISTIC.draw(joined(results)))) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truncation": 23}, "`truncation` must be below 23"),
        ({"deviations": -1}, "`deviations` must be a positive number; got -1"),
        (
            {"threshold": 1},
            "exceedance has no option 'threshold'; it has deviations, tr",
        ),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        STATISTIC.accumulator(setting(make_grid("gauss", 24), **options))


def test_the_candidate_is_held_against_the_threshold_of_the_reference(common, fields):
    own = accumulate(STATISTIC, common, fields, fields).result()
    tenfold = accumulate(STATISTIC, common, 10 * fields, fields).result()
    tenth = accumulate(STATISTIC, common, fields / 10, fields).result()
    assert (own.exceedance > 0).all()
    assert (tenfold.exceedance > 5 * own.exceedance).all()
    assert (tenth.exceedance == 0).all()
    assert (tenth.exceedance_map == 0).all()
