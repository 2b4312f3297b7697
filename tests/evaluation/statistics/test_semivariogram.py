import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import eval_legendre

from atmodist.fields.archive import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation.contract.statistic import Sample
from evaluation.drawing import plotting
from evaluation.numerics.setting import GLOBE, REFERENCE, Region, Setting
from evaluation.numerics.spherical import power_per_degree, random_modal, synthesis
from evaluation.statistics.semivariogram import (
    STATISTIC,
    draw_pairs,
    great_circle,
    isotropic_semivariogram,
    sampled_semivariogram,
)

CHANNELS = (DIVERGENCE, VORTICITY)
GRID = make_grid("cell-centred", 90)
KM = EARTH_RADIUS / 1000
LAGS = np.array([500.0, 1000.0, 3000.0, 9000.0])


def whole(grid):
    return np.arange(grid.shape[0]), np.arange(grid.shape[1])


def setting(grid=GRID, regions=None, seed=0, **options):
    regions = regions or {GLOBE: None}
    return Setting(grid=grid, channels=CHANNELS, regions=regions, seed=seed, options=options)


def accumulated(candidate, reference, shared, first=0):
    accumulator = STATISTIC.accumulator(shared)
    for step, (one, other) in enumerate(zip(candidate, reference, strict=True), first):
        accumulator.update(
            Sample(setting=shared, candidate=one, reference=other, seconds=3600 * step)
        )
    return accumulator


def points(grid, index):
    row, column = np.divmod(index, grid.shape[1])
    return np.radians(grid.latitude[row]), np.radians(grid.longitude[column])


@pytest.mark.parametrize("degree", [1, 2, 7, 60])
def test_a_single_degree_has_a_legendre_polynomial(degree):
    power = np.zeros(64)
    power[degree] = 3.0
    lags = np.linspace(10, np.pi * KM, 50)
    expected = 3 * (1 - eval_legendre(degree, np.cos(lags / KM)))
    assert_allclose(isotropic_semivariogram(power, lags), expected, atol=1e-11)


def test_exact_semivariogram_at_zero_and_at_the_antipode():
    power = np.random.default_rng(0).random((2, 33))
    found = isotropic_semivariogram(power, np.array([0.0, np.pi * KM]))
    assert_allclose(found[:, 0], 0.0, atol=1e-12)
    assert_allclose(found[:, 1], 2 * power[:, 1::2].sum(axis=1))  # odd degrees change sign


def test_height_above_the_equator_has_a_third_of_one_minus_cosine():
    # f = sinφ: ½ E[(z₁ - z₂)²] = (1 - cosθ) / 3; the test of the factor ½, and of area weights
    field = np.sin(np.radians(GRID.latitude))[:, None] * np.ones(GRID.shape[1])
    pairs = draw_pairs(GRID, whole(GRID), LAGS, 40_000, [1])
    distance = great_circle(*points(GRID, pairs.first), *points(GRID, pairs.second))
    expected = (1 - np.cos(distance)).mean(axis=1) / 3
    # standard error of the mean square: √0.8 / √40000 = 0.45 %
    assert_allclose(sampled_semivariogram(field, pairs), expected, rtol=0.015)
    assert_allclose(
        isotropic_semivariogram(np.array([0, 1 / 3]), LAGS), (1 - np.cos(LAGS / KM)) / 3
    )


def test_sampled_and_exact_agree_within_sampling_error():
    power = np.r_[0.0, (1 + np.arange(1, 90) / 6) ** -3.0]
    rng = np.random.default_rng(2)
    field = synthesis(random_modal(power, rng), GRID)
    num = 50_000
    pairs = draw_pairs(GRID, whole(GRID), LAGS, num, [3])
    found = sampled_semivariogram(field, pairs)
    # the exact mean over the very distances of the pairs leaves sampling error alone
    exact = np.empty(len(LAGS))
    for i in range(len(LAGS)):
        distance = KM * great_circle(*points(GRID, pairs.first[i]), *points(GRID, pairs.second[i]))
        table = np.linspace(distance.min(), distance.max(), 300)
        exact[i] = np.interp(distance, table, isotropic_semivariogram(power, table)).mean()
    assert np.abs(found / exact - 1).max() < 4 * np.sqrt(2 / num) * 1.5


def test_moving_points_to_the_grid_hardly_biases_lags_of_several_spacings():
    spacing = np.pi * KM / GRID.shape[0]  # 222 km
    power = np.r_[0.0, (1 + np.arange(1, 90) / 6) ** -3.0]
    lags = spacing * np.array([2.0, 4.0, 8.0])
    pairs = draw_pairs(GRID, whole(GRID), lags, 20_000, [4])
    means = np.empty(3)
    for i in range(3):
        distance = KM * great_circle(*points(GRID, pairs.first[i]), *points(GRID, pairs.second[i]))
        assert np.abs(distance - lags[i]).max() < 1.45 * spacing  # diagonal of a cell
        assert_allclose(distance.mean(), pairs.distance[i])
        table = np.linspace(0.5 * spacing, 10 * spacing, 2000)
        means[i] = np.interp(distance, table, isotropic_semivariogram(power, table)).mean()
    bias = means / isotropic_semivariogram(power, pairs.distance) - 1
    assert np.abs(bias).max() < 0.02
    assert np.abs(bias[2]) < 0.003


