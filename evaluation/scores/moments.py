"""Mean, standard deviation, skewness and kurtosis.

With the central moments m_k = ⟨(f - ⟨f⟩)^k⟩ over what is reduced,
    standard deviation = √m2,    skewness = m3 / m2^(3/2),    kurtosis = m4 / m2²  (Gauss: 3).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from atmodist.fields.grid import Grid
from evaluation.numerics.averages import area_mean, row_blocks
from evaluation.scores.reduction import SPACE, Axis, reduced

NAMES = ("mean", "standard_deviation", "skewness", "kurtosis")


def moments(
    field: Any, *, reduce: Sequence[Axis] = SPACE, grid: Grid | None = None,
    weights: np.ndarray | None = None, skipna: bool = False,
) -> Any:  # fmt: skip
    """Mean, standard deviation (not of a sample: sums are divided by n), skewness, kurtosis.

    Args:
        field: In units u: an array or xarray object, see `scores.reduction`.
        reduce: Axes that go; see `scores.reduction`, also for what follows.
        grid: Of arrays.
        weights: Of the latitudes; by default those of the grid.
        skipna: Whether missing values are left out; by default they are refused.

    Returns:
        All four, in the order of `NAMES`, in u, u, 1 and 1: as the first axis of an array, or along
        a last dimension "moment". Skewness and kurtosis of what does not vary are NaN.
    """

    def formula(rows: np.ndarray, row_weights: np.ndarray) -> np.ndarray:
        return standardized(area_moments(rows, row_weights))

    return reduced(
        formula, field, reduce=reduce, grid=grid, weights=weights, skipna=skipna,
        labels={"moment": NAMES}, long_name="moments",
    )  # fmt: skip


def standardized(central: np.ndarray) -> np.ndarray:
    """Mean, standard deviation, skewness, kurtosis from mean and central moments.

    Args:
        central: (4, ...): E x, m2, m3, m4.

    Returns:
        The same shape. Skewness and kurtosis of what does not vary are NaN.
    """
    mean, m2, m3, m4 = central
    deviation = np.sqrt(m2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([mean, deviation, (m3 / m2) / deviation, (m4 / m2) / m2])


def area_moments(field: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean and central moments over the area.

    Args:
        field: (channel, latitude, longitude).
        weights: (latitude, 1), with sum one over all points.

    Returns:
        E x, m2, m3, m4: shape (4, channel), float64.
    """
    mean = area_mean(field, weights)
    channels, num_rows, num_columns = field.shape
    rows = np.empty((3, channels, num_rows))
    for block in row_blocks(num_rows, num_columns):
        d = field[:, block] - mean[:, None, None]
        square = d * d
        rows[0, :, block] = square.sum(axis=-1)
        rows[1, :, block] = np.einsum("crl,crl->cr", square, d)
        rows[2, :, block] = np.einsum("crl,crl->cr", square, square)
    return np.concatenate([mean[None], rows @ weights[:, 0]])


def pooled(central: np.ndarray) -> np.ndarray:
    """Central moments of groups of equal weight taken together.

    With δ = mean of a group - mean of all, averaged over groups:
        m2 = m2 + δ²,   m3 = m3 + 3 δ m2 + δ³,   m4 = m4 + 4 δ m3 + 6 δ² m2 + δ⁴.

    Args:
        central: (4, group, ...): E x, m2, m3, m4 of each group.

    Returns:
        (4, ...): the same of all values together.
    """
    mean, m2, m3, m4 = central
    total = mean.mean(axis=0)
    d = mean - total
    return np.stack(
        [
            total,
            (m2 + d**2).mean(axis=0),
            (m3 + 3 * d * m2 + d**3).mean(axis=0),
            (m4 + 4 * d * m3 + 6 * d**2 * m2 + d**4).mean(axis=0),
        ]
    )
