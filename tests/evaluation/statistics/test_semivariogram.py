import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation.contract.statistic import Sample
from evaluation.drawing import plotting
from evaluation.numerics.setting import GLOBE, REFERENCE, Region, Setting
from evaluation.numerics.spherical import power_per_degree, random_modal, synthesis
from evaluation.scores.semivariogram import draw_pairs, isotropic_semivariogram
from evaluation.statistics.semivariogram import STATISTIC

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


def test_semivariograms_are_the_candidates():
    field = np.random.default_rng(6).normal(size=(2, 2, *GRID.shape))
    shared = setting(pairs=500)
    own, half = (accumulated(k * field, field, shared).result() for k in (1.0, 0.5))
    assert_allclose(half.semivariogram, own.semivariogram / 4, rtol=1e-9)
    assert_allclose(half.exact_semivariogram, own.exact_semivariogram / 4, rtol=1e-9)
