"""Interpolation from a coarse to a fine grid: what a generator must beat.

All three are separable and work in degrees, along meridians and along circles of latitude:

- nearest: the value of the nearest coarse point (of two, the northern or western one), which is
  the block a fine point lies in where coarse points are centres of blocks;
- bilinear: weights 1 - t and t of the two neighbours at distances t and 1 - t of theirs;
- bicubic: the cubic that has the values of the two neighbours, and the slopes there of parabolas
  through three points. It is right for quadratic functions; where points are evenly spaced it is
  Keys' kernel (1981) with a = -1/2.

Rows are uneven across a pole: the last row of a Driscoll-Healy grid is one spacing from the pole,
and two from its own other side.

Fields go on around the circle and over the poles (`atmodist.fields.beyond_edges`); beyond the edges
of a regional field its outermost values are repeated. None of them knows about block means: the
mean of a block of the result is not the coarse value, except for `nearest`.
"""

from typing import Literal, get_args

import numpy as np

from atmodist.fields.beyond_edges import over_the_poles, reaches_poles
from atmodist.fields.grid import Grid
from srgan.restoration.degradation import Alignment
from srgan.restoration.geometry import Refinement
from srgan.restoration.restoration import Restoration

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
    if method == "nearest":  # no fine row lies beyond a pole
        top, bottom = 0, refinement.low.shape[0]
    rows, columns = range(top, bottom), range(left, right)
    around = refinement.low_window(np.moveaxis(field, (-2, -1), (0, 1)), rows, columns)
    around = np.moveaxis(around, (0, 1), (-2, -1))
    low, high = refinement.low, refinement.high
    fine = _along(around, -_latitudes(low, rows), -high.latitude, method, axis=-2)
    return _along(fine, _longitudes(low, columns), high.longitude, method, axis=-1)


def _latitudes(grid: Grid, rows: range) -> np.ndarray:
    """Degrees north, going on beyond 90 or -90 for rows on the other side of a pole."""
    if not any(reaches_poles(grid)):
        return grid.latitude[rows.start : rows.stop]
    number = np.array(rows)
    source, crossed = over_the_poles(number, grid)
    mirrored = np.where(number < 0, 180.0, -180.0) - grid.latitude[source]
    return np.where(crossed, mirrored, grid.latitude[source])


def _longitudes(grid: Grid, columns: range) -> np.ndarray:
    """Degrees east, going on below 0 and beyond 360 for columns of another turn."""
    turn, column = np.divmod(np.array(columns), len(grid.longitude))
    return grid.longitude[column] + 360.0 * turn


def _along(
    values: np.ndarray, places: np.ndarray, wanted: np.ndarray, method: Method, axis: int
) -> np.ndarray:
    """Interpolates along one axis, from values at increasing `places` to the wanted ones."""
    first, weights = _weights(places, wanted, method)
    values = np.moveaxis(values, axis, 0)
    last = len(values) - 1
    shape = (-1, *(1,) * (values.ndim - 1))
    out = np.zeros((len(wanted), *values.shape[1:]), values.dtype)
    for tap in range(weights.shape[1]):
        taken = values[np.clip(first + tap, 0, last)]
        out += taken * weights[:, tap].astype(values.dtype).reshape(shape)
    return np.moveaxis(out, 0, axis)


def _weights(
    places: np.ndarray, wanted: np.ndarray, method: Method
) -> tuple[np.ndarray, np.ndarray]:
    """The first point that counts for each wanted one, and weights of it and those after it.

    Points before the first place and after the last one are as far apart as the outermost two.
    """
    before = places[0] + (places[0] - places[1]) * np.arange(MARGIN + 1, 0, -1)
    after = places[-1] + (places[-1] - places[-2]) * np.arange(1, MARGIN + 2)
    places = np.concatenate([before, places, after])
    left = np.searchsorted(places, wanted, side="right") - 1
    left = np.clip(left, 1, len(places) - 3)
    gap = places[left + 1] - places[left]
    t = np.clip((wanted - places[left]) / gap, 0.0, 1.0)
    if method == "nearest":
        return left + (t > 0.5 + TIE) - len(before), np.ones((len(wanted), 1))
    if method == "bilinear":
        return left - len(before), np.stack([1 - t, t], axis=1)
    # Slopes per gap: (u d₋ + d) / (1 + u) with u = gap / gap before it, and the same at the right
    u, v = gap / (places[left] - places[left - 1]), gap / (places[left + 2] - places[left + 1])
    at_left, at_right = t * (1 - t) ** 2, -(t**2) * (1 - t)  # what a slope of one adds
    value = t**2 * (3 - 2 * t)
    weights = [
        -at_left * u**2 / (1 + u),
        1 - value + at_left * (u - 1) - at_right / (1 + v),
        value + at_left / (1 + u) + at_right * (1 - v),
        at_right * v**2 / (1 + v),
    ]
    return left - 1 - len(before), np.stack(weights, axis=1)
