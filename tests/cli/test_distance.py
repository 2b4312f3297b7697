import csv

import numpy as np
import pytest
import xarray as xr

from atmodist.cli.distance import main
from atmodist.fields.archive import Archive
from atmodist.fields.grid import make_grid
from atmodist.files.outputs import read_json, write_json
from atmodist.metric.calibration import Calibration, StageCalibration
from atmodist.metric.distance import load_metric
from atmodist.metric.extent import Extent
from atmodist.metric.lag_curve import LagCurve
from atmodist.training.saving import save_network
from tests.cli.mistakes import mistake
from tests.ingestion.made_files import write_zarr
from tests.metric.encoders import made_encoder, made_normalization
from tests.pairs.archives import STEP, hourly, write_archive

GRID = make_grid("regular", 13)


def write_run(folder):
    folder.mkdir()
    save_network(made_encoder(), folder / "encoder.keras")
    made_normalization().save(folder / "normalization.json")
    write_json(folder / "manifest.json", {"command": "rplearn-train"})
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("metric") / "run")


@pytest.fixture
def a(tmp_path):
    return write_archive(tmp_path / "a.h5", seconds=hourly(4, 2))  # a hole after the fourth


@pytest.fixture
def b(tmp_path):
    return write_archive(tmp_path / "b.h5", seconds=np.arange(2, 12) * STEP, seed=1)


