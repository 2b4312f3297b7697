"""Confidence intervals of scores of pairs, of which many share a base time.

Pairs of one base time share their weather, and base times near each other are alike and share
fields. So what each base time adds to a score makes a series, whose interval knows of its memory
(`atmodist.fields.intervals`). Intervals hold 95 %. Where base times are too few for their memory,
the interval is None rather than a false certainty.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from atmodist.fields.intervals import LEAST_VALUES, Interval, mean_interval, pseudo_values

LEAST_BASE_TIMES = LEAST_VALUES  # for an interval
Row = dict[str, Any]


class BaseTimes:
    """Intervals of scores of pairs, from the series over their base times.

    Args:
        groups: The base time of each pair, integers in the order of time. Shape (pair,).

    Attributes:
        num: Base times.
    """

    def __init__(self, groups: np.ndarray):
        distinct, self._group = np.unique(groups, return_inverse=True)
        self.num = len(distinct)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums of values (pair, ...) over each base time. Shape (base time, ...)."""
        values = np.asarray(values, np.float64)
        sums = np.zeros((self.num, *values.shape[1:]))
        np.add.at(sums, self._group, values)
        return sums

    def mean(self, values: np.ndarray, mask: np.ndarray | None = None) -> Row:
        """The mean of values (pair,), over the pairs of a mask, as value, low and high.

        Base times with more pairs count for more, as they do in the mean.
        """
        chosen = np.ones(len(values)) if mask is None else np.asarray(mask, np.float64)
        if not chosen.any():
            return {"value": None, "low": None, "high": None}
        sums, counts = self.sums(np.where(chosen > 0, values, 0.0)), self.sums(chosen)
        sums, counts = sums[counts > 0], counts[counts > 0]
        value = float(sums.sum() / counts.sum())
        # of the ratio Σ sums / Σ counts, to first order
        return _row(mean_interval(value + (sums - value * counts) / counts.mean(), value=value))

    def of_sums(self, score: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> Row:
        """A score of sums over all pairs, as value, low and high, by leaving out base times.

        Args:
            score: Takes sums (n, ...) and returns n scores.
            values: What is summed. Shape (pair, ...).
        """
        sums = self.sums(values)
        total = sums.sum(axis=0)
        value = float(score(total[None])[0])
        if self.num < LEAST_BASE_TIMES:
            return {"value": value, "low": None, "high": None}
        return _row(mean_interval(pseudo_values(score(total - sums), value), value=value))


def cell(row: Row | None, form: str = ".3f") -> str:
    """A value with its interval in words, such as "0.496 (0.485 to 0.507)"; "-" for what is not."""
    if row is None or row["value"] is None:
        return "-"
    if row["low"] is None:
        return f"{row['value']:{form}} (-)"
    return f"{row['value']:{form}} ({row['low']:{form}} to {row['high']:{form}})"


def _row(interval: Interval) -> Row:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
