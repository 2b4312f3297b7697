import numpy as np
import pytest
import xarray as xr

from atmodist.fields.cf.axes import field_axes
from atmodist.fields.cf.levels import vertical_levels

LAT, LON = np.linspace(80, -80, 5), np.arange(0, 360, 60.0)


def grid(**coords):
    return xr.Dataset(coords={"latitude": LAT, "longitude": LON, **coords})


def axes(dims, sizes=(), **coords):
    dataset = grid(**coords)
    shape = (*sizes, len(LAT), len(LON))
    dataset["u"] = ((*dims, "latitude", "longitude"), np.zeros(shape))
    return field_axes(dataset, dataset["u"])


@pytest.mark.parametrize(
    ("name", "value", "attributes", "shown"),
    [
        ("isobaric3", 50000.0, {"units": "Pa"}, "500 hPa"),
        ("isobaric", 500.0, {"units": "hPa"}, "500 hPa"),
        ("anything", 500.0, {"units": "millibar"}, "500 hPa"),
        ("anything", 50.0, {"units": "kPa"}, "500 hPa"),
        ("plev", 50000.0, {"units": "Pa", "standard_name": "air_pressure"}, "500 hPa"),
        ("z0", 10.0, {"units": "m", "standard_name": "height"}, "10 m"),
        ("above", 1.5, {"units": "km", "positive": "up"}, "1500 m"),
        ("k", 120, {"axis": "Z", "standard_name": "model_level_number"}, "model level 120"),
        ("hybrid2", 120, {"long_name": "hybrid level"}, "model level 120"),
        ("lev", 0.5, {"standard_name": "atmosphere_sigma_coordinate"}, "sigma 0.5"),
        ("level", 500, {}, "500"),
        ("lev7", 500, {"units": "1"}, "500"),
    ],
)
@pytest.mark.parametrize("size", [0, 1])
def test_levels_are_told_whatever_they_are_called(name, value, attributes, shown, size):
    dims = (name,) if size else ()
    if not size and name == "anything":  # a lone number in hPa may be any constant
        attributes = {**attributes, "positive": "down"}
    variables = {name: xr.Variable(dims, [value] if size else value, attributes)}
    dim, levels = vertical_levels(variables, dims)
    assert dim == (name if size else None)
    assert [str(level) for level in levels] == [shown]


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("x", {"units": "m", "standard_name": "projection_x_coordinate"}),
        ("x", {"units": "m"}),
        ("number", {"standard_name": "realization", "units": "1"}),
        ("time", {"units": "hours since 2020-01-01"}),
        ("band", {}),
        ("step", {"units": "hours"}),
    ],
)
def test_other_axes_are_no_levels(name, attributes):
    assert vertical_levels({name: xr.Variable((name,), [1.0, 2.0], attributes)}, (name,)) == (
        None,
        (),
    )


def test_levels_may_be_named_beside_an_axis_of_numbers():
    pressure = ("k", [500.0, 850.0], {"units": "hPa"})
    found = axes(("k",), (2,), p_full=pressure)
    assert (found.level_dim, [level.value for level in found.levels]) == ("k", [500.0, 850.0])


@pytest.mark.parametrize("name", ["number", "realization", "member", "ens", "M"])
def test_members_are_members(name):
    attributes = {"standard_name": "realization"} if name == "M" else {}
    found = axes((name,), (3,), **{name: (name, [4, 5, 6], attributes)})
    assert (found.member_dim, found.members, found.others) == (name, (4, 5, 6), ())
    assert found.times is None


def test_members_may_have_no_numbers_and_one_may_stand_alone():
    assert axes(("member",), (3,)).members == (0, 1, 2)
    assert axes((), number=((), 7)).members == (7,)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    "attributes",
    [
        ({"units": "degrees_north"}, {"units": "degrees_east"}),
        ({"standard_name": "latitude"}, {"standard_name": "longitude"}),
        ({"units": "degreeN"}, {"units": "degreesE"}),
    ],
)
def test_latitudes_beside_an_axis_of_numbers_are_found(attributes, order):
    dims = ("y", "x")[::order]
    shape = (len(LAT), len(LON))[::order]
    dataset = xr.Dataset(
        {"u": (dims, np.zeros(shape))},
        {
            "y": np.arange(len(LAT)),
            "x": np.arange(len(LON)),
            "rows": ("y", LAT, attributes[0]),
            "columns": ("x", LON, attributes[1]),
        },
    )
    found = field_axes(dataset, dataset["u"])
    assert (found.latitude.dim, found.latitude.name) == ("y", "rows")
    assert (found.longitude.degrees == LON).all()


def test_numbers_of_points_are_no_degrees():
    two = {"lat2d": (("y", "x"), np.zeros((4, 6)), {"units": "degrees_north"})}
    two["lon2d"] = (("y", "x"), np.zeros((4, 6)), {"units": "degrees_east"})
    for coords, message in ((two, "curvilinear grid"), ({}, "y counts the points")):
        dataset = xr.Dataset(
            {"u": (("y", "x"), np.zeros((4, 6)))}, {"y": np.arange(4), "x": np.arange(6), **coords}
        )
        with pytest.raises(ValueError, match=message):
            field_axes(dataset, dataset["u"])


def test_rotated_and_projected_axes_are_refused():
    for names in (("grid_latitude", "grid_longitude"), ("projection_y_coordinate",) * 2):
        dataset = xr.Dataset(
            {"u": (("y", "x"), np.zeros((4, 6)))},
            {
                "y": ("y", np.linspace(0, 3.5, 4), {"standard_name": names[0], "units": "degrees"}),
                "x": ("x", np.linspace(0, 5.5, 6), {"standard_name": names[1], "units": "degrees"}),
            },
        )
        with pytest.raises(ValueError, match="no 1-D latitude axis"):
            field_axes(dataset, dataset["u"])
