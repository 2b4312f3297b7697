import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation.contract.cities import cities, inside, nearest_points, unit_vectors

KNOWN = {  # from an atlas, degrees north and east, to about half a degree
    "London": (51.5, -0.1),
    "New York City": (40.7, -74.0),
    "Los Angeles": (34.1, -118.2),
    "São Paulo": (-23.5, -46.6),
    "Tokyo": (35.7, 139.7),
    "Sydney": (-33.9, 151.2),
    "Honolulu": (21.3, -157.9),
    "Auckland": (-36.8, 174.8),
    "Reykjavík": (64.1, -21.9),
    "Cape Town": (-33.9, 18.4),
    "Apia": (-13.8, -171.8),
    "Cairo": (30.0, 31.2),
    "Anchorage": (61.2, -149.9),
    "Dakar": (14.7, -17.4),
}


def test_cities_lie_where_they_are():
    places = {city.name: city for city in cities()}
    for name, (north, east) in KNOWN.items():
        assert abs(places[name].latitude - north) < 0.5, name
        assert abs(places[name].longitude - east) < 0.5, name
    assert sum(city.longitude < 0 for city in cities()) > 50


def test_cities_are_many_and_far_apart():
    assert 145 <= len(cities()) <= 155
    vectors = unit_vectors(*np.array([(c.latitude, c.longitude) for c in cities()]).T)
    cosine = vectors @ vectors.T - 2 * np.eye(len(vectors))
    assert np.arccos(cosine.max()) * EARTH_RADIUS / 1000 > 899


@pytest.mark.parametrize("west", [-180.0, 0.0])
@pytest.mark.parametrize("kind", ["regular", "driscoll-healy", "gauss"])
def test_nearest_points_are_nearest_by_the_great_circle(kind, west):
    base = make_grid(kind, 46)
    grid = Grid(base.latitude, base.longitude + west)
    north, east = np.array([(c.latitude, c.longitude) for c in cities()]).T
    row, column, distance = nearest_points(grid, north, east)
    points = unit_vectors(grid.latitude[:, None], grid.longitude[None, :]).reshape(-1, 3)
    cosine = unit_vectors(north, east) @ points.T
    assert_allclose(np.cos(distance), cosine.max(axis=1), rtol=1e-12)
    chosen = unit_vectors(grid.latitude[row], grid.longitude[column])
    assert_allclose((chosen * unit_vectors(north, east)).sum(-1), cosine.max(axis=1), rtol=1e-12)
    spacing = np.diff(grid.longitude).max()
    apart = np.abs((grid.longitude[column] - east + 180) % 360 - 180)
    assert apart.max() <= spacing / 2 + 1e-9  # west of Greenwich too


@given(st.floats(-90, 90), st.floats(-360, 720))
def test_full_turns_change_nothing(north, east):
    grid = make_grid("cell-centred", 12)
    row, _, distance = nearest_points(grid, np.array([north] * 2), np.array([east, east - 360]))
    assert row[0] == row[1]
    assert distance[0] == pytest.approx(distance[1], abs=1e-9)


def test_regional_grids_keep_the_cities_inside():
    grid = Grid(np.linspace(60, 40, 21), np.linspace(-10, 20, 31))
    assert {"London", "Berlin"} <= {city.name for city in inside(grid, cities())}
    assert "Cairo" not in {city.name for city in inside(grid, cities())}
    same = Grid(grid.latitude, grid.longitude + 360)
    assert inside(same, cities()) == inside(grid, cities())
    assert len(inside(make_grid("gauss", 32), cities())) == len(cities())


def test_wrong_lists_are_refused(tmp_path):
    path = tmp_path / "stations.csv"
    path.write_text("name,country,latitude\nx,YY,3\n")
    with pytest.raises(ValueError, match="expected columns name, country, latitude, longitude"):
        cities(path)
    other = tmp_path / "swapped.csv"
    other.write_text("name,country,latitude,longitude\nx,YY,139,35\n")
    with pytest.raises(ValueError, match=r"x lies at 139\.0 N"):
        cities(other)
