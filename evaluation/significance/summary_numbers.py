"""The numbers of an evaluation: means over time, and what can be said of differences.

A variable of a result whose dimensions are all among time, region and channel is a number; where
it has "time", its mean is told, and differences get intervals (`significance.uncertainty`). Two
differences are told of a candidate c at each time t:

    to the reference r     x_c(t) - x_r(t), where the statistic describes the reference as well
    to the baseline b      x_c(t) - x_b(t); or |x_c(t) - x_r(t)| - |x_b(t) - x_r(t)| where closer
                           to the reference is better

A candidate is called better or worse than the baseline where the interval leaves out zero, else
the two are called equal; where there is no interval, `no_interval` says why. Beside that stands the
reference implementation's rule of 10 %.

Numbers may be infinite (the PSNR of a perfect candidate is). Strict JSON has no infinity, so that
`metrics.json` holds the words "Infinity" and "-Infinity", which `float` of Python, `Number` of
JavaScript and `as.numeric` of R read as numbers; `metrics.csv` holds inf and -inf, as all of them
write it. What is unknown is null there and empty here.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.numerics.setting import REFERENCE
from evaluation.significance.station_tests import ten_percent_rule
from evaluation.significance.uncertainty import apart, difference, loss, mean_of_known

if TYPE_CHECKING:
    import xarray as xr

Row = dict[str, Any]

AXES = {"candidate", "time", "region", "channel"}
NAMED = ("statistic", "variable", "long_name", "units", "better")
COLUMNS = (
    *NAMED, "candidate", "region", "channel", "value", "times",
    "difference", "difference_low", "difference_high",
    "baseline", "baseline_difference", "baseline_low", "baseline_high", "baseline_p",
    "no_interval",
    "verdict", "ten_percent",
)  # fmt: skip
INFINITIES = {math.inf: "Infinity", -math.inf: "-Infinity"}  # in JSON
VERDICTS = {-1: "better", 0: "equal", 1: "worse"}


def numbers(name: str, dataset: "xr.Dataset", baseline: str) -> list[Row]:
    """All numbers of a statistic.

    Args:
        name: Of the statistic.
        dataset: Results of all candidates, along "candidate".
        baseline: The candidate that others are compared with.
    """
    rows: list[Row] = []
    for variable, array in dataset.data_vars.items():
        dims = set(map(str, array.dims))
        if "candidate" in dims and dims <= AXES and array.dtype.kind in "fiub":
            attributes = {key: str(array.attrs.get(key, "")) for key in NAMED[2:]}
            about = {"statistic": name, "variable": str(variable), **attributes}
            about["long_name"] = about["long_name"] or str(variable).replace("_", " ")
            rows += [{**about, **row} for row in _of_variable(array, baseline)]
    return rows


def nested(rows: Sequence[Row], titles: Mapping[str, str]) -> dict[str, Any]:
    """Rows by statistic and variable, as `metrics.json` holds them; see the module."""
    content: dict[str, Any] = {
        name: {"title": title, "variables": {}} for name, title in titles.items()
    }
    for row in rows:
        variables = content[row["statistic"]]["variables"]
        named = {key: row[key] for key in NAMED[2:]}
        entry = variables.setdefault(row["variable"], {**named, "values": []})
        entry["values"].append({k: _worded(v) for k, v in row.items() if k not in NAMED})
    return content


def flat(content: Mapping[str, Any]) -> list[Row]:
    """The rows of which `nested` made its content."""
    numbers = {word: value for value, word in INFINITIES.items()}
    rows: list[Row] = []
    for statistic, entry in content.items():
        for variable, about in entry["variables"].items():
            named = {key: about[key] for key in NAMED[2:]}
            first = {"statistic": statistic, "variable": variable, **named}
            for values in about["values"]:
                rows.append(first | {key: numbers.get(v, v) for key, v in values.items()})
    return rows


def _worded(value: Any) -> Any:
    return INFINITIES.get(value, value) if isinstance(value, float) else value


def _of_variable(array: "xr.DataArray", baseline: str) -> list[Row]:
    order = [axis for axis in ("candidate", "region", "channel", "time") if axis in array.dims]
    array = array.transpose(*order)
    in_time = "time" in order
    labels = {axis: [str(v) for v in array[axis].values] for axis in order if axis != "time"}
    values = np.asarray(array.values, np.float64)
    values = values if in_time else values[..., None]
    named = dict(zip(labels.pop("candidate"), values, strict=True))
    better = str(array.attrs.get("better", ""))
    rows = []
    for candidate, own in named.items():
        for index in np.ndindex(own.shape[:-1]):
            row: Row = {"candidate": candidate}
            for (axis, names), i in zip(labels.items(), index, strict=True):
                row[axis] = names[i]
            row["value"] = _mean(own[index])
            if in_time:
                row["times"] = int((~np.isnan(own[index])).sum())
            truth = named[REFERENCE][index] if REFERENCE in named else None
            if candidate != REFERENCE and truth is not None:
                row |= _told("difference", apart(own[index], truth), in_time)
            if candidate not in (REFERENCE, baseline) and baseline in named:
                row |= _against(own[index], named[baseline][index], truth, better, in_time)
                row["baseline"] = baseline
            rows.append(row)
    return rows


def _told(name: str, series: np.ndarray, in_time: bool) -> Row:
    """The mean of differences, and its interval."""
    mean = _mean(series)
    if mean is None:
        return {}
    row: Row = {name: mean}
    found = difference(series, np.zeros_like(series)) if in_time else None
    if found is not None and found.reason is not None:
        row["no_interval"] = found.reason
    elif found is not None:
        start = name.removesuffix("_difference")
        row |= {f"{start}_low": found.low, f"{start}_high": found.high, f"{start}_p": found.p_value}
        row.pop("difference_p", None)
    return row


def _against(
    own: np.ndarray,
    other: np.ndarray,
    truth: np.ndarray | None,
    better: str,
    in_time: bool,
) -> Row:
    """A candidate beside the baseline."""
    if better == "reference":
        if truth is None:
            return {}
        own, other = loss(own, "reference", truth), loss(other, "reference", truth)
    row = _told("baseline_difference", apart(own, other), in_time)
    sign = {"lower": 1, "reference": 1, "higher": -1}.get(better)
    if sign is None:
        return row
    if "baseline_low" in row:
        side = (row["baseline_low"] > 0) - (row["baseline_high"] < 0)
        row["verdict"] = VERDICTS[int(sign * side)]
    a, b = _mean(own), _mean(other)
    if sign == 1 and a is not None and b is not None and min(a, b) >= 0:
        row["ten_percent"] = VERDICTS[int(ten_percent_rule(np.array(a), np.array(b)))]
    return row


def _mean(values: np.ndarray) -> float | None:
    return known(mean_of_known(values))


def known(value: float) -> float | None:
    """A number as rows hold it: None where it is NaN."""
    return None if math.isnan(value) else value
