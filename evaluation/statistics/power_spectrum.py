"""Power spectra: how much variance a candidate has at each scale, beside the reference.

On the sphere S_l is the power of degree l (see `numerics.spherical`), which sums to the area mean
of f². Of named regions, and of grids that do not cover the sphere, it is power per wavenumber of
flat, tapered tiles (see `numerics.spectra`). Low power at small scales is blur; the scale from
which on it is lost is the effective resolution. Too much of it is noise, which only the difference
in level, over all scales, notices. Power below what the precision of files allows to tell, 1e-8 of
the variance of the reference spread over all modes, counts as nothing (`above_precision`).

The effective resolution is read off the mean spectra, as a wavelength and as a degree, with an
interval by the jackknife over time where there are steps enough. That of
single steps is kept as a degree alone, for tests of differences: the spectrum of one step crosses
the threshold early by chance at times, and a mean of wavelengths would be ruled by these.

Options:
    threshold    Ratio to the reference below which a scale counts as lost; 0.5.
    slope        First and last degree of a power law to be fitted, e.g. [20, 80]; none.
    side         Of the tiles of regions, km; 2000.
    taper        Of the tiles: "hann", "tukey" or "none".
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.intervals import mean_interval, pseudo_values, without_each
from evaluation.contract.accumulation import StepAccumulator, checked_options
from evaluation.contract.statistic import Picture, Sample, Statistic
from evaluation.contract.units_text import squared_units, units_of
from evaluation.numerics.setting import GLOBE, Setting
from evaluation.numerics.shared import coefficients
from evaluation.numerics.spectra import (
    MEDIAN_WIDTH,
    WindowedSpectrum,
    above_precision,
    level_difference,
    ratio_of,
    slope,
    small_scale_level,
)
from evaluation.numerics.spherical import power_per_degree, wavelength
from evaluation.scores.spectra import resolved_wavelength

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS = {"threshold": 0.5, "slope": None, "side": 2000.0, "taper": "hann"}
RING_MEDIAN = 3  # rings; there are fewer of them than degrees
INTERVAL = "95 % interval of the effective resolution"
SERIES = ("total_power", "level_difference", "small_scale_level", "step_degree")


class PowerSpectra(StepAccumulator):
    """Mean spectra, and what single steps say of resolution."""

    def __init__(self, setting: Setting):
        super().__init__(setting)
        self._options = checked_options(setting, DEFAULTS, "power_spectrum")
        self._threshold = checked_threshold(self._options["threshold"])
        self._slope = checked_slope(self._options["slope"])
        self._on_sphere = setting.grid.is_global
        self._windows = {
            region: window
            for region in setting.regions
            if (region != GLOBE or not self._on_sphere)
            and (window := _window_of(setting, region, self._options)) is not None
        }

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        setting = self.setting
        means: dict[str, np.ndarray] = {}
        steps: dict[str, np.ndarray] = {}
        scalars = {
            name: np.full((len(setting.regions), len(setting.channels)), np.nan) for name in SERIES
        }
        for index, region in enumerate(setting.regions):
            if region == GLOBE and self._on_sphere:
                power, reference = powers(sample)
                median, modes = {}, 2 * np.arange(power.shape[-1]) + 1.0
                scale = wavelength(np.arange(1, power.shape[-1]), setting.radius / 1000)
            elif region in self._windows:
                window = self._windows[region]
                power = window(_cut(sample.candidate, setting, region))
                same = sample.candidate is sample.reference
                reference = power if same else window(_cut(sample.reference, setting, region))
                median, modes = {"width": RING_MEDIAN}, window.modes
                scale = 1 / window.wavenumber[1 : window.num_resolved + 1]
            else:
                continue
            means[f"power {region}"], means[f"reference {region}"] = power, reference
            steps[f"spectra {region}"] = np.stack([power, reference])
            scalars["total_power"][index] = power.sum(axis=-1)
            inside = slice(1, len(scale) + 1)
            power, reference = above_precision(
                (power[..., inside], reference[..., inside]), reference, modes
            )
            scalars["level_difference"][index] = level_difference(power, reference)
            scalars["small_scale_level"][index] = small_scale_level(power, reference)
            resolved = resolved_wavelength(power, reference, scale, self._threshold, **median)
            scalars["step_degree"][index] = degree_of(resolved, setting.radius / 1000)
        self.add(sample.seconds, means, {**scalars, **steps})

    def result(self) -> "xr.Dataset":
        """Mean spectra with their spread over time and ratio to the reference; numbers per step."""
        import xarray as xr

        setting = self.setting
        units = squared_units(units_of(setting))
        data = xr.Dataset(
            coords={
                "time": self.seconds,
                "region": list(setting.regions),
                "channel": [channel.name for channel in setting.channels],
            }
        )
        attributes: dict[str, Any] = {
            "total_power": ("power of all scales together (mean square)", units, "reference"),
            "level_difference": (
                "spectrum: rms difference of levels from the reference", "dB", "lower",
            ),
            "small_scale_level": (
                "power of small scales relative to the reference", "dB", "reference",
                {"main": 2, "short_name": "power of small scales"},
            ),
            "step_degree": (
                "effective resolution of single steps, as degree", "1", "higher",
            ),
        }  # fmt: skip
        for name, described in attributes.items():
            data[name] = ("time", "region", "channel"), self.series(name), _attributes(*described)
        self._add_resolution(data)
        if self._on_sphere:
            self._add_sphere(data, units)
        if self._windows:
            self._add_windows(data, units)
        return data

    def _add_resolution(self, data: "xr.Dataset") -> None:
        """The effective resolution of the mean spectra, for all regions that have any."""
        setting = self.setting
        shape = len(setting.regions), len(setting.channels)
        degree = np.full((3, *shape), np.nan)  # it, and both ends of its interval
        for index, region in enumerate(setting.regions):
            if (region == GLOBE and self._on_sphere) or region in self._windows:
                degree[0, index] = self._resolved_degree(
                    region, self.mean(f"power {region}"), self.mean(f"reference {region}")
                )
                degree[1:, index] = self._interval(region, degree[0, index])
        length = wavelength(degree, setting.radius / 1000)
        dims = "region", "channel"
        for name, values, described in (
            ("effective_wavelength", length[0], (
                "effective resolution of the mean spectrum, as wavelength", "km", "lower",
                {"main": 1, "short_name": "effective resolution"},
            )),
            ("effective_degree", degree[0], (
                "effective resolution of the mean spectrum, as degree", "1", "higher",
                {"main": 1, "short_name": "effective resolution, as degree"},
            )),
            ("effective_wavelength_low", length[2], (f"{INTERVAL}, lower end", "km")),
            ("effective_wavelength_high", length[1], (f"{INTERVAL}, upper end", "km")),
        ):  # fmt: skip
            data[name] = dims, values, _attributes(*described)

    def _resolved_degree(self, region: str, power: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """The effective resolution of mean spectra, as degree. Shape (channel,)."""
        radius = self.setting.radius / 1000
        own, aim = self._told(region, power, reference)
        if region in self._windows:
            scale = 1 / self._windows[region].wavenumber[1 : own.shape[-1] + 1]
            width = RING_MEDIAN
        else:
            scale, width = wavelength(np.arange(1, own.shape[-1] + 1), radius), MEDIAN_WIDTH
        return degree_of(resolved_wavelength(own, aim, scale, self._threshold, width), radius)

    def _interval(self, region: str, degree: np.ndarray) -> np.ndarray:
        """Both ends of the 95 % interval of the resolved degree, (2, channel); NaN where none is.

        From the jackknife over time (`intervals.pseudo_values`), within what the grid resolves.
        """
        spectra = self.series(f"spectra {region}")  # (time, 2, channel, scale)
        most = self._resolved_degree(region, spectra[0, 1], spectra[0, 1]).max()
        left_out = without_each(
            lambda kept: self._resolved_degree(region, *spectra[kept].mean(axis=0)),
            np.arange(len(spectra)),
        ) if len(spectra) > 1 else np.empty((0, len(degree)))  # fmt: skip
        ends = np.full((2, len(degree)), np.nan)
        for channel, value in enumerate(degree):
            found = mean_interval(pseudo_values(left_out[:, channel], value), value=value)
            if found.low is not None and found.high is not None:
                ends[:, channel] = np.clip([found.low, found.high], 1.0, most)
        return ends

    def _told(
        self, region: str, power: np.ndarray, reference: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Power of candidate and reference, without the mean, above the precision of data."""
        if region in self._windows:
            window = self._windows[region]
            inside, modes = slice(1, window.num_resolved + 1), window.modes
        else:
            inside, modes = slice(1, None), 2 * np.arange(power.shape[-1]) + 1.0
        return above_precision((power[..., inside], reference[..., inside]), reference, modes)

    def _add_sphere(self, data: "xr.Dataset", units: str) -> None:
        power, reference = self.mean(f"power {GLOBE}"), self.mean(f"reference {GLOBE}")
        degree = np.arange(power.shape[-1])
        data.coords["degree"] = degree
        data.coords["wavelength"] = (
            "degree",
            wavelength(degree, self.setting.radius),
            {"long_name": "Wavelength", "units": "m"},
        )
        ratio = ratio_of(power, reference)
        ratio[..., 1:] = ratio_of(*self._told(GLOBE, power, reference))
        for name, values, long_name, unit in (
            ("power_spectrum", power, "power per degree", units),
            ("power_spread", self.spread(f"power {GLOBE}"), "standard deviation over time", units),
            ("power_ratio", ratio, "power over that of the reference", "1"),
        ):
            data[name] = ("channel", "degree"), values, _attributes(long_name, unit)
        if self._slope is not None:
            data["spectral_slope"] = (
                "channel",
                slope(power, degree, self._slope),
                _attributes("exponent of the power spectrum", "1", "reference"),
            )

    def _add_windows(self, data: "xr.Dataset", units: str) -> None:
        setting = self.setting
        longest = max(window.num_resolved for window in self._windows.values())
        shape = len(setting.regions), len(setting.channels), longest
        power, reference, spread = np.full((3, *shape), np.nan)
        wavenumber = np.full((shape[0], longest), np.nan)
        for index, region in enumerate(setting.regions):
            if region not in self._windows:
                continue
            window = self._windows[region]
            num = window.num_resolved
            wavenumber[index, :num] = window.wavenumber[1 : num + 1]
            power[index, :, :num] = window.density(self.mean(f"power {region}"))[:, 1 : num + 1]
            spread[index, :, :num] = window.density(self.spread(f"power {region}"))[:, 1 : num + 1]
            reference[index, :, :num] = window.density(self.mean(f"reference {region}"))[
                :, 1 : num + 1
            ]
        data.coords["wavenumber"] = (
            ("region", "ring"),
            wavenumber,
            {"long_name": "Total wavenumber, 1 / wavelength", "units": "km-1"},
        )
        for name, values, long_name, unit in (
            ("window_spectrum", power, "power per wavenumber", f"{units} km"),
            ("window_spread", spread, "standard deviation over time", f"{units} km"),
            ("window_ratio", ratio_of(power, reference), "power over that of the reference", "1"),
        ):
            data[name] = ("region", "channel", "ring"), values, _attributes(long_name, unit)


