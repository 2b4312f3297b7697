"""Zarr stores are read as NetCDF is, and nothing in them is trusted."""

import json
import pickle
import shutil
import sys
import warnings
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.archive import Archive
from atmodist.fields.cf.levels import Level
from atmodist.fields.zarr_store import is_zarr, store_fingerprint
from atmodist.files.errors import BrokenFileError, UnsupportedFileError
from atmodist.ingestion.pipeline import IngestConfig, ingest
from atmodist.ingestion.recognition import Selection
from atmodist.ingestion.sources import FieldReader, find_files, scan_file
from tests.ingestion.made_files import GRID, dataset, rotation, seconds, write_netcdf, write_zarr

EAST = "eastward_wind"
CHUNKS = {name: {"chunks": (2, 10, 36)} for name in ("u", "v")}


def scan(path, **selection):
    return scan_file(str(path), Selection(**selection))


def run(*sources, output, **options):
    return ingest(IngestConfig(sources=tuple(map(str, sources)), output=str(output), **options))


def assert_holds_rotation(path, steps=(0, 1, 2), **selection):
    contents, reader = scan(path, **selection), FieldReader()
    for index, variable in enumerate((EAST, "northward_wind")):
        (series,) = [s for s in contents.series if s.variable == variable]
        assert series.grid.matches(GRID)
        assert_array_equal(series.seconds, [seconds(step) for step in steps])
        for i, step in enumerate(steps):
            field = reader.read(contents.path, series.name, tuple(series.places[i]))
            assert_allclose(field, rotation(step)[index], rtol=0, atol=1e-12)
    reader.close()
    return contents


