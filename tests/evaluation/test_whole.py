"""Real statistics and the real report on a small atmosphere, from end to end."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from evaluation.contract.configuration import EvaluationConfig
from evaluation.numerics.setting import REFERENCE
from evaluation.report.report import write_report
from evaluation.running.results import load_results
from evaluation.running.runner import evaluate
from evaluation.statistics import STATISTICS
from tests.evaluation.made_up import changed_archive, made_archive

LEARNED = "learned_distance"  # needs a trained encoder; see its own tests
NAMES = [name for name in STATISTICS if name != LEARNED]
FEW = ["structure", "ensembles"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    truth = made_archive(folder / "truth.h5", num_steps=10)
    changed_archive(truth, folder / "same.h5", lambda field: field)
    for member in range(3):
        changed_archive(
            truth, folder / f"member-{member}.h5",
            lambda field: field + 0.5 * field.std() * rng.normal(size=field.shape),
        )  # fmt: skip
    return folder


def in_calendar(source, path, calendar):
    """The same fields at the same seconds, which mean other dates."""
    with (
        Archive(source) as archive,
        ArchiveWriter(
            path, channels=archive.channels, grid=archive.grid, calendar=calendar, identity={}
        ) as writer,
    ):
        for step, second in enumerate(archive.time.seconds):
            writer.append(int(second), archive.read(step))


def judged(folder, output, reference="truth.h5", names=NAMES, **candidates):
    config = EvaluationConfig(
        reference=str(folder / reference), candidates=candidates, output=str(output),
        statistics=list(names), regions=["tropics"], picture_times=["1970-01-01T12:00"], workers=1,
    )  # fmt: skip
    return evaluate(config)


def require_perfect(rows, candidate):
    """Nobody has a better number than a candidate that is the reference itself."""
    loss = {"lower": lambda row: row["value"], "higher": lambda row: -row["value"]}
    found = {}
    for row in rows:
        if row["candidate"] != REFERENCE and not row["variable"].startswith("paired_"):
            place = (row["statistic"], row["variable"], row.get("region"), row.get("channel"))
            found.setdefault(place, {})[row["candidate"]] = row
    seen = set()
    for place, of in found.items():
        own = of.get(candidate)
        if own is None or not own["better"] or own["value"] is None:
            continue
        seen.add(place[0])
        if own["better"] == "reference":
            # none where the statistic does not describe the reference
            assert own.get("difference", 0.0) == 0.0, place
            continue
        losses = {
            name: loss[own["better"]](row) for name, row in of.items() if row["value"] is not None
        }
        assert losses[candidate] == min(losses.values()), (place, losses)
    return seen


@pytest.fixture(scope="module")
def results(files, tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return judged(
            files, tmp_path_factory.mktemp("results"), same=str(files / "same.h5"),
            ens=str(files / "member-*.h5"), past="persistence:1",
        )  # fmt: skip


def test_the_identical_candidate_is_perfect_in_all_that_is_judged(results):
    assert list(results.outcomes) == NAMES
    assert not results.left_out
    assert len(results.time) == 9
    scored = {row["statistic"] for row in results.rows if row["better"]}
    assert require_perfect(results.rows, "same") == scored - {"ensembles"}
    psnr = [
        row["value"]
        for row in results.rows
        if (row["variable"], row["candidate"]) == ("psnr", "same")
    ]
    assert psnr == [math.inf] * len(psnr)


def test_the_folder_holds_all_of_it(results):
    assert load_results(results.folder).rows == results.rows
    assert all((results.folder / f"{name}.nc").is_file() for name in NAMES)
    assert {"scipy", "xarray", "pyshtools"} <= set(results.manifest["versions"])


@pytest.mark.parametrize("names", [FEW, pytest.param(NAMES, marks=pytest.mark.slow)])
def test_the_report_is_drawn_without_a_warning(results, tmp_path, names):
    """Most of a report's time goes to drawing; a few statistics show that it works."""
    part = replace(results, outcomes={name: results.outcomes[name] for name in names})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = write_report(part, tmp_path / "report.html")
    content = path.read_text(encoding="utf-8")
    assert "Figures are missing" not in content
    assert "∞" in content  # of the perfect candidate; so few steps tell nobody better
    assert len(list((tmp_path / "figures").rglob("*.png"))) > len(names)


def test_other_calendars_are_judged_too(files, tmp_path):
    for name in ("truth", "same", "member-0", "member-1"):
        in_calendar(files / f"{name}.h5", tmp_path / f"{name}.h5", "360_day")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = judged(
            tmp_path, tmp_path / "out", names=[*FEW, "errors"], same=str(tmp_path / "same.h5"),
            ens=str(tmp_path / "member-*.h5"),
        )  # fmt: skip
    assert results.time.calendar == "360_day"
    assert require_perfect(results.rows, "same")
    assert load_results(tmp_path / "out").rows == results.rows
