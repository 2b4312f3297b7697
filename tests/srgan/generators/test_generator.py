import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import Grid, make_grid
from srgan.generators.generator import Generator, floats_per_cell
from srgan.restoration.degradation import coarse_grid
from srgan.restoration.geometry import Refinement
from tests.metric.encoders import made_fields, made_normalization
from tests.srgan.generators.examples import made_facts, made_generator, made_network

GLOBAL = make_grid("cell-centred", 24, 48)
REGIONAL = Grid(np.linspace(60, 37, 24), np.linspace(5, 40, 36))
SCALE = 3e-5  # s⁻¹, of the fields; rounding is relative to it


@pytest.fixture(scope="module")
def plain():
    return made_generator()


def low_field(grid, seed=0):
    return made_fields(grid, seed=seed)[0]


def assert_same(a, b):
    assert_allclose(a, b, rtol=1e-5, atol=1e-5 * SCALE)


def test_fields_become_finer_and_keep_units(plain):
    high = plain(low_field(GLOBAL), grid=GLOBAL)
    assert high.shape == (2, 48, 96)
    assert high.dtype == np.float32
    assert 1e-6 < np.abs(high).max() < 1e-2


@pytest.mark.parametrize("columns", [1, 7, 24])
def test_a_rotated_field_gives_the_rotated_output(plain, columns):
    low = low_field(GLOBAL)
    rolled = plain(np.roll(low, columns, axis=-1), grid=GLOBAL)
    assert_same(rolled, np.roll(plain(low, grid=GLOBAL), 2 * columns, axis=-1))


@pytest.mark.parametrize("kind", ["cell-centred", "gauss"])
def test_both_poles_are_treated_alike(plain, kind):
    # The field upside down and mirrored, through the network with kernels turned in the same way.
    grid = make_grid(kind, 24, 48)
    mirrored = made_generator()
    for ours, theirs in zip(mirrored.network.layers, plain.network.layers, strict=True):
        for a, b in zip(ours.weights, theirs.weights, strict=True):
            value = b.numpy()
            a.assign(value[::-1, ::-1] if value.ndim == 4 else value)
    sub = mirrored.network.get_layer("upsampling1_conv")
    order = np.arange(16).reshape(2, 2, 4)[::-1, ::-1].reshape(-1)  # points of a block mirrored too
    sub.kernel.assign(sub.kernel.numpy()[..., order])
    sub.bias.assign(sub.bias.numpy()[order])
    low = low_field(grid)
    assert_same(mirrored(low[:, ::-1, ::-1], grid=grid)[:, ::-1, ::-1], plain(low, grid=grid))


def test_values_next_to_a_pole_see_the_other_side(plain):
    low = low_field(GLOBAL)
    changed = low.copy()
    changed[:, 0, 24] += SCALE  # opposite of column 0
    moved = np.abs(plain(changed, grid=GLOBAL) - plain(low, grid=GLOBAL)).max(axis=0)
    assert moved[0, 0] > 1e-3 * SCALE
    assert moved[-1].max() == 0


@pytest.mark.parametrize("grid", [GLOBAL, REGIONAL], ids=["global", "regional"])
@pytest.mark.parametrize("tile", [(5, 9), (24, 11), (7, 100), (1, 17)])
def test_tiles_do_not_show(grid, tile):
    kinds = {"noise_channels": 2, "projection": True, "num_static": 2}
    static = np.random.default_rng(5).normal(size=(2 * grid.shape[0], 2 * grid.shape[1], 2))
    whole = made_generator(**kinds, static=static)
    tiled = made_generator(**kinds, static=static, tile=tile)
    low = low_field(grid)
    refinement = tiled.refinement(grid)
    assert len({tiled.tiling(refinement)[1]}) == 1
    assert_same(tiled(low, grid=grid, seed=3), whole(low, grid=grid, seed=3))


def test_regional_edges_are_those_of_training(plain):
    low = low_field(REGIONAL)
    normalized = plain.normalization(np.moveaxis(low, 0, -1))[None]
    patch = np.asarray(plain.network({"low": normalized}))[0]
    expected = np.moveaxis(plain.normalization.inverse(patch), -1, 0)
    assert_same(plain(low, grid=REGIONAL), expected)


def test_memory_decides_on_tiles():
    large = made_generator(tile_bytes=1e12)
    small = made_generator(tile_bytes=4e5)
    refinement = large.refinement(GLOBAL)
    assert large.tiling(refinement)[0] == GLOBAL.shape
    shape, window = small.tiling(refinement)
    assert np.prod(window) * small._cell_bytes <= 4e5
    assert np.prod(shape) < np.prod(GLOBAL.shape)


def test_the_largest_tensor_is_known():
    generator = made_generator((2, 2))
    assert floats_per_cell(generator.network, generator.facts) == 16 * 4


