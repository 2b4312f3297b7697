"""How scores meet fields: arrays or labelled fields, what is reduced, weights, missing values.

Scores take NumPy arrays (..., latitude, longitude) with their `grid`, or xarray objects, whose
latitudes and longitudes are found by their attributes or names, in any order and orientation.
Everything else they have in common:

    reduce    Axes that go, by name; of arrays, axes before the last two by number. By default
              latitude and longitude.
    weights   Of the latitudes, (latitude,), north to south; by default those of the grid's
              quadrature (`Grid.area_weights`), right on the sphere: a mean is Σ w f / Σ w. They
              matter where latitude is reduced; other axes weigh the same at all places. A part of a
              global grid that is handed over alone weighs its rows by their areas.
    skipna    Whether values that are missing (NaN) in any of the fields are left out, and weights
              rescaled over what is left; by default they are refused, for a mean over other points
              is another quantity. Where nothing is left, the result is NaN. Infinite values count
              as missing.

Inside, all that is reduced becomes rows and columns, all that is kept becomes items: a formula is
one function of (item, row, column) and weights of rows that sum to one over all points. Statistics
of `phire-eval` hand over (channel, latitude, longitude) to the same functions.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.fields.labelled import axis_dimension, is_labelled
from atmodist.fields.orientation import Orientation
from evaluation.numerics.averages import area_mean

LATITUDE, LONGITUDE = "latitude", "longitude"
SPACE = (LATITUDE, LONGITUDE)
Axis = str | int
Labels = Mapping[str, Sequence[Any] | np.ndarray]
RowFormula = Callable[..., np.ndarray]


def reduced(
    formula: RowFormula,
    *fields: Any,
    reduce: Sequence[Axis] = SPACE,
    grid: Grid | None = None,
    weights: np.ndarray | None = None,
    skipna: bool = False,
    labels: Labels | None = None,
    units: Callable[[str], str] | None = None,
    long_name: str = "",
) -> Any:
    """Applies a formula of rows and columns to fields.

    Args:
        formula: Of the fields, each (item, row, column), and weights (row, 1) with sum one over all
            points of an item; returns (item,), or (label, item).
        *fields: Of one shape, or all xarray objects; see the module.
        reduce: See the module.
        grid: Of arrays.
        weights: See the module.
        skipna: See the module.
        labels: Name and labels of the axis that the formula adds, if it does.
        units: Of the result, from those of the first field.
        long_name: Of the result, where fields are labelled.

    Returns:
        The axes that are kept; that of `labels` comes first for arrays, and last for labelled ones.
    """
    if any(is_labelled(field) for field in fields):
        if grid is not None:
            raise ValueError("`grid` is for arrays; xarray objects have coordinates")
        return _labelled(formula, fields, reduce, weights, skipna, labels or {}, units, long_name)
    arrays = _of_one_shape(fields)
    space, others = _numbered(reduce, arrays[0].ndim)
    if grid is not None and arrays[0].shape[-2:] != grid.shape:
        raise ValueError(f"fields on {grid} must end in {grid.shape}; got {arrays[0].shape}")
    axes = [*others, *(axis - 2 + arrays[0].ndim for axis in space)]
    arrays = [np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim)) for x in arrays]
    rows = _row_weights(weights, grid, arrays[0].shape[-1 - (1 in space)]) if 0 in space else None
    return _on_core(formula, arrays, len(axes), rows, 1 in space, skipna)


def of_planes(
    formula: Callable[..., np.ndarray],
    *fields: Any,
    grid: Grid | None = None,
    labels: Labels | None = None,
    mean: Sequence[Axis] = (),
    units: Callable[[str], str] | None = None,
    long_name: str = "",
) -> Any:
    """Applies a formula of whole fields on a grid, such as a spectrum; refuses missing values.

    Args:
        formula: Of the fields, each (item, latitude, longitude), north to south and eastwards, and
            the grid; returns (item, *labels).
        *fields: Of one shape, or all xarray objects; see the module.
        grid: Of arrays.
        labels: Names and labels of the axes that the formula adds.
        mean: Other axes over which to take the mean afterwards; see `reduce` in the module.
        units: Of the result, from those of the first field.
        long_name: Of the result, where fields are labelled.
    """

    def on_grid(arrays: Sequence[np.ndarray], points: Grid) -> np.ndarray:
        for array in arrays:
            _require_known(np.isfinite(array), "this needs whole fields")
        flat = [x.reshape(-1, *x.shape[-2:]) for x in arrays]
        found = formula(*flat, points)
        return np.asarray(found).reshape((*arrays[0].shape[:-2], *found.shape[1:]))

    labels = labels or {}
    if not any(is_labelled(field) for field in fields):
        arrays = _of_one_shape(fields)
        if grid is None or arrays[0].shape[-2:] != grid.shape:
            expected = "the `grid` they are on" if grid is None else f"to end in {grid.shape}"
            raise ValueError(f"arrays need {expected}; got shape {arrays[0].shape}")
        space, others = _numbered(mean, arrays[0].ndim)
        if space:
            raise ValueError(f"{' and '.join(SPACE)} are reduced already; got {tuple(mean)}")
        found = on_grid(arrays, grid)
        return found.mean(axis=tuple(others)) if others else found
    if grid is not None:
        raise ValueError("`grid` is for arrays; xarray objects have coordinates")

    def of_arrays(*arrays: Any) -> Any:
        turned, points = _turned(arrays)
        dims = [axis_dimension(turned[0], axis) for axis in SPACE]
        found = _apply(
            lambda *values: on_grid(values, points), turned, dims, labels, units, long_name
        )
        return found.mean([_known_dimension(found, name) for name in mean], keep_attrs=True)

    return _each_variable(of_arrays, fields)


def area_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means of (..., item, row, column), as a formula of `reduced`."""
    return area_mean(values, weights)


