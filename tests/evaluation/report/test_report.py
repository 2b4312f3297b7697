import re
from html.parser import HTMLParser

import pytest

from evaluation.report.report import _swatches, write_report
from tests.evaluation import example_results
from tests.evaluation.example_results import EVIL, Statistic

VOID = {"meta", "img", "br", "hr", "col"}


class Checker(HTMLParser):
    """Keeps what a page consists of, and complains where elements are not closed in order."""

    def __init__(self, content):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text, self.ids = [], [], [], [], []
        self.feed(content)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    results = example_results.results(folder)
    path = write_report(results)
    return results, path, path.read_text(encoding="utf-8")


def test_the_page_is_well_formed(written):
    _, _, content = written
    page = Checker(content)
    assert page.tags[:2] == ["html", "head"]
    assert len(set(page.ids)) == len(page.ids)
    links = [value for _, name, value in page.attributes if name == "href"]
    assert links
    assert all(link[1:] in page.ids for link in links)


def test_the_page_refers_to_nothing_outside(written):
    _, _, content = written
    page = Checker(content)
    for _, name, value in page.attributes:
        if name in ("src", "href", "data", "srcset", "action"):
            assert value.startswith(("data:", "#"))
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert not re.search(r"@import|url\(|https?://", content)


def test_what_is_folded_away_is_printed(written):
    _, _, content = written
    printed = content.split("@media print")[1].split("</style>")[0]
    assert re.search(r"details::details-content \{[^}]*content-visibility: visible", printed)


def test_names_of_regions_are_words(written):
    _, _, content = written
    text = "".join(Checker(content).text)
    assert "whole grid" in text
    assert "globe" not in text


def test_more_candidates_than_colours_have_swatches_of_their_own():
    names = [f"c{i}" for i in range(20)]
    found = _swatches(names)
    assert len({found[name] for name in names}) == len(names)


def test_members_are_told_of(tmp_path):
    results = bare(tmp_path, Statistic(num_figures=0))
    results.candidates["bicubic"].num_members = 5
    content = write_report(results).read_text(encoding="utf-8")
    assert content.count("judged by the mean of its 5 members") == 1


def test_names_cannot_break_out(written):
    _, path, content = written
    page = Checker(content)
    assert "<script" not in content
    assert EVIL in "".join(page.text)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    files = [p for p in path.parent.rglob("*") if p.is_file()]
    assert all(path.parent in p.parents for p in files)
    assert all(re.fullmatch(r"[a-z0-9-]+\.(png|pdf|webp|html|json)", p.name) for p in files)


def test_every_number_stands_beside_its_unit(written):
    results, _, content = written
    text = "".join(Checker(content).text)
    assert "root mean squared error, vorticity 10⁻⁵ s⁻¹ ↓" in text
    assert "variance, vorticity 10⁻¹⁰ s⁻² → ref." in text
    rmse = results.outcomes["errors"].dataset["rmse"].sel(region="globe", channel="vorticity")
    for value in rmse.mean("time").values[1:]:
        assert f"{1e5 * value:.3f}" in text


def test_the_best_is_bold_only_where_it_is_sure(written):
    _, _, content = written
    lines = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", content, re.S)
    errors = [line for line in lines if line.startswith("root mean squared error")]
    pooled = [line for line in lines if line.startswith("variance")]
    assert errors
    assert pooled
    assert all(line.count("<b>") == 1 and re.search(r"<b>1\.[56]", line) for line in errors)
    assert not any("<b>" in line for line in pooled)


def test_it_says_what_was_compared_and_how_to_make_it_again(written):
    _, _, content = written
    text = "".join(Checker(content).text)
    for word in (
        "24 × 48 points",
        "40: 2018-10-07 00:00 to 2018-10-11 21:00",
        "vorticity (s⁻¹)",
        "35° N to 75° N, 12.5° W to 42.5° E",
        "times are missing",
        "no members",
        "sha256:0123abcd",
        "numpy 2.0",
        "phire-eval --config run.yaml",
        "seed 3",
    ):
        assert word in text


def test_figures_are_in_the_page_and_beside_it(written):
    _, path, content = written
    page = Checker(content)
    pictures = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    kept = list((path.parent / "figures").rglob("*.png"))
    assert len(pictures) == len(kept) == len(list((path.parent / "figures").rglob("*.pdf")))
    assert len(kept) == 5
    alternatives = [v for tag, name, v in page.attributes if (tag, name) == ("img", "alt")]
    assert all(alternatives)
    assert len(content) < 1_500_000


def test_figures_leave_nothing_behind(written):
    from matplotlib import pyplot

    assert pyplot.get_fignums() == []


def bare(folder, statistic):
    """Results without pictures of fields."""
    results = example_results.results(folder, num_times=8, rows=6)
    results.fields = results.fields.isel(time=slice(0, 0))
    results.outcomes["errors"].statistic = statistic
    return results


def test_the_same_results_give_the_same_page(tmp_path):
    first, second = (
        write_report(bare(tmp_path / name, Statistic(num_figures=1))).read_bytes() for name in "ab"
    )
    assert first == second


def test_a_drawing_that_fails_costs_itself_alone(tmp_path, caplog):
    content = write_report(bare(tmp_path, Statistic(fails=True))).read_text(encoding="utf-8")
    text = "".join(Checker(content).text)
    assert "Figures are missing: RuntimeError: broken <b>drawing</b>" in text
    assert "root mean squared error" in text
    assert "errors could not be drawn" in caplog.text


def test_many_figures_are_folded_and_none_is_lost(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "outdated.png").touch()
    path = write_report(bare(tmp_path, Statistic(num_figures=5)))
    content = path.read_text(encoding="utf-8")
    assert content.count("<img") == 5
    assert "more figures (1)" in content
    assert len(list((tmp_path / "figures").rglob("*.png"))) == 5


def test_a_single_candidate_without_scores_is_a_report_too(tmp_path):
    results = bare(tmp_path, Statistic(num_figures=0))
    first = [results.baseline]
    results.candidates = {name: results.candidates[name] for name in first}
    outcome = results.outcomes["errors"]
    outcome.dataset = outcome.dataset[["spectrum"]].sel(candidate=first)
    results.rows, results.notes, results.left_out = [], [], {}
    text = "".join(Checker(write_report(results).read_text(encoding="utf-8")).text)
    assert "In short" not in text
    assert "bicubic against" in text
