"""Figures of the distances at stations: boxes over stations, maps, and how pairs compare."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.drawing import maps, plotting
from evaluation.drawing.shared_figures import common, height_over_width

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

VERDICTS = {"better": "#009E73", "equal": "0.85", "worse": "#D55E00"}  # and their colours
NEAREST = "1x1"  # the box that is the nearest point alone
MOST_TESTS = 18  # bars of a figure: three boxes of all pairs of four candidates


def station_boxes(result: "xr.Dataset") -> "Figure":
    """W1 over the deviation of the reference at stations: a panel for each size of box."""
    boxes = [str(box) for box in result.box.values]
    shares = station_shares(result)
    candidates = [str(candidate) for candidate in result.candidate.values]
    figure, axes = plotting.new(8.2, 0.9 + 0.4 * len(candidates), ncols=len(boxes), sharex=True)
    for number, (panel, box) in enumerate(zip(np.atleast_1d(axes), boxes, strict=True)):
        values = shares.sel(box=box)
        samples = {name: values.sel(candidate=name).values for name in candidates}
        plotting.box_plots(panel, samples, name="W1 / deviation")
        panel.set_title(f"{box.replace('x', ' × ')} points")
        panel.set_xlim(left=0)
        panel.tick_params(labelleft=number == 0)
    return figure


def station_verdicts(tests: Sequence[Mapping[str, Any]]) -> "Figure":
    """Bars of better, equal and worse stations for each comparison, with adjusted p-values.

    Args:
        tests: Those to be shown, see `telling_tests`; at least one.
    """
    from matplotlib.patches import Patch

    figure, panel = plotting.new(7.6, 1.2 + 0.3 * len(tests))
    for row, test in enumerate(tests):
        left = 0
        for verdict, shade in VERDICTS.items():
            count = int(test[verdict])
            panel.barh(row, count, left=left, color=shade, height=0.72)
            if count:
                panel.text(left + count / 2, row, str(count), ha="center", va="center", fontsize=7)
            left += count
        p = test["wilcoxon_adjusted"]
        text = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
        panel.text(left * 1.01, row, text, va="center", fontsize=8)
    boxes = len({test["box"] for test in tests}) > 1
    names = []
    for test in tests:
        both = " – ".join(plotting.text(test[key], 20) for key in ("a", "b"))
        names.append(f"{both}, {test['box'].replace('x', ' × ')}" if boxes else both)
    panel.set_yticks(range(len(tests)), labels=names)
    panel.set_ylim(len(tests) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    panel.set_xlim(0, max(sum(int(test[v]) for v in VERDICTS) for test in tests) * 1.15)
    panel.set_xlabel("stations")
    handles = [Patch(facecolor=s, label=f"the first is {v}") for v, s in VERDICTS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def telling_tests(tests: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], str]:
    """The tests that say something, few enough to be looked at.

    Pairs that are equal at all stations are left out; where many are left, so are all boxes but
    the nearest point.

    Args:
        tests: As `station_tests` returns them, of one channel.

    Returns:
        The tests, and sentences about what is left out, each with a space before it.
    """
    every = {(test["a"], test["b"]) for test in tests}
    differing = {(test["a"], test["b"]) for test in tests if test["better"] or test["worse"]}
    shown = [test for test in tests if (test["a"], test["b"]) in differing]
    equal = len(every) - len(differing)
    pairs = f"{equal} pairs are" if equal > 1 else "One pair is"
    hidden = f" {pairs} equal at all stations, and not shown." if equal else ""
    if len(shown) > MOST_TESTS:
        shown = [test for test in shown if test["box"] == NEAREST]
        hidden += " For the nearest points; metrics.csv has larger boxes, too."
    return shown, hidden


def station_map(result: "xr.Dataset") -> "Figure":
    """The same for the nearest point, as coloured points on a map for each candidate."""
    shares = station_shares(result).sel(box=NEAREST)
    candidates = [str(candidate) for candidate in result.candidate.values]
    latitude, longitude = result.station_latitude.values, result.station_longitude.values
    around = np.ptp(longitude) > 180 or np.ptp(latitude) > 90
    north = np.linspace(85, -65, 31) if around else _frame(latitude)[::-1]
    east = np.arange(-177.5, 180, 5.0) if around else _frame(longitude)
    columns = 1 if len(candidates) == 1 else 2
    rows = -(-len(candidates) // columns)
    width = 7.6
    height = rows * (width / columns * height_over_width(north, east) + 0.35) + 0.8
    figure, axes = plotting.new(width, height, nrows=rows, ncols=columns, squeeze=False)
    low, high = maps.limits(shares.values, signed=False)
    for panel, name in zip(axes.ravel(), candidates, strict=False):
        maps.map_axes(panel, north, east)
        panel.set_facecolor("white")
        points = panel.scatter(
            longitude,
            latitude,
            c=shares.sel(candidate=name).values,
            s=16,
            vmin=low,
            vmax=high,
            cmap="viridis",
            edgecolors="black",
            linewidths=0.3,
            zorder=5,
        )
        panel.set_title(plotting.text(name))
    for panel in axes.ravel()[len(candidates) :]:
        panel.set_visible(False)
    bar = figure.colorbar(points, ax=list(axes.ravel()), location="bottom", shrink=0.6, aspect=40)
    bar.set_label("W1 / deviation")
    return figure


def station_shares(result: "xr.Dataset") -> "xr.DataArray":
    """W1 divided by the standard deviation of the reference, so that stations compare."""
    deviation = common(result.station_deviation)
    return result.station_wasserstein / deviation.where(deviation > 0)


def _frame(degrees: np.ndarray) -> np.ndarray:
    margin = max(1.0, 0.1 * float(np.ptp(degrees)))
    return np.linspace(degrees.min() - margin, degrees.max() + margin, 20)
