"""Kinetic-energy spectrum of a wind, straight from its vorticity ζ and divergence δ.

On the sphere of radius a the wind is V = ∇χ + r̂ × ∇ψ with ζ = ∇²ψ and δ = ∇²χ, and -l(l+1)/a² is
the eigenvalue of ∇²; no wind has to be made. With S_l the power of degree l (see `spherical`),
    E_l = a² / (2 l(l+1)) (S_l(ζ) + S_l(δ)),    l ≥ 1,
the rotational and the divergent part, and Σ_l E_l is the area mean of (u² + v²) / 2. Degree 0 holds
none: circulation and outflow of a whole sphere vanish, and what a file has of them is rounding.

Options:
    threshold    Ratio to the reference below which a scale counts as lost; 0.5.
    slope        First and last degree of a power law to be fitted, e.g. [20, 80]; none.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
from evaluation.contract.accumulation import StepAccumulator, checked_options
from evaluation.contract.statistic import Need, Picture, Sample, Statistic
from evaluation.numerics.setting import Setting
from evaluation.numerics.spectra import effective_resolution, level_difference, ratio_of, slope
from evaluation.numerics.spherical import wavelength
from evaluation.scores.spectra import energy_per_degree
from evaluation.statistics.power_spectrum import checked_slope, checked_threshold, powers

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"threshold": 0.5, "slope": None}
PARTS = ("total", "rotational", "divergent")


def wind_channels(channels: Sequence[Channel]) -> tuple[int, int]:
    """Where vorticity and divergence stand, by name or CF standard name.

    Raises:
        ValueError: If one of them is missing.
    """
    found = []
    for wanted in (VORTICITY, DIVERGENCE):
        names = (wanted.name, wanted.standard_name)
        places = [i for i, c in enumerate(channels) if c.name == wanted.name] or [
            i for i, c in enumerate(channels) if c.standard_name in names
        ]
        if not places:
            raise ValueError(
                f"kinetic energy needs channels `vorticity` and `divergence`; there are "
                f"{', '.join(channel.name for channel in channels)}"
            )
        found.append(places[0])
    return found[0], found[1]


class KineticEnergies(StepAccumulator):
    """Mean energy spectra, and energies of each step."""

    def __init__(self, setting: Setting):
        super().__init__(setting)
        self._channels = list(wind_channels(setting.channels))
        if not setting.grid.is_global:
            raise ValueError(f"kinetic energy needs a global grid; this one is {setting.grid}")
        options = checked_options(setting, DEFAULTS, "kinetic_energy")
        self._threshold = checked_threshold(options["threshold"])
        self._slope = checked_slope(options["slope"])

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        power, reference = powers(sample)
        energy, expected = (self._parts(x) for x in (power, reference))
        degree = np.arange(1, energy.shape[-1])
        resolution = effective_resolution(
            ratio_of(energy[0, 1:], expected[0, 1:]), degree, self._threshold
        )
        self.add(
            sample.seconds,
            {"energy": energy, "reference": expected},
            {
                "energy": energy.sum(axis=-1),
                "level_difference": level_difference(energy[0, 1:], expected[0, 1:]),
                "step_degree": resolution,
            },
        )

    def _parts(self, power: np.ndarray) -> np.ndarray:
        """(part, degree) in the order of `PARTS`."""
        rotational, divergent = energy_per_degree(power[self._channels], self.setting.radius)
        return np.stack([rotational + divergent, rotational, divergent])

    def result(self) -> "xr.Dataset":
        """Spectra of all parts with their spread over time, and energies of each step."""
        import xarray as xr

        energy, reference = self.mean("energy"), self.mean("reference")
        degree = np.arange(energy.shape[-1])
        ratio = ratio_of(energy, reference)
        resolution = effective_resolution(ratio[0, 1:], degree[1:], self._threshold)
        steps = self.series("energy")
        units = {"units": "m2 s-2"}
        part = {"total": "kinetic energy", "rotational": "kinetic energy, rotational part"}
        part["divergent"] = "kinetic energy, divergent part"
        data = xr.Dataset(
            {
                "energy_spectrum": (
                    ("part", "degree"),
                    energy,
                    {"long_name": "kinetic energy per degree", **units},
                ),
                "energy_spread": (
                    ("part", "degree"),
                    self.spread("energy"),
                    {
                        "long_name": "its standard deviation over time",
                        **units,
                    },
                ),
                "energy_ratio": (
                    ("part", "degree"),
                    ratio,
                    {"long_name": "kinetic energy over that of the reference", "units": "1"},
                ),
                "energy_level_difference": (
                    "time",
                    self.series("level_difference"),
                    {
                        "long_name": "energy spectrum: rms difference of levels from the reference",
                        "units": "dB",
                        "better": "lower",
                    },
                ),
                "energy_step_degree": (
                    "time",
                    self.series("step_degree"),
                    {
                        "long_name": "effective resolution of single steps, as degree",
                        "units": "1",
                        "better": "higher",
                    },
                ),
                "energy_effective_wavelength": (
                    (),
                    wavelength(resolution, self.setting.radius / 1000),
                    {
                        "long_name": "effective resolution of kinetic energy, as wavelength",
                        "units": "km",
                        "better": "lower",
                        "main": 1,
                        "short_name": "effective resolution of kinetic energy",
                    },
                ),
                "energy_effective_degree": (
                    (),
                    resolution,
                    {
                        "long_name": "effective resolution of kinetic energy, as degree",
                        "units": "1",
                        "better": "higher",
                    },
                ),
            },
            coords={"time": self.seconds, "part": list(PARTS), "degree": degree},
        )
        for index, name in enumerate(PARTS):
            data[f"{name}_energy"] = (
                "time",
                steps[:, index],
                {"long_name": part[name], **units, "better": "reference"},
            )
        data.coords["wavelength"] = (
            "degree",
            wavelength(degree, self.setting.radius),
            {"long_name": "Wavelength", "units": "m"},
        )
        if self._slope is not None:
            data["energy_slope"] = (
                (),
                slope(energy[0], degree, self._slope),
                {
                    "long_name": "exponent of the energy spectrum",
                    "units": "1",
                    "better": "reference",
                },
            )
        return data


class KineticEnergy(Statistic):
    """See the module."""

    name = "kinetic_energy"
    title = "Kinetic energy"
    needs: frozenset[Need] = frozenset({"sphere", "winds"})
    of_reference = True
    version = 3

    def accumulator(self, setting: Setting) -> KineticEnergies:
        """Starts to accumulate; see the module for options."""
        return KineticEnergies(setting)

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """The spectrum of all energy, and its parts beside each other."""
        from evaluation.drawing.spectra_figures import Lines, spectrum_figure

        degree = result.degree.values[1:]
        circumference = float(result.wavelength[1]) * np.sqrt(2) / 1000
        for part in PARTS:
            values = result.sel(part=part)
            figure = spectrum_figure(
                degree,
                Lines.of(values.energy_spectrum[:, 1:]),
                ratios=Lines.of(values.energy_ratio[:, 1:]),
                name=f"{'kinetic' if part == 'total' else part} energy per degree",
                units=result.energy_spectrum.units,
                circumference=circumference,
                guides={"$l^{-3}$": -3.0, "$l^{-5/3}$": -5 / 3},
            )
            yield Picture(
                name=f"kinetic_energy_{part}",
                title=f"Kinetic energy, {part}",
                caption="Kinetic energy of each degree from vorticity and divergence, mean over "
                "time; its sum is the area mean of (u² + v²)/2"
                + ("" if part == "total" else f", of which this is the {part} part")
                + ". Dotted: power laws. Below, the ratio to the reference.",
                figure=figure,
            )


STATISTIC = KineticEnergy()