def powers(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """S_l of candidate and reference, each (channel, degree)."""
    power = power_per_degree(sample.shared(coefficients))
    if sample.candidate is sample.reference:
        return power, power
    return power, power_per_degree(sample.shared(coefficients, of_reference=True))


def degree_of(length: np.ndarray, radius: float) -> np.ndarray:
    """Degree l, not whole, of a wavelength 2πa / √(l(l+1)); both in one unit."""
    return np.asarray(np.sqrt(0.25 + (2 * np.pi * radius / length) ** 2) - 0.5)


def checked_threshold(threshold: object) -> float:
    """The option as a number."""
    if not isinstance(threshold, int | float) or not 0 < threshold < 1:
        raise ValueError(f"`threshold` must lie between 0 and 1; got {threshold!r}")
    return float(threshold)


def checked_slope(bounds: object) -> tuple[float, float] | None:
    """The option as two numbers."""
    if bounds is None:
        return None
    if not isinstance(bounds, list | tuple) or len(bounds) != 2 or not 0 < bounds[0] < bounds[1]:
        raise ValueError(f"`slope` must be two increasing degrees above 0; got {bounds!r}")
    return float(bounds[0]), float(bounds[1])


def _attributes(
    long_name: str, units: str, better: str | None = None, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    attributes: dict[str, Any] = {"long_name": long_name, "units": units}
    return attributes | ({"better": better} if better else {}) | dict(more or {})


def _cut(field: np.ndarray, setting: Setting, region: str) -> np.ndarray:
    rows, columns = setting.window(region)
    return np.take(field[..., rows[0] : rows[-1] + 1, :], columns, axis=-1)


def _window_of(setting: Setting, region: str, options: dict[str, Any]) -> WindowedSpectrum | None:
    side = options["side"]
    if not isinstance(side, int | float) or not side > 0:
        raise ValueError(f"`side` must be a positive number of km; got {side!r}")
    if options["taper"] not in ("hann", "tukey", "none"):
        raise ValueError(f"`taper` must be 'hann', 'tukey' or 'none'; got {options['taper']!r}")
    rows, columns = setting.window(region)
    if min(len(rows), len(columns)) < 8:
        return None  # too small for a spectrum: its numbers are missing
    return WindowedSpectrum(
        setting.grid.latitude[rows],
        setting.grid.longitude[columns],
        side=float(side),
        taper=options["taper"],
        radius=setting.radius,
    )


class PowerSpectrum(Statistic):
    """See the module."""

    name = "power_spectrum"
    title = "Power spectra"
    of_reference = True
    version = 4

    def accumulator(self, setting: Setting) -> PowerSpectra:
        """Starts to accumulate; see the module for options."""
        return PowerSpectra(setting)

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """Spectra and their ratios to the reference, for each channel, and each region."""
        from evaluation.contract.regions import region_title
        from evaluation.contract.units_text import words
        from evaluation.drawing.spectra_figures import Lines, spectrum_figure

        for channel in result.channel.values:
            part = result.sel(channel=channel)
            if "power_spectrum" in result:
                degree = result.degree.values[1:]
                figure = spectrum_figure(
                    degree,
                    Lines.of(part.power_spectrum[:, 1:]),
                    ratios=Lines.of(part.power_ratio[:, 1:]),
                    name=f"{words(channel)}: power per degree",
                    units=result.power_spectrum.units,
                    circumference=float(result.wavelength[1]) * np.sqrt(2) / 1000,
                )
                yield Picture(
                    name=f"power_spectrum_globe_{channel}",
                    title=f"Power spectrum of {words(channel)}, {region_title(GLOBE)}",
                    caption="Power of each degree, mean over time; its sum is the area mean of "
                    "the square. Below, its ratio to the reference.",
                    figure=figure,
                )
            if "window_spectrum" not in result:
                continue
            for region in result.region.values:
                local = part.sel(region=region)
                wavenumber = np.atleast_2d(local.wavenumber.values)[0]
                known = np.isfinite(wavenumber)
                if not known.any():
                    continue
                yield Picture(
                    name=f"power_spectrum_{region}_{channel}",
                    title=f"Power spectrum of {words(channel)}, {region_title(region)}",
                    caption="Power per total wavenumber (cycles per km) of tapered tiles from "
                    "which planes were subtracted, mean over time. Below, its ratio to the "
                    "reference.",
                    figure=spectrum_figure(
                        wavenumber[known],
                        Lines.of(local.window_spectrum[:, known]),
                        ratios=Lines.of(local.window_ratio[:, known]),
                        name=f"{words(channel)}: power per wavenumber",
                        units=result.window_spectrum.units,
                    ),
                )


STATISTIC = PowerSpectrum()
