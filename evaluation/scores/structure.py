"""Whether structures are in the right place: fractions skill score, SSIM and PSNR.

The fractions skill score (Roberts and Lean, 2008) compares how often an event happens within a
neighbourhood, so that a storm slightly out of place is not punished twice. With the share F of the
area of a neighbourhood in which the event happens, in the field f and the reference r,

    FSS = 1 - ⟨(F_f - F_r)²⟩ / (⟨F_f²⟩ + ⟨F_r²⟩),

where ⟨⟩ is the mean over the area and, for the score of all steps, over time. It is 1 where both
shares are equal everywhere (also where the event happens in neither), 0 where no neighbourhood
has the event in both.

A neighbourhood of L km has all rows within L/2 of its centre, ending at the poles, and in each of
them the columns within L/2 of the centre as counted on the circle of latitude of the centre, across
the date line, at most the whole circle.

SSIM and PSNR are those of `atmodist.metric.pixel_measures`, with the range of the values of the
reference for L. SSIM continues periodic fields over the date line; the windows within 5 rows of
the first and the last are left out. Where the reference is constant, L is zero and neither is
defined: they are NaN, and means leave such steps out.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.files.constants import EARTH_RADIUS
from atmodist.metric.pixel_measures import SSIM_RADIUS, ssim_map
from evaluation.numerics.averages import Window
from evaluation.scores.errors import area_errors
from evaluation.scores.reduction import SPACE, Axis, of_planes, reduced

KILOMETRE = 1000.0  # m
SSIM_ROWS = 64  # windows computed at a time, so that temporaries stay in a core's cache
CENTRES = 4  # rows of centres in the height of a neighbourhood
LEAST_CENTRES = 8  # of a window
HISTOGRAM_BINS = 1 << 12
NOTHING = 1e-28  # mean square share: of one event far more, of the rounding of sums far less


def fss(
    a: Any, b: Any, size: float, *, threshold: float, grid: Grid | None = None,
    radius: float = EARTH_RADIUS, pool: Sequence[Axis] = (),
) -> Any:  # fmt: skip
    """Fractions skill score (Roberts and Lean, 2008) of events: a field is above a threshold.

        FSS = 1 - ⟨(F_a - F_b)²⟩ / (⟨F_a²⟩ + ⟨F_b²⟩)    with shares F of neighbourhoods

    Args:
        a: Judged fields (..., latitude, longitude), or an xarray object; without missing values.
        b: What they are judged against, of the same shape.
        size: L of the neighbourhoods, km; 0 for single points.
        threshold: What is above it is an event; hand over magnitudes for strong events of any sign.
        grid: Of arrays.
        radius: Of the sphere, m.
        pool: Other axes over which the means in the formula are taken too, such as ("time",).

    Returns:
        0 to 1, of the axes that are left; 1 where there are no events at all.
    """

    def formula(own: np.ndarray, aim: np.ndarray, points: Grid) -> np.ndarray:
        parts = (_whole(points),)
        sums = squared_fractions(own > threshold, aim > threshold, points, size, radius, parts)
        return np.moveaxis(sums[:, 0], 0, -1)

    sums = of_planes(formula, a, b, grid=grid, labels={"sum": ["difference", "both"]}, mean=pool)
    if isinstance(sums, np.ndarray):
        return skill(sums[..., 0], sums[..., 1])
    import xarray as xr

    return xr.apply_ufunc(
        lambda values: skill(values[..., 0], values[..., 1]), sums, input_core_dims=[["sum"]],
        dask="allowed",
    ).assign_attrs(units="1", long_name="fractions skill score")  # fmt: skip


def ssim(a: Any, b: Any, *, grid: Grid | None = None, mean: Sequence[Axis] = ()) -> Any:
    """Structural similarity (Wang et al., 2004), with the range of the values of b for L.

        SSIM = (2 μ_a μ_b + C1) (2 σ_ab + C2) / ((μ_a² + μ_b² + C1) (σ_a² + σ_b² + C2))

    in Gaussian windows (σ = 1.5 grid points), with C1 = (0.01 L)² and C2 = (0.03 L)²; the mean over
    the area of all places but the outermost.

    Args:
        a: Judged fields (..., latitude, longitude), or an xarray object; without missing values.
        b: What they are judged against, of the same shape.
        grid: Of arrays.
        mean: Other axes over which to take the mean.

    Returns:
        -1 to 1, of the axes that are left; NaN where b is constant.
    """

    def formula(own: np.ndarray, aim: np.ndarray, points: Grid) -> np.ndarray:
        maps = (similarity_map(x, y, points.is_periodic) for x, y in zip(own, aim, strict=True))
        return np.array([mean_of_known(values, points.area_weights) for values in maps])

    return of_planes(
        formula, a, b, grid=grid, mean=mean, units=lambda u: "1", long_name="structural similarity"
    )


def psnr(
    a: Any, b: Any, *, reduce: Sequence[Axis] = SPACE, grid: Grid | None = None,
    weights: np.ndarray | None = None, skipna: bool = False,
) -> Any:  # fmt: skip
    """Peak signal-to-noise ratio, with the range L of the values of b over what is reduced.

        PSNR = 10 log10(L² / ⟨(a - b)²⟩)

    Args:
        a: Judged fields: arrays or xarray objects, see `scores.reduction`.
        b: What they are judged against, of the same shape.
        reduce: Axes that go; see `scores.reduction`, also for what follows.
        grid: Of arrays.
        weights: Of the latitudes; by default those of the grid.
        skipna: Whether missing values are left out; by default they are refused.

    Returns:
        dB, of the axes that are kept; +∞ for equal fields, NaN where b is constant.
    """

    def formula(own: np.ndarray, aim: np.ndarray, of: np.ndarray) -> np.ndarray:
        space = (-2, -1)
        ranges = aim.max(axis=space).astype(np.float64) - aim.min(axis=space)
        return np.asarray(peak_ratio(area_errors(own, aim, of)["mse"], ranges))

    return reduced(
        formula, a, b, reduce=reduce, grid=grid, weights=weights, skipna=skipna,
        units=lambda u: "dB", long_name="peak signal-to-noise ratio",
    )  # fmt: skip


def area_quantiles(field: np.ndarray, row_weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Smallest value v of a field such that values up to v cover a share `levels` of the area.

    Args:
        field: (latitude, longitude).
        row_weights: Weight of each point of a row, not negative. Shape (latitude,).
        levels: Between 0 and 1, increasing.

    Returns:
        One value of the field for each level.
    """
    lowest, highest = float(field.min()), float(field.max())
    if not highest > lowest:
        return np.full(len(levels), lowest)
    # The histogram finds the bin of each quantile; only what lies in that bin is sorted.
    scale = HISTOGRAM_BINS / (highest - lowest)
    bins = ((field - field.dtype.type(lowest)) * field.dtype.type(scale)).astype(np.int32)
    np.clip(bins, 0, HISTOGRAM_BINS - 1, out=bins)
    weights = np.broadcast_to(row_weights[:, None], field.shape)
    shares = np.bincount(bins.ravel(), weights.ravel(), HISTOGRAM_BINS)
    below = np.concatenate([[0.0], np.cumsum(shares)])
    found = []
    for level in levels:
        target = level * below[-1]
        chosen = min(int(np.searchsorted(below[1:], target)), HISTOGRAM_BINS - 1)
        inside = bins == chosen
        values, share = field[inside], weights[inside]
        order = np.argsort(values)
        covered = below[chosen] + np.cumsum(share[order])
        found.append(values[order][min(np.searchsorted(covered, target), len(values) - 1)])
    return np.array(found)


