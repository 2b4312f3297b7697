import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

from atmodist.fields.cf.invalid_values import invalid_values
from atmodist.fields.labelled import invalid_of
from atmodist.fields.opening import open_dataset

FILL = np.float32(9.969209968386869e36)


def invalid(values, attributes=None, encoding=None, tmp_path=None, classic=False):
    """Where values are found invalid after a way through a file."""
    dataset = xr.Dataset({"u": (("x",), values, attributes or {})})
    encoding = {"_FillValue": None} | (encoding or {})
    engine = "scipy" if classic else "h5netcdf"
    dataset.to_netcdf(tmp_path / "a.nc", engine=engine, encoding={"u": encoding})
    with open_dataset(str(tmp_path / "a.nc")) as opened:
        array = opened["u"]
        return np.isnan(invalid_of(array).apply(array.values)).tolist()


@pytest.mark.parametrize("classic", [False, True])
@pytest.mark.parametrize(
    ("values", "attributes"),
    [
        (np.array([1, FILL], "f4"), {}),
        (np.array([1, FILL], "f8"), {}),
        (np.array([1, 1e20], "f4"), {"missing_value": np.float32(1e20)}),
        (np.array([1, 1e20], "f4"), {"missing_value": 1e20}),  # double, other than single's 1e20
        (np.array([1, 327.67], "f4"), {"missing_value": 327.67}),
        (np.array([1, -9999], "f4"), {"missing_value": "-9999."}),
        (np.array([1, -9999], "f8"), {"missing_value": np.int32(-9999)}),
        (np.array([1, 400], "f4"), {"valid_max": np.float32(300)}),
        (np.array([1, -400], "f4"), {"valid_min": -300.0}),
        (np.array([1, -400], "f4"), {"valid_range": np.array([-300, 300], "f4")}),
        (np.array([1, -32767], "i2"), {}),
        (np.array([1, -2147483647], "i4"), {}),
        (np.array([1, 99], "i2"), {"missing_value": np.int16(99)}),
    ],
)
def test_everything_that_marks_a_missing_value_is_known(tmp_path, values, attributes, classic):
    assert invalid(values, attributes, tmp_path=tmp_path, classic=classic) == [False, True]


def test_several_marks_are_all_known():
    marks = invalid_values({}, {"missing_value": np.array([-999.0, 1e15])}, np.dtype("f4"))
    assert_array_equal(np.isnan(marks.apply(np.array([-999, 1, 1e15], "f4"))), [True, False, True])


@pytest.mark.filterwarnings("ignore:saving variable u")
@pytest.mark.parametrize("scale", [0.01, -0.01])
@pytest.mark.parametrize(
    ("attributes", "smallest", "largest"),
    [
        ({"valid_range": np.array([-5000, 6000], "i2")}, -50, 60),  # packed units
        ({"valid_range": np.array([-50.0, 60.0], "f4")}, -50, 60),  # the type of unpacked values
        ({"valid_max": np.int16(6000)}, -np.inf, 60),
    ],
)
def test_bounds_of_packed_values_are_packed_unless_their_type_says_otherwise(
    tmp_path, attributes, smallest, largest, scale
):
    if scale < 0:  # packed bounds change places
        upside_down = {
            name: -values[::-1] if np.ndim(values) else -values
            for name, values in attributes.items()
        }
        packed = np.asarray(next(iter(attributes.values()))).dtype.kind == "i"
        swapped = {"valid_max": "valid_min"}
        attributes = (
            {swapped.get(n, n): v for n, v in upside_down.items()} if packed else attributes
        )
    values = np.array([smallest - 0.01 if np.isfinite(smallest) else -60, -50, 60, 60.01])
    packing = {"dtype": "int16", "scale_factor": scale, "add_offset": 0.0}
    found = invalid(values, attributes, packing, tmp_path)
    assert found == [np.isfinite(smallest), False, False, True]


@pytest.mark.filterwarnings("ignore:saving variable u")
def test_default_marks_of_packed_values_are_known(tmp_path):
    values = np.array([-327.67, -327.66, 1.0])
    packing = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 0.0}
    assert invalid(values, {}, packing, tmp_path) == [True, False, False]
    # with a mark of its own that number is a value
    packing["_FillValue"] = np.int16(32767)
    assert invalid(values, {}, packing, tmp_path) == [False, False, False]


def test_what_declares_nothing_stays_as_it_is():
    values = np.array([0.0, -1e5, 1e12, 1e36], "f4")
    assert invalid_values({}, {}, values.dtype).apply(values) is values
    for useless in ({"valid_range": [5.0, 1.0]}, {"missing_value": "none"}, {"valid_min": ""}):
        assert invalid_values(useless, {}, values.dtype).apply(values) is values


def test_zero_may_be_a_mark_but_only_if_it_is_declared():
    values = np.array([0.0, 1e-30], "f4")
    assert_array_equal(
        np.isnan(invalid_values({"missing_value": 0.0}, {}, values.dtype).apply(values)),
        [True, False],
    )
