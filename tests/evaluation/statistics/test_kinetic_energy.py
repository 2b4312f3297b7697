import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation.contract.statistic import Sample
from evaluation.drawing import plotting
from evaluation.numerics.setting import GLOBE, REFERENCE, Setting
from evaluation.numerics.spherical import (
    analysis,
    degrees,
    power_per_degree,
    random_modal,
    synthesis,
)
from evaluation.scores.spectra import energy_per_degree
from evaluation.statistics.kinetic_energy import STATISTIC, wind_channels

GRIDS = {
    "n x 2n": make_grid("driscoll-healy", 32),
    "both poles": make_grid("regular", 33),
    "gauss": make_grid("gauss", 24),
    "cell-centred, odd": make_grid("cell-centred", 25, 51),
}
CHANNELS = (DIVERGENCE, VORTICITY)


def setting(grid, **options):
    return Setting(grid=grid, channels=CHANNELS, regions={GLOBE: None}, options=options)


def energies(candidate, reference, grid, **options):
    shared = setting(grid, **options)
    accumulator = STATISTIC.accumulator(shared)
    for step, (one, other) in enumerate(zip(candidate, reference, strict=True)):
        accumulator.update(
            Sample(setting=shared, candidate=one, reference=other, seconds=3600 * step)
        )
    return accumulator.result()


def haurwitz_wave(grid, wave=4, rotation=7.848e-6, amplitude=7.848e-6):
    """Wind and vorticity of the Rossby-Haurwitz wave (Williamson et al. 1992, case 6)."""
    phi, lam = np.radians(grid.latitude)[:, None], np.radians(grid.longitude)[None]
    sin, cos = np.sin(phi), np.cos(phi)
    u = rotation * cos + amplitude * cos ** (wave - 1) * (wave * sin**2 - cos**2) * np.cos(
        wave * lam
    )
    v = -amplitude * wave * cos ** (wave - 1) * sin * np.sin(wave * lam)
    vorticity = 2 * rotation * sin - amplitude * sin * cos**wave * (
        wave**2 + 3 * wave + 2
    ) * np.cos(wave * lam)
    return EARTH_RADIUS * u, EARTH_RADIUS * v, vorticity


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("tilt", [0.0, 0.4, np.pi / 2])
def test_solid_body_rotation_has_a_third_of_the_square_of_its_speed_in_degree_one(name, tilt):
    grid, speed = GRIDS[name], 20.0
    phi, lam = np.radians(grid.latitude)[:, None], np.radians(grid.longitude)[None]
    vorticity = (2 * speed / EARTH_RADIUS) * (
        np.sin(phi) * np.cos(tilt) - np.cos(phi) * np.cos(lam) * np.sin(tilt)
    )
    energy = energy_per_degree(power_per_degree(analysis(vorticity, grid)))
    assert_allclose(energy[1], speed**2 / 3, rtol=1e-12)
    assert np.delete(energy, 1).max() < 1e-24 * speed**2


@pytest.mark.parametrize("name", GRIDS)
def test_a_known_wind_has_its_energy_whether_it_turns_or_spreads(name):
    u, v, vorticity = haurwitz_wave(GRIDS["gauss"])  # whose weights integrate squares exactly
    expected = ((u**2 + v**2) / 2 * GRIDS["gauss"].area_weights).sum()
    grid = GRIDS[name]
    *_, vorticity = haurwitz_wave(grid)
    # the divergence 0.5 ζ belongs to the wind (0.5 v, -0.5 u)
    field = np.stack([0.5 * vorticity, vorticity])
    result = energies([field], [field], grid)
    assert_allclose(result.rotational_energy, [expected], rtol=1e-12)
    assert_allclose(result.divergent_energy, [expected / 4], rtol=1e-12)
    assert_allclose(result.total_energy, [1.25 * expected], rtol=1e-12)
    assert_allclose(result.energy_spectrum.sum("degree"), expected * np.array([1.25, 1, 0.25]))


def test_total_is_the_area_mean_of_half_the_square_of_any_wind():
    ducc0 = pytest.importorskip("ducc0")
    grid = GRIDS["gauss"]
    lmax = grid.max_truncation
    rng = np.random.default_rng(0)
    modal = np.stack([random_modal(np.r_[0.0, np.ones(lmax)], rng) for _ in range(2)]) * 1e-5
    # spin-1 synthesis, whose components point south and east
    scale = EARTH_RADIUS / np.sqrt(np.maximum(degrees(lmax) * (degrees(lmax) + 1.0), 1.0))
    wind = ducc0.sht.synthesis_2d(
        alm=-modal * scale, spin=1, lmax=lmax, geometry="GL", ntheta=24, nphi=48
    )
    field = synthesis(modal, grid)
    result = energies([field], [field], grid)
    expected = ((wind**2).sum(axis=0) / 2 * grid.area_weights).sum()
    assert_allclose(result.total_energy, [expected], rtol=1e-12)


