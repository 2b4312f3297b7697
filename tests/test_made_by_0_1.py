"""Files that version 0.1.0 made (tests/data/made_by_0_1) are read, and mean what they meant."""

import contextlib
import csv
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from atmodist.cli import main as atmodist_command
from atmodist.cli import rplearn_data, rplearn_eval
from evaluation.cli import phire_eval
from srgan.cli import phire_data, phire_infer, phire_train

DATA = Path(__file__).parent / "data" / "made_by_0_1"
PAIRS, PATCHES = "pairs/atmodist_pairs/1.0.0", "patches/phire_patches/1.0.0"
INSPECTED = (
    "archive.h5",
    "simulated.h5",
    "sr.h5",
    "normalization.json",
    PAIRS,
    PATCHES,
    "run",
    "encoder",
    "ordinal.keras",
    "generator-run",
    "generator",
    "content_loss.keras",
)
COMMANDS = (DATA / "commands.txt").read_text(encoding="utf-8").splitlines()
PROGRAMS = {
    "atmodist": atmodist_command,
    "rplearn-data": rplearn_data,
    "rplearn-eval": rplearn_eval,
    "phire-data": phire_data,
    "phire-infer": phire_infer,
    "phire-train": phire_train,
    "phire-eval": phire_eval,
}


def unpack(archive, folder):
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")


def run(line):
    """Runs a command; returns what it printed."""
    program, *arguments = line.split()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert PROGRAMS[program].main(arguments) == 0, line
    return printed.getvalue()


def command(start):
    """The command that made a file, of which these are the first words."""
    (line,) = [line for line in COMMANDS if line.startswith(start + " ")]
    return line


def table(path):
    """Numbers of a CSV file, by column."""
    with Path(path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [number(row[name]) for row in rows] for name in rows[0]}


def number(text):
    with contextlib.suppress(ValueError):
        return float(text)
    return text


def contents(path):
    """All numbers of an HDF5 file, by name."""
    import h5py
    import hdf5plugin  # noqa: F401  registers the filters

    with h5py.File(path) as file:
        return {
            name: item[()] for name, item in file.items() if np.issubdtype(item.dtype, np.number)
        }


def fields(path, step):
    """One field of an archive, as xarray has it."""
    import h5py
    import hdf5plugin  # noqa: F401  registers the filters
    import xarray as xr

    with h5py.File(path) as file:
        return xr.DataArray(
            file["data"][:, step],
            dims=("channel", "latitude", "longitude"),
            coords={
                "channel": [name.decode() for name in file["channel"][()]],
                "latitude": ("latitude", file["latitude"][()], {"units": "degrees_north"}),
                "longitude": ("longitude", file["longitude"][()], {"units": "degrees_east"}),
            },
            attrs={"units": "s-1"},
        )


def coarse(field):
    """Means of 2 x 2 points."""
    return field.coarsen(latitude=2, longitude=2).mean(keep_attrs=True)


