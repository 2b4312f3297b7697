"""Interpolation from a coarse to a fine grid: what a generator must beat.

All three are separable and work on row and column numbers of the coarse grid, between which the
position of a fine point is linear in degrees:

- nearest: the value of the nearest coarse point (of two, the northern or western one), which is
  the block a fine point lies in where coarse points are centres of blocks;
- bilinear: weights 1 - t and t of the two neighbours at distances t and 1 - t;
- bicubic: Keys' kernel (1981) with a = -1/2 over four neighbours, which is right for quadratic
  functions.

Fields go on around the circle and over the poles (`atmodist.fields.continuation`); beyond the edges
of a regional field its outermost values are repeated. None of them knows about block means: the
mean of a block of the result is not the coarse value, except for `nearest`.
"""

from typing import Literal, get_args

import numpy as np

from srgan.degradation import Alignment
from srgan.inference.geometry import Refinement
from srgan.inference.restoration import Restoration

Method = Literal["nearest", "bilinear", "bicubic"]
METHODS: tuple[Method, ...] = get_args(Method)

MARGIN = 2  # coarse cells around the field that bicubic interpolation may ask for
TIE = 1e-6  # of a cell: as near as that are two neighbours equally far


class Interpolation(Restoration):
    """An interpolation that stands where a generator does.

    Args:
        method: "nearest", "bilinear" or "bicubic".
        factor: Fine points per coarse cell, along each axis.
        channels: Names of the channels, which only labelled fields need.
        units: Units of the channels.
        alignment: How coarse grids lie to fine ones, where no fine grid is given.
    """

    def __init__(
        self,
        method: Method,
        factor: int,
        *,
        channels: tuple[str, ...] | None = None,
        units: tuple[str, ...] = (),
        alignment: Alignment | None = None,
    ):
        if method not in METHODS:
            raise ValueError(f"`method` must be one of {', '.join(METHODS)}; got {method!r}")
        if isinstance(factor, bool) or not isinstance(factor, int) or factor < 2:
            raise ValueError(f"`factor` must be a whole number from 2; got {factor!r}")
        self.name = self.method = method
        self.factor = factor
        self.channels = channels
        self.units = units or ("",) * len(channels or ())
        self.alignment = alignment

    def _refined(
        self, low: np.ndarray, refinement: Refinement, key: tuple[int, int, int]
    ) -> np.ndarray:
        return interpolate(low, refinement, self.method)


def interpolate(field: np.ndarray, refinement: Refinement, method: Method) -> np.ndarray:
    """Interpolates a field.

    Args:
        field: (..., latitude, longitude) on the coarse grid, any units.
        refinement: The grids.
        method: "nearest", "bilinear" or "bicubic".

    Returns:
        (..., latitude, longitude) on the fine grid; of the dtype of the field.
    """
    (top, bottom), (left, right) = refinement.domain(MARGIN)
    rows, columns = range(top, bottom), range(left, right)
    around = refinement.low_window(np.moveaxis(field, (-2, -1), (0, 1)), rows, columns)
    around = np.moveaxis(around, (0, 1), (-2, -1))
    row, column = (_positions(refinement, axis) for axis in (0, 1))
    fine = _along(around, row - top, method, axis=-2)
    return _along(fine, column - left, method, axis=-1)


def _positions(refinement: Refinement, axis: int) -> np.ndarray:
    """Where fine points lie, in coarse rows or columns; whole numbers are coarse points."""
    coarse, fine = (
        grid.longitude if axis else -grid.latitude for grid in (refinement.low, refinement.high)
    )
    if axis and refinement.low.is_periodic:
        return (fine - coarse[0]) * len(coarse) / 360.0
    number = np.arange(len(coarse))
    found = np.interp(fine, coarse, number)
    before, after = fine < coarse[0], fine > coarse[-1]
    found[before] = (fine[before] - coarse[0]) / (coarse[1] - coarse[0])
    found[after] = number[-1] + (fine[after] - coarse[-1]) / (coarse[-1] - coarse[-2])
    return found


def _along(values: np.ndarray, positions: np.ndarray, method: Method, axis: int) -> np.ndarray:
    """Interpolates along one axis, at positions counted from its first value."""
    first, weights = _weights(positions, method)
    values = np.moveaxis(values, axis, 0)
    last = len(values) - 1
    shape = (-1, *(1,) * (values.ndim - 1))
    out = np.zeros((len(positions), *values.shape[1:]), values.dtype)
    for tap in range(weights.shape[1]):
        taken = values[np.clip(first + tap, 0, last)]
        out += taken * weights[:, tap].astype(values.dtype).reshape(shape)
    return np.moveaxis(out, 0, axis)


def _weights(positions: np.ndarray, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """The first point that counts for each position, and weights of it and those after it."""
    if method == "nearest":
        return np.ceil(positions - 0.5 - TIE).astype(int), np.ones((len(positions), 1))
    left = np.floor(positions).astype(int)
    t = positions - left
    if method == "bilinear":
        return left, np.stack([1 - t, t], axis=1)
    # Keys' cubic convolution, a = -1/2
    weights = [
        -t / 2 + t**2 - t**3 / 2,
        1 - 5 * t**2 / 2 + 3 * t**3 / 2,
        t / 2 + 2 * t**2 - 3 * t**3 / 2,
        -(t**2) / 2 + t**3 / 2,
    ]
    return left - 1, np.stack(weights, axis=1)
