import json

import pytest

from atmodist.fields.grid import Grid, make_grid
from atmodist.metric.concerns import spacing_concern
from atmodist.metric.extent import Extent

GLOBE = make_grid("regular", 181)
REGION = Grid(range(60, 30, -1), range(40))


def test_patches_are_no_whole_fields():
    patches = Extent.of_patches((64, 64), GLOBE)
    concern = patches.concern(GLOBE)
    assert "patches of 64 x 64 points (64 x 64 degrees)" in concern
    assert "atmodist calibrate RUN --archive ARCHIVE" in concern
    assert "\n" not in concern


@pytest.mark.parametrize("spacing", [1, 2])
def test_whole_fields_of_any_spacing_cover_the_globe(spacing):
    finer = make_grid("regular", 180 // spacing + 1)
    assert Extent.of_fields(GLOBE).concern(finer) is None
    assert Extent.of_fields(GLOBE).concern(REGION) is not None


def test_a_region_as_large_as_a_patch_is_read_as_a_patch():
    assert Extent.of_patches((30, 40), GLOBE).concern(REGION) is None
    assert Extent.of_patches((30, 40), None).concern(REGION) is None
    assert Extent.of_patches((30, 40), make_grid("regular", 91)).concern(REGION) is not None
    assert Extent.of_patches((30, 64), None).concern(REGION) is not None


def test_spacings_up_to_a_quarter_apart_are_alike():
    assert spacing_concern((0.8, 1.25), GLOBE) is None
    assert "spacing of 1 x 1 degrees" in spacing_concern((0.75, 1.0), GLOBE)
    assert "trained on 1 x 2.5 degrees" in spacing_concern((1.0, 2.5), GLOBE)


@pytest.mark.parametrize("grid", [GLOBE, None])
def test_it_comes_back_from_json(grid):
    for extent in (Extent.of_patches((64, 32), grid), Extent.of_fields(REGION)):
        assert Extent.from_dict(json.loads(json.dumps(extent.as_dict()))) == extent


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"kind": "halves"}, "`kind` must be one of .*; got 'halves'"),
        ({"shape": [3]}, "`shape` must be two positive numbers; got \\[3\\]"),
        ({"shape": [3, 2.5]}, "`shape` must be two"),
        ({"spacing_degrees": [1.0, float("nan")]}, "`spacing_degrees` must be two"),
        ({"grid": 7}, "`grid` must be a text"),
    ],
)
def test_what_cannot_be_is_refused(change, text):
    content = Extent.of_fields(REGION).as_dict() | change
    with pytest.raises(ValueError, match=text):
        Extent.from_dict(content)
    with pytest.raises(ValueError, match="`extent` must be an object"):
        Extent.from_dict("patches")
