import numpy as np
import pytest

from evaluation.drawing import coastlines


def test_lines_are_on_the_globe_and_none_jumps_across_a_map():
    for line in coastlines.world():
        assert np.abs(line[:, 0]).max() <= 180.0
        assert np.abs(line[:, 1]).max() <= 90.0
        assert np.abs(np.diff(line[:, 0])).max() < 30.0


def test_borders_between_countries_and_edges_of_the_map_are_not_coasts():
    points = np.concatenate([0.5 * (line[1:] + line[:-1]) for line in coastlines.world()])
    inside = (np.abs(points[:, 0] - 6) < 2) & (np.abs(points[:, 1] - 48) < 2)  # France, Germany
    assert not inside.any()
    assert np.abs(points[:, 0]).max() < 179.99
    assert points[:, 1].min() > -86.0


@pytest.mark.parametrize("turn", [-360, 0, 360])
def test_longitudes_may_be_of_any_turn(turn):
    home = coastlines.within(-10, 40, 30, 60)
    moved = coastlines.within(-10 + turn, 40 + turn, 30, 60)
    assert len(home) == len(moved) > 0
    for a, b in zip(home, moved, strict=True):
        np.testing.assert_allclose(b - a, np.broadcast_to([turn, 0.0], a.shape), atol=1e-9)


def test_a_window_across_the_date_line_shows_both_sides():
    lines = np.concatenate(coastlines.within(165, 200, 50, 72))
    assert ((lines[:, 0] > 165) & (lines[:, 0] < 180)).any()  # Kamchatka, Chukotka
    assert ((lines[:, 0] > 185) & (lines[:, 0] < 200)).any()  # Alaska


def test_a_map_of_0_to_360_has_every_coast():
    west = np.concatenate(coastlines.within(-180, 180))
    east = np.concatenate(coastlines.within(0, 360))
    shown = east[(east[:, 0] >= 0) & (east[:, 0] <= 360)]
    moved = {tuple(x) for x in np.round(np.column_stack([shown[:, 0] % 360, shown[:, 1]]), 3)}
    wanted = {tuple(x) for x in np.round(np.column_stack([west[:, 0] % 360, west[:, 1]]), 3)}
    assert wanted <= moved


def test_europe_is_in_its_place():
    """Gibraltar, Land's End and the heel of Italy, within a degree."""
    points = np.concatenate(coastlines.world())
    for east, north in ((-5.6, 36.0), (-5.7, 50.1), (18.4, 39.8)):
        assert np.hypot(points[:, 0] - east, points[:, 1] - north).min() < 1.0


def test_a_window_without_extent_is_refused():
    with pytest.raises(ValueError, match="west < east"):
        coastlines.within(10, 10)


def test_the_package_file_is_small_and_says_where_it_comes_from():
    from importlib import resources

    content = resources.files("evaluation").joinpath("data/coastlines.json").read_bytes()
    assert len(content) < 60_000
    assert b"public domain" in content[:300]
