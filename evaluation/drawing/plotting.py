"""How figures of the evaluation are drawn: who has which colour, series in time, bars, boxes.

Use the helpers inside `with style():`; the report does so around `draw` of a statistic. The
reference is black; candidates keep their colour and dash in all figures of a report, also in those
that show some of them only (see `same_colors`). Colours are those of Okabe and Ito, which
colour-blind readers tell apart; where they are used up, dashes, hatches and gaps in swatches go on.
Names come from files and users, and are shown as they are: see `text`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.files.figures import new_canvas, style
from evaluation.contract.units_text import labelled, power_of_ten
from evaluation.numerics.setting import REFERENCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "bars",
    "box_plots",
    "colors",
    "legend",
    "line_styles",
    "new",
    "same_colors",
    "series",
    "smooth",
    "style",
    "text",
]

WIDTH, HEIGHT = 6.4, 3.8  # inches
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1, 1.5)))
HATCHES = ("", "////", "....", "xxxx")
LONGEST_NAME = 28  # characters
BARS = 0.8  # of the room between two groups
FEW = 12  # times of which each has a dot
HOLE = 1.5  # of the usual step, beyond which a line is broken

ROUND = [1, 2, 5, 10]  # steps of ticks, times powers of ten
_DAYS = "days since 1970-01-01"
_known: ContextVar[tuple[str, ...]] = ContextVar("candidates of the page", default=())


@contextmanager
def same_colors(candidates: Iterable[str]) -> Iterator[None]:
    """Inside, these candidates have the colours that they have together, whoever is drawn."""
    token = _known.set(tuple(candidates))
    try:
        yield
    finally:
        _known.reset(token)


def text(name: str, longest: int = LONGEST_NAME) -> str:
    """A name as matplotlib shall show it: no mathematics, no control characters, not too long."""
    name = re.sub(r"[\x00-\x1f\x7f]+", " ", str(name)).strip() or "(no name)"
    if len(name) > longest:
        name = name[: longest - longest // 3 - 1] + "…" + name[-(longest // 3) :]
    name = name.replace("$", r"\$")
    return f"\u2009{name}" if name.startswith("_") else name  # legends hide labels with "_"


def numbered(candidates: Iterable[str]) -> dict[str, int]:
    """The place of each candidate, without the reference, among all that share the colours."""
    names = list(candidates)
    order = [name for name in dict.fromkeys((*_known.get(), *names)) if name != REFERENCE]
    return {name: order.index(name) for name in names if name != REFERENCE}


def colors(candidates: Iterable[str]) -> dict[str, str]:
    """A colour for each candidate, in order; black for the reference."""
    chosen = {name: OKABE_ITO[i % len(OKABE_ITO)] for name, i in numbered(candidates).items()}
    return {REFERENCE: "black"} | chosen


def turns(candidates: Iterable[str]) -> dict[str, int]:
    """How often all colours were used up before each candidate; 0 for the reference."""
    chosen = {name: i // len(OKABE_ITO) for name, i in numbered(candidates).items()}
    return {REFERENCE: 0} | chosen


def line_styles(candidates: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Arguments for `axes.plot` of each candidate: colour, dash, label; the reference is wider."""
    names = list(candidates)
    turn = turns(names)
    return {
        name: {
            "color": color,
            "linestyle": DASHES[turn[name] % len(DASHES)],
            "linewidth": 1.8 if name == REFERENCE else 1.3,
            "label": text(name),
            "zorder": 2.0 if name == REFERENCE else 2.5,
        }
        for name, color in colors(names).items()
    }