def half_widths(grid: Grid, size: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """How far the neighbourhood of a point reaches.

    Args:
        grid: Of the field.
        size: L, km.
        radius: Of the sphere, m.

    Returns:
        The first row, and one past the last, for each row, (latitude, 2); and the columns on each
        side, (latitude,), where half a circle stands for the whole.
    """
    angle = np.degrees(size * KILOMETRE / radius) / 2 * (1 + 1e-9)  # rounding keeps ends inside
    first = np.searchsorted(-grid.latitude, -grid.latitude - angle, "left")
    last = np.searchsorted(-grid.latitude, -grid.latitude + angle, "right")
    spacing = np.diff(grid.longitude).mean() * np.cos(np.radians(grid.latitude))
    columns = angle / np.maximum(spacing, 1e-9)
    most = grid.shape[1] // 2 if grid.is_periodic else grid.shape[1] - 1
    return np.stack([first, last], axis=1), np.minimum(columns, most).astype(int)


def fraction_rows(
    events: np.ndarray, grid: Grid, size: float, radius: float, step: int = 1
) -> Iterator[tuple[int, Any]]:
    """Shares F of the neighbourhoods in which an event happens, row by row.

    Args:
        events: (..., latitude, longitude), bool.
        grid: Of the events.
        size: L of the neighbourhoods, km.
        radius: Of the sphere, m.
        step: Between rows of centres.

    Yields:
        Every so many rows: its number, and F of the neighbourhoods with centres in it,
        (..., longitude) float64.
    """
    num_columns = grid.shape[1]
    rows, columns = half_widths(grid, size, radius)
    areas = grid.band_areas
    total = np.zeros((*events.shape[:-2], num_columns))
    first = last = 0
    for row, width in enumerate(columns):
        while last < rows[row, 1]:
            total += areas[last] * events[..., last, :]
            last += 1
        while first < rows[row, 0]:
            total -= areas[first] * events[..., first, :]
            first += 1
        if row % step == step // 2:
            divisor = areas[first:last].sum()
            yield row, _running_mean(total, int(width), grid.is_periodic, divisor)


def _running_mean(
    values: np.ndarray, half_width: int, periodic: bool, divisor: float
) -> np.ndarray:
    """Mean over 2 half_width + 1 neighbours along the last axis, over the ends if periodic."""
    count = values.shape[-1]
    if not half_width:
        return values / divisor
    if periodic and 2 * half_width + 1 >= count:
        return np.broadcast_to(values.mean(axis=-1, keepdims=True) / divisor, values.shape)
    sums = np.empty((*values.shape[:-1], count + 2 * half_width + 1))
    sums[..., 0] = 0.0
    if periodic:
        sums[..., half_width + 1 : count + half_width + 1] = values
        sums[..., 1 : half_width + 1] = values[..., -half_width:]
        sums[..., count + half_width + 1 :] = values[..., :half_width]
        np.cumsum(sums, axis=-1, out=sums)
        found = sums[..., 2 * half_width + 1 :] - sums[..., :count]
        found *= 1 / ((2 * half_width + 1) * divisor)
        return found
    np.cumsum(values, axis=-1, out=sums[..., 1 : count + 1])
    high = np.minimum(np.arange(count) + half_width + 1, count)
    low = np.maximum(np.arange(count) - half_width, 0)
    return (sums[..., high] - sums[..., low]) / ((high - low) * divisor)


def squared_fractions(
    candidate: np.ndarray,
    reference: np.ndarray,
    grid: Grid,
    size: float,
    radius: float,
    parts: tuple[Window, ...],
) -> np.ndarray:
    """What the score is made of: ⟨(F_f - F_r)²⟩ and ⟨F_f²⟩ + ⟨F_r²⟩ over windows.

    Large neighbourhoods overlap much: their centres lie in every `_centre_step`-th row only.

    Args:
        candidate: Where its events happen, (..., latitude, longitude), bool.
        reference: The same.
        grid: Of both.
        size: L, km.
        radius: Of the sphere, m.
        parts: Windows over which to take the mean; neighbourhoods reach beyond them.

    Returns:
        (2, window, ...).
    """
    sums = np.zeros((2, len(parts), *candidate.shape[:-2]))
    whole = len(grid.longitude)
    step = _centre_step(grid, size, radius, parts)
    row_weights = []
    for part in parts:
        chosen = part.rows % step == step // 2
        weights = part.weights[chosen, 0] * (part.weights.sum() / part.weights[chosen].sum())
        row_weights.append(dict(zip(part.rows[chosen], weights, strict=True)))
    events = np.stack([candidate, reference])
    for row, both in fraction_rows(events, grid, size, radius, step):
        difference = both[0] - both[1]
        along = None
        for number, (part, weights) in enumerate(zip(parts, row_weights, strict=True)):
            if row not in weights:
                continue
            if len(part.columns) < whole:
                squares = _squares(difference[..., part.columns], both[..., part.columns])
            else:
                squares = along = _squares(difference, both) if along is None else along
            sums[:, number] += weights[row] * squares
    return sums


def _centre_step(grid: Grid, size: float, radius: float, parts: tuple[Window, ...]) -> int:
    """Rows between centres: a quarter of a neighbourhood; at least eight in each window."""
    reach, _ = half_widths(grid, size, radius)
    height = int(np.median(reach[:, 1] - reach[:, 0]))
    least = min(len(part.rows) for part in parts)
    return max(1, min(height // CENTRES, least // LEAST_CENTRES))


def _squares(difference: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Sums of squares along a row: of the difference, and of both together."""
    return np.stack(
        [
            np.einsum("...n,...n->...", difference, difference),
            np.einsum("s...n,s...n->...", both, both),
        ]
    )


def skill(difference: np.ndarray, both: np.ndarray) -> np.ndarray:
    """FSS of sums as `squared_fractions` returns; 1 where there are no events at all."""
    happens = both > NOTHING
    return np.where(happens, 1.0 - difference / np.where(happens, both, 1.0), 1.0)


def similarity(candidate: np.ndarray, reference: np.ndarray, periodic: bool) -> np.ndarray:
    """SSIM of all places but the `SSIM_RADIUS` outermost rows, and columns unless periodic.

    Args:
        candidate: (latitude, longitude).
        reference: The same, not constant; L is the range of its values.
        periodic: Whether the last column is the neighbour of the first.
    """
    ranges = np.array([[float(np.ptp(reference))]])
    scale = np.float32(ranges[0, 0])  # squares of vorticity underflow float32
    pair = [(x / scale)[None, ..., None] for x in (candidate, reference)]
    if periodic:
        padding = [(0, 0), (0, 0), (SSIM_RADIUS, SSIM_RADIUS), (0, 0)]
        pair = [np.pad(x, padding, mode="wrap") for x in pair]
    count = candidate.shape[0] - 2 * SSIM_RADIUS
    pieces = []
    for first in range(0, max(count, 1), SSIM_ROWS):
        rows = slice(first, min(first + SSIM_ROWS, count) + 2 * SSIM_RADIUS)
        pieces.append(ssim_map(pair[0][:, rows], pair[1][:, rows], ranges / scale)[0, ..., 0])
    return np.concatenate(pieces)


def peak_ratio(error: Any, ranges: Any) -> Any:
    """PSNR = 10 log10(L² / mean squared error), dB; +∞ for equal fields, NaN for L = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error > 0, 10 * np.log10(ranges**2 / error), np.inf)
    return np.where(np.asarray(ranges) > 0, ratio, np.nan)


def similarity_map(candidate: np.ndarray, reference: np.ndarray, periodic: bool) -> np.ndarray:
    """SSIM of each place, (latitude, longitude).

    NaN where `similarity` leaves places out, and everywhere where the reference is constant.
    """
    whole = np.full(candidate.shape, np.nan)
    if np.ptp(reference) == 0:
        return whole
    columns = slice(None) if periodic else slice(SSIM_RADIUS, -SSIM_RADIUS)
    whole[SSIM_RADIUS:-SSIM_RADIUS, columns] = similarity(candidate, reference, periodic)
    return whole


def mean_of_known(values: np.ndarray, weights: np.ndarray) -> float:
    """Mean over the area of what is not NaN."""
    known = np.isfinite(values)
    area = (known * weights).sum()
    return float((np.where(known, values, 0.0) * weights).sum() / area) if area > 0 else np.nan


def _whole(grid: Grid) -> Window:
    rows, columns = (np.arange(size) for size in grid.shape)
    return Window(name="", rows=rows, columns=columns, weights=grid.area_weights)
