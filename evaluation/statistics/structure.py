"""Whether structures are in the right place: fractions skill score, SSIM and PSNR.

Formulas are in `evaluation.scores.structure`. For the fractions skill score, an event is |x| (or x,
see `Options`) above a quantile, by area, of the reference at the same time: a field that lacks
extremes has too few. The score of all steps takes its means over time, too.

SSIM and PSNR are those of `atmodist.metric.pixel_measures` for each channel, with the range of the
values of the reference at the same time for L. SSIM continues periodic fields over the date line;
the windows within 5 rows of the first and the last are left out. Steps at which the reference is
constant have neither, and are left out of means.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from atmodist.metric.pixel_measures import SSIM_RADIUS
from evaluation.contract.accumulation import StepSeries, options_of
from evaluation.contract.statistic import Picture, Sample, Statistic
from evaluation.numerics.averages import area_mean
from evaluation.numerics.setting import Setting
from evaluation.scores.structure import (
    area_quantiles,
    mean_of_known,
    peak_ratio,
    similarity_map,
    skill,
    squared_fractions,
)

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, kw_only=True)
class Options:
    """Settings of the fractions skill score.

    Attributes:
        quantiles: Of the reference, by area; events are what lies above.
        neighbourhoods: Their sizes L, km.
        values: Whether events are strong ("magnitude", |x|) or large ("value", x).
    """

    quantiles: tuple[float, ...] = (0.9, 0.99)
    neighbourhoods: tuple[float, ...] = (100.0, 300.0, 1000.0)
    values: Literal["magnitude", "value"] = "magnitude"

    def __post_init__(self) -> None:
        for name in ("quantiles", "neighbourhoods"):
            given = getattr(self, name)
            listed = tuple(given) if isinstance(given, list | tuple) else (given,)
            if not listed or any(
                isinstance(x, bool) or not isinstance(x, int | float) for x in listed
            ):
                raise ValueError(f"`{name}` must be one or more numbers; got {given!r}")
            object.__setattr__(self, name, tuple(sorted({float(x) for x in listed})))
        if not all(0 < q < 1 for q in self.quantiles):
            raise ValueError(f"`quantiles` must lie between 0 and 1; got {self.quantiles}")
        if not all(0 <= size < np.inf for size in self.neighbourhoods):
            raise ValueError(f"`neighbourhoods` are sizes in km; got {self.neighbourhoods}")
        if self.values not in ("magnitude", "value"):
            raise ValueError(f"`values` must be 'magnitude' or 'value'; got {self.values!r}")


class StructureSums(StepSeries):
    """Scores of each step, and the sums behind the fractions skill score."""

    def __init__(self, setting: Setting):
        self._options = options_of(Options, setting, "structure")
        if setting.grid.shape[0] <= 2 * SSIM_RADIUS:
            raise ValueError(
                f"SSIM needs more than {2 * SSIM_RADIUS} rows; the grid is {setting.grid}"
            )
        num = len(self._options.quantiles), len(self._options.neighbourhoods)
        self._pairs = [
            [(f"difference {q} {n}", f"both {q} {n}") for n in range(num[1])] for q in range(num[0])
        ]
        names = [name for row in self._pairs for pair in row for name in pair]
        super().__init__(("ssim", "psnr", *names), setting)

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        happens, expected = self._events(sample)
        grid, radius = self.setting.grid, self.setting.radius
        scores = [*self._pixels(sample)]
        sums = np.stack(
            [
                squared_fractions(happens, expected, grid, size, radius, self.windows)
                for size in self._options.neighbourhoods
            ]
        )  # (neighbourhood, 2, region, channel, quantile)
        by_name = np.moveaxis(sums, -1, 0).reshape(-1, *sums.shape[2:4])
        self.append(sample.seconds, np.concatenate([np.stack(scores), by_name]))

    def result(self) -> "xr.Dataset":
        """Scores by step; `fss_by_scale` of all steps together."""
        options, dims = self._options, ("time", "region", "channel")
        result = self.dataset()
        middle = (len(options.neighbourhoods) - 1) // 2
        sums = [[[self.values(name) for name in pair] for pair in row] for row in self._pairs]
        size = options.neighbourhoods[middle]
        result["fss"] = (dims, skill(*sums[0][middle]))
        result["fss"].attrs = {
            "long_name": f"fractions skill score (FSS) of {self._event(options.quantiles[0])} "
            f"within {size:g} km",
            "units": "1",
            "better": "higher",
            "main": 6,
            "short_name": f"FSS within {size:g} km",
        }
        result["ssim"] = (dims, self.values("ssim"))
        result["ssim"].attrs = {
            "long_name": "structural similarity (SSIM)",
            "units": "1",
            "better": "higher",
        }
        result["psnr"] = (dims, self.values("psnr"))
        result["psnr"].attrs = {
            "long_name": "peak signal-to-noise ratio (PSNR)",
            "units": "dB",
            "better": "higher",
        }
        pooled = [[skill(*(part.sum(axis=0) for part in pair)) for pair in row] for row in sums]
        result["fss_by_scale"] = (
            ("quantile", "neighbourhood", "region", "channel"),
            np.array(pooled),
        )
        result["fss_by_scale"].attrs = {
            "long_name": "fractions skill score of all time steps",
            "units": "1",
            "values": options.values,
        }
        result["quantile"] = ("quantile", list(options.quantiles))
        result["neighbourhood"] = ("neighbourhood", list(options.neighbourhoods), {"units": "km"})
        return result

    def _event(self, quantile: float) -> str:
        what = "the strongest" if self._options.values == "magnitude" else "the largest"
        return f"{what} {100 * (1 - quantile):.3g} %"

    def _events(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """Where events happen in the candidate and the reference, (channel, quantile, ...)."""
        levels = np.array(self._options.quantiles)
        rows = self.setting.grid.area_weights[:, 0]
        events: list[list[np.ndarray]] = [[], []]
        for candidate, reference in zip(sample.candidate, sample.reference, strict=True):
            if self._options.values == "magnitude":
                candidate, reference = np.abs(candidate), np.abs(reference)
            thresholds = area_quantiles(reference, rows, levels)[:, None, None]
            events[0].append(candidate > thresholds)
            events[1].append(reference > thresholds)
        return np.stack(events[0]), np.stack(events[1])

    def _pixels(self, sample: Sample) -> Iterator[np.ndarray]:
        """SSIM and PSNR, each (region, channel)."""
        periodic = self.setting.grid.is_periodic
        shape = len(self.windows), len(self.setting.channels)
        scores = np.empty((2, *shape))
        for c, (candidate, reference) in enumerate(
            zip(sample.candidate, sample.reference, strict=True)
        ):
            whole = similarity_map(candidate, reference, periodic)
            ranges = np.float64(reference.max()) - np.float64(reference.min())
            for number, part in enumerate(self.windows):
                difference = part.of(candidate).astype(np.float64) - part.of(reference)
                error = area_mean(np.square(difference, out=difference), part.weights)
                scores[1, number, c] = peak_ratio(error, ranges)
                scores[0, number, c] = mean_of_known(part.of(whole), part.weights)
        yield from scores


class Structure(Statistic):
    """See the module."""

    name = "structure"
    title = "Structure: fractions skill score, SSIM, PSNR"
    version = 3

    def accumulator(self, setting: Setting) -> StructureSums:
        """Starts to accumulate."""
        return StructureSums(setting)

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """Draws the fractions skill score against the size of the neighbourhood."""
        from evaluation.contract.units_text import words
        from evaluation.drawing import plotting

        scores = result["fss_by_scale"].isel(region=0)
        sizes, quantiles = (result[name].values for name in ("neighbourhood", "quantile"))
        names = [str(name) for name in result["candidate"].values]
        what = "strongest" if scores.attrs.get("values") == "magnitude" else "largest"
        for channel in (str(name) for name in result["channel"].values):
            figure, panels = plotting.new(
                3.4 * len(quantiles) + 0.4, 3.5, ncols=len(quantiles), sharey=True, squeeze=False
            )
            for axes, quantile in zip(panels[0], quantiles, strict=True):
                lines = scores.sel(channel=channel, quantile=quantile)
                for name, options in plotting.line_styles(names).items():
                    if name in names:
                        axes.plot(sizes, lines.sel(candidate=name), marker="o", ms=4, **options)
                axes.set(xlabel="size of the neighbourhood (km)", ylim=(-0.02, 1.04))
                axes.set_title(f"{what} {100 * (1 - quantile):.3g} %")
                if sizes[0] > 0:
                    axes.set_xscale("log")
                    axes.set_xticks(sizes, labels=[f"{size:g}" for size in sizes])
                    axes.minorticks_off()
                axes.grid(linewidth=0.4, alpha=0.6)
            panels[0, 0].set_ylabel("fractions skill score")
            plotting.legend(figure, names)
            yield Picture(
                name=f"fss_{channel}",
                title=f"Fractions skill score of {words(channel)}",
                caption=f"How well the places match where {words(channel)} is among the {what} "
                "values of the reference, within neighbourhoods of growing size, all time steps "
                "together. 1 is perfect, 0 means that events never share a neighbourhood.",
                figure=figure,
            )


STATISTIC = Structure()