def legend(figure: "Figure", candidates: Sequence[str], *, filled: bool = False) -> None:
    """Says below the panels, where it hides no data, who is who.

    Args:
        figure: With a constrained layout.
        candidates: Those drawn, in order.
        filled: Whether they are drawn as bars instead of lines.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if filled:
        handles: list[Any] = [Patch(**look) for look in _bar_styles(candidates).values()]
    else:
        styles = line_styles(candidates)
        handles = [Line2D([], [], **styles[name]) for name in candidates]
    longest = max((len(text(name)) for name in candidates), default=0)
    room = figure.get_size_inches()[0] / (0.6 + 0.065 * longest)  # inches of an entry
    columns = max(1, min(len(handles), int(room)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)


def new(width: float = WIDTH, height: float = HEIGHT, **options: Any) -> tuple["Figure", Any]:
    """A figure of so many inches and its axes; `options` are those of `Figure.subplots`.

    Returns:
        The figure, and one `Axes`, or an array of them where `nrows` or `ncols` are given.
    """
    figure = new_canvas(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(**options)


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Centred running mean over `width` values along the last axis, over fewer at the ends.

    Values that are not finite are left out of the means; where none is left, NaN.
    """
    if width < 1:
        raise ValueError(f"`width` must be at least 1; got {width}")
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    size = values.shape[-1]
    first = np.maximum(np.arange(size) - (width - 1) // 2, 0)
    last = np.minimum(np.arange(size) + width // 2, size - 1) + 1

    def sums(x: np.ndarray) -> np.ndarray:
        total = np.concatenate([np.zeros((*x.shape[:-1], 1)), np.cumsum(x, axis=-1)], axis=-1)
        return total[..., last] - total[..., first]

    count = sums(known.astype(np.float64))
    with np.errstate(invalid="ignore"):
        return sums(np.where(known, values, 0.0)) / np.where(count > 0.5, count, np.nan)


def series(
    axes: "Axes",
    times: np.ndarray,
    values: Mapping[str, np.ndarray],
    *,
    name: str,
    units: str = "1",
    width: int | None = None,
    dots: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Draws a number over time for each candidate: thin as it is, thick as a running mean.

    Lines are broken, and running means begin anew, where times are missing.

    Args:
        axes: To be drawn in.
        times: Dates (datetime64, or those of cftime), or numbers of steps. Shape (time,).
        values: By candidate, each (time,).
        name: Of the quantity.
        units: Its units.
        width: Times in the running mean; by default a 20th of the series. 1 means none.
        dots: Another number in the same units, drawn as dots.
    """
    dots = dots or {}
    width = width or max(1, len(times) // 20)
    shown = (*values.values(), *dots.values())
    power = power_of_ten(np.concatenate([np.zeros(1), *(np.ravel(x) for x in shown)]))
    styles = line_styles([*values, *dots])
    x = _time_axis(axes, np.asarray(times))
    holes = _holes(x)
    broken = _with_gaps(x, holes, x[holes - 1])
    for candidate, line in values.items():
        y = np.asarray(line, dtype=np.float64) * 10.0**-power
        kept = styles[candidate]
        if width > 1:
            thin = kept | {"linewidth": 0.5, "alpha": 0.35, "label": None}
            axes.plot(broken, _with_gaps(y, holes, np.nan), **thin)
            y = np.concatenate([smooth(part, width) for part in np.split(y, holes)])
        y = _with_gaps(y, holes, np.nan)
        alone = np.flatnonzero(_alone(y)) if len(times) > FEW else np.arange(len(y))
        axes.plot(broken, y, marker=".", markevery=list(alone), **kept)
    for candidate, line in dots.items():
        y = np.asarray(line, dtype=np.float64) * 10.0**-power
        look = {"linestyle": "none", "marker": ".", "markersize": 4, "label": None}
        axes.plot(x, y, **(styles[candidate] | look))
    axes.set_ylabel(labelled(name, units, power))
    axes.grid(linewidth=0.4, alpha=0.6)


def _time_axis(axes: "Axes", times: np.ndarray) -> np.ndarray:
    """Labels the axis with dates, or as steps; returns the places of times on it, as floats.

    Dates of other calendars than ours, which matplotlib does not know, are places in days.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if np.issubdtype(times.dtype, np.datetime64):
        locator = AutoDateLocator(minticks=3, maxticks=8)
        axes.xaxis_date()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        return np.asarray(date2num(times.astype("datetime64[s]")), dtype=np.float64)
    if times.dtype.kind != "O":
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=ROUND, integer=True))
        axes.set_xlabel("step")
        return times.astype(np.float64)
    import cftime

    calendar = times[0].calendar
    places = np.asarray(cftime.date2num(times, _DAYS, calendar), dtype=np.float64)
    short = np.ptp(places) < 3

    def date(x: float, _: int) -> str:
        when = cftime.num2date(x, _DAYS, calendar)
        return str(when.strftime("%Y-%m-%d\n%H:%M" if short else "%Y-%m-%d"))

    steps = [1, 2.5, 5, 10] if short else ROUND  # a quarter of a day is a round time
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=steps, integer=not short))
    axes.xaxis.set_major_formatter(FuncFormatter(date))
    return places


