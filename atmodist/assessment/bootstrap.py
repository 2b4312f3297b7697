"""Confidence intervals of means over pairs, from a block bootstrap over base times.

JudgedPairs of one base time share their weather, and base times near each other are alike and share
fields. So blocks of consecutive base times, as long as the largest lag if the data allow, are drawn
with replacement, each with all its pairs: the circular block bootstrap of
`atmodist.calibration.ranking`. Intervals hold 95 %. Where fewer than four base times have pairs at
all, resamples would hardly differ, and the interval is None rather than a false certainty; of few
more, it is rather too narrow.
"""

from typing import Any

import numpy as np

from atmodist.calibration.ranking import block_resample, default_block_length

LEVEL = 0.95
LEAST_BASE_TIMES = 4  # for an interval; `default_block_length` fits four blocks into the data too
Row = dict[str, Any]


class BaseTimeBootstrap:
    """Intervals of means over pairs, by drawing blocks of base times with replacement.

    Args:
        groups: The base time of each pair, integers in the order of time. Shape (pair,).
        max_label: The largest lag, in archive steps, over which base times share fields.
        resamples: How many.
        seed: Of the draws.

    Attributes:
        num_groups: Base times.
        block_length: Consecutive base times in a block.
    """

    def __init__(self, groups: np.ndarray, *, max_label: int, resamples: int = 1000, seed: int = 0):
        distinct, self._group = np.unique(groups, return_inverse=True)
        self.num_groups = len(distinct)
        self.block_length = default_block_length(self.num_groups, max_label)
        rng = np.random.default_rng(seed)
        self._times = np.zeros((resamples, self.num_groups))  # how often each base time is drawn
        for times in self._times:
            chosen = block_resample(self.num_groups, self.block_length, rng)
            times += np.bincount(chosen, minlength=self.num_groups)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums of values (pair, ...) over each resample. Shape (resample, ...)."""
        values = np.asarray(values, np.float64)
        sums = np.zeros((self.num_groups, *values.shape[1:]))
        np.add.at(sums, self._group, values)
        return np.tensordot(self._times, sums, axes=1)

    def mean(self, values: np.ndarray, mask: np.ndarray | None = None) -> Row:
        """The mean of values (pair,), over the pairs of a mask, as value, low and high."""
        chosen = np.ones(len(values)) if mask is None else np.asarray(mask, np.float64)
        if not chosen.any():
            return {"value": None, "low": None, "high": None}
        sums, counts = self.sums(values * chosen), self.sums(chosen)
        means = sums[counts > 0] / counts[counts > 0]
        value = float((values * chosen).sum() / chosen.sum())
        return {"value": value, **self.interval(means, chosen > 0)}

    def interval(self, resampled: np.ndarray, mask: np.ndarray | None = None) -> Row:
        """The central 95 % of resampled values, as low and high.

        Args:
            resampled: A statistic of each resample.
            mask: The pairs it is of; all unless given. Shape (pair,).
        """
        groups = self._group if mask is None else self._group[mask]
        if len(np.unique(groups)) < LEAST_BASE_TIMES:
            return {"low": None, "high": None}
        low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return {"low": float(low), "high": float(high)}


def cell(row: Row | None, form: str = ".3f") -> str:
    """A value with its interval in words, such as "0.496 (0.485 to 0.507)"; "-" for what is not."""
    if row is None or row["value"] is None:
        return "-"
    if row["low"] is None:
        return f"{row['value']:{form}} (-)"
    return f"{row['value']:{form}} ({row['low']:{form}} to {row['high']:{form}})"
