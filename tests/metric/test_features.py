import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.grid import Grid, make_grid
from atmodist.metric.features import StageFeatures
from tests.metric.encoders import made_encoder, made_fields, made_normalization


@pytest.fixture(scope="module")
def encoder():
    return made_encoder()


@pytest.fixture(scope="module")
def features(encoder):
    return StageFeatures(encoder, made_normalization())


def close(found, expected):
    """Equal to the rounding of sums of a few hundred float32 products."""
    assert found.keys() == expected.keys()
    for stage in expected:
        scale = np.abs(expected[stage]).max()
        assert_allclose(found[stage], expected[stage], rtol=0, atol=2e-5 * scale)


def mirrored(field, grid, margin):
    """A field (channel, latitude, longitude) continued over both poles, written out by hand."""
    other_side = np.roll(field, grid.shape[1] // 2, axis=2)
    north = int(grid.latitude[0] == 90)
    south = int(grid.latitude[-1] == -90)
    above = other_side[:, north : north + margin][:, ::-1]
    below = other_side[:, ::-1][:, south : south + margin]
    return np.concatenate([above, field, below], axis=1)


def test_names_strides_and_extents(features):
    assert features.names == ("stage1", "stage2")
    assert [features.stride(stage) for stage in features.names] == [2, 4]
    with pytest.raises(ValueError, match="no stage 'stage9'; there are stage1, stage2"):
        features.stride("stage9")


def test_patches_are_encoded_as_in_training(features, encoder):
    rng = np.random.default_rng(0)
    patches = rng.normal(0, 3e-5, (3, 64, 64, 2)).astype(np.float32)
    expected = encoder.predict_on_batch(made_normalization()(patches))
    close(features.patches(patches), expected)
    assert list(features.patches(patches, ["stage1"])) == ["stage1"]


def test_a_regional_field_of_the_size_of_a_patch_is_a_patch(features):
    grid = Grid(np.linspace(60, 44.25, 64), np.linspace(0, 15.75, 64))
    (field,) = made_fields(grid)
    expected = features.patches(np.moveaxis(field, 0, -1)[None])
    close(features.field(field, grid), {s: v[0] for s, v in expected.items()})


def test_channels_may_come_first_or_last(features):
    grid = make_grid("cell-centred", 16)
    (field,) = made_fields(grid)
    close(features.field(np.moveaxis(field, 0, -1), grid), features.field(field, grid))


@pytest.mark.parametrize("kind", ["regular", "cell-centred", "driscoll-healy", "gauss"])
@pytest.mark.parametrize("columns", [64, 70, 2])  # a multiple of the stride, none, hardly a circle
def test_a_global_field_is_padded_by_the_receptive_field_on_all_sides(features, kind, columns):
    num_rows = 33 if kind == "regular" else 32
    grid = make_grid(kind, num_rows, columns)
    (field,) = made_fields(grid)
    margin = 16  # beyond the receptive field, so that the zeros behind it are not seen
    padded = mirrored(field, grid, margin)
    width = -(-columns // 4) * 4
    padded = np.take(padded, np.arange(-margin, width + margin) % columns, axis=2)
    padded = np.concatenate([padded, np.zeros_like(padded[:, : -padded.shape[1] % 4])], axis=1)
    expected = {}
    for stage, values in features.patches(np.moveaxis(padded, 0, -1)[None]).items():
        stride = features.stride(stage)
        rows, cells = -(-num_rows // stride), -(-columns // stride)
        cut = margin // stride
        expected[stage] = values[0, cut : cut + rows, cut : cut + cells]
    found = features.field(field, grid)
    # The lowest row of a grid with an odd number of rows sees past the 16 rows written out above.
    seen = {s: slice(0, -(num_rows % 2) or None) for s in found}
    close({s: v[seen[s]] for s, v in found.items()}, {s: v[seen[s]] for s, v in expected.items()})


@pytest.mark.parametrize("shift", [4, 20, 32])
def test_rolling_by_the_stride_rolls_features(features, shift):
    grid = make_grid("regular", 17, 64)
    (field,) = made_fields(grid)
    expected = features.field(field, grid)
    found = features.field(np.roll(field, shift, axis=-1), grid)
    close(found, {s: np.roll(v, shift // features.stride(s), axis=1) for s, v in expected.items()})


def test_a_field_constant_along_circles_has_features_that_are_too(features):
    grid = make_grid("regular", 17, 64)
    (field,) = made_fields(grid)
    zonal = np.repeat(field[..., :1], 64, axis=-1)
    found = features.field(zonal, grid)
    close(found, {s: np.repeat(v[:, :1], v.shape[1], axis=1) for s, v in found.items()})


def test_a_constant_field_has_constant_features_up_to_the_poles(encoder):
    grid = make_grid("cell-centred", 32, 64)
    features = StageFeatures(encoder, made_normalization(), polar_margin=32)
    field = np.full((2, *grid.shape), 2e-5, np.float32)
    found = features.field(field, grid)
    close(found, {s: np.broadcast_to(v[:1, :1], v.shape) for s, v in found.items()})


def test_a_wind_across_the_pole_goes_on_beyond_it(encoder):
    """A uniform wind across a pole, in components along circles of latitude and meridians."""
    grid = make_grid("cell-centred", 32, 64)
    normalization = made_normalization(("eastward_wind", "northward_wind"))
    features = StageFeatures(encoder, normalization, polar_margin=32)
    longitude = np.radians(grid.longitude)
    wind = 3e-5 * np.stack([-np.sin(longitude), np.cos(longitude)]).astype(np.float32)
    field = np.repeat(wind[:, None], 32, axis=1)
    found = features.field(field, grid)
    close(found, {s: np.broadcast_to(v[:1], v.shape) for s, v in found.items()})


@pytest.mark.parametrize("columns", [64, 66])
@pytest.mark.parametrize("regional", [False, True])
def test_bands_of_latitude_give_what_the_whole_gives(encoder, features, columns, regional):
    grid = make_grid("regular", 65, columns)
    if regional:
        grid = Grid(grid.latitude[3:60], grid.longitude[:50])
    (field,) = made_fields(grid)
    banded = StageFeatures(encoder, made_normalization(), band_bytes=1)
    close(banded.field(field, grid), features.field(field, grid))


def test_poles_are_padded_to_the_end_of_a_stride_and_not_by_a_stride_more():
    shapes = []

    class Watched(StageFeatures):
        def _run(self, network, x):
            shapes.append(x.shape[1:3])
            return super()._run(network, x)

    features = Watched(made_encoder("resnet-small", 160), made_normalization())
    grid = make_grid("regular", 91, 64)
    features.field(*made_fields(grid), grid)
    assert shapes == [(160, 128)]  # 32 + 91 + 37: the receptive field asks for more than 160 // 4
    shapes.clear()
    grid = make_grid("cell-centred", 80, 64)
    features.field(*made_fields(grid), grid)
    assert shapes == [(128, 128)]  # 32 + 80 + 16


def test_cell_weights_are_the_areas_of_the_points(features):
    for grid in (make_grid("regular", 33, 66), Grid([50.0, 49, 48, 47, 46], np.arange(6.0))):
        for stage in features.names:
            weights = features.cell_weights(stage, grid)
            assert_allclose(weights.sum(), 1, rtol=1e-12)
            stride = features.stride(stage)
            points = np.broadcast_to(grid.area_weights, grid.shape)
            assert_allclose(weights[0, 0], points[:stride, :stride].sum(), rtol=1e-12)
            assert_allclose(weights[-1, -1], points[-1, -1:].sum() * _left(grid, stride))


def _left(grid, stride):
    columns = grid.shape[1] % stride or stride
    assert grid.shape[0] % stride == 1  # one row is left
    return columns


def test_points_have_the_value_of_their_feature(features):
    grid = make_grid("regular", 5, 6)
    cells = np.arange(4).reshape(2, 2)
    expected = np.repeat(np.repeat(cells, 4, axis=0), 4, axis=1)[:5, :6]
    assert_array_equal(features.on_grid("stage2", cells, grid), expected)


def test_what_is_no_field_is_refused(features):
    grid = make_grid("regular", 17, 32)
    with pytest.raises(ValueError, match=r"a field must be \(2, 17, 32\).*got shape \(3, 17, 32\)"):
        features.field(np.zeros((3, 17, 32)), grid)
    field = np.zeros((2, 17, 32))
    field[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="1 of 544 values of vorticity are missing"):
        features.field(field, grid)
    with pytest.raises(ValueError, match=r"patches must be .*2\); got shape \(64, 64, 2\)"):
        features.patches(np.zeros((64, 64, 2)))
    with pytest.raises(ValueError, match="patches of 62 x 64 points are no multiple"):
        features.patches(np.zeros((1, 62, 64, 2)))
    with pytest.raises(ValueError, match="takes 2 channels; the normalisation has 1"):
        StageFeatures(made_encoder(), made_normalization(("vorticity",)))


def test_features_survive_pickling(features):
    grid = make_grid("cell-centred", 16)
    (field,) = made_fields(grid)
    close(pickle.loads(pickle.dumps(features)).field(field, grid), features.field(field, grid))  # noqa: S301