def edit(path, change):
    """Changes a JSON file of a store."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# --- as NetCDF ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip", "without_suffix"])
@pytest.mark.parametrize("version", [2, 3])
def test_stores_of_both_versions_hold_the_fields(tmp_path, name, version):
    path = write_zarr(tmp_path / name, dataset(range(3)), version=version, encoding=CHUNKS)
    assert_holds_rotation(path)


def test_shards_are_read(tmp_path):
    encoding = {name: {"chunks": (1, 19, 36), "shards": (2, 19, 36)} for name in ("u", "v")}
    path = write_zarr(tmp_path / "a.zarr", dataset(range(3)), version=3, encoding=encoding)
    assert_holds_rotation(path)


@pytest.mark.parametrize("version", [2, 3])
def test_a_store_and_a_netcdf_file_make_the_same_archive(tmp_path, version):
    content = dataset(range(3))
    write_zarr(tmp_path / "a.zarr", content, version=version, encoding=CHUNKS)
    write_netcdf(tmp_path / "a.nc", content)
    for name in ("a.zarr", "a.nc"):
        run(tmp_path / name, output=tmp_path / f"{name}.h5")
    with Archive(tmp_path / "a.zarr.h5") as ours, Archive(tmp_path / "a.nc.h5") as theirs:
        for step in range(3):
            assert_array_equal(ours.read(step), theirs.read(step))


def test_vorticity_of_one_level_makes_one_channel(tmp_path):
    content = dataset(range(2), names=("vo", "t"), units="s**-1")
    for variable in content.data_vars.values():
        variable.values *= 1e-6
    many = xr.concat(
        [0 * content, content], xr.Variable("pressure_level", [500, 850], {"units": "hPa"})
    )
    path = write_zarr(tmp_path / "a.zarr", many)
    assert {s.level for s in scan(path).series} == {Level(500, "hPa"), Level(850, "hPa")}
    with pytest.raises(ValueError, match=r"several levels.*--level 850"):
        run(path, output=tmp_path / "out.h5")
    run(path, output=tmp_path / "out.h5", level=850)
    with Archive(tmp_path / "out.h5") as archive:
        assert [channel.name for channel in archive.channels] == ["vorticity"]
        assert_allclose(archive.read(1)[0], 1e-6 * rotation(1)[0], rtol=1e-6)


def test_packed_integers_are_undone(tmp_path):
    packing = {"dtype": "int16", "scale_factor": 1e-3, "add_offset": 1.5, "_FillValue": -32767}
    path = write_zarr(
        tmp_path / "a.zarr", dataset([0]), encoding=dict.fromkeys(("u", "v"), packing)
    )
    contents = scan(path)
    (series,) = [s for s in contents.series if s.variable == EAST]
    field = FieldReader().read(path, series.name, tuple(series.places[0]))
    assert_allclose(field, rotation(0)[0], rtol=0, atol=1e-3)


def test_workers_read_stores(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", dataset(range(4)), encoding=CHUNKS)
    for workers in (1, 2):
        run(path, output=tmp_path / f"{workers}.h5", workers=workers)
    with Archive(tmp_path / "1.h5") as one, Archive(tmp_path / "2.h5") as two:
        assert_array_equal(one.read(3), two.read(3))


def test_stores_are_found_among_files_by_pattern_and_folder(tmp_path):
    store = write_zarr(tmp_path / "a.zarr", dataset([0]))
    file = write_netcdf(tmp_path / "b.nc", dataset([1]))
    assert find_files([str(tmp_path)]) == [store, file]
    assert find_files([str(tmp_path / "*.z*")]) == [store]
    assert find_files([store]) == [store]


def test_an_archive_is_made_again_if_a_chunk_changed_and_only_then(tmp_path):
    path = Path(write_zarr(tmp_path / "a.zarr", dataset([0, 1])))
    output = tmp_path / "out.h5"
    run(path, output=output)
    assert run(path, output=output).existed
    manifest = json.loads((tmp_path / "out.h5.manifest.json").read_text())
    assert manifest["inputs"] == {str(path): store_fingerprint(path)}
    before = store_fingerprint(path)
    shutil.copy(path / "v" / "0.0.0", path / "u" / "0.0.0")
    assert store_fingerprint(path) != before
    with pytest.raises(ValueError, match="exists already, and was not made from these sources"):
        run(path, output=output)


# --- what cannot be read --------------------------------------------------------------------------


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


TRAPS = {  # metadata under which a chunk would be unpickled
    "filter": {"filters": [{"id": "pickle", "protocol": 5}], "compressor": None},
    "compressor": {"compressor": {"id": "pickle", "protocol": 5}},
    "objects": {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 5}], "fill_value": None},
    # zarr takes this one for text; older numcodecs would run the code
    "text": {
        "dtype": "|O",
        "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}],
        "compressor": None,
        "fill_value": "",
    },
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("variable", ["u", "latitude"])
def test_a_store_that_would_run_code_is_refused_before_it_can(tmp_path, variable, trap):
    path, mark = Path(write_zarr(tmp_path / "a.zarr", dataset([0]))), tmp_path / "mark"
    edit(path / variable / ".zarray", lambda content: content.update(TRAPS[trap]))
    for chunk in (path / variable).glob("[0-9]*"):
        chunk.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(UnsupportedFileError, match=r"a\.zarr.*pickle"):
        scan(path)
    assert not mark.exists()


def test_texts_are_harmless(tmp_path):
    content = dataset([0, 1]).assign_coords(expver=("valid_time", ["0001", "0005"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such text has no specification in version 3
        path = write_zarr(tmp_path / "3.zarr", content, version=3)
    assert_holds_rotation(path, (0, 1))
    assert_holds_rotation(write_zarr(tmp_path / "2.zarr", content), (0, 1))
    objects = content.assign_coords(expver=("valid_time", np.array(["1", "15"], object)))
    assert_holds_rotation(write_zarr(tmp_path / "o.zarr", objects), (0, 1))


def test_codecs_within_shards_are_looked_at(tmp_path, monkeypatch):
    encoding = {name: {"chunks": (1, 19, 36), "shards": (2, 19, 36)} for name in ("u", "v")}
    path = write_zarr(tmp_path / "a.zarr", dataset([0, 1]), version=3, encoding=encoding)
    harmless = frozenset({"bytes", "sharding_indexed", "crc32c"})
    monkeypatch.setattr("atmodist.fields.zarr_store.HARMLESS_CODECS", harmless)
    with pytest.raises(UnsupportedFileError, match="stored with the codec 'zstd'"):
        scan(path)


def test_every_harmless_codec_of_the_list_is_no_pickle():
    from atmodist.fields.zarr_store import HARMLESS_CODECS

    objects = {"pickle", "json2", "categorize", "vlen-array"}
    assert objects <= set(numcodecs.registry.codec_registry)  # as the codecs are really called
    assert HARMLESS_CODECS.isdisjoint({*objects, "msgpack2"})  # the last one is of an extra


def test_missing_chunks_that_are_filled_by_nan_are_missing_values(tmp_path):
    encoding = {name: {"chunks": (1, 10, 36), "_FillValue": np.nan} for name in ("u", "v")}
    path = Path(write_zarr(tmp_path / "a.zarr", dataset(range(3)), encoding=encoding))
    (path / "u" / "1.1.0").unlink()
    with pytest.raises(ValueError, match=r"324 of 684 values of u are missing at 2020-01-01T06"):
        run(path, output=tmp_path / "out.h5")
    run(path, output=tmp_path / "out.h5", skip_broken=True)
    with Archive(tmp_path / "out.h5") as archive:
        assert [archive.time.isoformat(i)[11:13] for i in range(2)] == ["00", "12"]


@pytest.mark.parametrize("shards", [None, (2, 19, 36)])
def test_missing_chunks_that_would_read_as_zero_are_found(tmp_path, shards):
    encoding = {
        name: {"chunks": (1, 19, 36), "fill_value": 0.0, "shards": shards} for name in ("u", "v")
    }
    path = Path(write_zarr(tmp_path / "a.zarr", dataset(range(4)), version=3, encoding=encoding))
    scan(path)
    (path / "u" / "c" / "1" / "0" / "0").unlink()
    expected = 2 if shards else 4
    with pytest.raises(
        BrokenFileError, match=rf"lacks 1 of the {expected} chunks of u, which would read as 0\.0"
    ):
        scan(path)


@pytest.mark.parametrize("version", [2, 3])
def test_a_damaged_chunk_is_found_when_it_is_read(tmp_path, version):
    path = Path(write_zarr(tmp_path / "a.zarr", dataset(range(3)), version=version))
    contents = scan(path)
    for chunk in [p for p in (path / "u").rglob("*") if p.is_file() and p.name[0] not in ".z"]:
        chunk.write_bytes(chunk.read_bytes()[:-40])
    (series,) = [s for s in contents.series if s.variable == EAST]
    with pytest.raises(BrokenFileError, match=r"a\.zarr is damaged or cut short"):
        FieldReader().read(contents.path, "u", tuple(series.places[0]))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("damage", ["cut", "absent"])
def test_damaged_metadata_are_one_clear_line(tmp_path, version, damage):
    path = Path(write_zarr(tmp_path / "a.zarr", dataset([0]), version=version))
    for name in (".zgroup", "zarr.json"):
        for marker in (path / name, path / "u" / name.replace(".zgroup", ".zarray")):
            if not marker.exists():
                continue
            if damage == "absent" and marker.parent == path:
                marker.unlink()
            elif damage == "cut":
                marker.write_text(marker.read_text()[:12])
    with pytest.raises(BrokenFileError, match=r"a\.zarr (is damaged|lacks the metadata)") as error:
        scan(path)
    assert "\n" not in str(error.value)


def test_a_folder_with_the_name_of_a_store_only_is_broken(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(BrokenFileError, match="lacks the metadata of a Zarr group"):
        scan(tmp_path / "a.zarr")


def test_a_single_array_is_refused(tmp_path):
    zarr.save_array(tmp_path / "a.zarr", np.zeros((2, 3)))
    with pytest.raises(UnsupportedFileError, match="is a single Zarr array"):
        scan(tmp_path / "a.zarr")


def test_other_zip_files_are_no_stores(tmp_path):
    shutil.make_archive(str(tmp_path / "a"), "zip", root_dir=Path(__file__).parent)
    assert not is_zarr(tmp_path / "a.zip")
    with pytest.raises(BrokenFileError, match=r"is compressed \(unpack it first\)"):
        scan(tmp_path / "a.zip")


def test_without_zarr_the_extra_is_named(tmp_path, monkeypatch):
    path = write_zarr(tmp_path / "a.zarr", dataset([0]))
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match=r"needs zarr .*pip install 'atmodist\[zarr\]'"):
        scan(path)


def test_era5_vorticity_at_850_hpa(tmp_path, sample_data):
    (path,) = (sample_data / "mwyau__PyStormTracker-Data").glob("*.zarr")
    summary = run(path, output=tmp_path / "vo850.h5")
    assert not summary.notes
    with Archive(tmp_path / "vo850.h5") as archive:
        assert archive.shape == (1, 360, 73, 144)
        assert archive.channels[0].name == "vorticity"
        assert archive.time.step == 6 * 3600
        with xr.open_zarr(path) as original:
            expected = original["vo"].isel(valid_time=91, pressure_level=0)
            assert_array_equal(archive.read(91)[0], expected)
