import matplotlib as mpl
import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.files.figures import save_figure
from evaluation.drawing import plotting
from evaluation.numerics.setting import REFERENCE


def test_candidates_differ_and_the_reference_is_black():
    names = [REFERENCE, *(f"c{i}" for i in range(20))]
    styles = plotting.line_styles(names)
    assert styles[REFERENCE]["color"] == "black"
    assert len({(s["color"], str(s["linestyle"])) for s in styles.values()}) == len(names)
    assert plotting.colors(names[1:]) == plotting.colors(names)  # with or without a reference


@pytest.mark.parametrize("name", ["$x$", "_hidden", "a\nb", "", "x" * 300, "<b>&"])
def test_names_are_shown_as_they_are(name, tmp_path):
    with plotting.style():
        figure, axes = plotting.new()
        axes.plot([1, 2], **plotting.line_styles([name])[name])
        legend = axes.legend()
        save_figure(figure, tmp_path / "figure", ("png",))
    assert len(legend.get_texts()) == 1
    assert len(plotting.text(name)) < 40


def test_smoothing_keeps_constants_and_lines_and_leaves_out_gaps():
    assert_allclose(plotting.smooth(np.full(9, 2.0), 4), 2.0)
    line = np.arange(9.0)
    assert_allclose(plotting.smooth(line, 3)[1:-1], line[1:-1])
    gap = np.array([1.0, np.nan, 1.0, np.nan, np.nan, np.nan])
    assert_allclose(plotting.smooth(gap, 3), [1, 1, 1, 1, np.nan, np.nan])
    with pytest.raises(ValueError, match="at least 1"):
        plotting.smooth(line, 0)


def drawn(times, values, **options):
    """The axes of a series."""
    with plotting.style():
        figure, axes = plotting.new()
        plotting.series(axes, times, values, name="bias", units="s-1", **options)
        figure.canvas.draw()
    return axes


def labels(axes):
    return [label.get_text() for label in axes.get_xticklabels()]


def hours(num, start="2017-07-14"):
    return np.datetime64(start, "s") + 10_800 * np.arange(num)


def test_series_and_boxes_carry_units(tmp_path):
    rng = np.random.default_rng(0)
    with plotting.style():
        figure, (above, below) = plotting.new(nrows=2)
        values = {name: 1e-6 * rng.standard_normal(60) for name in (REFERENCE, "a")}
        plotting.series(above, hours(60), values, name="bias", units="s-1")
        plotting.box_plots(below, values | {"empty": np.full(3, np.nan)}, name="bias", units="s-1")
        save_figure(figure, tmp_path / "figure")
    assert above.get_ylabel() == below.get_xlabel() == "bias (10⁻⁶ s⁻¹)"


def test_steps_without_dates_are_steps():
    axes = drawn(np.arange(40), {"a": np.arange(40.0)})
    assert axes.get_xlabel() == "step"
    assert "1970" not in axes.xaxis.get_major_formatter().get_offset()
    assert {"0", "10", "20"} <= set(labels(axes))


def test_dates_of_other_calendars_are_told_in_them():
    cftime = pytest.importorskip("cftime")
    seconds = 86_400 * (31 * 360 + np.arange(50, 70, 0.25))  # around the 30th of February, 2001
    times = cftime.num2date(seconds, "seconds since 1970-01-01", calendar="360_day")
    axes = drawn(times, {"a": np.arange(80.0)})
    assert axes.xaxis.get_major_formatter()(31 * 360 + 59, 0) == "2001-02-30"
    shown = [label for label in labels(axes) if label]
    assert len(shown) >= 3
    assert all(label.startswith("2001-0") for label in shown)


def test_lines_are_broken_where_times_are_missing():
    times = np.delete(hours(30), [10, 11, 12, 14, 15])  # leaves the 14th alone
    axes = drawn(times, {"a": np.ones(25)}, width=1)
    (line,) = axes.lines
    assert np.isnan(line.get_ydata()).sum() == 2
    assert np.isfinite(line.get_ydata()).sum() == 25
    assert line.get_markevery() == [11]
    whole = drawn(hours(30), {"a": np.ones(30)}, width=1).lines[0]
    assert np.isfinite(whole.get_ydata()).all()


def test_running_means_do_not_reach_across_holes():
    times = np.concatenate([hours(20), hours(20, "2018-07-14")])
    axes = drawn(times, {"a": np.repeat([0.0, 1.0], 20)}, width=5)
    thick = axes.lines[1].get_ydata()
    assert_allclose(thick[np.isfinite(thick)], np.repeat([0.0, 1.0], 20))


def test_bars_of_a_group_stand_side_by_side():
    with plotting.style():
        _, axes = plotting.new()
        values = {f"c{i}": np.ones(3) for i in range(8)}
        plotting.bars(axes, ["x", "y", "z"], values)
    left = np.array([bar.get_x() for bar in axes.patches])
    right = left + [bar.get_width() for bar in axes.patches]
    order = np.argsort(left)
    assert (right[order][:-1] < left[order][1:]).all()
    looks = {(bar.get_facecolor(), bar.get_hatch()) for bar in axes.patches}
    assert len(looks) == len(values)  # more candidates than colours


def test_who_is_drawn_does_not_change_the_colours():
    names = [f"c{i}" for i in range(9)]
    with plotting.same_colors([REFERENCE, *names]):
        some = plotting.line_styles(["c7", "c2"])
        assert plotting.colors(["c2"])["c2"] == plotting.colors(names)["c2"]
    every = plotting.line_styles(names)
    for name in ("c2", "c7"):
        assert some[name] == every[name]
    assert plotting.line_styles(["c2"])["c2"]["color"] == every["c0"]["color"]  # a page of its own


def test_the_legend_lies_outside_the_panels():
    with plotting.style():
        figure, axes = plotting.new()
        axes.plot([0, 1], [0, 1])
        plotting.legend(figure, [REFERENCE, *(f"candidate {i}" for i in range(7))])
        figure.canvas.draw()
    (legend,) = figure.legends
    assert legend.get_window_extent().y1 <= axes.get_window_extent().y0
    assert legend.get_window_extent().x0 >= 0


def test_the_settings_of_the_caller_stay(tmp_path):
    before = dict(mpl.rcParams)
    with plotting.style():
        plotting.new()
    assert dict(mpl.rcParams) == before


def test_importing_does_not_load_matplotlib():
    import subprocess
    import sys

    code = "import sys, evaluation.drawing.plotting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
