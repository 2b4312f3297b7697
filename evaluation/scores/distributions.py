"""How far apart the distributions of two fields are, whatever lies where.

    W1 = ∫ |F_a(x) - F_b(x)| dx,

the Wasserstein-1 distance, is the least mean change of value that turns one distribution into the
other (Villani, 2009, Optimal Transport, remark 6.6), in the units of the values.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from atmodist.fields.grid import Grid
from evaluation.numerics import histograms
from evaluation.scores.reduction import SPACE, Axis, reduced

TOLERANCE = 0.05  # of a distance: where histograms may be further off, values are sorted


def wasserstein(
    a: Any, b: Any, *, reduce: Sequence[Axis] = SPACE, grid: Grid | None = None,
    weights: np.ndarray | None = None, skipna: bool = False,
) -> Any:  # fmt: skip
    """Wasserstein-1 distance between the distributions of two fields; see the module.

    Where points weigh the same (latitude is kept), it is the mean |sorted a - sorted b|; else
    `weighted_distance`, right to 5 %, and mostly far better.

    Args:
        a: Fields in units u: arrays or xarray objects, see `scores.reduction`.
        b: Others of the same shape.
        reduce: Axes that go; see `scores.reduction`, also for what follows.
        grid: Of arrays.
        weights: Of the latitudes; by default those of the grid.
        skipna: Whether missing values are left out; by default they are refused.

    Returns:
        u, of the axes that are kept.
    """
    return reduced(
        _row_distance, a, b, reduce=reduce, grid=grid, weights=weights, skipna=skipna,
        units=lambda u: u, long_name="Wasserstein-1 distance",
    )  # fmt: skip


def sample_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """W1 between samples of equal size, along the first axis.

    Args:
        a: (sample, ...), in units u.
        b: The same.

    Returns:
        (...), in u, float64.
    """
    if a.shape != b.shape:
        raise ValueError(f"`a` and `b` must have one shape; got {a.shape} and {b.shape}")
    difference = np.subtract(np.sort(a, axis=0), np.sort(b, axis=0), dtype=np.float64)
    return np.abs(difference).mean(axis=0)


def weighted_distance(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    """W1 between fields (row, column) with weights (row, 1).

    From histograms (`numerics.histograms`) where the bound of their error is below 5 % of it; from
    the sorted values, which takes longer, where it is not: for fields far from zero that hardly
    differ, such as temperatures in kelvin.
    """
    return distance_of(a, b, weights, histogram_of(a, weights), histogram_of(b, weights))


def distance_of(
    a: np.ndarray,
    b: np.ndarray,
    weights: np.ndarray,
    own: histograms.Histogram,
    other: histograms.Histogram,
) -> float:
    """`weighted_distance` of fields whose histograms are at hand."""
    found = histograms.wasserstein(own, other)
    if histograms.wasserstein_bound(own, other) <= TOLERANCE * found:
        return found
    if np.array_equal(a, b):
        return 0.0
    from scipy.stats import wasserstein_distance

    share = np.broadcast_to(weights, a.shape).ravel()
    values = (np.asarray(x, np.float64).ravel() for x in (a, b))
    return float(wasserstein_distance(*values, share, share))


def histogram_of(values: np.ndarray, weights: np.ndarray) -> histograms.Histogram:
    """The distribution of (row, column) with weights (row, 1)."""
    found = histograms.Histogram()
    found.update(values, weights)
    return found


def _row_distance(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    if np.ptp(weights) == 0:
        return sample_distance(*(x.reshape(len(x), -1).T for x in (a, b)))
    pairs = zip(a, b, strict=True)
    return np.array([weighted_distance(*pair, weights) for pair in pairs])