def test_radius_and_mean_of_vorticity():
    power = np.array([5.0, 1.0, 1.0])
    assert_allclose(energy_per_degree(power, 2.0), [0.0, 1.0, 1 / 3])


def test_blur_loses_energy_and_resolution_and_the_same_is_perfect():
    grid = make_grid("gauss", 64)
    rng = np.random.default_rng(1)
    power = np.r_[0.0, np.ones(63)] * 1e-10
    modal = np.stack([[random_modal(power, rng) for _ in CHANNELS] for _ in range(3)])
    loss = np.sqrt(np.exp(-np.log(2) * (degrees(63) / 20.5) ** 2))
    truth, blurred = synthesis(modal, grid), synthesis(modal * loss, grid)
    same, lost = energies(truth, truth.copy(), grid), energies(blurred, truth, grid)
    assert same.energy_effective_degree == 63
    assert_allclose(same.energy_level_difference, 0.0)
    assert_allclose(lost.energy_effective_degree, 20.5, atol=0.1)
    length = 2 * np.pi * EARTH_RADIUS / 1000 / np.sqrt(20.5 * 21.5)
    assert_allclose(lost.energy_effective_wavelength, length, rtol=0.01)
    assert (lost.total_energy < same.total_energy).all()
    assert (lost.energy_level_difference > 3).all()


def test_channels_are_found_by_name_and_standard_name():
    assert wind_channels(CHANNELS) == (1, 0)
    vorticity = Channel("vo", "s-1", "atmosphere_relative_vorticity")
    assert wind_channels((Channel("t"), vorticity, DIVERGENCE)) == (1, 2)
    with pytest.raises(ValueError, match="needs channels `vorticity` and `divergence`; there are"):
        wind_channels((Channel("t"), VORTICITY))


def test_mistakes_are_told():
    regional = Grid(np.linspace(60, 30, 16), np.linspace(0, 30, 16))
    with pytest.raises(ValueError, match="needs a global grid"):
        STATISTIC.accumulator(setting(regional))
    with pytest.raises(ValueError, match="kinetic_energy has no option 'side'"):
        STATISTIC.accumulator(setting(GRIDS["gauss"], side=3))
    with pytest.raises(ValueError, match="`threshold` must lie between 0 and 1; got 2"):
        STATISTIC.accumulator(setting(GRIDS["gauss"], threshold=2))


def test_numbers_say_what_they_are_and_pictures_can_be_drawn(tmp_path):
    import xarray as xr

    grid = GRIDS["gauss"]
    field = np.random.default_rng(2).normal(size=(2, 2, *grid.shape)).astype(np.float32)
    parts = [energies(f, field, grid, slope=[3, 20]) for f in (field, 0.5 * field, 0 * field)]
    result = xr.concat(parts, dim=xr.IndexVariable("candidate", [REFERENCE, "half", "none"]))
    for name, values in parts[0].data_vars.items():
        assert {"long_name", "units"} <= set(values.attrs), name
        assert ("better" in values.attrs) == (set(values.dims) <= {"time"}), name
    with plotting.style():
        pictures = list(STATISTIC.draw(result))
    assert [p.name for p in pictures] == [
        "kinetic_energy_total",
        "kinetic_energy_rotational",
        "kinetic_energy_divergent",
    ]
    pictures[0].figure.savefig(tmp_path / "a.png", dpi=40)


def test_energy_and_its_loss_are_the_candidates():
    grid = GRIDS["gauss"]
    field = np.random.default_rng(0).normal(size=(2, 2, *grid.shape))
    own, half = (energies(k * field, field, grid) for k in (1.0, 0.5))
    assert_allclose(half.energy_spectrum, own.energy_spectrum / 4, rtol=1e-9)
    assert_allclose(half.energy_ratio[:, 1:], 1 / 4, rtol=1e-9)
    for part in ("total", "rotational", "divergent"):
        assert_allclose(half[f"{part}_energy"], own[f"{part}_energy"] / 4, rtol=1e-9)
    assert (half.energy_effective_wavelength > 10 * own.energy_effective_wavelength).all()
    assert half.energy_effective_degree < 2
    # vorticity is the rotational part, whichever channel it is
    turning = energies(field * np.array([0.0, 1.0])[:, None, None], field, grid)
    assert_allclose(turning.divergent_energy, 0, atol=1e-30)
    assert_allclose(turning.rotational_energy, own.rotational_energy, rtol=1e-9)
