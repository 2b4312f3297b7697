import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.files.figures import save_figure
from evaluation.drawing import maps, plotting
from evaluation.numerics.setting import REFERENCE

LATITUDE = np.linspace(87.5, -87.5, 36)
LONGITUDE = np.arange(0, 360, 5.0)


def wave():
    return np.sin(np.radians(LATITUDE))[:, None] * np.cos(np.radians(3 * LONGITUDE)) * 1e-5


def test_limits_of_differences_are_symmetric_and_robust():
    rng = np.random.default_rng(0)
    field = rng.standard_normal(10_000) + 0.5
    field[0], field[1] = 1e6, np.nan
    low, high = maps.limits(field, signed=True)
    assert low == -high
    assert 2 < high < 5


def test_limits_of_one_sign_do_not_start_at_its_mirror():
    low, high = maps.limits(np.linspace(280, 300, 100))
    assert 280 <= low < high <= 300


@pytest.mark.parametrize("signed", [None, True, False])
@pytest.mark.parametrize("field", [np.zeros(9), np.full(9, 3.0), np.full(9, np.nan), np.zeros(0)])
def test_limits_are_never_empty(field, signed):
    low, high = maps.limits(field, signed=signed)
    assert np.isfinite([low, high]).all()
    assert low < high


def test_a_rare_extreme_alone_still_has_limits():
    field = np.zeros(100_000)
    field[7] = -2.0
    assert maps.limits(field, signed=True) == (-2.0, 2.0)


def test_a_global_map_is_centred_on_greenwich():
    longitude, order = maps.unwrapped(LONGITUDE)
    assert longitude[0] == -180
    assert_allclose(LONGITUDE[order] % 360, longitude % 360)


def test_a_window_across_the_date_line_or_greenwich_has_no_jump():
    longitude, order = maps.unwrapped(np.array([170.0, 175, 180, -175, -170]))
    assert_allclose(longitude, [170, 175, 180, 185, 190])
    assert_allclose(order, range(5))
    longitude, _ = maps.unwrapped(np.array([350.0, 355, 0, 5]))
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
        image = maps.draw_map(axes, latitude, LONGITUDE, values, bounds=(0, 1))
    west, east, south, north = image.get_extent()
    shown = image.get_array()
    row, column = np.unravel_index(np.argmax(shown), shown.shape)
    assert_allclose(north - (row + 0.5) * (north - south) / 36, 72.5)
    assert_allclose(west + (column + 0.5) * (east - west) / 72, 50.0)


def test_uneven_rows_are_drawn_as_cells():
    latitude = np.array([60.0, 40, 10, -5])
    with plotting.style():
        _, axes = plotting.new()
        drawn = maps.draw_map(axes, latitude, LONGITUDE, np.ones((4, 72)), bounds=(0, 1))
    assert type(drawn).__name__ == "QuadMesh"


def test_maps_share_one_symmetric_scale_with_its_unit(tmp_path):
    with plotting.style():
        figure = maps.side_by_side(
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
            maps.side_by_side({"a": field}, LATITUDE, LONGITUDE, name="x"), tmp_path / "x", ("png",)
        )


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        with plotting.style():
            figure = maps.side_by_side({"x": wave()}, LATITUDE, LONGITUDE, name="x")
            save_figure(figure, tmp_path / name, ("png", "pdf", "svg"))
    for suffix in ("png", "pdf", "svg"):
        first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("a", "b"))
        assert first == second
