import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.embedding.probes import (
    day_of_year,
    jet_latitude,
    linear_probe,
    mean_magnitude,
    time_blocks,
    zonal_mean_wind,
)
from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS


def series(num=300, features=5, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((num, features))
    y = x @ rng.standard_normal(features) + 7.0
    return x, y + noise * y.std() * rng.standard_normal(num)


def test_a_linear_target_is_read_exactly():
    x, y = series()
    result = linear_probe(x, y)
    assert result.r2 > 1 - 1e-6
    assert_allclose(result.prediction, y, atol=1e-2)
    assert result.spread < 1e-6


def test_r2_is_the_share_that_is_not_noise():
    x, y = series(num=4000, noise=1.0)
    result = linear_probe(x, y)
    assert result.r2 == pytest.approx(0.5, abs=0.03)
    assert result.r2 == pytest.approx(result.block_r2.mean(), abs=1e-12)  # blocks of equal length
    assert 0 < result.spread < 0.1


def test_features_without_relation_read_nothing():
    rng = np.random.default_rng(0)
    result = linear_probe(rng.standard_normal((400, 50)), rng.standard_normal(400))
    assert -0.1 < result.r2 < 0.05
    assert result.penalties.min() > 1e-2  # what helps is to shrink


def test_a_random_walk_is_not_read_from_another_one():
    """A random split would find R² near 1 here, for it only has to interpolate."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((500, 40)).cumsum(axis=0)
    y = rng.standard_normal(500).cumsum()
    shuffled = rng.permutation(500)
    assert linear_probe(x[shuffled], y[shuffled]).r2 > 0.9
    assert linear_probe(x, y, gap=10).r2 < 0.3


def test_more_features_than_times_need_no_other_care():
    x, y = series(num=60, features=4)
    many = np.concatenate([x, 1e-3 * np.random.default_rng(0).standard_normal((60, 300))], axis=1)
    many[:, -1] = 3.0  # and a feature that does not vary
    assert np.isfinite(linear_probe(many, y).r2)


def test_scales_and_offsets_of_features_and_target_do_not_matter():
    x, y = series(noise=0.5)
    scaled = x * 10.0 ** np.arange(-2, 3) + 100
    assert linear_probe(scaled, 5 * y - 3).r2 == pytest.approx(linear_probe(x, y).r2, abs=1e-9)


def test_constant_features_say_the_mean():
    _, y = series()
    assert linear_probe(np.ones((300, 2)), y).r2 == pytest.approx(0.0, abs=1e-12)


def test_blocks_cover_each_time_once_and_keep_their_distance():
    blocks = time_blocks(23, 4, gap=2)
    assert_array_equal(np.concatenate([test for test, _ in blocks]), np.arange(23))
    for test, train in blocks:
        assert np.abs(train[:, None] - test).min() == 3
        assert (np.diff(test) == 1).all()
        assert len(train) >= 23 - len(test) - 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x, y[:-1]), r"got shapes \(300, 5\) and \(299,\)"),
        (lambda x, y: (x[:, 0], y), r"must be \(time, feature\)"),
        (lambda x, y: (x, np.where(y > 8, np.nan, y)), "must be finite"),
        (lambda x, y: (x, np.ones_like(y)), "the target is constant"),
        (lambda x, y: (x[:8], y[:8]), "8 times are too few for 5 blocks"),
    ],
)
def test_data_that_cannot_be_probed_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        linear_probe(*change(*series()))


@pytest.mark.parametrize("options", [{"num_blocks": 1}, {"gap": -1}, {"penalties": [0.0]}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        linear_probe(*series(), **options)


def test_day_of_year_goes_round_once_a_year():
    times = np.array(["2019-01-01T00", "2019-04-02T07", "2020-12-31T23"], "datetime64[s]")
    sine, cosine = day_of_year(times.astype(np.int64))
    assert_allclose([sine[0], cosine[0]], [0, 1], atol=1e-12)
    assert_allclose([sine[1], cosine[1]], [1, 0], atol=2e-3)  # a quarter of a year
    assert cosine[2] > 0.999
    assert_allclose(sine**2 + cosine**2, 1)


def test_mean_magnitude_is_weighted_with_area():
    grid = make_grid("gauss", 32)
    sine = np.sin(np.radians(grid.latitude))[:, None] * np.ones(64)
    assert mean_magnitude(np.stack([sine, -3 * sine]), grid) == pytest.approx([0.5, 1.5], rel=1e-2)


def jet(grid, centre, speed=40.0, width=8.0):
    """[u] = speed exp(-((φ - centre) / width)²) and its vorticity, by differentiation by hand."""
    phi = np.radians(np.clip(grid.latitude, -89.999999, 89.999999))
    d, w = np.radians(centre), np.radians(width)
    u = speed * np.exp(-(((phi - d) / w) ** 2))
    slope = -2 * (phi - d) / w**2 * u
    zeta = (u * np.tan(phi) - slope) / EARTH_RADIUS
    return u, np.repeat(zeta[:, None], grid.shape[1], axis=1)


@pytest.mark.parametrize("kind", ["regular", "gauss"])
def test_the_wind_follows_from_vorticity(kind):
    grid = make_grid(kind, 181 if kind == "regular" else 180)
    u, zeta = jet(grid, 45.0)
    assert_allclose(zonal_mean_wind(zeta, grid)[:170], u[:170], atol=0.02 * 40)


@pytest.mark.parametrize("centre", [33.3, 50.0, 61.8])
def test_the_jet_is_found_between_rows_in_either_hemisphere(centre):
    grid = make_grid("regular", 91)
    _, north = jet(grid, centre)
    _, south = jet(grid, -centre)
    found = jet_latitude(np.stack([north, north + south]), grid)
    assert_allclose(found, centre, atol=0.2)  # a tenth of a row
    assert_allclose(jet_latitude(south, grid, hemisphere=-1), -centre, atol=0.2)


def test_a_jet_at_the_edge_of_the_band_stays_in_it():
    grid = make_grid("regular", 91)
    _, zeta = jet(grid, 10.0)
    assert jet_latitude(zeta, grid) == pytest.approx(20.0)


def test_regional_grids_have_no_zonal_mean():
    grid = Grid(np.linspace(60, 20, 20), np.linspace(0, 40, 30))
    with pytest.raises(ValueError, match="global grid only"):
        jet_latitude(np.zeros((20, 30)), grid)