def test_white_noise_is_flat_and_keeps_its_variance():
    field = np.random.default_rng(5).normal(0.0, 2.0, (2, *GRID.shape))
    pairs = draw_pairs(GRID, whole(GRID), np.geomspace(250, 15_000, 9), 30_000, [6])
    found = sampled_semivariogram(field, pairs)
    # 16200 values of noise limit it too: 1.1 % of standard error for all lags together
    assert_allclose(found, 4.0, rtol=0.05)
    assert_allclose(found / found.mean(axis=1, keepdims=True), 1.0, rtol=0.04)


def test_the_loop_over_pairs_gives_the_same():
    field = np.random.default_rng(7).normal(size=(2, *GRID.shape))
    pairs = draw_pairs(GRID, whole(GRID), LAGS, 20, [8])
    slow = np.zeros((2, len(LAGS)))
    for channel in range(2):
        for lag in range(len(LAGS)):
            for a, b in zip(pairs.first[lag], pairs.second[lag], strict=True):
                slow[channel, lag] += (field[channel].flat[a] - field[channel].flat[b]) ** 2 / 40
    assert_allclose(sampled_semivariogram(field, pairs), slow)


@pytest.mark.parametrize("kind", ["regular", "cell-centred", "driscoll-healy", "gauss"])
def test_points_are_uniform_over_the_area(kind):
    grid = make_grid(kind, 46)
    pairs = draw_pairs(grid, whole(grid), np.array([2000.0]), 40_000, [9])
    for index in (pairs.first[0], pairs.second[0]):
        latitude, longitude = points(grid, index)
        sine = np.sin(latitude)
        # standard errors: √(1/3) / 200 = 0.0029 and 0.0015
        assert abs(sine.mean()) < 0.012
        assert abs((sine**2).mean() - 1 / 3) < 0.007
        assert abs(np.exp(1j * longitude).mean()) < 0.02


@pytest.mark.parametrize("west", [100.0, 350.0, -10.0])
def test_pairs_stay_in_their_region_across_the_date_line_and_greenwich(west):
    shared = setting(
        regions={GLOBE: None, "box": Region(south=30, north=60, west=west, east=west + 40)}
    )
    rows, columns = shared.window("box")
    for direction in ("any", "zonal", "meridional"):
        pairs = draw_pairs(
            GRID, (rows, columns), np.array([600.0, 1500.0]), 2000, [1], direction=direction
        )
        for index in (pairs.first, pairs.second):
            row, column = np.divmod(index, GRID.shape[1])
            assert np.isin(row, rows).all()
            assert np.isin(column, columns).all()
        assert_allclose(pairs.distance, [600, 1500], rtol=0.1)
        assert len(np.unique(pairs.first[0])) > 100


def test_a_region_without_room_for_a_lag_has_none():
    regions = {GLOBE: None, "box": Region(south=0, north=10, west=0, east=10)}
    field = np.ones((1, 2, *GRID.shape))
    result = accumulated(field, field, setting(regions=regions, lags=[500, 4000])).result()
    found = result.semivariogram.sel(region="box", direction="any")
    assert_array_equal(np.isnan(found), [[False, True], [False, True]])
    assert_array_equal(result.semivariogram_difference.sel(region="box"), [[0.0, 0.0]])


