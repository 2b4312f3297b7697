import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.fields.channels import VORTICITY
from atmodist.fields.grid import Grid
from evaluation.drawing import pictures, plotting
from evaluation.numerics.setting import GLOBE, REFERENCE, Region, Setting


def setting(regions=(), rows=36):
    step = 180 / rows
    grid = Grid(90 - step * (np.arange(rows) + 0.5), step * np.arange(2 * rows))
    return Setting(grid=grid, channels=(VORTICITY,), regions={GLOBE: None} | dict(regions))


def fields(shape, *names):
    rng = np.random.default_rng(0)
    return {name: 1e-5 * rng.standard_normal((1, *shape)).astype(np.float32) for name in names}


def images(figure):
    return [image for axes in figure.axes for image in axes.images]


def draw(where, made):
    with plotting.style():
        return list(pictures.draw_fields(made, where, "2018-10-06 18:00"))


def test_first_middle_and_last_times_are_chosen_once():
    assert pictures.choose_times(9) == [0, 4, 8]
    assert pictures.choose_times(2) == [0, 1]
    assert pictures.choose_times(1) == [0]
    assert pictures.choose_times(0) == []


def test_zooms_are_at_narrow_regions_even_across_the_date_line():
    pacific = Region(south=-30, north=30, west=150, east=-150)
    tropics = Region(south=-20, north=20, west=-180, east=180)
    found = pictures.zooms(setting({"pacific": pacific, "tropics": tropics}))
    assert list(found) == ["pacific"]
    _, columns = found["pacific"]
    assert_allclose(setting().grid.longitude[columns][[0, -1]], [150, 210])


def test_a_globe_without_narrow_regions_is_zoomed_at_the_north_atlantic():
    assert list(pictures.zooms(setting())) == ["north Atlantic"]
    assert pictures.zooms(setting(rows=6)) == {}  # too few points there


def test_differences_are_candidate_minus_reference_with_symmetric_colours():
    where = setting(rows=6)
    made = fields(where.grid.shape, REFERENCE, "a")
    shown, difference = draw(where, {"a": made["a"], REFERENCE: made[REFERENCE]})
    assert "difference" not in shown.name
    assert len(images(shown.figure)) == 2
    (image,) = images(difference.figure)
    low, high = image.get_clim()
    assert low == -high
    scale = 10.0 ** np.round(np.log10(np.abs(image.get_array()).max() / 3e-5))
    expected = np.roll((made["a"] - made[REFERENCE])[0], 6, axis=-1) * scale
    assert_allclose(image.get_array(), expected, rtol=1e-4)


def test_fields_share_their_colours_and_the_reference_is_first():
    where = setting(rows=6)
    made = fields(where.grid.shape, "a", REFERENCE, "b")
    shown, _ = draw(where, made)
    assert len({image.get_clim() for image in images(shown.figure)}) == 1
    assert shown.figure.axes[0].get_title() == REFERENCE


def test_pictures_have_names_and_times_of_their_own():
    europe = Region(south=35, north=75, west=-12.5, east=42.5)
    where = setting({"europe": europe}, rows=18)
    made = draw(where, fields(where.grid.shape, REFERENCE, "a"))
    assert len({picture.name for picture in made}) == len(made) == 4
    assert all("2018-10-06 18:00" in picture.title for picture in made)


def test_without_a_reference_there_are_no_differences():
    where = setting(rows=6)
    assert len(draw(where, fields(where.grid.shape, "a"))) == 1


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (np.datetime64("2018-10-06T18:00:00.000000000"), "2018-10-06 18:00"),
        (np.int64(7), "step 7"),
        ("2018-10-06 18:00:00", "2018-10-06 18:00"),
    ],
)
def test_times_are_told_to_the_minute(when, expected):
    assert pictures.format_time(when) == expected
