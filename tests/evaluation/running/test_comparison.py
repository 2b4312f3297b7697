import numpy as np
import pytest

from evaluation.contract.configuration import ComparisonConfig, EvaluationConfig
from evaluation.numerics.setting import REFERENCE
from evaluation.running.comparison import compare
from evaluation.running.results import load_results
from evaluation.running.runner import evaluate
from tests.evaluation.made_up import STATISTICS, changed_archive, made_archive

NAMES = ["mean_square", "mean_map"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    truth = made_archive(folder / "truth.h5", num_steps=8)
    changed_archive(truth, folder / "half.h5", lambda field: field / 2)
    changed_archive(truth, folder / "double.h5", lambda field: field * 2)
    for name in ("truth", "half", "double"):
        judge(folder, name, [f"{name}={folder / name}.h5"])
    judge(folder, "all", [f"{name}={folder / name}.h5" for name in ("truth", "half", "double")])
    return folder


def judge(folder, name, candidates, reference="truth.h5", **options):
    config = EvaluationConfig(
        reference=str(folder / reference), candidates=candidates, output=str(folder / name),
        **{"statistics": NAMES, "workers": 1, **options},
    )  # fmt: skip
    return evaluate(config, STATISTICS)


def joined(folder, *names, **options):
    runs = [str(folder / name) for name in names]
    return compare(ComparisonConfig(runs=runs, **options))


def test_joined_runs_are_the_run_of_all(files, tmp_path):
    out = tmp_path / "out"
    results = joined(files, "truth", "half", "double", output=str(out))
    whole = load_results(files / "all")
    assert results.rows == whole.rows
    for name in NAMES:
        ours, theirs = results.outcomes[name].dataset, whole.outcomes[name].dataset
        assert ours["candidate"].values.tolist() == [REFERENCE, "truth", "half", "double"]
        for variable in theirs:
            np.testing.assert_array_equal(ours[variable], theirs[variable])
            assert ours[variable].attrs == theirs[variable].attrs
    np.testing.assert_array_equal(results.fields["vorticity"], whole.fields["vorticity"])
    again = load_results(out)
    assert again.rows == whole.rows
    assert joined(files, "truth", "half", "double", output=str(out)).rows == whole.rows


def test_one_name_for_two_candidates_is_told_apart(files, tmp_path):
    judge(files, "other", [f"half={files / 'double.h5'}"])
    results = joined(files, "half", "other", "all", output=str(tmp_path / "out"))
    assert list(results.candidates) == ["half", "half (other)", "truth", "double"]


def test_what_cannot_be_compared_is_refused_in_one_line(files, tmp_path):
    out = str(tmp_path / "out")
    judge(files, "against-half", [f"a={files / 'double.h5'}"], reference="half.h5")
    with pytest.raises(ValueError, match=r"different references, .*truth\.h5 and .*half\.h5"):
        joined(files, "truth", "against-half", output=out)
    judge(files, "fewer", [f"a={files / 'double.h5'}"], every=2, regions=["europe"])
    with pytest.raises(ValueError, match="cannot be compared: they differ in times, regions"):
        joined(files, "truth", "fewer", output=out)
    options = {"mean_square": {"power": 1}}
    judge(files, "options", [f"a={files / 'double.h5'}"], options=options)
    with pytest.raises(ValueError, match="mean_square was computed with other options"):
        joined(files, "truth", "options", output=out)
    with pytest.raises(ValueError, match="is one of the runs; choose another --output"):
        joined(files, "truth", "half", output=str(files / "half"))
    with pytest.raises(ValueError, match="`baseline` must be one of the candidates truth, half;"):
        joined(files, "truth", "half", baseline="b", output=out)
    with pytest.raises(FileNotFoundError, match="holds no results of phire-eval"):
        joined(files, "truth", "nowhere", output=out)


def test_statistics_that_one_run_lacks_are_left_out(files, tmp_path):
    judge(files, "map", [f"double={files / 'double.h5'}"], statistics=["mean_map"])
    results = joined(files, "truth", "map", output=str(tmp_path / "out"))
    assert list(results.outcomes) == ["mean_map"]
    assert results.left_out == {"mean_square": f"only {files / 'truth'} has it"}
