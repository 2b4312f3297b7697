import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from evaluation.contract.statistic import Picture
from evaluation.drawing import plotting
from evaluation.report import figures
from evaluation.report.figures import draw_all, draw_section, save_picture
from evaluation.report.sections import Job
from tests.evaluation import example_results
from tests.evaluation.example_results import Statistic


def noise(points):
    figure = Figure(figsize=(3, 3))
    figure.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((points, points)))
    return Picture(name="x", title="t", caption="c", figure=figure)


def test_a_picture_is_saved_as_png_and_pdf_and_the_page_gets_the_smaller_kind(tmp_path):
    plain, dense = (save_picture(noise(n), tmp_path / f"p{n}") for n in (2, 480))
    assert plain.uri.startswith("data:image/png")
    assert dense.uri.startswith("data:image/webp")
    assert plain.size == (3.0, 3.0)
    png = (tmp_path / "p480.png").read_bytes()
    assert len(dense.uri) * 3 / 4 < len(png)
    assert Image.open(io.BytesIO(png)).size == (480, 480)
    assert (tmp_path / "p2.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow  # processes start
def test_workers_draw_the_same_sections(tmp_path):
    results = example_results.results(tmp_path, num_times=8, rows=6, shown=1)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = (draw_all(results, tmp_path / n, w) for n, w in (("one", 1), ("two", 2)))
    assert one == two
    assert list(one) == [Job(None, 0), Job("errors")]
    names = [sorted(p.name for p in (tmp_path / n).rglob("*.*")) for n in ("one", "two")]
    assert names[0] == names[1]


def test_what_was_drawn_before_a_failure_stays(tmp_path, caplog):
    results = example_results.results(tmp_path, num_times=8, rows=6)
    results.outcomes["errors"].statistic = Statistic(num_figures=1, fails=True)
    section = draw_section(results, Job("errors"), tmp_path / "errors")
    assert section.error == "RuntimeError: broken <b>drawing</b>"
    assert "errors could not be drawn" in caplog.text


def few(folder):
    return example_results.results(folder, num_times=8, rows=6, shown=1)


def test_candidates_keep_their_colour_where_others_are_missing(tmp_path):
    results = few(tmp_path)
    last = list(results.candidates)[-1]

    class Some(Statistic):
        def draw(self, result):
            self.shown = plotting.colors([last])[last]
            yield from ()

    results.outcomes["errors"].statistic = some = Some()
    draw_section(results, Job("errors"), tmp_path / "errors")
    assert some.shown == plotting.colors(results.candidates)[last]
    assert some.shown != plotting.colors([last])[last]


def test_progress_is_shown(tmp_path, monkeypatch):
    shown = []

    class Bar:
        def __init__(self, **options):
            shown.append(options)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def update(self):
            shown.append("update")

    monkeypatch.setattr(figures, "tqdm", Bar)
    draw_all(few(tmp_path), tmp_path)
    assert shown[0]["total"] == 2
    assert shown[1:] == ["update"] * 2
