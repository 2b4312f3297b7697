import pytest

from srgan.samples.configuration import PatchSamplerConfig


@pytest.mark.parametrize(
    ("factor", "steps", "total"), [(4, (2, 2), 4), ((2, 5), (2, 5), 10), (3, (3,), 3)]
)
def test_a_factor_is_a_number_or_its_steps(factor, steps, total):
    config = PatchSamplerConfig(archive="a.h5", factor=factor, patch_shape=(30 * total, total))
    assert (config.factors, config.total_factor) == (steps, total)


def test_equal_factors_make_equal_settings():
    by_number, by_steps = (PatchSamplerConfig(archive="a.h5", factor=f) for f in (4, (2, 2)))
    assert by_number == by_steps


def test_static_channels_may_be_listed_or_separated_by_commas():
    for static in ("latitude,z.nc", ("latitude", "z.nc")):
        assert PatchSamplerConfig(archive="a.h5", static=static).static == ("latitude", "z.nc")
    assert PatchSamplerConfig(archive="a.h5").static == ()


def test_the_settings_of_all_samplers_are_checked_too():
    with pytest.raises(ValueError, match="patches_per_step must be positive"):
        PatchSamplerConfig(archive="a.h5", patches_per_step=0)
    with pytest.raises(ValueError, match="latitude_range must be south, north"):
        PatchSamplerConfig(archive="a.h5", latitude_range=(50.0, 20.0))
    with pytest.raises(ValueError, match="whole_field_stride must be positive"):
        PatchSamplerConfig(archive="a.h5", whole_field_stride=0)
