"""Figures that several statistics share: maps beside the reference's, series, densities.

Only drawing; all numbers come from results, with the candidates along the dimension "candidate".
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.contract.units_text import inverse_units, labelled, power_of_ten
from evaluation.drawing import maps, plotting
from evaluation.numerics.setting import REFERENCE

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def maps_beside_reference(values: "xr.DataArray", name: str, reference: str) -> "Figure":
    """The reference's map with a scale of its own, and below what the candidates differ by.

    Args:
        values: (candidate, latitude, longitude).
        name: Of the quantity.
        reference: Its name among the candidates; without it candidates are drawn as they are.
    """
    names = [str(candidate) for candidate in values.candidate.values]
    units = values.attrs.get("units", "1")
    latitude, longitude = values.latitude.values, values.longitude.values
    fields = {
        candidate: np.asarray(values.sel(candidate=candidate).values, dtype=np.float64)
        for candidate in names
    }
    if reference not in fields or len(fields) == 1:
        return maps.side_by_side(fields, latitude, longitude, name=name, units=units)
    own = fields.pop(reference)
    panels = {f"{candidate} − {reference}": field - own for candidate, field in fields.items()}
    num = len(panels)
    columns = 1 if num == 1 else 2
    rows = -(-num // columns)
    width = 7.6
    shape = height_over_width(latitude, longitude)
    heights = [width * 0.55 * shape + 0.75, rows * ((width / columns) * shape + 0.3) + 0.75]
    if num == 1:
        heights[1] = heights[0]
    figure, axes = plotting.new(width, min(sum(heights), 14.0))
    axes.remove()
    parts: Any = figure.subfigures(2, 1, height_ratios=heights)
    top, bottom = parts
    _panels(top, {reference: own}, latitude, longitude, name, units, signed=None, columns=1)
    _panels(bottom, panels, latitude, longitude, "difference", units, signed=True, columns=columns)
    return figure


def _panels(
    figure: "Figure",
    fields: dict[str, np.ndarray],
    latitude: np.ndarray,
    longitude: np.ndarray,
    name: str,
    units: str,
    *,
    signed: bool | None,
    columns: int,
) -> None:
    low, high = maps.limits(*fields.values(), signed=signed)
    power = power_of_ten((low, high))
    rows = -(-len(fields) // columns)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, field) in zip(grid, fields.items(), strict=False):
        bounds = (low * 10.0**-power, high * 10.0**-power)
        image = maps.draw_map(axes, latitude, longitude, field * 10.0**-power, bounds=bounds)
        axes.set_title(plotting.text(title, 48))
    for axes in grid[len(fields) :]:
        axes.set_visible(False)
    bar = figure.colorbar(image, ax=list(grid), location="bottom", shrink=0.6, aspect=40)
    bar.set_label(labelled(plotting.text(name, 60), units, power))


def height_over_width(latitude: np.ndarray, longitude: np.ndarray) -> float:
    """Of a map of these points."""
    eastwards, _ = maps.unwrapped(longitude)
    middle = 1.0 if np.ptp(latitude) > 90 else np.cos(np.radians(np.mean(latitude)))
    return float(np.clip(np.ptp(latitude) / (np.ptp(eastwards) * middle), 0.2, 2.0))


def time_series(result: "xr.Dataset", names: Sequence[str]) -> "Figure":
    """Panels of numbers over time, one under the other, with a line for each candidate.

    The reference is left out where its number is always the same, as its own error is.
    """
    candidates = [str(candidate) for candidate in result.candidate.values]
    figure, axes = plotting.new(7.2, 1.6 * len(names) + 0.6, nrows=len(names), sharex=True)
    for panel, name in zip(np.atleast_1d(axes), names, strict=True):
        variable = result[name]
        lines = {}
        for candidate in candidates:
            values = np.asarray(variable.sel(candidate=candidate).values, dtype=np.float64)
            if candidate != REFERENCE or _varies(values):
                lines[candidate] = values
        long_name = variable.attrs.get("long_name", name)
        units = variable.attrs.get("units", "1")
        plotting.series(panel, result.time.values, lines, name="", units=units)
        panel.set_title(long_name, loc="left")
        panel.label_outer()
    plotting.legend(figure, candidates)
    return figure


def densities(result: "xr.Dataset") -> "Figure":
    """Densities of values and gradients; see `statistics.distributions` for the variables."""
    candidates = [str(candidate) for candidate in result.candidate.values]
    styles = plotting.line_styles(candidates)
    figure, axes = plotting.new(8.2, 3.8, ncols=2)
    for panel, prefix, name in zip(axes, ("", "gradient_"), ("value", "|gradient|"), strict=True):
        edges = common(result[f"{prefix}edges"]).values
        middle = (edges[:-1] + edges[1:]) / 2
        units = result[f"{prefix}edges"].attrs["units"]
        power = power_of_ten(edges)
        largest = 0.0
        least = []
        for candidate in candidates:
            part = result.sel(candidate=candidate)
            steps = np.asarray(part[f"{prefix}density"].values) * 10.0**power
            kernel = np.asarray(part[f"{prefix}kernel_density"].values) * 10.0**power
            drawn = np.where(steps > 0, steps, np.nan)
            color = styles[candidate]["color"]
            panel.stairs(drawn, edges * 10.0**-power, color=color, alpha=0.3, linewidth=0.8)
            line = np.where(_between_ends(steps > 0), kernel, np.nan)
            panel.plot(middle * 10.0**-power, line, **styles[candidate])
            if np.isfinite(drawn).any():
                largest = max(largest, float(np.nanmax(drawn)))
                least.append(float(np.nanmin(drawn)))
        if least:
            panel.set_ylim(max(min(least) / 3, largest * 1e-9), largest * 3)
        median, scale = (float(x) for x in common(result[f"{prefix}axis"]).values)
        panel.set_yscale("log")
        panel.set_xscale(
            "function",
            functions=(
                lambda x, m=median, s=scale, p=power: np.arcsinh((x * 10.0**p - m) / s),
                lambda u, m=median, s=scale, p=power: (m + s * np.sinh(u)) * 10.0**-p,
            ),
        )
        _asinh_ticks(panel, edges * 10.0**-power, scale * 10.0**-power, prefix == "")
        panel.set_xlabel(labelled(name, units, power))
        inverse = labelled("", inverse_units(units), -power).strip(" ()")
        panel.set_ylabel(f"density ({inverse})" if inverse else "density")
        panel.grid(linewidth=0.4, alpha=0.6)
    plotting.legend(figure, candidates)
    return figure


def _between_ends(known: np.ndarray) -> np.ndarray:
    """From the first to the last place where anything is known."""
    inside: np.ndarray = np.maximum.accumulate(known) & np.maximum.accumulate(known[::-1])[::-1]
    return inside


def common(variable: "xr.DataArray") -> "xr.DataArray":
    """What is the same for all candidates, whether or not it was repeated for each."""
    return variable.isel(candidate=0) if "candidate" in variable.dims else variable


def _varies(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return len(finite) > 0 and bool(np.ptp(finite) > 1e-9 * np.abs(finite).max())


def _asinh_ticks(panel: "Axes", edges: np.ndarray, scale: float, signed: bool) -> None:
    first = np.floor(np.log10(max(scale, 1e-300))) + 1
    last = np.floor(np.log10(np.abs(edges).max()))
    decades = 10.0 ** np.arange(first, last + 1)
    if len(decades) < 2:
        decades = np.array([0.2, 0.5, 1.0, 2.0, 5.0])[:, None] * 10.0 ** np.array([last - 1, last])
        decades = np.unique(decades[(decades > 2 * scale) & (decades < np.abs(edges).max())])
        decades = decades[-3:]
    ticks = np.concatenate([-decades[::-1] if signed else [], [0.0], decades])
    ticks = ticks[(ticks >= edges[0]) & (ticks <= edges[-1])]
    panel.set_xticks(ticks, labels=[f"{tick:g}".replace("-", "−") for tick in ticks])
    panel.set_xticks([], minor=True)
    panel.set_xlim(edges[0], edges[-1])
