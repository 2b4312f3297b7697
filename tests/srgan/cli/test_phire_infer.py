import subprocess
import sys

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
from atmodist.fields.grid import make_grid
from atmodist.files.outputs import read_json, write_json
from srgan.cli.phire_infer import main
from srgan.generators.package import load_generator, write_generator
from srgan.restoration.degradation import coarse_grid, coarsen
from tests.metric.encoders import made_normalization
from tests.pairs.archives import hourly, write_archive
from tests.srgan.generators.examples import made_facts, made_network

HEAVY = ("tensorflow", "keras", "pyshtools", "matplotlib", "xarray", "dask")
HIGH = make_grid("regular", 25, 48)
LOW = make_grid("cell-centred", 12, 24)
CHANNELS = (DIVERGENCE, VORTICITY)


def made_run(folder, noise_channels=0, **about):
    network = made_network(noise_channels=noise_channels)
    facts = made_facts(network, noise_channels=noise_channels, **about)
    write_generator(folder, network, made_normalization(), facts)
    write_json(folder / "manifest.json", {"command": "phire-train"})
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def stochastic(tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("stochastic"), noise_channels=1)


@pytest.fixture(scope="module")
def paired(tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("paired"), degradation="paired")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_archive(tmp_path / "low.h5", seconds=hourly(3), grid=LOW)
    write_archive(tmp_path / "high.h5", seconds=hourly(2), grid=HIGH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def infer(*arguments):
    return main([str(argument) for argument in arguments])


def test_an_archive_is_made_of_an_archive(folder, run, capsys):
    assert infer(run, "low.h5", "--output", "sr.h5") == 0
    out = capsys.readouterr().out
    assert out.startswith("Wrote sr.h5: 3 steps")
    assert "12 x 24 -> 24 x 48" in out
    assert "Next: phire-eval <high-resolution archive> --candidates sr=sr.h5\n" in out
    generator = load_generator(run)
    with Archive("sr.h5") as made, Archive("low.h5") as low:
        assert made.channels == CHANNELS
        assert made.grid.matches(generator.refinement(LOW).high)
        assert_array_equal(made.time.seconds, low.time.seconds)
        assert_allclose(made.read(2), generator(low.read(2), grid=LOW), rtol=1e-6)
    with xr.open_dataset("sr.h5", engine="h5netcdf") as dataset:
        assert dataset["data"].dims == ("channel", "time", "latitude", "longitude")
    manifest = read_json("sr.h5.manifest.json")
    assert manifest["command"] == "phire-infer"
    assert manifest["generator"] == generator.identity
    assert set(manifest["inputs"]) > {"low.h5"}


def test_a_second_run_does_nothing_and_another_one_refuses(folder, run, capsys):
    assert infer(run, "low.h5") == 0
    before = (folder / "sr.h5").read_bytes()
    assert infer(run, "low.h5", "--tile", "[5,7]") == 0  # tiles do not matter
    assert "exists already, nothing was done" in capsys.readouterr().out
    assert (folder / "sr.h5").read_bytes() == before
    assert infer("nearest", "low.h5", "--factor", 2) == 2
    assert "sr.h5 exists already, and was not made from these" in capsys.readouterr().err
    assert infer("nearest", "low.h5", "--factor", 2, "--overwrite") == 0
    with Archive("sr.h5") as made, Archive("low.h5") as low:
        assert_array_equal(made.read(0), low.read(0).repeat(2, axis=1).repeat(2, axis=2))


def test_an_interrupted_run_goes_on(folder, run, monkeypatch, capsys):
    assert infer(run, "low.h5", "--output", "whole.h5") == 0
    append, written = ArchiveWriter.append, []

    def killed(self, seconds, field):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(seconds)
        append(self, seconds, field)

    monkeypatch.setattr(ArchiveWriter, "append", killed)
    assert infer(run, "low.h5") == 130
    assert not (folder / "sr.h5").exists()
    monkeypatch.setattr(ArchiveWriter, "append", append)
    capsys.readouterr()
    assert infer(run, "low.h5") == 0
    assert "2 fields were there already" in capsys.readouterr().out
    with Archive("sr.h5") as made, Archive("whole.h5") as whole:
        for step in range(3):
            assert_array_equal(made.read(step), whole.read(step))


@pytest.mark.parametrize("degradation", ["physical", "normalized"])
def test_high_resolution_is_degraded_and_restored_to_its_own_grid(folder, degradation, capsys):
    run = made_run(folder / "run", degradation=degradation)
    assert infer(run, "high.h5", "--degrade", "true") == 0
    assert capsys.readouterr().out.endswith("\nNext: phire-eval high.h5 --candidates sr=sr.h5\n")
    generator = load_generator(run)
    with Archive("sr.h5") as made, Archive("high.h5") as high:
        assert made.grid.matches(HIGH)
        field = high.read(1)
        if degradation == "physical":
            low = coarsen(field, 2, HIGH.band_areas)
        else:
            n = generator.normalization
            means = coarsen(np.moveaxis(n(np.moveaxis(field, 0, -1)), -1, 0), 2)
            low = np.moveaxis(n.inverse(np.moveaxis(means, 0, -1)), -1, 0)
        expected = generator(low, grid=coarse_grid(HIGH, 2), high_grid=HIGH)
        assert_allclose(made.read(1), expected, rtol=1e-5, atol=1e-10)


def test_members_differ_and_do_not_depend_on_how_many_there_are(folder, stochastic, capsys):
    assert infer(stochastic, "low.h5", "--members", 3, "--seed", 5) == 0
    assert capsys.readouterr().out.endswith("--candidates 'sr=sr-*.h5'\n")
    assert infer(stochastic, "low.h5", "--members", 2, "--seed", 5, "--output", "two.h5") == 0
    with Archive("sr-000.h5") as a, Archive("sr-001.h5") as b, Archive("two-001.h5") as c:
        assert np.abs(a.read(1) - b.read(1)).max() > 1e-7
        assert_array_equal(b.read(1), c.read(1))
        assert b.attributes["member"] == "1"
    assert (folder / "sr-002.h5.manifest.json").is_file()
    assert not (folder / "sr.h5").exists()


def test_netcdf_becomes_an_archive(folder, run):
    shape = ("time", "lat", "lon")
    rng = np.random.default_rng(0)
    fields = {
        name: xr.DataArray(rng.normal(0, 3e-5, (2, 12, 24)), dims=shape, attrs={"units": "s-1"})
        for name in ("vorticity", "divergence")
    }
    coordinates = {"lat": LOW.latitude[::-1], "lon": LOW.longitude, "time": [0, 6]}
    dataset = xr.Dataset(fields, coords=coordinates)
    dataset["time"].attrs = {"units": "hours since 2020-02-28 21:00", "calendar": "noleap"}
    dataset.to_netcdf("low.nc", engine="h5netcdf")
    assert infer(run, "low.nc") == 0
    with Archive("sr.h5") as made:
        assert made.channels == CHANNELS
        assert made.time.isoformat(1) == "2020-03-01T03:00:00"
        low = np.stack([fields[c.name].values[0, ::-1] for c in CHANNELS]).astype(np.float32)
        assert_allclose(made.read(0), load_generator(run)(low, grid=LOW), rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("names", ["[temperature]", "temperature"])
def test_any_channels_can_be_interpolated_and_a_period_chosen(folder, names):
    temperature = Channel("temperature", "K", "air_temperature")
    write_archive(folder / "t.h5", seconds=hourly(4), grid=LOW, channels=(VORTICITY, temperature))
    fixed = ("bicubic", "t.h5", "--factor", 3)
    chosen = ("--start", "1970-01-01T03", "--end", "1970-01-01T06")
    assert infer(*fixed, *chosen, "--output", "a.h5") == 0
    assert infer(*fixed, "--channels", names, "--output", "b.h5") == 0
    with Archive("a.h5") as a, Archive("b.h5") as b:
        assert a.shape == (2, 2, 36, 72)
        assert a.time.seconds.tolist() == [10_800, 21_600]
        assert b.channels == (temperature,)
        assert_array_equal(a.read(0)[1], b.read(1)[0])


def test_the_output_can_have_the_grid_of_an_archive(folder):
    assert infer("nearest", "high.h5", "--factor", 2, "--degrade", "--output", "back.h5") == 0
    with Archive("high.h5") as high:
        low = coarsen(high.read(0), 2, HIGH.band_areas)
    with ArchiveWriter("c.h5", channels=CHANNELS, grid=coarse_grid(HIGH, 2)) as writer:
        writer.append(0, low)
    assert infer("nearest", "c.h5", "--factor", 2, "--like", "high.h5") == 0
    with Archive("sr.h5") as made, Archive("back.h5") as back:
        assert made.grid.matches(HIGH)
        assert_array_equal(made.read(0), back.read(0))


@pytest.mark.filterwarnings("default::UserWarning")  # the command shows them
def test_an_unusual_spacing_is_one_line_on_stderr(folder, capsys):
    run = made_run(folder / "run", spacing_degrees=(1.0, 1.0))
    assert infer(run, "low.h5") == 0
    lines = [x for x in capsys.readouterr().err.splitlines() if "warning" in x]
    assert lines == [
        "phire-infer: warning: the fields have a spacing of 15 x 15 degrees; the generator was "
        "trained to refine 2 x 2 degrees, and knows no other scales"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nearest", "low.h5"], "nearest needs a factor, for instance --factor 4"),
        (["RUN", "low.h5", "--factor", "4"], "refines by 2, not by 4"),
        (["RUN", "none.h5"], "there is no file none.h5"),
        (["/nowhere", "low.h5"], "generator: there is no folder /nowhere"),
        (["RUN", "low.h5", "--members", "2"], "is not stochastic: all members would be the same"),
        (["RUN", "low.h5", "--output", "low.h5"], "the output would replace low.h5"),
        (["RUN", "low.h5", "--channels", "[vorticity]"], "`channels` are for interpolation"),
        (["RUN", "low.h5", "--tile", "[0,4]"], "`tile` must be two positive numbers"),
        (["RUN", "low.h5", "--like", "high.h5"], "the low-resolution grid has 12 x 24 points"),
        (["nearest", "high.h5", "--factor", "5", "--degrade"], "48 columns around the globe"),
        (["nearest", "high.h5", "--factor", "48", "--degrade"], "a single row or column"),
        (
            ["PAIRED", "high.h5", "--degrade"],
            "trained with pairs of archives, not with block means",
        ),
        (["RUN", "high.h5"], 'rows of the fine grid ("shared")'),
        (["RUN", "other.h5"], "other.h5 lacks vorticity; it has divergence"),
        (["RUN", "broken.h5"], "1 of 288 values of divergence at 1970-01-01T03:00:00 are missing"),
        (["RUN", "low.h5", "--start", "2050-01-01"], "no step between 2050-01-01 and the end"),
    ],
)
def test_mistakes_end_with_one_line_and_status_2(folder, run, paired, arguments, message, capsys):
    write_archive(folder / "other.h5", seconds=hourly(1), grid=LOW, channels=(DIVERGENCE,))
    (folder / "broken.h5").write_bytes((folder / "low.h5").read_bytes())
    with h5py.File(folder / "broken.h5", "r+") as file:
        file["data"][0, 1, 3, 4] = np.nan
    try:
        runs = {"RUN": run, "PAIRED": paired}
        status = infer(*(runs.get(word, word) for word in arguments))
    except SystemExit as stop:
        status = stop.code
    lines = [x for x in capsys.readouterr().err.splitlines() if "error" in x]
    assert status == 2
    assert len(lines) == 1
    assert message in lines[0]
    assert not (folder / "sr.h5").exists()


def test_help_imports_nothing_heavy():
    script = f"""
import contextlib, sys
from srgan.cli.phire_infer import main
with contextlib.suppress(SystemExit):
    main(["--help"])
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "usage: phire-infer" in found.stdout
    assert found.stderr.strip() == "[]"