def test_directions_lie_along_rows_and_columns():
    pairs = draw_pairs(GRID, whole(GRID), LAGS, 500, [2], direction="zonal")
    assert_array_equal(pairs.first // GRID.shape[1], pairs.second // GRID.shape[1])
    assert_allclose(pairs.distance, LAGS, rtol=0.05)
    pairs = draw_pairs(GRID, whole(GRID), LAGS, 500, [2], direction="meridional")
    assert_array_equal(pairs.first % GRID.shape[1], pairs.second % GRID.shape[1])
    assert_allclose(pairs.distance, LAGS, rtol=0.05)
    with pytest.raises(ValueError, match="'any', 'zonal' or 'meridional'; got 'up'"):
        draw_pairs(GRID, whole(GRID), LAGS, 5, [2], direction="up")


def test_bands_along_latitude_vary_across_not_along_them():
    field = np.sin(np.radians(GRID.latitude))[:, None] * np.ones((2, 1, 1, GRID.shape[1]))
    field = np.moveaxis(field, 1, 0)  # one step
    result = accumulated(field, field, setting(lags=[1000], directions=True)).result()
    gamma = result.semivariogram.isel(region=0, channel=0, lag=0)
    assert gamma.sel(direction="zonal") == 0
    assert gamma.sel(direction="meridional") > gamma.sel(direction="any") > 0


def test_draws_depend_on_seed_and_region_alone():
    one = draw_pairs(GRID, whole(GRID), LAGS, 100, [0, 7])
    assert_array_equal(one.first, draw_pairs(GRID, whole(GRID), LAGS, 100, [0, 7]).first)
    assert (one.first != draw_pairs(GRID, whole(GRID), LAGS, 100, [1, 7]).first).any()
    box = Region(south=0, north=60, west=0, east=90)
    field = np.random.default_rng(1).normal(size=(1, 2, *GRID.shape))
    alone = accumulated(field, field, setting(regions={GLOBE: None, "box": box})).result()
    more = {GLOBE: None, "other": Region(south=-60, north=0, west=0, east=90), "box": box}
    beside = accumulated(field, field, setting(regions=more)).result()
    for region in (GLOBE, "box"):
        assert_array_equal(
            alone.semivariogram.sel(region=region), beside.semivariogram.sel(region=region)
        )


def test_exact_one_of_a_result_is_that_of_its_mean_power_and_turning_changes_nothing():
    rng = np.random.default_rng(3)
    modal = np.stack([[random_modal(np.ones(90), rng) for _ in CHANNELS] for _ in range(2)])
    field = synthesis(modal, GRID)
    result = accumulated(field, np.roll(field, 5, axis=-1), setting()).result()
    expected = isotropic_semivariogram(power_per_degree(modal).mean(axis=0), result.exact_lag)
    assert_allclose(result.exact_semivariogram, expected, rtol=1e-9)
    turned = accumulated(np.roll(field, 5, axis=-1), field, setting()).result()
    assert_allclose(turned.exact_semivariogram, result.exact_semivariogram, rtol=1e-9)


def test_the_identical_candidate_is_perfect_and_a_weaker_one_is_not():
    field = np.random.default_rng(4).normal(size=(2, 2, *GRID.shape)).astype(np.float32)
    same = accumulated(field, field.copy(), setting()).result()
    assert_allclose(same.semivariogram_difference, 0.0)
    weak = accumulated(field * np.float32(np.sqrt(0.1)), field, setting()).result()
    assert_allclose(weak.semivariogram_difference, 10.0, rtol=1e-5)


def test_parts_merge_to_the_whole():
    shared = setting(pairs=500)
    field = np.random.default_rng(5).normal(size=(3, 2, *GRID.shape))
    everything = accumulated(0.5 * field, field, shared)
    part = accumulated(0.5 * field[:1], field[:1], shared)
    later = STATISTIC.accumulator(shared)
    later.restore(accumulated(0.5 * field[1:], field[1:], shared, first=1).arrays())
    part.merge(later)
    for name, values in everything.result().data_vars.items():
        assert_allclose(part.result()[name], values, rtol=1e-10, atol=1e-10, err_msg=name)


def test_regional_grids_have_sampled_ones_only():
    grid = Grid(np.linspace(70, 30, 41), np.linspace(-20, 60, 81))
    field = np.random.default_rng(6).normal(size=(1, 2, *grid.shape))
    result = accumulated(field, field, setting(grid, lags=[300, 1000])).result()
    assert "exact_semivariogram" not in result
    assert_allclose(result.semivariogram, 1.0, rtol=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lag": [1]}, "semivariogram has no option 'lag'"),
        ({"lags": [300, 100]}, r"`lags` must be increasing numbers of km; got \[300, 100\]"),
        ({"lags": [0, 100]}, "`lags` must lie between 0 and 20016 km"),
        ({"pairs": 0}, "`pairs` must be a positive integer; got 0"),
        ({"directions": "all"}, "`directions` must be true or false; got 'all'"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        STATISTIC.accumulator(setting(**options))


def test_numbers_say_what_they_are_and_pictures_can_be_drawn(tmp_path):
    import xarray as xr

    box = {GLOBE: None, "box": Region(south=0, north=60, west=0, east=90)}
    field = np.random.default_rng(7).normal(size=(2, 2, *GRID.shape)).astype(np.float32)
    shared = setting(regions=box, directions=True, pairs=200)
    parts = [accumulated(f, field, shared).result() for f in (field, 0.5 * field, 0 * field)]
    for name, values in parts[0].data_vars.items():
        assert {"long_name", "units"} <= set(values.attrs), name
        scalar = set(values.dims) <= {"time", "region", "channel"}
        assert ("better" in values.attrs) == scalar, name
    result = xr.concat(parts, dim=xr.IndexVariable("candidate", [REFERENCE, "half", "none"]))
    with plotting.style():
        pictures = list(STATISTIC.draw(result))
    assert len({picture.name for picture in pictures}) == 4
    pictures[0].figure.savefig(tmp_path / "a.png", dpi=40)
