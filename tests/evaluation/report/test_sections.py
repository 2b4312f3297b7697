import pytest

from evaluation.report import figures
from evaluation.report.figures import draw_all, draw_section
from evaluation.report.sections import Job, content_digest
from tests.evaluation import example_results
from tests.evaluation.example_results import Statistic


@pytest.fixture
def drawing(tmp_path, monkeypatch):
    """Draws into a folder; returns sections, and which of them were drawn anew."""
    calls = []

    def counting(results, job, folder):
        calls.append(job.statistic)
        return draw_section(results, job, folder)

    monkeypatch.setattr(figures, "draw_section", counting)

    def draw(results, name, before=None):
        calls.clear()
        (tmp_path / name).mkdir()
        before = tmp_path / before if before else None
        return draw_all(results, tmp_path / name, before=before), list(calls)

    return draw


def few(folder):
    return example_results.results(folder, num_times=8, rows=6, shown=1)


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.*")}


def test_what_is_unchanged_is_not_drawn_again(tmp_path, drawing):
    first, drawn = drawing(few(tmp_path), "first")
    assert drawn == [None, "errors"]
    second, drawn = drawing(few(tmp_path), "second", before="first")
    assert drawn == []
    assert second == first
    assert list(second) == list(first)
    assert files(tmp_path / "first") == files(tmp_path / "second")


def test_other_numbers_candidates_or_code_are_drawn_again(tmp_path, drawing, monkeypatch):
    drawing(few(tmp_path), "first")
    changed = few(tmp_path)
    data = changed.outcomes["errors"].dataset
    data["rmse"] = data["rmse"] * 2
    assert drawing(changed, "numbers", before="first")[1] == ["errors"]
    renamed = few(tmp_path)
    renamed.candidates = {"new": None, **renamed.candidates}
    assert drawing(renamed, "candidates", before="first")[1] == [None, "errors"]
    monkeypatch.setattr("evaluation.report.sections.code_identity", lambda: "other")
    assert drawing(few(tmp_path), "code", before="first")[1] == [None, "errors"]


def test_files_that_lack_are_drawn_again(tmp_path, drawing):
    first, _ = drawing(few(tmp_path), "first")
    next((tmp_path / "first" / "errors").glob("*.pdf")).unlink()
    (tmp_path / "first" / "fields-1" / "drawn.json").write_text("{")
    again, drawn = drawing(few(tmp_path), "second", before="first")
    assert drawn == [None, "errors"]
    assert again == first


def test_a_section_that_failed_is_tried_again(tmp_path, drawing):
    broken = few(tmp_path)
    broken.outcomes["errors"].statistic = Statistic(fails=True)
    drawing(broken, "first")
    sections, drawn = drawing(few(tmp_path), "second", before="first")
    assert drawn == ["errors"]
    assert not sections[Job("errors")].error


def test_equal_contents_have_equal_digests_whatever_the_order(tmp_path):
    data = few(tmp_path).outcomes["errors"].dataset
    other = data[list(data)[::-1]]
    assert content_digest(data) == content_digest(other)
    for changed in (
        data.assign_attrs(notes="new"),
        data.assign(rmse=data["rmse"].assign_attrs(units="m")),
        data.assign(rmse=data["rmse"] + 1e-12),
        data.assign_coords(candidate=["reference", "b", "c"]),
    ):
        assert content_digest(changed) != content_digest(data)
