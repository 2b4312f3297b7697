"""Numbers of statistics as rows that people can read, with who is better where that is sure.

A row is one number of one channel in one region, averaged over time, for all candidates. The best
candidate is found by its loss (`uncertainty.loss`): the number itself, its negative, or how far it
is from the reference's. It is *clearly* best if the interval of its difference from each of the
others excludes zero, by the moving-block bootstrap over time. Numbers that were pooled over time
have no interval, and nobody is clearly best in them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.html import Child, Markup, element, table
from evaluation.quantities import decimals, number, power_of_ten, scaled_units
from evaluation.statistic import GLOBE, REFERENCE

if TYPE_CHECKING:
    import xarray as xr

AXES = {"candidate", "time", "region", "channel"}
ARROWS = {"lower": "↓", "higher": "↑", "reference": "→ ref."}
RESAMPLES = 1000


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
        main: Whether it belongs into the summary.
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
    main: bool = False


def rows(
    dataset: "xr.Dataset",
    *,
    gaps: Mapping[Place, Mapping[str, Gap]] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Row]:
    """All numbers of a statistic.

    Args:
        dataset: Of all candidates, along "candidate".
        gaps: See `gaps_of`.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.
    """
    numbers = [name for name in map(str, dataset.data_vars) if _is_number(dataset[name])]
    marked = [name for name in numbers if dataset[name].attrs.get("main")]
    scores = [name for name in numbers if dataset[name].attrs.get("better")]
    main = marked or scores[:1] or numbers[:1]
    names = [str(name) for name in dataset["candidate"].values]
    found = []
    for name in numbers:
        for region, channel, part in _parts(dataset[name]):
            series = dict(zip(names, part, strict=True))
            better = str(dataset[name].attrs.get("better", ""))
            timed = "time" in dataset[name].dims
            options: dict[str, Any] = {"seed": seed, "num_resamples": resamples}
            found.append(
                Row(
                    variable=name,
                    label=str(dataset[name].attrs.get("long_name", name.replace("_", " "))),
                    units=str(dataset[name].attrs.get("units", "1")),
                    better=better if better in ARROWS else "",
                    region=region,
                    channel=channel,
                    values={key: _mean(values) for key, values in series.items()},
                    best=_clearly_best(series, better, options) if timed else None,
                    gaps=(gaps or {}).get((name, region, channel), {}),
                    main=name in main,
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
    region: bool = True,
    gaps: bool = False,
) -> Markup:
    """A table with a row for each number and a column for each candidate."""
    shown = [name for name in candidates if any(name in row.values for row in found)]
    head = ["number (unit, better)"] + [
        element("th", swatch.get(name), name, scope="col", class_="number name") for name in shown
    ]
    regions = list(dict.fromkeys(row.region for row in found))
    several = len(regions) > 1
    body: list[Markup] = []
    current = None
    for row in sorted(found, key=lambda row: regions.index(row.region) if region else 0):
        if region and several and row.region != current:
            current = row.region
            title = element("th", region_title(current), colspan=1 + len(shown), scope="rowgroup")
            body.append(element("tr", title, class_="group"))
        body.append(_row(row, shown, gaps))
    return table(head, body)


def region_title(name: str) -> str:
    """A region as a heading."""
    return name.replace("_", " ") if name else "all"


def row_label(row: Row) -> str:
    """What a number is, and of which channel."""
    return f"{row.label}, {row.channel}" if row.channel else row.label


def _row(row: Row, shown: Sequence[str], gaps: bool) -> Markup:
    power = power_of_ten(row.values.values())
    factor = 10.0**-power
    scaled = {name: value * factor for name, value in row.values.items()}
    places = decimals(scaled.values())
    cells = []
    for name in shown:
        if name not in scaled:
            cells.append(element("td", "–", class_="number"))
            continue
        text: Child = number(scaled[name], places)
        if name == row.best:
            text = element("b", text)
        small = None
        if gaps and name in row.gaps:
            small = element("small", _gap(row.gaps[name], factor, places))
        cells.append(element("td", text, small, class_="number"))
    units = scaled_units(row.units, power)
    about = " ".join(part for part in (units, ARROWS.get(row.better)) if part)
    return element(
        "tr",
        element("th", row_label(row), " ", element("small", about), scope="row"),
        cells,
    )


def _gap(gap: Gap, factor: float, places: int) -> str:
    mean, low, high = (number(value * factor, places) for value in gap)
    sign = "+" if gap[0] > 0 else ""
    return f"Δ {sign}{mean} [{low}, {high}]"


def _is_number(variable: "xr.DataArray") -> bool:
    return (
        "candidate" in variable.dims
        and set(variable.dims) <= AXES
        and np.issubdtype(variable.dtype, np.number)
    )


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


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _clearly_best(
    series: Mapping[str, np.ndarray], better: str, options: Mapping[str, Any]
) -> str | None:
    from evaluation.uncertainty import difference, loss

    judged = {name: values for name, values in series.items() if name != REFERENCE}
    if better not in ARROWS or len(judged) < 2:
        return None
    if better == "reference" and REFERENCE not in series:
        return None
    losses = {name: loss(x, better, series.get(REFERENCE)) for name, x in judged.items()}  # type: ignore[arg-type]
    means = {name: _mean(x) for name, x in losses.items() if np.isfinite(x).any()}
    if len(means) < 2:
        return None
    best = min(means, key=lambda name: means[name])
    others = [name for name in means if name != best]
    sure = all(difference(losses[best], losses[name], **options).high < 0 for name in others)
    return best if sure else None


def summary_rows(found: Sequence[Row]) -> list[Row]:
    """The main numbers over the whole grid."""
    return [row for row in found if row.main and row.region in (GLOBE, "")]
