import numpy as np
import pytest

from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
from atmodist.fields.plausibility import require_plausible


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("channel", "usual", "unusual"),
    [
        (VORTICITY, 0.3, 1.2),
        (DIVERGENCE, 0.3, 1e30),
        (Channel("vo", "s**-1", "atmosphere_relative_vorticity"), 0.3, 20.0),
        (Channel("eastward_wind", "m s-1"), 180.0, 327.67),
        (Channel("u10", "m/s", "eastward_wind"), 180.0, 999.0),
    ],
)
def test_values_that_no_atmosphere_has_are_refused(channel, usual, unusual, sign):
    field = np.zeros((1, 3, 4))
    field[0, 1, 2], field[0, 0, 0] = sign * usual, np.nan
    require_plausible(field, [channel], "noon", "a.nc")
    field[0, 1, 2] = sign * unusual
    with pytest.raises(ValueError, match=rf"a\.nc: 1 of 12 values of {channel.name} at noon"):
        require_plausible(field, [channel], "noon", "a.nc")


@pytest.mark.parametrize(
    "channel", [Channel("vorticity"), Channel("vorticity", "1"), Channel("temperature", "K")]
)
def test_bounds_are_of_known_quantities_in_known_units(channel):
    require_plausible(np.full((1, 2, 2), 300.0), [channel], "noon", "a.nc")
