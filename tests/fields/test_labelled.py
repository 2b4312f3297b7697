import numpy as np
import pytest
from numpy.testing import assert_array_equal

from atmodist.fields.labelled import is_labelled, require_units, turned_back
from atmodist.fields.orientation import Orientation


@pytest.mark.parametrize("units", ["s-1", "s**-1", "1/s", "s^-1", "/s", "S-1", ""])
def test_units_may_be_spelled_differently(units):
    require_units("vorticity", units, "s-1")
    require_units("vorticity", "s-1", units)


@pytest.mark.parametrize("units", ["m s-1", "s", "1e-5 s-1", "s-2", "K"])
def test_other_units_are_refused(units):
    with pytest.raises(ValueError, match=f"'{units}', and 's-1' is what is needed"):
        require_units("vorticity", units, "s-1")


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("start", [0, 3, 7])
@pytest.mark.parametrize("repeated", [False, True])
def test_turning_back_undoes_turning(flipped, start, repeated):
    latitude = np.linspace(90, -90, 5)[:: -1 if flipped else 1]
    longitude = (np.arange(8 + repeated) + start) * 45.0 % 360.0
    values = np.random.default_rng(0).normal(size=(2, 5, 8 + repeated))
    if repeated:
        longitude[-1] = longitude[0] + 360.0 if start == 0 else longitude[0]
        values[..., -1] = values[..., 0]
    orientation = Orientation(latitude, longitude)
    assert_array_equal(turned_back(orientation.apply(values), orientation), values)


def test_arrays_have_no_labels():
    assert not is_labelled(np.zeros(3))
