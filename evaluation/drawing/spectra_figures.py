"""Figures of spectra: candidates and the reference above, their ratio below, wavelengths on top."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from evaluation.contract.units_text import labelled
from evaluation.drawing import plotting
from evaluation.numerics.setting import REFERENCE

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

RATIOS = (0.02, 5.0)  # the largest range of the lower panel
FLOOR = 0.03  # of the reference's smallest power; what is further down is lost anyway
NOTHING = 1e-12  # of the largest power of a spectrum; what is below is rounding
GUIDES_ABOVE = 4.0  # times all spectra


class Lines(dict[str, np.ndarray]):
    """Values by candidate; each (scale,)."""

    @classmethod
    def of(cls, values: "xr.DataArray") -> Self:
        """From (candidate, scale)."""
        return cls(zip(map(str, values.candidate.values), values.values.astype(float), strict=True))


def spectrum_figure(
    scale: np.ndarray,
    spectra: Lines,
    *,
    ratios: Lines,
    name: str,
    units: str,
    circumference: float | None = None,
    guides: Mapping[str, float] | None = None,
) -> "Figure":
    """Draws spectra and, below, their ratios to the reference.

    Args:
        scale: Degrees l; or wavenumbers in cycles per km, if no `circumference` is given.
        spectra: Of each candidate.
        ratios: The same over the reference.
        name: Of what is drawn.
        units: CF's.
        circumference: Of the sphere, km: degrees l have wavelengths of this over √(l(l+1)).
        guides: Exponents of power laws by label, dotted.
    """
    figure, (above, below) = plotting.new(
        6.4, 5.3, nrows=2, sharex=True, gridspec_kw={"height_ratios": [2.6, 1]}
    )
    styles = plotting.line_styles(spectra)
    x = scale if circumference else 1000 * scale
    for candidate, values in spectra.items():
        above.plot(x, _positive(values), **styles[candidate])
    for candidate, values in ratios.items():
        if candidate != REFERENCE:
            below.plot(x, _positive(values), **styles[candidate])
    bounds = _bounds(spectra)
    if bounds is not None:
        _draw_guides(above, x, spectra, guides or {}, bounds)
        above.set_ylim(bounds)
    horizontal = "degree $l$" if circumference else "wavenumber (cycles per 1000 km)"
    for axes in (above, below):
        axes.set(xscale="log", yscale="log", xlim=(x[0], x[-1]))
        axes.grid(which="major", linewidth=0.4, alpha=0.6)
    above.set_ylabel(labelled(name, units))
    below.axhline(1.0, color="black", linewidth=0.8)
    below.axhline(0.5, color="0.5", linewidth=0.8, linestyle=":")
    _limit_ratios(below, ratios)
    below.set(xlabel=horizontal, ylabel="ratio")
    _wavelengths(above, circumference)
    plain_ticks(below.xaxis)
    plotting.legend(figure, list(spectra))
    return figure


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)


def _bounds(spectra: Lines) -> tuple[float, float] | None:
    """Powers between which everything lies, but for what falls far below the reference."""
    powers = {
        name: values[values > NOTHING * np.nanmax(values)]
        for name, values in spectra.items()
        if np.any(values > 0)
    }
    if not powers:
        return None
    lowest = min(float(values.min()) for values in powers.values())
    highest = max(float(values.max()) for values in powers.values())
    if REFERENCE in powers:
        lowest = max(lowest, FLOOR * float(powers[REFERENCE].min()))
    margin = 1.5 if highest < 1e4 * lowest else 3.0
    return lowest / margin, highest * margin


def _draw_guides(
    axes: "Axes",
    x: np.ndarray,
    spectra: Lines,
    guides: Mapping[str, float],
    bounds: tuple[float, float],
) -> None:
    """Power laws from a tenth of the way to where there is room for a name, above all spectra."""
    drawn = np.stack([_positive(values) for values in spectra.values()])
    places = np.flatnonzero((x >= x[len(x) // 10]) & (x <= 0.6 * x[-1]))
    places = places[np.isfinite(drawn[:, places]).any(axis=0)]
    if len(places) < 2:
        return
    highest = np.nanmax(drawn[:, places], axis=0)
    for label, exponent in guides.items():
        law = x[places] ** exponent
        law = law * (GUIDES_ABOVE * (highest / law).max())
        inside = (law > bounds[0]) & (law < bounds[1])
        if inside.sum() < 2:
            continue
        axes.plot(x[places][inside], law[inside], color="0.45", linestyle=":", linewidth=1.0)
        end = np.flatnonzero(inside)[-1]
        axes.annotate(
            label,
            (x[places][end], law[end]),
            xytext=(2, 0),
            textcoords="offset points",
            verticalalignment="center",
            color="0.35",
            fontsize=8,
        )


def _limit_ratios(axes: "Axes", ratios: Lines) -> None:
    values = np.concatenate([_positive(v) for v in ratios.values()])
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [0.5, 99.5]) if len(values) else (1.0, 1.0)
    low, high = max(min(low / 1.2, 0.4), RATIOS[0]), min(max(high * 1.2, 1.5), RATIOS[1])
    axes.set_ylim(low, high)
    shown = [tick for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if low <= tick <= high]
    axes.set_yticks(shown, labels=[f"{tick:g}" for tick in shown])
    axes.tick_params(axis="y", which="minor", labelleft=False)


def _wavelengths(axes: "Axes", circumference: float | None) -> None:
    def wavelength(x: Any) -> Any:
        x = np.maximum(x, 1e-9)
        return circumference / np.sqrt(x * (x + 1)) if circumference else 1000.0 / x

    def inverse(length: Any) -> Any:
        length = np.maximum(length, 1e-9)
        if circumference:
            return np.sqrt(0.25 + (circumference / length) ** 2) - 0.5
        return 1000.0 / length

    top = axes.secondary_xaxis("top", functions=(wavelength, inverse))
    top.set_xlabel("wavelength (km)")
    plain_ticks(top.xaxis)
    axes.spines["top"].set_visible(True)


def plain_ticks(axis: "Axis") -> None:
    """Ticks of a logarithmic axis at 1, 2, 5 times powers of ten, as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}".replace(",", "\u2009")))
    axis.set_minor_formatter(NullFormatter())
