import pytest

from atmodist.fields.cf.quantities import contradiction


@pytest.mark.parametrize(
    ("quantity", "attributes"),
    [
        ("eastward_wind", {"standard_name": "eastward_sea_water_velocity"}),
        ("eastward_wind", {"standard_name": "surface_downward_eastward_stress"}),
        ("eastward_wind", {"standard_name": "eastward_wind_shear"}),
        ("eastward_wind", {"standard_name": "tendency_of_eastward_wind"}),
        ("northward_wind", {"standard_name": "northward_sea_ice_velocity"}),
        ("northward_wind", {"standard_name": "northward_wind standard_error"}),
        ("northward_wind", {"standard_name": "air_temperature"}),
        ("vorticity", {"standard_name": "ocean_relative_vorticity"}),
        ("vorticity", {"standard_name": "ertel_potential_vorticity"}),
        ("vorticity", {"standard_name": "atmosphere_absolute_vorticity"}),
        ("divergence", {"standard_name": "divergence_of_sea_ice_velocity"}),
        ("eastward_wind", {"cell_methods": "time: standard_deviation"}),
        ("eastward_wind", {"cell_methods": "area: mean time: variance (interval: 1 hr)"}),
        ("vorticity", {"cell_methods": "time: maximum"}),
    ],
)
def test_other_quantities_are_told_by_what_they_say(quantity, attributes):
    assert contradiction(quantity, attributes)


@pytest.mark.parametrize(
    ("quantity", "attributes"),
    [
        ("eastward_wind", {}),
        ("eastward_wind", {"standard_name": "eastward_wind", "cell_methods": "time: mean"}),
        ("eastward_wind", {"standard_name": "x_wind", "cell_methods": "time: point"}),
        ("eastward_wind", {"standard_name": "unknown"}),
        ("eastward_wind", {"standard_name": "U component of wind"}),
        ("northward_wind", {"standard_name": "northward_wind", "cell_methods": "area: mean"}),
        ("vorticity", {"standard_name": "atmosphere_relative_vorticity"}),
        ("vorticity", {"standard_name": "atmosphere_upward_relative_vorticity"}),
        ("divergence", {"standard_name": "divergence_of_wind"}),
        ("divergence", {"cell_methods": "time: mean (interval: 6 hours comment: of maximum)"}),
    ],
)
def test_winds_vorticity_and_divergence_are_themselves(quantity, attributes):
    assert not contradiction(quantity, attributes)
