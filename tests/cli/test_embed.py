import shutil
import sys
from types import SimpleNamespace

import h5py
import pytest
import xarray as xr

from atmodist.cli.embed import main
from atmodist.fields.synthetic import generate_archive
from atmodist.files.outputs import read_json, write_json
from atmodist.inspection import inspect_path
from tests.pretext.sources import MICRO, normalization


@pytest.fixture
def folder(tmp_path):
    from atmodist.pretext.networks import residual_encoder
    from atmodist.training.saving import save_network

    generate_archive(tmp_path / "archive.h5", num_steps=4, num_rows=16, truncation=10)
    (tmp_path / "run").mkdir()
    save_network(residual_encoder(MICRO.spec, (32, 32, 2)), tmp_path / "run" / "encoder.keras")
    normalization().save(tmp_path / "run" / "normalization.json")
    write_json(tmp_path / "run/manifest.json", {"normalization": normalization().identity})
    return tmp_path


def command(folder, *arguments):
    fixed = [str(folder / "archive.h5"), "--metric", str(folder / "run")]
    return main([*fixed, "--output", str(folder / "emb.h5"), *arguments])


def test_features_and_a_manifest_are_written(folder, capsys):
    assert command(folder) == 0
    out = capsys.readouterr().out
    assert out.startswith("4 fields, pooled features")
    assert "Next: " in out
    with h5py.File(folder / "emb.h5") as file:
        assert file["stage1_mean"].shape == (4, 4)
        assert file.attrs["normalization"] == normalization().identity
    assert (folder / "emb.h5.manifest.json").is_file()


def test_a_zarr_store_is_written_where_the_name_says_so(folder, capsys):
    output = str(folder / "emb.zarr")
    assert command(folder, "--output", output) == 0
    assert f"Next: xarray.open_zarr('{output}')" in capsys.readouterr().out
    with xr.open_zarr(output) as dataset:
        assert dataset["stage1_mean"].shape == (4, 4)
    assert (folder / "emb.zarr.manifest.json").is_file()


@pytest.mark.parametrize("name", ["emb.h5", "emb.zarr"])
def test_inspect_says_what_an_embedding_holds(folder, name, capsys):
    assert command(folder, "--output", str(folder / name)) == 0
    capsys.readouterr()
    lines = inspect_path(folder / name).splitlines()
    assert lines[:2] == [f"embedding {folder / name}", "stages    stage1"]
    assert "variable  stage1_mean (4, 4)" in lines
    assert lines[-1].startswith("time      4 steps, ")


def test_a_folder_of_somebody_else_is_not_replaced(folder, capsys):
    (folder / "era5.zarr").mkdir()
    (folder / "era5.zarr" / "chunk").write_bytes(b"precious")
    assert command(folder, "--output", str(folder / "era5.zarr")) == 2
    assert "atmodist embed did not make, and will not be replaced" in capsys.readouterr().err
    assert (folder / "era5.zarr" / "chunk").is_file()


def test_only_what_it_made_is_replaced(folder, capsys):
    assert command(folder) == 0
    assert command(folder, "--content", "maps") == 0
    with h5py.File(folder / "emb.h5") as file:
        assert "stage1" in file
    others = {"text.h5": b"a text", "empty.h5": b""}
    others["fields.h5"] = (folder / "archive.h5").read_bytes()
    for name, content in others.items():
        (folder / name).write_bytes(content)
        capsys.readouterr()
        assert command(folder, "--output", str(folder / name)) == 2
        (error,) = capsys.readouterr().err.splitlines()
        assert f"{name} is a file that atmodist embed did not make" in error
        assert (folder / name).read_bytes() == content


def test_a_normalisation_of_another_run_is_refused(folder, capsys):
    normalization(std=(6e-5, 6e-5)).save(folder / "run" / "normalization.json")
    assert command(folder) == 2
    assert "the encoder was trained with normalization" in capsys.readouterr().err
    assert not (folder / "emb.h5").exists()


def test_an_encoder_of_the_hub_is_fetched(folder, monkeypatch):
    def snapshot_download(repository, *, local_dir, **_options):
        assert repository == "someone/ruler"
        shutil.copytree(folder / "run", local_dir, dirs_exist_ok=True)

    stand_in = SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", stand_in)
    assert command(folder, "--metric", "hf://someone/ruler") == 0
    manifest = read_json(folder / "emb.h5.manifest.json")
    assert manifest["weights"].startswith("sha256:")
    assert manifest["config"]["metric"] == "hf://someone/ruler"


def test_without_zarr_the_extra_is_named_before_anything_is_computed(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    assert command(folder, "--output", str(folder / "emb.zarr")) == 2
    assert "pip install 'atmodist[zarr]'" in capsys.readouterr().err
    assert not (folder / ".emb.zarr.parts").exists()


def test_a_period_and_maps_can_be_chosen(folder):
    chosen = ("--start", "1970-01-01T03", "--end", "1970-01-01T06", "--content", "maps")
    assert command(folder, *chosen) == 0
    with h5py.File(folder / "emb.h5") as file:
        assert file["stage1"].shape == (2, 4, 8, 4)
        assert file["time"][...].tolist() == [10_800, 21_600]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stages", "[stage7]"], "must be some of stage1; got ['stage7']"),
        (["--metric", "/nowhere"], "/nowhere holds no encoder.keras"),
        (["--start", "2050-01-01"], "no step between 2050-01-01 and the end"),
        (["--content", "everything"], "content"),
    ],
)
def test_mistakes_end_with_one_line_and_status_2(folder, arguments, message, capsys):
    try:
        status = command(folder, *arguments)
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2
    assert message in error
    assert not (folder / "emb.h5").exists()


def test_the_archive_is_never_the_output(folder, capsys):
    archive = str(folder / "archive.h5")
    with pytest.raises(SystemExit) as stop:
        raise SystemExit(main([archive, "--metric", str(folder / "run"), "--output", archive]))
    assert stop.value.code == 2
    assert "output would replace the archive" in capsys.readouterr().err
    assert h5py.is_hdf5(archive)
