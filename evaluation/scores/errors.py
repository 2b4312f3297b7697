"""Errors of fields against others: squared, absolute, bias, correlation, total variation.

With the weighted mean ⟨·⟩ over what is reduced, and c' = c - ⟨c⟩,
    MSE = ⟨(a - b)²⟩ = bias² + ⟨a'²⟩ + ⟨b'²⟩ - 2 ⟨a' b'⟩.
Definitions are those of Wilks (2019, Statistical Methods in the Atmospheric Sciences, chapter 9).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation.contract.units_text import squared_units
from evaluation.numerics.averages import Window, area_mean, row_blocks
from evaluation.numerics.gradients import cell_window, gradient_magnitude
from evaluation.scores.reduction import SPACE, Axis, of_planes, reduced

LONG_NAMES = {
    "mse": "mean squared error",
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
    "bias": "bias",
    "correlation": "correlation",
}


def mse(
    a: Any, b: Any, *, reduce: Sequence[Axis] = SPACE, grid: Grid | None = None,
    weights: np.ndarray | None = None, skipna: bool = False,
) -> Any:  # fmt: skip
    """Mean squared error.

        MSE = ⟨(a - b)²⟩

    Args:
        a: Judged fields, in units u: arrays or xarray objects, see `scores.reduction`.
        b: What they are judged against, of the same shape.
        reduce: Axes that go; see `scores.reduction`, also for what follows.
        grid: Of arrays.
        weights: Of the latitudes; by default those of the grid.
        skipna: Whether missing values are left out; by default they are refused.

    Returns:
        u², of the axes that are kept.
    """
    return _error("mse", a, b, reduce, grid, weights, skipna, squared_units)


def rmse(
    a: Any, b: Any, *, reduce: Sequence[Axis] = SPACE, grid: Grid | None = None,
    weights: np.ndarray | None = None, skipna: bool = False,
) -> Any:  # fmt: skip
    """Root mean squared error.

        RMSE = √⟨(a - b)²⟩

    Args:
        a: Judged fields, in units u: arrays or xarray objects, see `scores.reduction`.
        b: What they are judged against, of the same shape.
        reduce: Axes that go; see `scores.reduction`, also for what follows.
        grid: Of arrays.
        weights: Of the latitudes; by default those of the grid.
        skipna: Whether missing values are left out; by default they are refused.

    Returns:
        u, of the axes that are kept.
    """
    return _error("rmse", a, b, reduce, grid, weights, skipna, _same)


def mae(
    a: Any, b: Any, *, reduce: Sequence[Axis] = SPACE, grid: Grid | None = None,
    weights: np.ndarray | None = None, skipna: bool = False,
) -> Any:  # fmt: skip
    """Mean absolute error.

        MAE = ⟨|a - b|⟩

    Args:
        a: Judged fields, in units u: arrays or xarray objects, see `scores.reduction`.
        b: What they are judged against, of the same shape.
        reduce: Axes that go; see `scores.reduction`, also for what follows.
        grid: Of arrays.
        weights: Of the latitudes; by default those of the grid.
        skipna: Whether missing values are left out; by default they are refused.

    Returns:
        u, of the axes that are kept.
    """
    return _error("mae", a, b, reduce, grid, weights, skipna, _same)


def bias(
    a: Any, b: Any, *, reduce: Sequence[Axis] = SPACE, grid: Grid | None = None,
    weights: np.ndarray | None = None, skipna: bool = False,
) -> Any:  # fmt: skip
    """Mean error; positive where the first is larger.

        bias = ⟨a - b⟩

    Args:
        a: Judged fields, in units u: arrays or xarray objects, see `scores.reduction`.
        b: What they are judged against, of the same shape.
        reduce: Axes that go; see `scores.reduction`, also for what follows.
        grid: Of arrays.
        weights: Of the latitudes; by default those of the grid.
        skipna: Whether missing values are left out; by default they are refused.

    Returns:
        u, of the axes that are kept.
    """
    return _error("bias", a, b, reduce, grid, weights, skipna, _same)


def correlation(
    a: Any, b: Any, *, reduce: Sequence[Axis] = SPACE, grid: Grid | None = None,
    weights: np.ndarray | None = None, skipna: bool = False,
) -> Any:  # fmt: skip
    """Correlation (Pearson) of the fields themselves; see `acc` for anomalies.

        r = ⟨a' b'⟩ / √(⟨a'²⟩ ⟨b'²⟩)

    Args:
        a: Judged fields, in units u: arrays or xarray objects, see `scores.reduction`.
        b: What they are judged against, of the same shape.
        reduce: Axes that go; see `scores.reduction`, also for what follows.
        grid: Of arrays.
        weights: Of the latitudes; by default those of the grid.
        skipna: Whether missing values are left out; by default they are refused.

    Returns:
        -1 to 1, of the axes that are kept; NaN where one does not vary.
    """
    return _error("correlation", a, b, reduce, grid, weights, skipna, _none)


def acc(
    a: Any, b: Any, climatology: Any, *, reduce: Sequence[Axis] = SPACE, grid: Grid | None = None,
    weights: np.ndarray | None = None, skipna: bool = False,
) -> Any:  # fmt: skip
    """Anomaly correlation coefficient, centred, as ECMWF and WMO verify forecasts by it.

        ACC = r(a - c, b - c)    with the climatology c and the `correlation` r

    Args:
        a: Judged fields, in units u: arrays or xarray objects, see `scores.reduction`.
        b: What they are judged against, of the same shape.
        climatology: c of the same times, in u; broadcast against the fields.
        reduce: Axes that go; see `scores.reduction`, also for what follows.
        grid: Of arrays.
        weights: Of the latitudes; by default those of the grid.
        skipna: Whether missing values are left out; by default they are refused.

    Returns:
        -1 to 1, of the axes that are kept; NaN where one does not vary.
    """
    return correlation(
        a - climatology, b - climatology, reduce=reduce, grid=grid, weights=weights, skipna=skipna
    )


def total_variation(
    field: Any, *, grid: Grid | None = None, radius: float = EARTH_RADIUS, mean: Sequence[Axis] = ()
) -> Any:
    """Mean magnitude of the gradient on the sphere: blur lowers it, noise raises it.

        TV = ⟨|∇f|⟩    over the cells of the grid, by area; see `numerics.gradients`

    Args:
        field: (..., latitude, longitude) in units u, or an xarray object; without missing values.
        grid: Of arrays.
        radius: Of the sphere, m.
        mean: Other axes over which to take the mean.

    Returns:
        (...), in u per km.
    """

    def formula(fields: np.ndarray, points: Grid) -> np.ndarray:
        rows, columns = (np.arange(size) for size in points.shape)
        window = Window(name="", rows=rows, columns=columns, weights=points.area_weights)
        cells = cell_window(window, points)
        steepness = gradient_magnitude(fields, points, radius)
        return area_mean(cells.of(steepness), cells.weights)

    return of_planes(
        formula, field, grid=grid, mean=mean, units=lambda u: f"{u} km-1",
        long_name="total variation",
    )  # fmt: skip


def area_errors(
    candidate: np.ndarray, reference: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """MSE, RMSE, MAE, bias and correlation over the area.

    Args:
        candidate: (channel, latitude, longitude), in units u.
        reference: The same.
        weights: (latitude, 1), with sum one over all points.

    Returns:
        By name, each of shape (channel,) in float64; u² for "mse", 1 for "correlation", u else. The
        correlation with what does not vary is NaN.
    """
    mean_c, mean_r = area_mean(candidate, weights), area_mean(reference, weights)
    channels, num_rows, num_columns = candidate.shape
    rows = np.empty((6, channels, num_rows))
    for block in row_blocks(num_rows, num_columns):
        c = candidate[:, block] - mean_c[:, None, None]
        r = reference[:, block] - mean_r[:, None, None]
        rows[0, :, block] = np.einsum("crl,crl->cr", c, c)
        rows[1, :, block] = np.einsum("crl,crl->cr", r, r)
        rows[2, :, block] = np.einsum("crl,crl->cr", c, r)
        error = np.subtract(candidate[:, block], reference[:, block], dtype=np.float64)
        rows[3, :, block] = np.einsum("crl,crl->cr", error, error)
        rows[4, :, block] = error.sum(axis=-1)
        rows[5, :, block] = np.abs(error, out=error).sum(axis=-1)
    variance_c, variance_r, covariance, mse, bias, mae = rows @ weights[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = covariance / (np.sqrt(variance_c) * np.sqrt(variance_r))
    return {
        "mse": mse,
        "rmse": np.sqrt(mse),
        "mae": mae,
        "bias": bias,
        "correlation": np.clip(correlation, -1.0, 1.0),
    }


def _error(
    name: str, a: Any, b: Any, reduce: Sequence[Axis], grid: Grid | None,
    weights: np.ndarray | None, skipna: bool, units: Callable[[str], str],
) -> Any:  # fmt: skip
    return reduced(
        lambda *of: area_errors(*of)[name], a, b, reduce=reduce, grid=grid, weights=weights,
        skipna=skipna, units=units, long_name=LONG_NAMES[name],
    )  # fmt: skip


def _same(units: str) -> str:
    return units


def _none(units: str) -> str:
    return "1"