def _holes(x: np.ndarray) -> np.ndarray:
    """Indices before which times are missing."""
    if len(x) < 3:
        return np.zeros(0, dtype=np.int64)
    apart, counts = np.unique(np.round(np.diff(x), 6), return_counts=True)
    return np.flatnonzero(np.diff(x) > HOLE * apart[np.argmax(counts)]) + 1


def _with_gaps(values: np.ndarray, holes: np.ndarray, between: Any) -> np.ndarray:
    """The values with another one in each hole."""
    return np.insert(values, holes, between)


def _alone(y: np.ndarray) -> np.ndarray:
    """Where a value has no neighbour to draw a line to."""
    known = np.concatenate([[False], np.isfinite(y), [False]])
    return known[1:-1] & ~known[:-2] & ~known[2:]


def bars(axes: "Axes", groups: Sequence[str], values: Mapping[str, np.ndarray]) -> None:
    """Draws a bar for each candidate in each group, those of a group side by side.

    Args:
        axes: To be drawn in.
        groups: Labels below.
        values: By candidate, each (group,).
    """
    width = BARS / max(len(values), 1)
    styles = _bar_styles(values)
    for number, (candidate, heights) in enumerate(values.items()):
        places = np.arange(len(groups)) + (number + 0.5) * width - BARS / 2
        axes.bar(places, np.asarray(heights, dtype=np.float64), 0.92 * width, **styles[candidate])
    axes.set_xticks(np.arange(len(groups)), labels=list(groups))
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", linewidth=0.4, alpha=0.6)
    axes.set_axisbelow(True)


def _bar_styles(candidates: Iterable[str]) -> dict[str, dict[str, Any]]:
    names = list(candidates)
    shades, turn = colors(names), turns(names)
    return {
        name: {
            "facecolor": shades[name],
            "hatch": HATCHES[turn[name] % len(HATCHES)],
            "edgecolor": "white",
            "linewidth": 0,
            "label": text(name),
        }
        for name in names
    }


def box_plots(
    axes: "Axes", samples: Mapping[str, np.ndarray], *, name: str, units: str = "1"
) -> None:
    """Draws a box for each candidate: quartiles and median, whiskers at 5 and 95 %, no points.

    Args:
        axes: To be drawn in.
        samples: By candidate, each (sample,).
        name: Of the quantity.
        units: Its units.
    """
    finite = {key: np.ravel(x)[np.isfinite(np.ravel(x))] for key, x in samples.items()}
    power = power_of_ten(np.concatenate(list(finite.values()) or [np.zeros(1)]))
    shades, turn = colors(samples), turns(samples)
    drawn = axes.boxplot(
        [x * 10.0**-power for x in finite.values()],
        orientation="horizontal",
        tick_labels=[text(key) for key in finite],
        whis=(5, 95),
        showfliers=False,
        widths=0.6,
        patch_artist=True,
        medianprops={"color": "black"},
    )
    for key, box in zip(finite, drawn["boxes"], strict=True):
        box.set(facecolor="0.75" if key == REFERENCE else shades[key], alpha=0.8)
        box.set_hatch(HATCHES[turn[key] % len(HATCHES)])
    axes.invert_yaxis()
    axes.set_xlabel(labelled(name, units, power))
    axes.grid(axis="x", linewidth=0.4, alpha=0.6)
