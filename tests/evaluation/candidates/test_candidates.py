import numpy as np
import pytest
import xarray as xr

from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import VORTICITY
from atmodist.fields.grid import make_grid
from evaluation.candidates.candidates import matched_times, open_sources
from evaluation.candidates.fields import common_times
from evaluation.candidates.kind import Inputs
from evaluation.contract.configuration import parse_candidates
from srgan.inference.run import super_resolve
from tests.evaluation.made_up import changed_archive, made_archive


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    truth = made_archive(folder / "truth.h5", num_steps=5)
    changed_archive(truth, folder / "member-0.h5", lambda field: field * 2)
    changed_archive(truth, folder / "member-1.h5", lambda field: field * 4)
    changed_archive(truth, folder / "late.h5", lambda field: field, steps=[3, 4])
    made_archive(folder / "fine.h5", num_steps=5, num_rows=18)
    made_archive(folder / "later.h5", num_steps=5, start=10**9)
    return folder


def inputs(files, *candidates, reference="truth.h5", **options):
    return Inputs(
        reference=str(files / reference), candidates=parse_candidates(list(candidates)), **options
    )


def opened(files, *candidates, **options):
    return open_sources(inputs(files, *candidates, **options))


def test_members_of_an_ensemble_are_found_by_pattern(files):
    with opened(files, f"e={files}/member-*.h5") as sources:
        second = int(sources.reference.time.seconds[2])
        truth = sources.reference.read(second)
        mean, members = sources.read("e", second)
        np.testing.assert_array_equal(members, [truth * 2, truth * 4])
        np.testing.assert_array_equal(mean, truth * 3)
        # not how many: whoever shows it says so
        assert sources.candidates["e"].about == f"{files}/member-0.h5 ... {files}/member-1.h5"
    with pytest.raises(FileNotFoundError, match=r"candidate e: no file matches .*nothing-\*"):
        opened(files, f"e={files}/nothing-*.h5").__enter__()


def test_members_of_one_file_are_an_ensemble_and_no_reference(files, tmp_path):
    with Archive(files / "truth.h5") as archive:
        names = [channel.name for channel in archive.channels]
        values = np.stack([archive.read(step) for step in range(5)])
        coords = {
            "time": ("time", archive.time.seconds, {"units": "seconds since 1970-01-01"}),
            "number": [3, 5],
            "latitude": archive.grid.latitude,
            "longitude": archive.grid.longitude,
        }
    dims = ("number", "time", "latitude", "longitude")
    both = np.stack([2 * values, 4 * values])
    content = {name: (dims, both[:, :, i]) for i, name in enumerate(names)}
    path = tmp_path / "members.nc"
    xr.Dataset(content, coords).to_netcdf(path, engine="h5netcdf")
    with opened(files, f"e={path}") as sources:
        second = int(sources.reference.time.seconds[2])
        truth = sources.reference.read(second)
        mean, members = sources.read("e", second)
        np.testing.assert_array_equal(members, [truth * 2, truth * 4])
        np.testing.assert_array_equal(mean, truth * 3)
        assert sources.candidates["e"].about == str(path)
        assert len(sources.candidates["e"].identity["fields"]) == 1
    with pytest.raises(ValueError, match=r"2 members of an ensemble \(3, 5\), of which one"):
        open_sources(inputs(tmp_path, f"t={files}/truth.h5", reference="members.nc")).__enter__()
    with pytest.raises(ValueError, match=r"candidate i: .* holds 2 members of an ensemble"):
        opened(files, "i=interpolation:bilinear", factor=2, low_archive=str(path)).__enter__()


def test_a_lead_beside_a_start_is_added_once_and_noted(files, tmp_path):
    with Archive(files / "truth.h5") as archive:
        values = np.stack([archive.read(step) for step in range(5)])
        names = [channel.name for channel in archive.channels]
        step = int(archive.time.step)
        coords = {
            "time": ("time", archive.time.seconds - step, {"units": "seconds since 1970-01-01"}),
            "prediction_timedelta": ((), step, {"units": "seconds"}),
            "latitude": archive.grid.latitude,
            "longitude": archive.grid.longitude,
        }
    dims = ("time", "latitude", "longitude")
    content = {name: (dims, values[:, i]) for i, name in enumerate(names)}
    xr.Dataset(content, coords).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with opened(files, f"f={tmp_path}/a.nc") as sources:
        seconds = sources.reference.time.seconds
        assert sources.candidates["f"].seconds.tolist() == seconds.tolist()
        for second in seconds.tolist():
            truth = sources.reference.read(second)
            np.testing.assert_array_equal(sources.read("f", second)[0], truth)
        assert any("f: time is taken as the start of forecasts" in n for n in sources.notes)


