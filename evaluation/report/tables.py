"""Numbers of statistics as rows that people can read, with who is better where that is sure.

A row is one number of one channel in one region, averaged over time, for all candidates. The best
candidate is found by its loss (`uncertainty.loss`): the number itself, its negative, or how far it
is from the reference's. It is *clearly* best if the interval of its difference from each of the
others excludes zero (`atmodist.fields.intervals`). Where closer to the reference is
better, that is so at each time: the loss is the mean of |x(t) - r(t)|, so that the best one need
not be the one whose mean over time, which the table shows, is closest. Numbers that were pooled
over time have no interval, and nobody is clearly best in them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.contract.regions import region_title
from evaluation.contract.units_text import decimals, number, power_of_ten, scaled_units, words
from evaluation.numerics.setting import GLOBE, REFERENCE
from evaluation.report.html import Child, Markup, element, table
from evaluation.significance.uncertainty import difference, loss, mean_of_known

if TYPE_CHECKING:
    import xarray as xr

AXES = {"candidate", "time", "region", "channel"}
ARROWS = {"lower": "↓", "higher": "↑", "reference": "→ ref."}
LAST = 99  # place in the summary of what a statistic did not mark


Gap = tuple[float, float, float]  # a difference, and the ends of its interval
Place = tuple[str, str, str]  # variable, region, channel


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of all candidates.

    Attributes:
        variable: Its name in the dataset.
        label: What it is.
        units: CF's.
        better: "lower", "higher", "reference" or "" if it is no score.
        region: Or "" if it has none.
        channel: Or "" if it has none.
        values: Means over time by candidate, the reference among them if it is described.
        best: Who is clearly best, or None.
        gaps: By candidate, the difference from the baseline, in the number's units.
        main: Its place among the numbers of the summary, from 1; 0 if it does not belong there.
        short: What it is, in few words.
        bounds: Candidates whose number is a lower bound.
    """

    variable: str
    label: str
    units: str
    better: str
    region: str
    channel: str
    values: Mapping[str, float]
    best: str | None = None
    gaps: Mapping[str, Gap] = field(default_factory=dict)
    main: int = 0
    short: str = ""
    bounds: frozenset[str] = frozenset()


def rows(
    dataset: "xr.Dataset",
    *,
    gaps: Mapping[Place, Mapping[str, Gap]] | None = None,
) -> list[Row]:
    """All numbers of a statistic.

    Args:
        dataset: Of all candidates, along "candidate".
        gaps: See `gaps_of`.
    """
    numbers = [name for name in map(str, dataset.data_vars) if _is_number(dataset[name])]
    marked = [name for name in numbers if dataset[name].attrs.get("main")]
    scores = [name for name in numbers if dataset[name].attrs.get("better")]
    main = marked or scores[:1] or numbers[:1]
    names = [str(name) for name in dataset["candidate"].values]
    found = []
    for name in numbers:
        about = dataset[name].attrs
        label = str(about.get("long_name", name.replace("_", " ")))
        bounded = _bounded(dataset, about.get("at_least"), names)
        for region, channel, part in _parts(dataset[name]):
            series = dict(zip(names, part, strict=True))
            better = str(about.get("better", ""))
            timed = "time" in dataset[name].dims
            found.append(
                Row(
                    variable=name,
                    label=label,
                    units=str(about.get("units", "1")),
                    better=better if better in ARROWS else "",
                    region=region,
                    channel=channel,
                    values={key: mean_of_known(values) for key, values in series.items()},
                    best=_clearly_best(series, better) if timed else None,
                    gaps=(gaps or {}).get((name, region, channel), {}),
                    main=int(about.get("main", LAST)) if name in main else 0,
                    short=str(about.get("short_name", label)),
                    bounds=bounded.get((region, channel), frozenset()),
                )
            )
    return found


def gaps_of(recorded: Iterable[Mapping[str, Any]]) -> dict[Place, dict[str, Gap]]:
    """Differences from the baseline, from rows of `metrics.csv`; those without interval are not."""
    found: dict[Place, dict[str, Gap]] = {}
    for row in recorded:
        gap = tuple(row.get(f"baseline_{end}") for end in ("difference", "low", "high"))
        if all(isinstance(value, int | float) for value in gap):
            place = (str(row["variable"]), str(row.get("region", "")), str(row.get("channel", "")))
            found.setdefault(place, {})[str(row["candidate"])] = gap  # type: ignore[assignment]
    return found


def number_table(
    found: Sequence[Row],
    candidates: Sequence[str],
    *,
    swatch: Mapping[str, Markup],
    gaps: bool = False,
) -> Markup:
    """A table with a row for each number and a column for each candidate."""
    shown, head = _head(found, candidates, swatch)
    regions = list(dict.fromkeys(region_title(row.region) for row in found))
    body: list[Markup] = []
    for region in regions:
        if len(regions) > 1:
            title = element("th", region, colspan=1 + len(shown), scope="rowgroup")
            body.append(element("tr", title, class_="group"))
        inside = [row for row in found if region_title(row.region) == region]
        body += [_row(row, shown, gaps=gaps) for row in inside]
    return table(head, body)


