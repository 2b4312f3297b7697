"""Errors against the reference at each step: squared, absolute, bias, correlation, total variation.

With the area-weighted mean ⟨·⟩ over a region, candidate c and reference r,
    MSE = ⟨(c - r)²⟩,   RMSE = √MSE,   MAE = ⟨|c - r|⟩,   bias = ⟨c - r⟩,
    correlation = ⟨c' r'⟩ / √(⟨c'²⟩ ⟨r'²⟩)    with c' = c - ⟨c⟩: of the fields themselves, not of
                                              their departures from a climatology,
so that MSE = bias² + ⟨c'²⟩ + ⟨r'²⟩ - 2 ⟨c' r'⟩. These reward blur: what is smooth where it is not
sure errs less. Total variation TV(f) = ⟨|∇f|⟩ does not: noise raises it above the reference's and
blur lowers it, and |TV(c) - TV(r)| is zero only between the two. Gradients know the sphere and the
seam (`evaluation.numerics.gradients`), and are in units per km.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from evaluation.contract.accumulation import StepSeries, checked_options
from evaluation.contract.statistic import Picture, Sample, Statistic
from evaluation.contract.units_text import squared_units, units_of
from evaluation.numerics.averages import area_mean
from evaluation.numerics.gradients import cell_window
from evaluation.numerics.setting import Setting
from evaluation.numerics.shared import slopes
from evaluation.scores.errors import area_errors

if TYPE_CHECKING:
    import xarray as xr

NAMES = (
    "mse",
    "rmse",
    "mae",
    "bias",
    "correlation",
    "total_variation",
    "total_variation_difference",
)
MAIN = {"rmse": "RMSE", "correlation": "correlation"}
DRAWN = ("rmse", "mae", "bias", "correlation", "total_variation")
LONG_NAMES = {
    "mse": "mean squared error",
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
    "bias": "bias (candidate minus reference)",
    "correlation": "correlation with the reference",
    "total_variation": "total variation (mean absolute gradient)",
    "total_variation_difference": "absolute difference of total variation",
}


class ErrorAccumulator(StepSeries):
    """The numbers of every step."""

    def __init__(self, setting: Setting):
        super().__init__(NAMES, setting)
        self._cells = [cell_window(window, setting.grid) for window in self.windows]

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        steepness, expected = (
            sample.shared(slopes),
            sample.shared(slopes, of_reference=True),
        )
        values = np.empty((len(NAMES), len(self.windows), len(sample.candidate)))
        for index, (window, cells) in enumerate(zip(self.windows, self._cells, strict=True)):
            errors = area_errors(
                window.of(sample.candidate), window.of(sample.reference), window.weights
            )
            variation = area_mean(cells.of(steepness), cells.weights)
            aim = area_mean(cells.of(expected), cells.weights)
            errors["total_variation"] = variation
            errors["total_variation_difference"] = np.abs(variation - aim)
            values[:, index] = [errors[name] for name in NAMES]
        self.append(sample.seconds, values)

    def result(self) -> "xr.Dataset":
        """Time series (time, region, channel)."""
        u = units_of(self.setting)
        units = {"mse": squared_units(u), "correlation": "1"}
        units |= dict.fromkeys(("total_variation", "total_variation_difference"), f"{u} km-1")
        better = {
            "correlation": "higher",
            "bias": "reference",
            "total_variation": "reference",
        }
        dataset = self.dataset()
        for name in NAMES:
            dataset[name] = (
                ("time", "region", "channel"),
                self.values(name),
                {
                    "long_name": LONG_NAMES[name],
                    "units": units.get(name, u),
                    "better": better.get(name, "lower"),
                }
                | ({"main": 4, "short_name": MAIN[name]} if name in MAIN else {}),
            )
        return dataset


class Errors(Statistic):
    """See the module."""

    name = "errors"
    title = "Errors"
    of_reference = True  # its bias is zero, and its total variation is the aim

    def accumulator(self, setting: Setting) -> ErrorAccumulator:
        """Starts to accumulate; there are no options."""
        checked_options(setting, {}, self.name)
        return ErrorAccumulator(setting)

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """Time series for each region, smoothed, with the single steps behind."""
        from evaluation.contract.regions import region_title
        from evaluation.contract.units_text import words
        from evaluation.drawing.shared_figures import time_series

        if result.sizes["time"] < 2:
            return
        for region in result.region.values:
            for channel in result.channel.values:
                part = result.sel(region=region, channel=channel)
                yield Picture(
                    name=f"errors_{region}_{channel}",
                    title=f"Errors of {words(channel)}, {region_title(region)}",
                    caption=(
                        "Area-weighted errors at each step (thin) and their running means over a "
                        "20th of the series (thick)."
                    ),
                    figure=time_series(part, DRAWN),
                )


STATISTIC = Errors()