def test_persistence_is_the_past_and_knows_holes_in_time(files, tmp_path):
    steps = [0, 1, 2, 4]  # the past of step 4 is missing
    changed_archive(files / "truth.h5", tmp_path / "holed.h5", lambda f: f, steps=steps)
    with opened(tmp_path, "p=persistence:1", reference="holed.h5") as sources:
        seconds = sources.reference.time.seconds
        assert sources.candidates["p"].seconds.tolist() == seconds[[1, 2]].tolist()
        past, members = sources.read("p", int(seconds[2]))
        np.testing.assert_array_equal(past, sources.reference.read(int(seconds[1])))
        assert members is None


def test_interpolations_are_those_of_phire_infer(files, tmp_path):
    from srgan.inference.configuration import InferConfig

    path = str(tmp_path / "sr.h5")
    super_resolve(
        InferConfig(
            generator="bicubic", input=str(files / "truth.h5"), output=path, factor=2, degrade=True
        )
    )
    with (
        opened(files, "b=interpolation:bicubic", f"sr={path}", factor=2) as sources,
        Archive(path) as archive,
    ):
        for step, second in enumerate(sources.reference.time.seconds):
            made, _ = sources.read("b", int(second))
            np.testing.assert_array_equal(made, archive.read(step))
            np.testing.assert_array_equal(made, sources.read("sr", int(second))[0])


def test_low_fields_may_be_given(files, tmp_path):
    from srgan.restoration.degradation import coarse_grid, coarsen

    with Archive(files / "truth.h5") as archive:
        low = coarse_grid(archive.grid, 2)
        areas = archive.grid.band_areas
        with ArchiveWriter(
            tmp_path / "low.h5", channels=archive.channels, grid=low, identity={}
        ) as writer:
            for step in range(1, 5):
                field = coarsen(archive.read(step), 2, areas)
                writer.append(int(archive.time.seconds[step]), field)
    words = ["b=interpolation:bilinear"]
    given = opened(files, *words, factor=2, low_archive=str(tmp_path / "low.h5"))
    with given as sources, opened(files, *words, factor=2) as means:
        chosen = sources.reference.time.seconds
        seconds, note = matched_times(sources, chosen)
        assert seconds.tolist() == chosen[1:].tolist()
        assert note is not None
        for second in map(int, seconds):
            np.testing.assert_array_equal(sources.read("b", second)[0], means.read("b", second)[0])
        assert sources.candidates["b"].identity != means.candidates["b"].identity


def test_netcdf_and_zarr_are_read_as_archives_are(files, tmp_path):
    xr = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    with Archive(files / "truth.h5") as archive:
        values = np.stack([archive.read(step) for step in range(5)])
        names = [channel.name for channel in archive.channels]
        dataset = xr.Dataset(
            {
                name: (("time", "lat", "lon"), values[:, i], {"units": "s**-1"})
                for i, name in enumerate(names)
            },
            coords={
                "time": archive.time.seconds.astype("datetime64[s]").astype("datetime64[ns]"),
                "lat": ("lat", archive.grid.latitude, {"units": "degrees_north"}),
                "lon": ("lon", archive.grid.longitude, {"units": "degrees_east"}),
            },
        ).isel(lat=slice(None, None, -1))
    dataset.to_netcdf(tmp_path / "truth.nc", engine="h5netcdf")
    dataset.to_zarr(tmp_path / "truth.zarr", consolidated=False)
    candidates = [f"{kind}={tmp_path}/truth.{kind}" for kind in ("nc", "zarr")]
    with opened(files, *candidates) as sources:
        second = int(sources.reference.time.seconds[3])
        for name in ("nc", "zarr"):
            field, _ = sources.read(name, second)
            np.testing.assert_array_equal(field, sources.reference.read(second))
    with opened(tmp_path, f"a={files / 'truth.h5'}", reference="truth.nc") as sources:
        assert [channel.units for channel in sources.channels] == ["s-1", "s-1"]
        assert len(matched_times(sources, sources.reference.time.seconds)[0]) == 5


@pytest.mark.parametrize(
    ("candidates", "options", "message"),
    [
        (["a=fine.h5"], {}, "candidate a: .*fine.h5 is on the grid 18 x 36 .*reference on 16 x 32"),
        (["a=none.h5"], {}, "candidate a: there is no file"),
        (["a=bare.h5"], {}, "candidate a: .*bare.h5 has no dates, and the reference .* 'standard'"),
        (["a=alone.h5"], {}, "candidate a: .*alone.h5 lacks divergence; it has vorticity"),
        (["a=interpolation:bicubic"], {}, "candidate a needs a factor, for instance --factor 4"),
        (["a=truth.h5"], {"channels": ("geopotential",)}, "lacks geopotential"),
        (["a=generator:nowhere"], {}, "candidate a: there is no folder nowhere"),
        (["a=generator:{files}"], {}, "candidate a: .* holds no generator: it lacks"),
    ],
)
def test_what_does_not_belong_together_is_refused(files, candidates, options, message):
    import h5py

    if not (files / "bare.h5").exists():
        with h5py.File(files / "bare.h5", "w") as file, Archive(files / "truth.h5") as archive:
            file["data"] = np.stack([archive.read(step) for step in range(5)], axis=1)
        with (
            Archive(files / "truth.h5") as archive,
            ArchiveWriter(
                files / "alone.h5", channels=[VORTICITY], grid=archive.grid, identity={}
            ) as writer,
        ):
            for step in range(5):
                writer.append(int(archive.time.seconds[step]), archive.read(step)[1:])
    words = [
        word.replace("a=", f"a={files}/") if ".h5" in word else word.format(files=files)
        for word in candidates
    ]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        opened(files, *words, **options).__enter__()