def summary_table(
    found: Sequence[Row], candidates: Sequence[str], *, swatch: Mapping[str, Markup]
) -> Markup:
    """The main numbers, the most telling ones first; each is named once, its channels below."""
    shown, head = _head(found, candidates, swatch)
    several = len({row.channel for row in found if row.channel}) > 1
    body: list[Markup] = []
    in_order = sorted(found, key=lambda row: row.main)
    for (label, better), group in groupby(in_order, key=lambda row: (row.short, row.better)):
        of_channels = list(group)
        if not several or not of_channels[0].channel:
            body += [_row(row, shown, head=_first(label, _about(row))) for row in of_channels]
            continue
        units = {_units(row) for row in of_channels}
        common = units.pop() if len(units) == 1 else ""
        about = " ".join(part for part in (common, ARROWS.get(better)) if part)
        title = element("span", label, " ", element("small", about))
        title = element("th", title, colspan=1 + len(shown), scope="rowgroup")
        body.append(element("tr", title, class_="title"))
        for row in of_channels:
            first = _first(words(row.channel), "" if common else _units(row), class_="channel")
            body.append(_row(row, shown, head=first))
    return table(head, body, class_="summary")


def row_label(row: Row) -> str:
    """What a number is, and of which channel."""
    return f"{row.label}, {words(row.channel)}" if row.channel else row.label


def _head(
    found: Sequence[Row], candidates: Sequence[str], swatch: Mapping[str, Markup]
) -> tuple[list[str], list[str]]:
    """Candidates of which there are numbers, and the first line of their table."""
    shown = [name for name in candidates if any(name in row.values for row in found)]
    return shown, ["number (unit, better)"] + [
        element("th", swatch.get(name), name, scope="col", class_="number name") for name in shown
    ]


def _first(label: str, about: str, class_: str | None = None) -> Markup:
    """The first cell of a line."""
    small = [" ", element("small", about)] if about else None
    return element("th", label, small, scope="row", class_=class_)


def _units(row: Row) -> str:
    return scaled_units(row.units, power_of_ten(row.values.values()))


def _about(row: Row) -> str:
    """The unit, and what is better."""
    return " ".join(part for part in (_units(row), ARROWS.get(row.better)) if part)


def _row(
    row: Row, shown: Sequence[str], *, gaps: bool = False, head: Markup | None = None
) -> Markup:
    power = power_of_ten(row.values.values())
    factor = 10.0**-power
    scaled = {name: value * factor for name, value in row.values.items()}
    places = decimals(scaled.values())
    cells = []
    for name in shown:
        if name not in scaled:
            cells.append(element("td", "–", class_="number"))
            continue
        bound = "≥ " if name in row.bounds else ""
        text: Child = bound + number(scaled[name], places)
        if name == row.best:
            text = element("b", text)
        small = None
        if gaps and name in row.gaps:
            small = element("small", _gap(row.gaps[name], factor, places))
        cells.append(element("td", text, small, class_="number"))
    return element("tr", head or _first(row_label(row), _about(row)), cells)


def _gap(gap: Gap, factor: float, places: int) -> str:
    mean, low, high = (number(value * factor, places) for value in gap)
    sign = "+" if gap[0] > 0 else ""
    return f"Δ {sign}{mean}" + (f" [{low}, {high}]" if math.isfinite(gap[0]) else "")


def _is_number(variable: "xr.DataArray") -> bool:
    return (
        "candidate" in variable.dims
        and set(variable.dims) <= AXES
        and np.issubdtype(variable.dtype, np.number)
    )


def _bounded(
    dataset: "xr.Dataset", name: str | None, candidates: Sequence[str]
) -> dict[tuple[str, str], frozenset[str]]:
    """By region and channel, who has lower bounds among his numbers.

    Args:
        dataset: Of all candidates.
        name: Of the share of times at which the number is a lower bound, or None.
        candidates: In their order.
    """
    if name is None or name not in dataset:
        return {}
    return {
        (region, channel): frozenset(
            candidate
            for candidate, shares in zip(candidates, part, strict=True)
            if mean_of_known(shares) > 0
        )
        for region, channel, part in _parts(dataset[name])
    }


def _parts(variable: "xr.DataArray") -> Iterator[tuple[str, str, np.ndarray]]:
    """Region, channel, and values (candidate, time); one time where there is no series."""
    for axis in ("time", "region", "channel"):
        if axis not in variable.dims:
            variable = variable.expand_dims(axis)
    ordered = variable.transpose("region", "channel", "candidate", "time")
    regions = _labels(variable, "region")
    channels = _labels(variable, "channel")
    values = np.asarray(ordered.values, dtype=np.float64)
    for i, region in enumerate(regions):
        for j, channel in enumerate(channels):
            yield region, channel, values[i, j]


def _labels(variable: "xr.DataArray", axis: str) -> list[str]:
    if axis in variable.coords:
        return [str(label) for label in np.atleast_1d(variable[axis].values)]
    return [""] * variable.sizes[axis]


def _clearly_best(series: Mapping[str, np.ndarray], better: str) -> str | None:
    judged = {name: values for name, values in series.items() if name != REFERENCE}
    if better not in ARROWS or len(judged) < 2:
        return None
    if better == "reference" and REFERENCE not in series:
        return None
    losses = {name: loss(x, better, series.get(REFERENCE)) for name, x in judged.items()}  # type: ignore[arg-type]
    means = {name: mean for name, x in losses.items() if not math.isnan(mean := mean_of_known(x))}
    if len(means) < 2:
        return None
    best = min(means, key=lambda name: means[name])
    others = [name for name in means if name != best]
    sure = all(difference(losses[best], losses[name]).high < 0 for name in others)
    return best if sure else None


def summary_rows(found: Sequence[Row]) -> list[Row]:
    """The main numbers over the whole grid."""
    return [row for row in found if row.main and row.region in (GLOBE, "")]
