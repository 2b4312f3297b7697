"""Fields with names, units and coordinates (xarray).

Axes are found by their CF attributes and usual names; latitudes may run either way, longitudes
start anywhere, channels come in any order. Values are turned as the metric needs them only when
they are computed, so that chunked (dask) arrays stay lazy.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atmodist.fields.cf.describe import standard_name, variables_of
from atmodist.fields.cf.horizontal import HorizontalAxis, horizontal_axes, horizontal_axis
from atmodist.fields.cf.invalid_values import InvalidValues, invalid_values
from atmodist.fields.cf.quantities import contradiction
from atmodist.fields.channels import Channel
from atmodist.fields.grid import Grid, require_contiguous
from atmodist.fields.orientation import Orientation

CHANNEL = "channel"
_CORE = ("__channel", "__latitude", "__longitude")  # dimensions while they are without coordinates


def is_labelled(x: Any) -> bool:
    """Whether this is an xarray object; does not import xarray."""
    return type(x).__module__.split(".")[0] == "xarray"


@dataclass(frozen=True)
class LabelledFields:
    """Fields whose axes are known.

    Attributes:
        array: (..., channel, latitude, longitude), channels in order, axes as in the file.
        orientation: How to turn latitude and longitude.
        invalid: What is no value, by channel.
    """

    array: Any
    orientation: Orientation
    invalid: tuple[InvalidValues, ...]

    @property
    def grid(self) -> Grid:
        """The points after turning."""
        return self.orientation.grid

    def turned(self, values: np.ndarray) -> np.ndarray:
        """Values (..., channel, latitude, longitude) of `bare` turned, NaN where there are none."""
        marked = [
            invalid.apply(values[..., place, :, :]) for place, invalid in enumerate(self.invalid)
        ]
        return self.orientation.apply(np.stack(marked, axis=-3))

    @property
    def bare(self) -> Any:
        """The array with private names for its last axes, and without their coordinates."""
        dims = self.array.dims[-3:]
        own = [name for name, c in self.array.coords.items() if set(c.dims) & set(dims)]
        renamed = self.array.drop_vars(own).rename(dict(zip(dims, _CORE, strict=True)))
        # A field is encoded whole; only leading axes may be cut into chunks.
        return renamed.chunk(dict.fromkeys(_CORE, -1)) if renamed.chunks is not None else renamed


def recognised(x: Any, channels: Sequence[Channel]) -> LabelledFields:
    """Finds axes and channels of a DataArray or Dataset.

    Raises:
        ValueError: If an axis or channel is missing, or units are others.
    """
    import xarray as xr

    array = _from_dataset(x, channels) if isinstance(x, xr.Dataset) else x
    array = _with_channels(array, channels)
    variables = {**variables_of(x), **variables_of(array)}
    rows, columns = horizontal_axes(variables, [d for d in array.dims if d != CHANNEL])
    orientation = oriented(rows, columns)
    array = array.transpose(..., CHANNEL, rows.dim, columns.dim)
    return LabelledFields(array, orientation, _invalid(x, array, channels))


def oriented(rows: HorizontalAxis, columns: HorizontalAxis) -> Orientation:
    """How fields on two axes lie.

    Raises:
        ValueError: If these make no grid, or one with a gap.
    """
    try:
        orientation = Orientation(rows.degrees, columns.degrees)
        require_contiguous(orientation.grid)
    except ValueError as error:
        raise ValueError(
            f"the coordinates {rows.name} and {columns.name} make no grid: {error}"
        ) from None
    return orientation


def separate(x: Any, channels: Sequence[Channel]) -> list[Any]:
    """One DataArray for each channel of a Dataset, as lazy as it was.

    Raises:
        ValueError: If a channel is missing, or units are others.
    """
    if "data" in x.data_vars and CHANNEL in x["data"].dims:
        array = _with_channels(x["data"], channels)
        return [array.isel({CHANNEL: place}, drop=True) for place in range(len(channels))]
    return [_variable(x, channel) for channel in channels]


def apply(
    function: Callable[[np.ndarray, np.ndarray, Grid], np.ndarray],
    a: Any,
    b: Any,
    channels: Sequence[Channel],
    *,
    extra: tuple[tuple[str, tuple[str, ...]], ...] = (),
    on_grid: bool = False,
    meet: Callable[[Grid], None] | None = None,
    attributes: Mapping[str, str],
) -> Any:
    """Applies a function of two arrays (..., channel, latitude, longitude) and their grid.

    Args:
        function: Returns the broadcast leading axes, then those of `extra`, then, if `on_grid`,
            latitude and longitude.
        a: A DataArray or Dataset.
        b: The same, on the same grid.
        channels: Those that they must have, in this order.
        extra: Names and labels of axes that the function adds.
        on_grid: Whether results lie on the grid; they get the coordinates of `a`.
        meet: Called with the grid, before anything is computed.
        attributes: Of the result.

    Returns:
        A DataArray with the coordinates of the leading axes; lazy if `a` or `b` is.
    """
    import xarray as xr

    x, y = recognised(a, channels), recognised(b, channels)
    if not x.grid.matches(y.grid):
        raise ValueError(f"the fields lie on different grids: {x.grid} and {y.grid}")
    if meet is not None:
        meet(x.grid)

    def block(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        turned = (x.turned(first), y.turned(second))
        result = function(*turned, x.grid)
        return turned_back(result, x.orientation) if on_grid else result

    result = xr.apply_ufunc(
        block,
        x.bare,
        y.bare,
        input_core_dims=[list(_CORE), list(_CORE)],
        output_core_dims=[[name for name, _ in extra] + (list(_CORE[1:]) if on_grid else [])],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {name: len(labels) for name, labels in extra}},
        keep_attrs=False,
    )
    result = result.assign_coords({name: list(labels) for name, labels in extra})
    if on_grid:
        rows, columns = x.array.dims[-2:]
        result = result.rename(dict(zip(_CORE[1:], (rows, columns), strict=True)))
        result = result.assign_coords({dim: x.array[dim] for dim in (rows, columns)})
    return result.rename("distance" if not on_grid else "contribution").assign_attrs(attributes)


def named_results(
    function: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    values: Any,
    names: Mapping[str, str],
    **attributes: str,
) -> Any:
    """Applies a function with several results, in hours, to a DataArray.

    Args:
        function: From an array to as many of its shape as there are names.
        values: The DataArray.
        names: Of the results, and what each is in words.
        **attributes: Of the Dataset.

    Returns:
        A Dataset of the results, lazy if `values` is.
    """
    import xarray as xr

    results = xr.apply_ufunc(
        function,
        values,
        output_core_dims=[[]] * len(names),
        dask="parallelized",
        output_dtypes=[np.float64] * len(names),
        keep_attrs=False,
    )
    found = {
        name: one.rename(name).assign_attrs(long_name=words, units="h")
        for (name, words), one in zip(names.items(), results, strict=True)
    }
    return xr.Dataset(found, attrs=attributes)


def turned_back(values: np.ndarray, orientation: Orientation) -> np.ndarray:
    """Undoes `Orientation.apply` for (..., latitude, longitude)."""
    shape = (len(orientation.latitude), len(orientation.longitude))
    places = orientation.apply(np.arange(shape[0] * shape[1]).reshape(shape))
    out = np.full((*values.shape[:-2], shape[0] * shape[1]), np.nan)
    out[..., places.ravel()] = values.reshape(*values.shape[:-2], -1)
    out = out.reshape(*values.shape[:-2], *shape)
    if places.shape[1] < shape[1]:  # the last column is the first one again
        longitude = np.asarray(orientation.longitude, np.float64)
        dropped = set(range(shape[1])) - set((places[0] % shape[1]).tolist())
        for column in dropped:
            same = np.abs((longitude - longitude[column] + 180.0) % 360.0 - 180.0) < 1e-3
            same[column] = False
            out[..., column] = out[..., int(np.flatnonzero(same)[0])]
    return out


def _from_dataset(dataset: Any, channels: Sequence[Channel]) -> Any:
    import xarray as xr

    if "data" in dataset.data_vars and CHANNEL in dataset["data"].dims:
        return dataset["data"]  # an archive
    found = [_variable(dataset, channel).reset_coords(drop=True) for channel in channels]
    dim = xr.IndexVariable(CHANNEL, [channel.name for channel in channels])
    return xr.concat(found, dim=dim, combine_attrs="drop", coords="minimal", compat="override")


def _variable(dataset: Any, channel: Channel) -> Any:
    """The variable of a Dataset that a channel is."""
    names = [
        name
        for name, variable in dataset.data_vars.items()
        if standard_name(variable.attrs) == (channel.standard_name or channel.name)
        or (str(name) == channel.name and not contradiction(channel.name, variable.attrs))
    ]
    if len(names) != 1:
        present = ", ".join(
            str(name)
            + (f" ({why})" if (why := contradiction(channel.name, variable.attrs)) else "")
            if str(name) == channel.name
            else str(name)
            for name, variable in dataset.data_vars.items()
        )
        raise ValueError(
            f"the dataset must have one variable {channel.name!r} (by its name or "
            f"standard_name); it has {present or 'nothing'}"
        )
    variable = dataset[names[0]]
    require_units(channel.name, variable.attrs.get("units", ""), channel.units)
    return variable


def _invalid(x: Any, array: Any, channels: Sequence[Channel]) -> tuple[InvalidValues, ...]:
    import xarray as xr

    separated = separate(x, channels) if isinstance(x, xr.Dataset) else [array] * len(channels)
    return tuple(invalid_of(one) for one in separated)


def invalid_of(array: Any) -> InvalidValues:
    """What is no value of a DataArray."""
    return invalid_values(array.attrs, array.encoding, array.dtype)


def _with_channels(array: Any, channels: Sequence[Channel]) -> Any:
    wanted = tuple(channel.name for channel in channels)
    if CHANNEL not in array.dims:
        if len(channels) != 1:
            raise ValueError(
                f"the DataArray needs a dimension {CHANNEL!r} for {wanted}; it has "
                f"{tuple(map(str, array.dims))}"
            )
        require_units(wanted[0], array.attrs.get("units", ""), channels[0].units)
        return array.expand_dims({CHANNEL: list(wanted)})
    if CHANNEL in array.coords:
        names = [str(name) for name in array[CHANNEL].values]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ValueError(f"the field lacks {', '.join(missing)}; it has {', '.join(names)}")
        array = array.isel({CHANNEL: [names.index(name) for name in wanted]})
    elif array.sizes[CHANNEL] != len(channels):
        raise ValueError(
            f"the field has {array.sizes[CHANNEL]} channels without names; needed are "
            f"{len(channels)}: {wanted}"
        )
    own = array.coords.get("channel_units")
    for number, channel in enumerate(channels):
        given = str(own.values[number]) if own is not None else array.attrs.get("units", "")
        require_units(channel.name, given, channel.units)
    return array


def require_units(channel: str, given: str, expected: str) -> None:
    """Raises `ValueError` if both units are known and differ in more than their spelling."""
    if given and expected and canonical_units(given) != canonical_units(expected):
        raise ValueError(
            f"{channel} is in {given!r}, and {expected!r} is what is needed: convert it first"
        )


def canonical_units(units: str) -> str:
    """Units in one spelling of many: "s**-1", "1/s" and "s-1" are the same."""
    text = re.sub(r"[\s*^._{}()]", "", str(units).lower()).replace("per", "/")
    return re.sub(r"1?/([a-z]+)(\d*)", lambda m: f"{m[1]}-{m[2] or 1}", text)


def axis_dimension(array: Any, axis: str) -> Hashable:
    """The dimension that is an axis, "latitude" or "longitude".

    Raises:
        ValueError: If there is none, or more than one.
    """
    field = array.name or "the field"
    return horizontal_axis(variables_of(array), array.dims, axis, field).dim
