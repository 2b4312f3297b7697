import os
import shutil

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.embedding.embed import embed_archive, pooled, read_embedding
from atmodist.fields.archive import Archive
from atmodist.fields.synthetic import generate_archive
from atmodist.metric.features import StageFeatures
from atmodist.pretext.architecture import ResidualSpec, Stage
from atmodist.pretext.networks import residual_encoder
from tests.pretext.sources import normalization

SPEC = ResidualSpec(
    stem_filters=4,
    stem_kernel=3,
    stem_stride=2,
    stages=(Stage(filters=4, blocks=1), Stage(filters=6, blocks=1, stride=2)),
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("embedding") / "archive.h5"
    generate_archive(path, num_steps=5, num_rows=16, truncation=10)
    with Archive(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def features():
    return StageFeatures(residual_encoder(SPEC, (32, 32, 2)), normalization())


def test_pooled_features_are_area_weighted_means_and_spreads(archive, features, tmp_path):
    path = embed_archive(archive, features, tmp_path / "emb.h5")
    maps = features.field(archive.read(3), archive.grid)
    weights = features.cell_weights("stage2", archive.grid)[..., None]
    mean = (weights * maps["stage2"]).sum((0, 1))
    with h5py.File(path) as file:
        assert file["stage1_mean"].shape == file["stage1_std"].shape == (5, 4)
        assert_allclose(file["stage2_mean"][3], mean, rtol=1e-5, atol=1e-7)
        spread = np.sqrt((weights * (maps["stage2"] - mean) ** 2).sum((0, 1)))
        assert_allclose(file["stage2_std"][3], spread, rtol=1e-4, atol=1e-7)


def test_a_constant_feature_has_no_spread(archive, features):
    grid = archive.grid
    shape = features.cell_weights("stage1", grid).shape
    result = pooled({"stage1": np.full((*shape, 4), 2.5, np.float32)}, features, grid)
    assert_allclose(result["stage1_mean"], 2.5)
    assert_allclose(result["stage1_std"], 0, atol=1e-6)


@pytest.mark.parametrize("where", [slice(None), slice(1), slice(4, 5)])  # of 8 rows, the middle: 4
def test_a_small_spread_about_a_large_mean_is_kept(archive, features, where):
    weights = features.cell_weights("stage1", archive.grid)
    values = np.random.default_rng(0).normal(size=(*weights.shape, 4)).astype(np.float32)
    values[where] += 1e4
    x = values.astype(np.float64)
    mean = np.einsum("ij,ijk", weights, x)
    std = np.sqrt(np.einsum("ij,ijk", weights, (x - mean) ** 2))
    result = pooled({"stage1": values}, features, archive.grid)
    assert_allclose(result["stage1_mean"], mean, rtol=1e-12)
    assert_allclose(result["stage1_std"], std, rtol=1e-12)  # Σ w x² - μ² would lose eight digits


def test_maps_are_those_of_each_field_with_coordinates(archive, features, tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    path = embed_archive(
        archive,
        features,
        tmp_path / "maps.h5",
        stages=["stage2"],
        content="maps",
        steps=range(1, 4),
    )
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        maps = dataset["stage2"]
        assert maps.dims == ("time", "stage2_latitude", "stage2_longitude", "stage2_feature")
        assert "stage1" not in dataset
        for row in range(3):
            expected = features.field(archive.read(row + 1), archive.grid)["stage2"]
            assert_allclose(maps[row], expected, rtol=1e-6)
        assert str(maps["time"].values[0])[:19] == archive.time.isoformat(1)
        grid = archive.grid
        assert_allclose(maps["stage2_latitude"][0], (grid.latitude[0] + grid.latitude[3]) / 2)
        assert_allclose(maps["stage2_longitude"][1], (grid.longitude[4] + grid.longitude[7]) / 2)


def test_reading_joins_the_stages(archive, features, tmp_path):
    path = embed_archive(archive, features, tmp_path / "emb.h5")
    values, seconds, calendar = read_embedding(path)
    assert values.shape == (5, 4 + 4 + 6 + 6)
    assert_allclose(seconds, archive.time.seconds)
    assert calendar == "standard"
    maps = embed_archive(archive, features, tmp_path / "maps.h5", content="maps")
    with pytest.raises(ValueError, match="holds no pooled features"):
        read_embedding(maps)


@pytest.mark.parametrize("content", ["pooled", "maps"])
def test_a_zarr_store_holds_what_an_hdf5_file_does(archive, features, tmp_path, content):
    for name in ("emb.h5", "emb.zarr"):
        embed_archive(archive, features, tmp_path / name, content=content, attributes={"a": "b"})
    with (
        xr.open_dataset(tmp_path / "emb.h5", engine="h5netcdf") as file,
        xr.open_zarr(tmp_path / "emb.zarr") as store,
    ):
        xr.testing.assert_equal(store.load(), file.load())
        assert store["time"].dtype.kind == "M"
        for name in file.variables:
            assert store[name].dims == file[name].dims
            for key in ("units", "stride", "standard_name", "calendar"):
                assert store[name].attrs.get(key) == file[name].attrs.get(key)
        assert store.attrs["a"] == "b"
        assert list(store.attrs["stages"]) == list(file.attrs["stages"]) == ["stage1", "stage2"]
    assert {entry.name for entry in tmp_path.iterdir()} == {"emb.h5", "emb.zarr"}


def test_pooled_features_are_read_from_either(archive, features, tmp_path):
    paths = [embed_archive(archive, features, tmp_path / name) for name in ("a.h5", "a.zarr")]
    (values, seconds, calendar), (others, same, also) = map(read_embedding, paths)
    assert_array_equal(values, others)
    assert_array_equal(seconds, same)
    assert calendar == also


class Watched(Archive):
    """Lists the steps that are read, and fails at one of them."""

    def __init__(self, path, broken=None):
        super().__init__(path)
        self.steps, self.broken = [], broken

    def read(self, step, out=None):
        if step == self.broken:
            raise ValueError("damaged")
        self.steps.append(step)
        return super().read(step, out)


@pytest.mark.parametrize("name", ["emb.h5", "emb.zarr"])
def test_a_run_that_failed_keeps_what_was_there_and_goes_on(archive, features, tmp_path, name):
    path, whole = tmp_path / name, tmp_path / f"whole{name}"
    embed_archive(archive, features, path, steps=range(1))
    with Watched(archive.path, 3) as failing, pytest.raises(ValueError, match="damaged"):
        embed_archive(failing, features, path)
    assert len(read_embedding(path)[0]) == 1  # as before
    with Watched(archive.path) as again:
        embed_archive(again, features, path)
        assert again.steps == [3, 4]
    embed_archive(archive, features, whole)
    for ours, theirs in zip(read_embedding(path), read_embedding(whole), strict=True):
        assert_array_equal(ours, theirs)
    assert {entry.name for entry in tmp_path.iterdir()} == {name, whole.name}


def test_rows_of_another_making_are_discarded(archive, features, tmp_path):
    path = tmp_path / "emb.h5"
    with Watched(archive.path, 3) as failing, pytest.raises(ValueError, match="damaged"):
        embed_archive(failing, features, path, steps=range(1, 5))
    embed_archive(archive, features, path)
    expected = embed_archive(archive, features, tmp_path / "whole.h5")
    assert_array_equal(read_embedding(path)[0], read_embedding(expected)[0])


def test_rows_of_an_archive_that_was_changed_are_discarded(archive, features, tmp_path):
    copy = shutil.copy(archive.path, tmp_path / "copy.h5")
    with Watched(copy, 3) as failing, pytest.raises(ValueError, match="damaged"):
        embed_archive(failing, features, tmp_path / "emb.h5")
    os.utime(copy, (0, 0))
    with Watched(copy) as again:
        embed_archive(again, features, tmp_path / "emb.h5")
        assert again.steps == [0, 1, 2, 3, 4]


def test_a_run_that_fails_at_once_leaves_nothing(archive, features, tmp_path):
    with Watched(archive.path, 0) as failing, pytest.raises(ValueError, match="damaged"):
        embed_archive(failing, features, tmp_path / "emb.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": ["stage9"]}, r"must be some of stage1, stage2; got \['stage9'\]"),
        ({"content": "all"}, "must be 'pooled' or 'maps'"),
        ({"steps": range(3, 9)}, r"must lie in 0..4"),
        ({"steps": range(0)}, r"must lie in 0..4"),
    ],
)
def test_mistakes_are_named(archive, features, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        embed_archive(archive, features, tmp_path / "emb.h5", **options)
    assert not list(tmp_path.iterdir())


def test_other_channels_are_refused(archive, features, tmp_path):
    from atmodist.fields.normalization import Normalization

    ours = features.normalization
    other = Normalization(
        channels=("u", "v"),
        mean=ours.mean,
        std=ours.std,
        log_mean=ours.log_mean,
        log_std=ours.log_std,
    )
    with pytest.raises(ValueError, match=r"archive\.h5 lacks u, v; it has divergence, vorticity"):
        embed_archive(archive, StageFeatures(features.encoder, other), tmp_path / "emb.h5")


def test_channels_come_in_the_order_of_the_encoder(features, tmp_path):
    from atmodist.fields.channels import DIVERGENCE, VORTICITY
    from tests.pairs.archives import hourly, write_archive

    orders = {"dv.h5": (DIVERGENCE, VORTICITY), "vd.h5": (VORTICITY, DIVERGENCE)}
    for name, channels in orders.items():
        write_archive(tmp_path / name, seconds=hourly(2), channels=channels)
    with h5py.File(tmp_path / "dv.h5") as file, h5py.File(tmp_path / "vd.h5", "a") as swapped:
        swapped["data"][...] = file["data"][...][::-1]
    found = []
    for name in orders:
        with Archive(tmp_path / name) as archive:
            output = embed_archive(archive, features, tmp_path / f"emb-{name}")
            found.append(read_embedding(output)[0])
    assert_array_equal(*found)


def test_a_field_that_is_not_complete_leaves_nothing_to_go_on_with(archive, features, tmp_path):
    copy = shutil.copy(archive.path, tmp_path / "copy.h5")
    with h5py.File(copy, "a") as file:
        file["data"][1, 3, 2, 2] = np.nan
    with (
        Archive(copy) as broken,
        pytest.raises(ValueError, match=r"copy\.h5: 1 of 512 .* vorticity at 1970-01-01T09"),
    ):
        embed_archive(broken, features, tmp_path / "emb.h5")
    assert [entry.name for entry in tmp_path.iterdir()] == ["copy.h5"]
