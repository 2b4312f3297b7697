import numpy as np
import pytest

from atmodist.files.outputs import read_json
from evaluation.contract.configuration import EvaluationConfig
from evaluation.numerics.setting import REFERENCE
from evaluation.running import progress, work_units
from evaluation.running.results import load_results
from evaluation.running.runner import evaluate
from tests.evaluation.made_up import CALLS, STATISTICS, changed_archive, made_archive

NAMES = ["mean_square", "mean_map"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    truth = made_archive(folder / "truth.h5")
    changed_archive(truth, folder / "half.h5", lambda field: field / 2)
    changed_archive(truth, folder / "blurred.h5", lambda f: (f + np.roll(f, 1, axis=-1)) / 2)
    return folder


@pytest.fixture
def calls(tmp_path, monkeypatch):
    path = tmp_path / "calls"
    path.touch()
    monkeypatch.setenv(CALLS, str(path))

    def count():
        lines = path.read_text().splitlines()
        path.write_text("")
        return len(lines)

    return count


def judge(files, output, candidates=("same=truth.h5", "half=half.h5"), **options):
    options = {"statistics": NAMES, "workers": 1, **options}
    config = EvaluationConfig(
        reference=str(files / "truth.h5"),
        candidates=[
            f"{name}={files / what}" if what.endswith(".h5") else f"{name}={what}"
            for name, what in (candidate.split("=") for candidate in candidates)
        ],
        output=str(output),
        **options,
    )
    return evaluate(config, STATISTICS)


def value(results, candidate, variable="error", channel="vorticity"):
    (row,) = [
        row
        for row in results.rows
        if (row["candidate"], row["variable"], row["channel"]) == (candidate, variable, channel)
    ]
    return row


def test_the_identical_candidate_is_perfect_and_half_is_known(files, tmp_path):
    results = judge(files, tmp_path / "out")
    assert value(results, "same")["value"] == 0.0
    assert value(results, "same", "square")["difference"] == 0.0
    truth = value(results, REFERENCE, "square")["value"]
    # |f/2 - f|² = |f|²/4, to the rounding of float32
    np.testing.assert_allclose(value(results, "half")["value"], truth / 4, rtol=1e-6)
    half = value(results, "half", "square")
    np.testing.assert_allclose(half["difference"], -0.75 * truth, rtol=1e-6)
    assert half["no_interval"].startswith("the memory is too long: 20 values are worth 1.3")
    assert "difference_low" not in half
    assert half["baseline"] == "same"
    assert half["ten_percent"] == "worse"
    assert "verdict" not in half
    assert half["units"] == "s-2"


def test_results_are_the_same_for_any_number_of_workers(files, tmp_path):
    one = judge(files, tmp_path / "one")
    two = judge(files, tmp_path / "two", workers=2)
    assert one.rows == two.rows
    for name in NAMES:
        assert one.outcomes[name].dataset.identical(two.outcomes[name].dataset)


def test_a_killed_run_goes_on_and_ends_as_the_whole_one(files, tmp_path, calls, monkeypatch):
    whole = judge(files, tmp_path / "whole")
    assert calls() == 3 * 20
    monkeypatch.setattr(progress, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "SAVE_SHARE", np.inf)
    original, done = work_units.compute_unit, []

    def dying(*arguments):
        if len(done) == 13:
            raise KeyboardInterrupt
        done.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(work_units, "compute_unit", dying)
    with pytest.raises(KeyboardInterrupt):
        judge(files, tmp_path / "parted")
    before = calls()
    assert 0 < before < 60
    monkeypatch.setattr(work_units, "compute_unit", original)
    parted = judge(files, tmp_path / "parted")
    assert before + calls() == 60
    assert parted.rows == whole.rows
    dataset = parted.outcomes["mean_map"].dataset
    assert dataset.identical(whole.outcomes["mean_map"].dataset)


def test_only_what_is_new_is_computed(files, tmp_path, calls):
    out = tmp_path / "out"
    first = judge(files, out, ["half=half.h5"])
    assert calls() == 2 * 20
    judge(files, out, ["half=half.h5"])
    assert calls() == 0
    second = judge(files, out, ["half=half.h5", "blurred=blurred.h5"])
    assert calls() == 20
    assert value(second, "half")["value"] == value(first, "half")["value"]
    judge(files, out, ["renamed=half.h5"])
    assert calls() == 0
    judge(files, out, ["half=half.h5"], options={"mean_square": {"power": 1}})
    assert calls() == 2 * 20
    judge(files, out, ["half=half.h5"], statistics=["mean_map"], options={})
    assert calls() == 0  # sums of the map were kept though options of the other changed
    assert not (out / "mean_square.nc").exists()


@pytest.mark.filterwarnings("ignore:the common times changed")
def test_parts_that_are_of_no_use_are_removed(files, tmp_path, calls):
    out = tmp_path / "out"

    def kept():
        return {path.name for path in (out / "parts").iterdir()}

    judge(files, out, ["half=half.h5"])
    first = kept()
    # of the reference and of the candidate: two statistics, and fields to be shown
    assert sorted(name.split("-")[0] for name in first) == sorted([*NAMES, "fields"] * 2)
    judge(files, out, ["half=half.h5", "blurred=blurred.h5"])
    assert kept() > first
    judge(files, out, ["half=half.h5"])
    assert kept() == first
    judge(files, out, ["half=half.h5"], every=2)
    assert len(kept()) == len(first)
    assert not kept() & first
    calls()
    judge(files, out, ["half=half.h5"], every=2, statistics=["mean_map"])
    judge(files, out, ["half=half.h5"], every=2)
    assert calls() == 0  # a statistic that was left alone is kept


def test_it_is_said_where_another_candidate_makes_all_of_it_new(files, tmp_path, calls):
    out = tmp_path / "out"
    judge(files, out, ["half=half.h5"])
    judge(files, out, ["half=half.h5", "blurred=blurred.h5"])
    calls()
    with pytest.warns(UserWarning, match="anew") as told:
        judge(files, out, ["half=half.h5", "past=persistence:1"])
    assert calls() == 3 * 19
    (warning,) = told
    assert str(warning.message) == (
        "the common times changed from 20 (1970-01-01T00:00:00 to 1970-01-03T09:00:00) to 19 "
        "(1970-01-01T03:00:00 to 1970-01-03T09:00:00): everything is computed anew"
    )


def test_results_can_be_read_again(files, tmp_path):
    results = judge(files, tmp_path / "out", regions=["europe", "mine=-10,10,350,20"])
    again = load_results(tmp_path / "out")
    assert again.rows == results.rows
    assert list(again.setting.regions) == ["globe", "europe", "mine"]
    assert again.setting.regions == results.setting.regions
    assert again.setting.grid.matches(results.setting.grid)
    assert again.time.seconds.tolist() == results.time.seconds.tolist()
    assert again.candidates == results.candidates
    assert again.setting.channels == results.setting.channels
    dataset = again.outcomes["mean_square"].dataset
    assert dataset["candidate"].values.tolist() == [REFERENCE, "same", "half"]
    assert str(dataset["time"].values[0])[:10] == results.time.isoformat(0)[:10]
    assert dataset["error"].attrs["units"] == "s-2"
    fields = again.fields
    assert fields["vorticity"].dims == ("candidate", "time", "latitude", "longitude")
    metrics = read_json(tmp_path / "out" / "metrics.json")
    entry = metrics["statistics"]["mean_square"]["variables"]["error"]
    assert (entry["units"], entry["better"]) == ("s-2", "lower")
    header = (tmp_path / "out" / "metrics.csv").read_text().splitlines()[0]
    assert header.startswith("statistic,variable,long_name,units,better,candidate,region,channel")


def test_baselines_on_the_fly_see_block_means_and_the_past(files, tmp_path):
    candidates = ["bilinear=interpolation:bilinear", "bicubic=interpolation:bicubic",
                  "past=persistence:2"]  # fmt: skip
    results = judge(files, tmp_path / "out", candidates, factor=2)
    assert len(results.time) == 18
    assert results.notes == [
        "18 of 20 times are used, those that all candidates have (past lacks 2)"
    ]
    errors = [value(results, name)["value"] for name in ("bicubic", "bilinear", "past")]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert results.candidates["past"].about == "the reference 6 h earlier"


def test_members_are_averaged_and_statistics_without_what_they_need_left_out(files, tmp_path):
    names = ["mean_square", "member_spread", "learned"]
    results = judge(files, tmp_path / "one", ["half=half.h5"], statistics=names)
    assert results.left_out == {
        "member_spread": "no candidate has members",
        "learned": "it needs an encoder (--encoder)",
    }
    ensemble = f"pair=[{files / 'truth.h5'}, {files / 'half.h5'}]"
    config = EvaluationConfig(
        reference=str(files / "truth.h5"), candidates=[ensemble, f"half={files / 'half.h5'}"],
        statistics=names, output=str(tmp_path / "two"), workers=1,
    )  # fmt: skip
    results = evaluate(config, STATISTICS)
    assert results.candidates["pair"].num_members == 2
    assert results.notes == [
        "pair: the mean of its 2 members, which is judged, is smoother than each of them; these "
        "themselves are judged by member_spread alone"
    ]
    truth = value(results, REFERENCE, "square")["value"]
    np.testing.assert_allclose(value(results, "pair")["value"], truth / 16, rtol=1e-5)
    spread = results.outcomes["member_spread"].dataset
    assert spread["candidate"].values.tolist() == ["pair"]


def test_mistakes_are_said_in_one_line(files, tmp_path):
    with pytest.raises(ValueError, match=r"no statistic 'nonsense'; there are mean_square, mean_"):
        judge(files, tmp_path / "out", statistics=["nonsense"])
    with pytest.raises(ValueError, match="statistic mean_square: there is no option 'strength'"):
        judge(files, tmp_path / "out", options={"mean_square": {"strength": 1}})
    with pytest.raises(ValueError, match="given for mean_map, which is not among"):
        judge(files, tmp_path / "out", statistics=["mean_square"], options={"mean_map": {}})
    with pytest.raises(ValueError, match="no statistic can be computed: learned: it needs an enc"):
        judge(files, tmp_path / "out", statistics=["learned"])
    config = EvaluationConfig(reference="r.h5", candidates=["c.h5"], output=str(tmp_path / "out"))
    with pytest.raises(ValueError, match="run only if they are asked for: learned"):
        evaluate(config, {"learned": STATISTICS["learned"]})
    with pytest.raises(ValueError, match="`picture_times`: 1999-01-01 is none of the 20 times"):
        judge(files, tmp_path / "out", picture_times=["1999-01-01"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="other holds other things; choose another --output"):
        judge(files, tmp_path / "other")


def test_missing_values_are_refused_where_they_are(files, tmp_path):
    changed_archive(files / "truth.h5", tmp_path / "bare.h5", lambda field: field)
    import h5py

    with h5py.File(tmp_path / "bare.h5", "r+") as file:
        file["data"][1, 5, 3, 4] = np.nan
    config = EvaluationConfig(
        reference=str(files / "truth.h5"), candidates=[str(tmp_path / "bare.h5")],
        statistics=NAMES, output=str(tmp_path / "out"), workers=1,
    )  # fmt: skip
    message = r"^candidate bare: .*bare.h5: 1 of \d+ values of vorticity at .* missing \(NaN\)"
    with pytest.raises(ValueError, match=message):
        evaluate(config, STATISTICS)


def test_objects_are_not_kept(tmp_path):
    from evaluation.running.partial_sums import Parts

    parts = Parts(tmp_path / "parts")
    with pytest.raises(TypeError, match="the statistic x keeps objects in 'a'"):
        parts.save("x", "0", 1, {"a": np.array([None])})
    assert parts.load("x", "0") == (0, {})
    parts.save("x", "0", 3, {"a": np.arange(2)})
    assert parts.done("x", "0") == 3
    assert parts.load("x", "0")[1]["a"].tolist() == [0, 1]
    (tmp_path / "parts" / "x-0.npz").write_bytes(b"cut")
    assert parts.done("x", "0") == 0


@pytest.mark.slow
def test_results_are_the_same_on_a_cluster(files, tmp_path):
    distributed = pytest.importorskip("dask.distributed")
    here = judge(files, tmp_path / "here")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        there = judge(files, tmp_path / "there", workers=None, scheduler=cluster.scheduler_address)
    assert there.rows == here.rows


def test_a_scheduler_that_is_not_there_is_told(files, tmp_path, monkeypatch):
    pytest.importorskip("dask.distributed")
    monkeypatch.setattr("evaluation.running.work_units.SCHEDULER_WAIT", "100ms")
    with pytest.raises(ValueError, match=r"no dask scheduler at tcp://127\.0\.0\.1:9"):
        judge(files, tmp_path / "out", workers=None, scheduler="tcp://127.0.0.1:9")