def _labelled(
    formula: RowFormula,
    fields: Sequence[Any],
    reduce: Sequence[Axis],
    weights: np.ndarray | None,
    skipna: bool,
    labels: Labels,
    units: Callable[[str], str] | None,
    long_name: str,
) -> Any:
    def of_arrays(*given: Any) -> Any:
        arrays, points = list(given), None
        if set(reduce) & set(SPACE) or all(_has_grid(x) for x in arrays):
            arrays, points = _turned(arrays)
        space = [axis for axis in SPACE if axis in reduce]
        others = [_known_dimension(arrays[0], axis) for axis in reduce if axis not in SPACE]
        dims = [*others, *(axis_dimension(arrays[0], axis) for axis in space)]
        rows = None
        if LATITUDE in space:
            dim = axis_dimension(arrays[0], LATITUDE)
            rows = _row_weights(weights, points, arrays[0].sizes[dim])

        def block(*values: np.ndarray) -> np.ndarray:
            found = _on_core(formula, values, len(dims), rows, LONGITUDE in space, skipna)
            return np.moveaxis(found, 0, -1) if labels else found

        return _apply(block, arrays, dims, labels, units, long_name)

    return _each_variable(of_arrays, fields)


def _on_core(
    formula: RowFormula,
    arrays: Sequence[np.ndarray],
    num_core: int,
    row_weights: np.ndarray | None,
    has_columns: bool,
    skipna: bool,
) -> np.ndarray:
    """A formula over the last axes, of which latitude and longitude are the last, if they are."""
    shape = arrays[0].shape
    kept, core = shape[: len(shape) - num_core], shape[len(shape) - num_core :]
    columns = core[-1] if has_columns else 1
    flat = [x.reshape(-1, int(np.prod(core)) // columns, columns) for x in arrays]
    num_rows = flat[0].shape[1]
    if row_weights is None:
        rows = np.ones(num_rows)
    else:
        rows = np.tile(row_weights, num_rows // len(row_weights))
    weights = (rows / (rows.sum() * columns))[:, None]
    known = np.logical_and.reduce([np.isfinite(x) for x in flat])
    if known.all():
        found = formula(*flat, weights)
    else:
        _require_known(known, "skipna=True leaves them out", skipna)
        found = _of_known(formula, flat, weights, known)
    return np.asarray(found).reshape((*found.shape[:-1], *kept))


def _of_known(
    formula: RowFormula, fields: Sequence[np.ndarray], weights: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """Over the points that are known; items that lack the same points are computed together."""
    flat = known.reshape(len(known), -1)
    patterns, which = np.unique(np.packbits(flat, axis=1), axis=0, return_inverse=True)
    lead = formula(*(np.zeros((1, 1, 1)),) * len(fields), np.ones((1, 1))).shape[:-1]
    found = np.full((*lead, len(known)), np.nan)
    spread = np.broadcast_to(weights, known.shape[1:]).ravel()
    for number in range(len(patterns)):
        items = np.flatnonzero(which.ravel() == number)
        points = np.flatnonzero(flat[items[0]])
        total = spread[points].sum()
        if total > 0:
            parts = (x.reshape(len(known), -1)[np.ix_(items, points)][..., None] for x in fields)
            found[..., items] = formula(*parts, spread[points][:, None] / total)
    return found


def _require_known(known: np.ndarray, advice: str, allowed: bool = False) -> None:
    if not allowed and not known.all():
        raise ValueError(
            f"{known.size - int(known.sum())} of {known.size} values are missing (NaN) or "
            f"infinite: {advice}"
        )


def _row_weights(weights: np.ndarray | None, grid: Grid | None, num_rows: int) -> np.ndarray:
    if weights is None:
        if grid is None:
            raise ValueError("arrays need the `grid` they are on, or `weights` of its latitudes")
        return grid.area_weights[:, 0]
    found = np.asarray(weights, dtype=np.float64)
    if found.shape != (num_rows,) or (found < 0).any() or not found.sum() > 0:
        raise ValueError(
            f"`weights` must be {num_rows} numbers from 0, one for each latitude; got shape "
            f"{found.shape}"
        )
    return found


def _of_one_shape(fields: Sequence[Any]) -> list[np.ndarray]:
    arrays = [np.asarray(field) for field in fields]
    if any(array.shape != arrays[0].shape for array in arrays):
        shapes = " and ".join(str(array.shape) for array in arrays)
        raise ValueError(f"fields must have one shape; got {shapes}")
    return arrays


def _numbered(reduce: Sequence[Axis], ndim: int) -> tuple[list[int], list[int]]:
    """Which of latitude (0) and longitude (1) are reduced, and the numbers of other axes."""
    named = [axis for axis in reduce if isinstance(axis, str)]
    if unknown := [axis for axis in named if axis not in SPACE]:
        raise ValueError(
            f"arrays have no axis {unknown[0]!r}: axes before latitude and longitude go by number"
        )
    others = [int(axis) for axis in reduce if not isinstance(axis, str)]
    if named and ndim < 2:
        raise ValueError(f"fields must end in (latitude, longitude); got {ndim} axes")
    last = ndim - 2 if named else ndim
    if wrong := [axis for axis in others if not 0 <= axis < last]:
        raise ValueError(f"`reduce` must be of axes 0 to {last - 1}; got {wrong[0]}")
    return sorted(SPACE.index(axis) for axis in set(named)), sorted(set(others))


def _each_variable(function: Callable[..., Any], fields: Sequence[Any]) -> Any:
    """For Datasets, of each variable; all must have the same ones."""
    import xarray as xr

    if not all(is_labelled(field) for field in fields):
        raise TypeError("fields must all be xarray objects, or all arrays")
    if not any(isinstance(field, xr.Dataset) for field in fields):
        return function(*fields)
    if not all(isinstance(field, xr.Dataset) for field in fields):
        raise TypeError("fields must all be Datasets, or all DataArrays")
    names = list(fields[0].data_vars)
    for field in fields[1:]:
        if set(field.data_vars) != set(names):
            raise ValueError(
                f"the datasets must have the same variables; got {', '.join(map(str, names))} and "
                f"{', '.join(map(str, field.data_vars))}"
            )
    return xr.Dataset({name: function(*(field[name] for field in fields)) for name in names})


def _apply(
    block: Callable[..., np.ndarray],
    arrays: Sequence[Any],
    dims: Sequence[Hashable],
    labels: Labels,
    units: Callable[[str], str] | None,
    long_name: str,
) -> Any:
    import xarray as xr

    try:
        arrays = xr.align(*arrays, join="exact")
    except ValueError as error:
        raise ValueError(f"the fields have different coordinates: {error}") from None
    arrays = [x.chunk(dict.fromkeys(dims, -1)) if x.chunks is not None else x for x in arrays]
    whole = xr.broadcast(*arrays)
    result = xr.apply_ufunc(
        block,
        *whole,
        input_core_dims=[list(dims)] * len(whole),
        output_core_dims=[list(labels)],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {name: len(values) for name, values in labels.items()}},
    )
    attributes = {"long_name": long_name} if long_name else {}
    if units is not None and "units" in arrays[0].attrs:
        attributes["units"] = units(str(arrays[0].attrs["units"]))
    return result.assign_coords({k: np.asarray(v) for k, v in labels.items()}).assign_attrs(
        attributes
    )


def _turned(arrays: Sequence[Any]) -> tuple[list[Any], Grid]:
    """Fields from north to south and eastwards, on the same grid with the same coordinates."""
    turned, grids = [], []
    for array in arrays:
        rows, columns = (axis_dimension(array, axis) for axis in SPACE)
        orientation = Orientation(array[rows].values, array[columns].values)
        order = orientation.apply(np.arange(array.sizes[columns])[None])[0]
        if not np.array_equal(order, np.arange(array.sizes[columns])):
            array = array.isel({columns: order})
        turned.append(array.isel({rows: slice(None, None, -1 if orientation.flipped else 1)}))
        grids.append(orientation.grid)
        if not grids[0].matches(grids[-1]):
            raise ValueError(f"the fields lie on different grids: {grids[0]} and {grids[-1]}")
    first = [axis_dimension(turned[0], axis) for axis in SPACE]
    for i, array in enumerate(turned[1:], 1):
        own = [axis_dimension(array, axis) for axis in SPACE]
        renamed = array.rename({a: b for a, b in zip(own, first, strict=True) if a != b})
        turned[i] = renamed.assign_coords({dim: turned[0][dim] for dim in first})
    return turned, grids[0]


def _has_grid(array: Any) -> bool:
    try:
        return all(axis_dimension(array, axis) is not None for axis in SPACE)
    except ValueError:
        return False


def _known_dimension(array: Any, name: Axis) -> Hashable:
    if name not in array.dims:
        raise ValueError(f"there is no dimension {name!r}; there are {tuple(map(str, array.dims))}")
    return name
