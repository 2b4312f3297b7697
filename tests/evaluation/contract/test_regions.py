import numpy as np
import pytest

from atmodist.fields.grid import Grid, make_grid
from evaluation.contract.regions import REGIONS, named_regions, region_title, with_globe
from evaluation.numerics.setting import GLOBE, Region, Setting


def test_regions_are_told_in_words():
    assert region_title("southern_ocean") == "southern ocean"
    assert region_title(GLOBE) == region_title("") == "whole grid"  # which may be a window, too


def test_all_regions_have_points_of_a_coarse_grid_and_lie_where_they_should():
    grid = make_grid("regular", 37)  # 5 degrees
    regions = with_globe(REGIONS, grid)
    assert next(iter(regions)) == GLOBE
    setting = Setting(grid=grid, channels=(), regions=regions)
    inside = {"europe": (50, 10), "north_pacific": (45, 180), "southern_ocean": (-60, 100),
              "tropical_pacific": (0, 200), "north_atlantic": (45, 320), "australia": (-25, 135),
              "south_america": (-15, 300)}  # fmt: skip
    for name, (latitude, longitude) in inside.items():
        rows, columns = setting.window(name)
        assert latitude in grid.latitude[rows], name
        assert longitude in grid.longitude[columns], name
    _, columns = setting.window("europe")  # from west to east over Greenwich
    assert np.all(np.diff((grid.longitude[columns] + 180) % 360) > 0)
    assert len(setting.window("tropics")[1]) == 72


def test_regions_of_flags_and_yaml_are_the_same():
    mine = Region(south=-10, north=10, west=350, east=20)
    assert named_regions(["europe", "mine=-10,10,350,20"]) == {
        "europe": REGIONS["europe"], "mine": mine,
    }  # fmt: skip
    assert named_regions({"mine": [-10, 10, 350, 20], "globe": None}) == {"mine": mine}
    assert named_regions(["mine=[-10, 10, 350, 20]"]) == {"mine": mine}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["atlantis"], "no region 'atlantis'; there are tropics, .*or your own"),
        (["a=1,2,3"], "region a must be south,north,west,east"),
        (["a=1,2,3,x"], "region a must be south,north,west,east"),
        (["a=20,10,0,5"], "south < north"),
        (["a=-91,10,0,5"], "in -90..90"),
        (["a=-9,10,5,5"], "west and east differ"),
        ({"globe": [0, 1, 2, 3]}, "globe is the whole grid"),
    ],
)
def test_wrong_regions_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        named_regions(given)


def test_regions_without_points_are_refused():
    grid = Grid(np.linspace(60, 30, 31), np.linspace(0, 30, 31))
    assert with_globe(None, grid) == {GLOBE: None}
    assert list(with_globe(None, make_grid("regular", 19)))[1:] == [
        "tropics", "northern_extratropics", "southern_extratropics",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="region antarctic has 0 rows and 31 columns"):
        with_globe({"antarctic": REGIONS["antarctic"]}, grid)
