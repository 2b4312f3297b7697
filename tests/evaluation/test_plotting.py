import matplotlib as mpl
import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.figures import save_figure
from evaluation import plotting
from evaluation.statistic import REFERENCE

LATITUDE = np.linspace(87.5, -87.5, 36)
LONGITUDE = np.arange(0, 360, 5.0)


def wave():
    return np.sin(np.radians(LATITUDE))[:, None] * np.cos(np.radians(3 * LONGITUDE)) * 1e-5


def test_limits_of_differences_are_symmetric_and_robust():
    rng = np.random.default_rng(0)
    field = rng.standard_normal(10_000) + 0.5
    field[0], field[1] = 1e6, np.nan
    low, high = plotting.limits(field, signed=True)
    assert low == -high
    assert 2 < high < 5


def test_limits_of_one_sign_do_not_start_at_its_mirror():
    low, high = plotting.limits(np.linspace(280, 300, 100))
    assert 280 <= low < high <= 300


@pytest.mark.parametrize("signed", [None, True, False])
@pytest.mark.parametrize("field", [np.zeros(9), np.full(9, 3.0), np.full(9, np.nan), np.zeros(0)])
def test_limits_are_never_empty(field, signed):
    low, high = plotting.limits(field, signed=signed)
    assert np.isfinite([low, high]).all()
    assert low < high


def test_a_rare_extreme_alone_still_has_limits():
    field = np.zeros(100_000)
    field[7] = -2.0
    assert plotting.limits(field, signed=True) == (-2.0, 2.0)


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


def test_a_global_map_is_centred_on_greenwich():
    longitude, order = plotting.unwrapped(LONGITUDE)
    assert longitude[0] == -180
    assert_allclose(LONGITUDE[order] % 360, longitude % 360)


def test_a_window_across_the_date_line_or_greenwich_has_no_jump():
    longitude, order = plotting.unwrapped(np.array([170.0, 175, 180, -175, -170]))
    assert_allclose(longitude, [170, 175, 180, 185, 190])
    assert_allclose(order, range(5))
    longitude, _ = plotting.unwrapped(np.array([350.0, 355, 0, 5]))
    assert_allclose(longitude, [-10, -5, 0, 5])


@pytest.mark.parametrize("south_first", [False, True])
def test_a_map_shows_values_at_their_place(south_first):
    values = np.zeros((36, 72))
    values[3, 10] = 1.0  # 72.5°N, 50°E
    latitude = LATITUDE
    if south_first:
        values, latitude = values[::-1], latitude[::-1]
    with plotting.style():
        _, axes = plotting.new()
        image = plotting.draw_map(axes, latitude, LONGITUDE, values, bounds=(0, 1))
    west, east, south, north = image.get_extent()
    shown = image.get_array()
    row, column = np.unravel_index(np.argmax(shown), shown.shape)
    assert_allclose(north - (row + 0.5) * (north - south) / 36, 72.5)
    assert_allclose(west + (column + 0.5) * (east - west) / 72, 50.0)


def test_uneven_rows_are_drawn_as_cells():
    latitude = np.array([60.0, 40, 10, -5])
    with plotting.style():
        _, axes = plotting.new()
        drawn = plotting.draw_map(axes, latitude, LONGITUDE, np.ones((4, 72)), bounds=(0, 1))
    assert type(drawn).__name__ == "QuadMesh"


def test_maps_share_one_symmetric_scale_with_its_unit(tmp_path):
    with plotting.style():
        figure = plotting.maps(
            {REFERENCE: wave(), "$c$": 2 * wave(), "d": wave()},
            LATITUDE,
            LONGITUDE,
            name="vorticity",
            units="s-1",
        )
        save_figure(figure, tmp_path / "maps")
    images = [image for axes in figure.axes for image in axes.images]
    assert len({image.get_clim() for image in images}) == 1
    low, high = images[0].get_clim()
    assert low == -high
    assert figure.axes[-1].get_xlabel() == "vorticity (10⁻⁵ s⁻¹)"
    assert (tmp_path / "maps.pdf").read_bytes().startswith(b"%PDF")


def test_missing_values_are_drawn_without_warning(tmp_path):
    field = wave()
    field[:5] = np.nan
    with plotting.style():
        save_figure(
            plotting.maps({"a": field}, LATITUDE, LONGITUDE, name="x"), tmp_path / "x", ("png",)
        )


def test_wavelength_stands_above_the_degree():
    with plotting.style():
        figure, axes = plotting.new()
        axes.plot([1, 10, 100], [1, 0.1, 0.01])
        plotting.spectrum_axes(axes, name="power", units="s-2", radius=1e6)
        figure.canvas.draw()
    (top,) = axes.child_axes
    low, high = sorted(top.get_xlim())
    degree = axes.get_xlim()[0]
    assert_allclose(high, 2 * np.pi * 1e3 / np.sqrt(degree * (degree + 1)), rtol=1e-6)
    assert low < high
    assert axes.get_ylabel() == "power (s⁻²)"


def test_smoothing_keeps_constants_and_lines_and_leaves_out_gaps():
    assert_allclose(plotting.smooth(np.full(9, 2.0), 4), 2.0)
    line = np.arange(9.0)
    assert_allclose(plotting.smooth(line, 3)[1:-1], line[1:-1])
    gap = np.array([1.0, np.nan, 1.0, np.nan, np.nan, np.nan])
    assert_allclose(plotting.smooth(gap, 3), [1, 1, 1, 1, np.nan, np.nan])
    with pytest.raises(ValueError, match="at least 1"):
        plotting.smooth(line, 0)


def test_series_and_boxes_carry_units(tmp_path):
    rng = np.random.default_rng(0)
    with plotting.style():
        figure, (above, below) = plotting.new(nrows=2)
        seconds = 1_500_000_000 + 10_800 * np.arange(60)
        values = {name: 1e-6 * rng.standard_normal(60) for name in (REFERENCE, "a")}
        plotting.series(above, seconds, values, name="bias", units="s-1")
        plotting.box_plots(below, values | {"empty": np.full(3, np.nan)}, name="bias", units="s-1")
        save_figure(figure, tmp_path / "figure")
    assert above.get_ylabel() == below.get_xlabel() == "bias (10⁻⁶ s⁻¹)"


def test_the_settings_of_the_caller_stay(tmp_path):
    before = dict(mpl.rcParams)
    with plotting.style():
        plotting.new()
    assert dict(mpl.rcParams) == before


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        with plotting.style():
            figure = plotting.maps({"x": wave()}, LATITUDE, LONGITUDE, name="x")
            save_figure(figure, tmp_path / name, ("png", "pdf", "svg"))
    for suffix in ("png", "pdf", "svg"):
        first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("a", "b"))
        assert first == second


def test_importing_does_not_load_matplotlib():
    import subprocess
    import sys

    code = "import sys, evaluation.plotting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