@pytest.mark.parametrize("degradation", ["physical", "normalized"])
@pytest.mark.parametrize(("num", "kind"), [(49, "regular"), (48, "driscoll-healy")])
def test_a_projection_keeps_block_means_on_whole_fields(num, kind, degradation):
    # 49 rows make 25 blocks, of which the last one has a single row
    high_grid = make_grid(kind, num, 96)
    low_grid = coarse_grid(high_grid, 2)
    for tile in (None, (10, 20)):
        generator = made_generator(projection=True, tile=tile, degradation=degradation)
        low = generator.degraded(made_fields(high_grid)[0], high_grid)
        high = generator(low, grid=low_grid, high_grid=high_grid)
        assert high.shape == (2, num, 96)
        means = generator.degraded(high, high_grid)
        assert_allclose(means, low, rtol=1e-4, atol=1e-4 * SCALE)


@pytest.mark.parametrize("degradation", ["physical", "normalized"])
def test_a_projection_keeps_means_of_partial_blocks_at_the_edges_of_a_region(degradation):
    high_grid = Grid(np.linspace(60, 38, 23), np.linspace(5, 41, 37))
    generator = made_generator(projection=True, degradation=degradation)
    low = generator.degraded(made_fields(high_grid)[0], high_grid)
    high = generator(low, grid=coarse_grid(high_grid, 2), high_grid=high_grid)
    assert high.shape == (2, 23, 37)
    means = generator.degraded(high, high_grid)
    assert_allclose(means, low, rtol=1e-4, atol=1e-4 * SCALE)


def test_noise_depends_on_seed_member_and_step_alone():
    generator = made_generator(noise_channels=1)
    low = low_field(GLOBAL)
    series = generator(np.stack([low, low]), grid=GLOBAL, seed=1)
    again = generator(np.stack([low, low]), grid=GLOBAL, seed=1)
    assert_array_equal(series, again)
    other = [
        series[0],
        series[1],
        generator(low, grid=GLOBAL, seed=2),
        generator(low, grid=GLOBAL, seed=1, member=1),
    ]
    assert_same(generator(low, grid=GLOBAL, seed=1), series[0])
    for i in range(4):
        for j in range(i):
            assert np.abs(other[i] - other[j]).max() > 1e-2 * SCALE


def test_latitude_need_not_be_given():
    network = made_network(num_static=1)
    facts = made_facts(network, static=("latitude",))
    low = low_field(GLOBAL)
    known = Generator(network, made_normalization(), facts)
    facts = made_facts(network, static=("sine",))
    high_grid = known.refinement(GLOBAL).high
    sine = np.sin(np.radians(high_grid.latitude))[:, None, None] * np.ones((1, 96, 1))
    given = Generator(network, made_normalization(), facts, static=sine)
    assert_same(known(low, grid=GLOBAL), given(low, grid=GLOBAL))


def test_shared_grids_are_cropped_to_the_last_shared_row():
    generator = made_generator((2,), alignment="shared")
    grid = make_grid("regular", 25, 48)
    high = generator(low_field(grid), grid=grid)
    assert high.shape == (2, 49, 96)
    fine = make_grid("cell-centred", 48, 96)
    with pytest.raises(ValueError, match="lies to the high one centred"):
        generator(low_field(GLOBAL), grid=coarse_grid(fine, 2), high_grid=fine)


def test_an_unusual_spacing_is_a_warning():
    generator = made_generator(spacing_degrees=(0.25, 0.25))
    with pytest.warns(UserWarning, match=r"spacing of 7\.5 x 7\.5 degrees.*0\.5 x 0\.5"):
        generator(low_field(GLOBAL), grid=GLOBAL)


def test_a_pickled_generator_does_the_same(plain):
    low = low_field(GLOBAL)
    found = pickle.loads(pickle.dumps(plain))  # noqa: S301  our own
    assert_array_equal(found(low, grid=GLOBAL), plain(low, grid=GLOBAL))


def test_mistakes_are_told(plain):
    low = low_field(GLOBAL)
    missing = np.where(low > SCALE, np.nan, low)
    for field, options, text in (
        (low, {}, "need the `grid`"),
        (low[:1], {"grid": GLOBAL}, r"must be \(2, 24, 48\)"),
        (low[0], {"grid": GLOBAL}, "must be"),
        (missing, {"grid": GLOBAL}, r"values of divergence at this time are missing \(NaN\)"),
    ):
        with pytest.raises(ValueError, match=text):
            plain(field, **options)
    with pytest.raises(ValueError, match=r"needs the static fields orography"):
        made_generator(num_static=1)
    with pytest.raises(ValueError, match=r"static fields are on 3 x 4 points"):
        made_generator(num_static=1, static=np.ones((3, 4, 1)))(low, grid=GLOBAL)
    with pytest.raises(ValueError, match=r"takes \['low', 'noise'\]; .* takes \['low'\]"):
        type(plain)(made_network(noise_channels=1), plain.normalization, plain.facts)
    assert Refinement.of(GLOBAL, 2).high.shape == (48, 96)