def table(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def expected(run, path, i, other, j, **options):
    with Archive(path) as first, Archive(other) as second:
        return load_metric(run)(first.read(i), second.read(j), grid=GRID, **options)


def test_fields_of_the_same_time_are_compared(run, a, b, tmp_path, capsys):
    out = tmp_path / "table.csv"
    assert main([str(a), str(b), "--metric", str(run), "--output", str(out)]) == 0
    rows = table(out)
    with Archive(a) as archive:
        times = [archive.time.isoformat(i) for i in (2, 3, 4, 5)]
    assert [row["time_a"] for row in rows] == times
    assert [row["time_b"] for row in rows] == times
    # The fifth field of a follows a hole of two steps: it is the fifth of b, too.
    for row, (i, j) in zip(rows, [(2, 0), (3, 1), (4, 4), (5, 5)], strict=True):
        assert float(row["distance"]) == expected(run, a, i, b, j)
    manifest = read_json(tmp_path / "table.manifest.json")
    assert manifest["command"] == "atmodist distance"
    assert manifest["num_pairs"] == 4
    printed = capsys.readouterr().out
    assert "4 pairs, mean" in printed
    assert "uncalibrated" in printed
    assert printed.endswith(f"Wrote {out}.\n")


def test_a_lag_compares_a_file_with_itself_but_not_across_holes(run, a, tmp_path, capsys):
    out = tmp_path / "lag.csv"
    arguments = ["--metric", str(run), "--stage", "stage1", "--output", str(out)]
    assert main([str(a), "--lag", "2", *arguments]) == 0
    found = [float(row["distance"]) for row in table(out)]
    assert found == [expected(run, a, i, a, i + 2, stages="stage1") for i in (0, 1)]
    assert main([str(a), "--lag", "7", *arguments]) == 2
    assert "none are 7 time steps apart" in capsys.readouterr().err


def test_one_field_is_compared_with_each(run, b, tmp_path, capsys):
    one = write_archive(tmp_path / "one.h5", seconds=np.array([0]), seed=2)
    assert main([str(one), str(b), "--metric", str(run), "--weights", "{stage1: 2.0}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 10 + 1
    assert lines[0].split() == ["time_a", "time_b", "distance"]
    value = expected(run, one, 0, b, 9, stages={"stage1": 2.0})
    assert float(lines[10].split()[2]) == pytest.approx(value, rel=1e-4)


def dataset_of(path):
    """The fields of an archive as others store them."""
    with Archive(path) as archive:
        steps = range(len(archive.time))
        fields = np.stack([archive.read(i) for i in steps])
        times = [np.datetime64(archive.time.isoformat(i), "ns") for i in steps]
    coords = {"time": times, "lat": GRID.latitude, "lon": GRID.longitude}
    data = {
        name: (("time", "lat", "lon"), fields[:, c], {"units": "s**-1"})
        for c, name in enumerate(("divergence", "vorticity"))
    }
    return xr.Dataset(data, coords)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["b.zarr", "b.zarr.zip"])
def test_a_zarr_store_gives_the_numbers_of_the_archive(run, a, b, tmp_path, name, version):
    store = write_zarr(tmp_path / name, dataset_of(b), version=version)
    for other, table_of in ((b, "archive.csv"), (store, "store.csv")):
        arguments = ["--metric", str(run), "--output", str(tmp_path / table_of)]
        assert main([str(a), str(other), *arguments]) == 0
    assert table(tmp_path / "store.csv") == table(tmp_path / "archive.csv")
    manifest = read_json(tmp_path / "store.manifest.json")
    assert manifest["inputs"][store].startswith("sha256:")


def test_netcdf_of_any_orientation_is_read(run, a, tmp_path, capsys):
    path = tmp_path / "fields.nc"
    dataset = dataset_of(a).isel(lat=slice(None, None, -1))
    dataset.to_netcdf(path, engine="h5netcdf")
    assert main([str(a), str(path), "--metric", str(run)]) == 0
    assert "6 pairs, mean 0 from 0 to 0" in capsys.readouterr().out
    dataset.isel(time=0).drop_vars("vorticity").to_netcdf(path, engine="h5netcdf")
    assert main([str(a), str(path), "--metric", str(run)]) == 2
    assert "one variable 'vorticity'" in capsys.readouterr().err


def test_hours_are_told_where_there_is_a_calibration(a, tmp_path):
    run = write_run(tmp_path / "run")
    median = np.array([10.0, 20.0])
    curve = LagCurve(
        lag_hours=[3, 6], median=median, quantile16=median / 2, quantile84=2 * median, mean=median
    )
    stage = StageCalibration(alpha=4.0, curve=curve)
    calibration = Calibration(step_seconds=STEP, stages={"stage2": stage})
    calibration.save(run / "calibration.json")
    out = tmp_path / "table.csv"
    assert main([str(a), "--lag", "1", "--metric", str(run), "--output", str(out)]) == 0
    for row in table(out):
        hours = calibration.hours(float(row["distance"]), "stage2")
        assert [float(row[f"hours{s}"]) for s in ("", "_low", "_high")] == [float(h) for h in hours]


def test_hours_that_nobody_measured_lie_beyond_those_measured(a, tmp_path, capsys):
    run = write_run(tmp_path / "run")
    tiny = np.array([1e-9, 2e-9])
    curve = LagCurve(lag_hours=[3, 6], median=tiny, quantile16=tiny, quantile84=tiny, mean=tiny)
    calibration = Calibration(
        step_seconds=STEP,
        stages={"stage2": StageCalibration(alpha=4.0, curve=curve)},
        extent=Extent.of_fields(GRID),
    )
    calibration.save(run / "calibration.json")
    assert main([str(a), "--lag", "1", "--metric", str(run)]) == 0
    out, err = capsys.readouterr()
    assert "inf" not in out
    assert "as states beyond 6 h apart (median)" in out
    assert "  beyond 6" in out.splitlines()[1]
    assert "warning" not in err


def test_fields_unlike_those_calibrated_are_warned_of(a, tmp_path, capsys):
    run = write_run(tmp_path / "run")
    one = np.ones(1)
    curve = LagCurve(lag_hours=[3], median=one, quantile16=one, quantile84=one, mean=one)
    calibration = Calibration(
        step_seconds=STEP,
        stages={"stage2": StageCalibration(alpha=4.0, curve=curve)},
        extent=Extent.of_patches((4, 4), make_grid("regular", 7)),
    )
    calibration.save(run / "calibration.json")
    assert main([str(a), "--lag", "1", "--metric", str(run)]) == 0
    found = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(found) == 2
    assert "calibrated on patches of 4 x 4 points (120 x 120 degrees)" in found[0]
    assert "`atmodist calibrate RUN --archive ARCHIVE`" in found[0]
    assert "the encoder was trained on 30 x 30 degrees" in found[1]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["a.h5", "--metric", "m"], "give two files A B, or one with --lag; got 1"),
        (["a.h5", "b.h5", "--lag", "1", "--metric", "m"], "--lag compares one file with itself"),
        (["a.h5", "--lag", "0", "--metric", "m"], "`lag` must be at least 1 time step; got 0"),
        (["none.h5", "b.h5", "--metric", "m"], "there is no file none.h5"),
        ([".", "a.h5", "--metric", "m"], ". is a folder, and no Zarr store"),
        (["a.h5", "a.h5", "--metric", "nowhere"], "there is no folder nowhere"),
        (["a.h5", "b.h5"], "metric"),
        (["a.h5", "b.h5", "--metric", "m", "--output", "x.txt"], "a file name that ends in .csv"),
        (
            ["a.h5", "b.h5", "--metric", "m", "--stage", "s", "--weights", "{s: 1}"],
            "not both",
        ),
    ],
)
def test_mistakes_are_one_line(a, tmp_path, monkeypatch, capsys, arguments, text):
    monkeypatch.chdir(tmp_path)
    err = mistake(main, arguments, capsys)
    assert err.startswith("atmodist distance: error: ")
    assert text in err


def test_files_that_do_not_go_together_are_refused(run, a, tmp_path, capsys):
    far = write_archive(tmp_path / "far.h5", seconds=np.arange(100, 103) * STEP)
    coarse = write_archive(tmp_path / "coarse.h5", seconds=hourly(6), grid=make_grid("regular", 9))
    for other, text in ((far, "no time in common"), (coarse, "different grids")):
        assert main([str(a), str(other), "--metric", str(run)]) == 2
        assert text in capsys.readouterr().err