def test_one_channel_can_be_judged_alone(files):
    with opened(files, f"a={files / 'truth.h5'}", channels=("vorticity",)) as sources:
        second = int(sources.reference.time.seconds[0])
        assert sources.read("a", second)[0].shape == (1, 16, 32)
        assert [channel.name for channel in sources.channels] == ["vorticity"]


def test_times_are_those_that_all_have(files):
    with opened(files, f"late={files / 'late.h5'}", "p=persistence:1") as sources:
        chosen = sources.reference.time.seconds
        seconds, note = matched_times(sources, chosen)
        assert seconds.tolist() == chosen[3:].tolist()
        assert note is not None
        assert note.endswith("all candidates have (late lacks 3, p lacks 1)")
        with pytest.raises(ValueError, match="no time that the reference and all candidates have"):
            matched_times(_disjoint(sources), chosen)
    with (
        opened(files, f"later={files / 'later.h5'}") as sources,
        pytest.raises(ValueError, match=r"candidate later .*no time in common .*it has 2001-09"),
    ):
        matched_times(sources, sources.reference.time.seconds)


def _disjoint(sources):
    from dataclasses import replace
    from types import SimpleNamespace

    chosen = sources.reference.time.seconds
    others = {
        "a": SimpleNamespace(seconds=chosen[:2], about="a"),
        "b": SimpleNamespace(seconds=chosen[2:], about="b"),
    }
    return replace(sources, candidates=others)


def test_common_times_keep_their_order():
    a, b = np.array([1, 2, 3, 5]), np.array([0, 2, 3, 4, 5])
    assert common_times([a, b, b]).tolist() == [2, 3, 5]


def test_generators_run_on_the_fly(tmp_path):
    from srgan.generators.package import write_generator
    from tests.srgan.generators.examples import made_generator

    grid = make_grid("driscoll-healy", 16)
    made_archive(tmp_path / "truth.h5", num_steps=3)
    for name, noise in (("plain", 0), ("noisy", 1)):
        made = made_generator(noise_channels=noise, degradation="normalized")
        folder = tmp_path / name
        write_generator(folder, made.network, made.normalization, made.facts)
        (folder / "manifest.json").write_text("{}")
    words = [f"{name}=generator:{tmp_path / name}" for name in ("plain", "noisy")]
    words += ["bicubic=interpolation:bicubic"]  # takes the factor of the generators
    with opened(tmp_path, *words, members=2, seed=3) as sources:
        second = int(sources.reference.time.seconds[1])
        field, members = sources.read("plain", second)
        assert (field.shape, members) == ((2, *grid.shape), None)
        _, members = sources.read("noisy", second)
        assert members.shape == (2, 2, *grid.shape)
        assert np.abs(members[0] - members[1]).max() > 0
        again, _ = sources.read("noisy", second)
        np.testing.assert_array_equal(again, members.mean(0, dtype=np.float64).astype(np.float32))
        assert sources.candidates["bicubic"].coarse.restoration.factor == 2
        source = sources.candidates["plain"]
        low = made.degraded(sources.reference.read(second), grid)
        assert low.shape == (2, 8, 16)
        assert source.identity["restoration"]
        expected = source.coarse.restoration.field(low, source.coarse.refinement)
        np.testing.assert_allclose(field, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("alignment", ["centred", "shared"])
def test_generators_of_paired_archives_are_not_given_block_means(tmp_path, alignment):
    from srgan.generators.package import write_generator
    from tests.srgan.generators.examples import made_generator

    made_archive(tmp_path / "truth.h5", num_steps=3)
    made = made_generator(degradation="paired", alignment=alignment)
    write_generator(tmp_path / "gan", made.network, made.normalization, made.facts)
    (tmp_path / "gan" / "manifest.json").write_text("{}")
    with (
        pytest.raises(
            ValueError, match=r"candidate gan: .*not with block means: give --low_archive"
        ),
        opened(tmp_path, f"gan=generator:{tmp_path / 'gan'}"),
    ):
        pass