def sample(values):
    """Some values, and what sums up the others."""
    values = np.asarray(values, float).ravel()
    return [*values[:: max(1, len(values) // 12)], values.mean(), values.std()]


def patches():
    """Two batches of normalised fields, drawn."""
    return np.random.default_rng(5).standard_normal((2, 2, 16, 16, 2)).astype("float32")


def inspected():
    found = {}
    for path in INSPECTED:
        lines = run(f"atmodist inspect {path} --verify true").splitlines()
        # What is said of packages is new.
        new = ("Next", "storage", "package", "hours")
        found[path] = [line for line in lines if line and not line.startswith(new)]
        if path == "encoder":
            found[path].remove(next(line for line in found[path] if line.startswith("grid")))
    return found


def statistics():
    run("atmodist statistics archive.h5 --output again.json")
    found = json.loads(Path("again.json").read_text())
    return {name: found[name] for name in ("channels", "units", "alpha", "std", "log_std")}


def distances_of(metric, archive="archive.h5", options=""):
    run(f"atmodist distance {archive} --lag 1 --metric {metric} --output out.csv {options}")
    return table("out.csv")


def distances():
    return distances_of("encoder")


def distances_of_a_stage():
    return distances_of("encoder", options="--stage stage1")


def distances_of_a_simulation():
    return distances_of("encoder", "simulated.h5")["distance"]


def distances_in_python():
    import atmodist

    metric = atmodist.load_metric("encoder")
    a, b = fields("archive.h5", 2), fields("archive.h5", 4)
    hours = metric.hours(a, b)
    return {
        "distance": float(metric(a, b)),
        "hours": [float(hours[name]) for name in sorted(hours)],
        "map": sample(metric.map(a, b)),
    }


def content_losses():
    import atmodist

    loss = atmodist.ContentLoss.from_package("encoder", pixel_weight=0.5)
    return {
        "identity": loss.identity,
        "loss": [float(loss(x[None], y[None])) for x, y in zip(*patches(), strict=True)],
    }


def content_loss_of_a_compiled_network():
    import keras

    import atmodist

    loss = atmodist.ContentLoss  # known to Keras once it is imported
    network = keras.models.load_model("content_loss.keras")
    assert isinstance(network.loss, loss)
    x, y = patches()
    return {"identity": network.loss.identity, "loss": float(network.evaluate(x, y, verbose=0))}


def labels_and_scores_of_the_pairs():
    run("rplearn-eval run --audit false --figures false --resamples 100 --output scores")
    with np.load("scores/predictions/epoch-0001.npz") as predictions:
        found = {name: predictions[name].tolist() for name in predictions.files}
    (scores,) = json.loads(Path("scores/metrics.json").read_text())["checkpoints"].values()
    return {"scores": scores["scores"], "confusion": scores["confusion"], **found}


def embedded():
    run("atmodist embed archive.h5 --metric encoder --output embedding.h5")
    return {name: sample(values) for name, values in contents("embedding.h5").items()}


def super_resolved(path="generator"):
    import srgan

    generator = srgan.load_generator(path)
    low = coarse(fields("archive.h5", 3))
    high = generator(low, seed=3)
    return {"identity": generator.identity, "values": sample(high), "shape": list(high.shape)}


def by_variable(rows):
    """The numbers of an evaluation, those of the same units together."""
    found = {}
    for row in rows:
        where = ", ".join(str(row.get(key)) for key in ("candidate", "region", "channel"))
        numbers = found.setdefault(f"{row['statistic']}: {row['variable']}", {})
        value = row.get("value")
        numbers[where] = float("nan") if value is None else float(value)
    return found


def results():
    import evaluation

    found = {}
    for name in ("past", "bicubic"):
        read = evaluation.load_results(f"results/{name}")
        datasets = {name: outcome.dataset for name, outcome in read.outcomes.items()}
        found[name] = {
            "candidates": list(read.candidates),
            "numbers": by_variable(read.rows),
            **{name: {v: list(data[v].shape) for v in data} for name, data in datasets.items()},
        }
    return found


def compared():
    import evaluation

    runs = ["results/past", "results/bicubic"]
    config = evaluation.ComparisonConfig(runs=runs, output="joined")
    return by_variable(evaluation.compare(config).rows)


OBSERVATIONS = {
    observe.__name__: observe
    for observe in (
        inspected,
        statistics,
        distances,
        distances_of_a_stage,
        distances_of_a_simulation,
        distances_in_python,
        content_losses,
        content_loss_of_a_compiled_network,
        labels_and_scores_of_the_pairs,
        embedded,
        super_resolved,
        results,
        compared,
    )
}


def as_text(observations):
    return json.dumps(observations, indent=1) + "\n"


def assert_same(found, expected, where):
    """Equal, numbers up to rounding: of each list, with respect to its largest number."""
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        if are_numbers(expected.values()):
            return assert_same([*found.values()], [*expected.values()], where)
        for name in expected:
            assert_same(found[name], expected[name], f"{where}: {name}")
    elif isinstance(expected, list) and any(isinstance(item, dict | list) for item in expected):
        assert len(found) == len(expected), where
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, f"{where}[{i}]")
    elif isinstance(expected, float) or (isinstance(expected, list) and are_numbers(expected)):
        scale = np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * scale, err_msg=where)
    else:
        assert found == expected, where


def are_numbers(items):
    return len(items) > 0 and all(isinstance(item, float | int) for item in items)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The current folder is one with the files; the paths in them are relative to it."""
    unpack(DATA / "files.tar.xz", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("what", OBSERVATIONS)
def test_what_was_observed_is_observed_again(made, what):
    expected = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
    assert_same(json.loads(json.dumps(OBSERVATIONS[what]())), expected[what], what)


@pytest.mark.parametrize(
    ("program", "output"),
    [
        ("atmodist generate", "archive.h5"),
        ("atmodist simulate", "simulated.h5"),
        ("atmodist statistics", "normalization.json"),
        ("rplearn-data", f"{PAIRS}/records.json"),
        ("phire-data", f"{PATCHES}/records.json"),
        ("phire-infer", "sr.h5"),
    ],
)
def test_a_command_recognises_what_it_made_and_leaves_it(made, program, output):
    before = Path(output).stat()
    run(command(program))
    after = Path(output).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_run_can_be_calibrated_again_and_packaged(made):
    before = json.loads(Path("run/calibration.json").read_text())
    Path("run/calibration.json").unlink()
    run(command("atmodist calibrate"))
    again = json.loads(Path("run/calibration.json").read_text())
    assert again.pop("days") >= 1  # 0.1 did not say
    assert_same(again, before, "calibration")
    wanted = distances_of("encoder")
    run("atmodist package run --output again")
    assert_same(distances_of("again"), wanted, "distances")
    run("atmodist package run --output encoder --overwrite true")  # as it is known for a package
    assert_same(distances_of("encoder"), wanted, "distances")


def test_a_run_and_its_packages_are_the_same_generator(made):
    import srgan

    srgan.save_generator("generator-run", "again")
    srgan.save_generator("generator", "again")  # replaces it
    assert super_resolved("generator-run") == super_resolved("generator") == super_resolved("again")


def test_a_generator_makes_the_archive_that_it_made(made):
    run(command("phire-infer").replace("--output sr.h5", "--output again.h5"))
    found, wanted = contents("again.h5"), contents("sr.h5")
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        assert_same(found[name].ravel().tolist(), values.ravel().tolist(), name)


def test_a_training_goes_on_from_a_checkpoint_as_it_went_on_then(made):
    before = table("generator-run/log.csv")
    shutil.rmtree("generator-run/checkpoints/epoch-0002")
    run(command("phire-train"))
    after = table("generator-run/log.csv")
    for name in ("epoch", "step", "loss", "evaluation_loss"):
        assert_same(after[name], before[name], name)
    assert after["seconds"][0] == before["seconds"][0]  # the first epoch was not repeated
    assert after["seconds"][1] != before["seconds"][1]


def test_an_evaluation_goes_on_in_its_folder(made):
    import evaluation

    before = evaluation.load_results("results/past")
    again = evaluation.evaluate(evaluation.EvaluationConfig(**before.config))
    found, expected = by_variable(again.rows), by_variable(before.rows)
    # Spectra know the precision of files now, and resolution is that of mean spectra.
    common = [name for name in expected if not name.startswith("power_spectrum")]
    assert {name.split(":")[0] for name in found} == {name.split(":")[0] for name in expected}
    assert_same({n: found[n] for n in common}, {n: expected[n] for n in common}, "metrics")


@pytest.mark.slow
def test_results_are_joined_into_a_report(made):
    run("phire-eval compare results/past results/bicubic --output joined")
    assert Path("joined/report.html").is_file()
