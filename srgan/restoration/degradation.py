"""How a field of high resolution (HR) becomes one of low resolution (LR), and what grid that has.

The value of a coarse cell is the area-weighted mean over its block of f x f points,

    LR[i, j] = Σ w[r] x[r, c] / Σ w[r],    f i <= r < f (i + 1),  f j <= c < f (j + 1),

with w the areas of the rows, so that the mean over the region is kept. Where f does not divide the
number of rows or columns, the last block is partial: there are ceil(H / f) rows of cells.

A coarse grid lies to a fine one in one of two ways: *centred*, its points being the centres of
blocks (what `coarsen` makes), or *shared*, its row i being row f i of the fine grid, and columns
alike (what archives of one model at two resolutions often have, as 181 x 360 and 721 x 1440).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from atmodist.fields.grid import Grid

Alignment = Literal["centred", "shared"]

# Of the spacing of the fine grid, by which points may be off; the two alignments differ by half of
# it at least (f = 2), and coordinates in files are rounded.
TOLERANCE = 0.1


def prime_factors(factor: int | Sequence[int]) -> tuple[int, ...]:
    """The steps of a factor: 4 is (2, 2), 10 is (2, 5); a sequence of primes is kept in its order.

    Raises:
        ValueError: If the factor is less than 2, or a step is not prime.
    """
    if isinstance(factor, Sequence):
        steps = tuple(factor)
        if not steps or any(step < 2 or _factorize(step) != (step,) for step in steps):
            raise ValueError(
                f"factor must be a number from 2, or a list of primes such as [2, 5]; got {factor}"
            )
        return steps
    if factor < 2:
        raise ValueError(f"factor must be at least 2; got {factor}")
    return _factorize(factor)


def coarsen(field: np.ndarray, factor: int, row_areas: np.ndarray | None = None) -> np.ndarray:
    """Area-weighted means over blocks of factor x factor points, in the units of the field.

    Args:
        field: (..., H, W), any units.
        factor: f, points per block in each direction.
        row_areas: Area of a point of each row, up to a constant. Shape (H,). Equal by default.

    Returns:
        (..., ceil(H / f), ceil(W / f)), of the dtype of the field; sums are taken in float64.
    """
    rows, columns = field.shape[-2:]
    weights = np.ones(rows) if row_areas is None else np.asarray(row_areas, np.float64)
    if factor < 1 or weights.shape != (rows,):
        raise ValueError(
            f"`factor` must be positive and `row_areas` of shape ({rows},) as the field's rows; "
            f"got {factor} and shape {weights.shape}"
        )
    blocks = _sum_blocks(field * weights[:, None], factor, axis=-2)
    blocks = _sum_blocks(blocks, factor, axis=-1)
    block_areas = _sum_blocks(weights, factor, axis=-1)[:, None]
    return (blocks / (block_areas * _block_lengths(columns, factor))).astype(field.dtype)


def block_weights(row_areas: np.ndarray, factor: int) -> np.ndarray:
    """Areas of rows relative to the mean of their block: w[r] f / Σ w over the block.

    Args:
        row_areas: Area of a point of each row, up to a constant. Shape (..., H).
        factor: Rows per block; a last block may have fewer.

    Returns:
        (..., H) float64, with mean one over each block.
    """
    areas = np.asarray(row_areas, np.float64)
    lengths = _block_lengths(areas.shape[-1], factor)
    means = _sum_blocks(areas, factor, axis=-1) / lengths
    return areas / np.repeat(means, lengths, axis=-1)


def check_seamless(grid: Grid, factor: int) -> None:
    """Raises `ValueError` if the last column of blocks around the globe would be a partial one.

    The coarse grid would not be periodic then, and what is made from it not either.
    """
    columns = grid.shape[1]
    if grid.is_periodic and columns % factor:
        raise ValueError(
            f"{columns} columns around the globe are no multiple of the factor {factor}, so that "
            "coarse fields would have a seam; choose another factor"
        )


def coarse_grid(grid: Grid, factor: int) -> Grid:
    """The grid of what `coarsen` makes: the mean latitude and longitude of each block.

    Raises:
        ValueError: If it would have a seam, see `check_seamless`, or a single row or column.
    """
    check_seamless(grid, factor)
    if min(grid.shape) <= factor:
        rows, columns = grid.shape
        raise ValueError(
            f"a factor of {factor} leaves a single row or column of {rows} x {columns} points; "
            "choose a smaller one"
        )
    means = [
        _sum_blocks(values, factor, axis=0) / _block_lengths(len(values), factor)
        for values in (grid.latitude, grid.longitude)
    ]
    return Grid(*means)


def fine_grid(low: Grid, factor: int, alignment: Alignment) -> Grid:
    """The grid of the high-resolution field that belongs to a low one; inverts `coarse_grid`.

    Args:
        low: The coarse grid.
        factor: Fine points per coarse cell, in each direction.
        alignment: How the two lie to each other.

    Raises:
        ValueError: If rows would lie beyond a pole.
    """
    refine = {"centred": _refine_centred, "shared": _refine_shared}[alignment]
    latitude = refine(low.latitude, factor, None)
    longitude = refine(low.longitude, factor, 360.0 if low.is_periodic else None)
    if alignment == "shared" and latitude[-1] < -90 - TOLERANCE * (latitude[-2] - latitude[-1]):
        latitude = latitude[: factor * (len(low.latitude) - 1) + 1]  # none beyond the last of `low`
    slack = TOLERANCE * np.abs(np.diff(latitude)).min()  # coordinates in files are rounded
    if np.abs(latitude).max() > 90 + slack:
        advice = (
            'its rows seem to be rows of the fine grid ("shared"): an interpolation takes it if '
            "the fine grid is given (like), a generator if it was trained with such pairs; or is "
            "it fine already (degrade)?"
            if alignment == "centred"
            else "is the factor right?"
        )
        raise ValueError(
            f"a grid {factor} times finer than {low}, {alignment}, would reach to "
            f"{latitude[np.abs(latitude).argmax()]:.6g} degrees north; {advice}"
        )
    return Grid(np.clip(latitude, -90, 90), longitude)


def alignment_of(low: Grid, high: Grid, factor: int) -> Alignment:
    """Tells how a coarse grid lies to a fine one.

    Raises:
        ValueError: If they do not fit; says what was expected and what was found.
    """
    expected = tuple(-(-size // factor) for size in high.shape)
    if low.shape != expected:
        raise ValueError(
            f"the low-resolution grid has {low.shape[0]} x {low.shape[1]} points; a factor of "
            f"{factor} from {high.shape[0]} x {high.shape[1]} needs {expected[0]} x {expected[1]}"
        )
    centred = coarse_grid(high, factor)
    shared = Grid(high.latitude[::factor], high.longitude[::factor])
    spacing = [np.abs(np.diff(v)).min() for v in (high.latitude, high.longitude)]
    candidates: dict[Alignment, Grid] = {"shared": shared, "centred": centred}
    for alignment, grid in candidates.items():
        if (
            np.abs(grid.latitude - low.latitude).max() < TOLERANCE * spacing[0]
            and np.abs(grid.longitude - low.longitude).max() < TOLERANCE * spacing[1]
        ):
            return alignment
    raise ValueError(
        f"the low-resolution grid {low} lies to {high} neither centred (it would begin at "
        f"{centred.latitude[0]:.6g}N {centred.longitude[0]:.6g}E) nor shared "
        f"({shared.latitude[0]:.6g}N {shared.longitude[0]:.6g}E); interpolate one of them, or let "
        "the low resolution be made from the high one"
    )


def _factorize(number: int) -> tuple[int, ...]:
    for divisor in range(2, int(number**0.5) + 1):
        if number % divisor == 0:
            return (divisor, *_factorize(number // divisor))
    return (number,)


def _block_lengths(size: int, factor: int) -> np.ndarray:
    starts = np.arange(0, size, factor)
    return np.minimum(factor, size - starts)


def _sum_blocks(values: np.ndarray, factor: int, axis: int) -> np.ndarray:
    # `reduceat` copes with a partial last block, but adding strided views is twice as fast.
    values = np.moveaxis(values, axis, -1)
    whole = values.shape[-1] // factor * factor
    sums = values[..., 0:whole:factor].astype(np.float64)
    for k in range(1, factor):
        sums += values[..., k:whole:factor]
    if whole < values.shape[-1]:
        rest = values[..., whole:].sum(axis=-1, keepdims=True, dtype=np.float64)
        sums = np.concatenate([sums, rest], axis=-1)
    return np.moveaxis(sums, -1, axis)


def _refine_centred(values: np.ndarray, factor: int, period: float | None) -> np.ndarray:
    # Points of a fine row i + (k - (f-1)/2) / f, in units of blocks, on the line through the
    # neighbouring centres. A last block that is partial stands closer to the one before it.
    spacing = np.diff(values)
    count = factor
    if period is None and len(values) > 2:
        regular = spacing[-2] / factor
        count = round(2 * spacing[-1] / regular - factor)
        if not 1 <= count < factor or _off(values[-1], values[-2], regular, factor, count):
            count = factor
    whole = values if count == factor else values[:-1]
    place = (np.arange(factor * len(whole)) - (factor - 1) / 2) / factor
    fine = _along(place, whole, period)
    if count == factor:
        return fine
    step = spacing[-2] / factor
    return np.concatenate([fine, fine[-1] + step * np.arange(1, count + 1)])


def _off(last: float, before: float, step: float, factor: int, count: int) -> bool:
    expected = before + step * (factor + count) / 2
    return bool(abs(last - expected) > TOLERANCE * abs(step))


def _refine_shared(values: np.ndarray, factor: int, period: float | None) -> np.ndarray:
    return _along(np.arange(factor * len(values)) / factor, values, period)


def _along(place: np.ndarray, values: np.ndarray, period: float | None) -> np.ndarray:
    # Linear between neighbours; beyond the ends periodic, or as between the last two.
    if period is not None:
        return values[0] + place * period / len(values)
    left = np.clip(np.floor(place).astype(int), 0, len(values) - 2)
    return values[left] + (place - left) * (values[left + 1] - values[left])
