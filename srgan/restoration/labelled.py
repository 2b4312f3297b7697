"""Super-resolution of xarray objects, which keep their coordinates and stay lazy if chunked."""

from collections.abc import Hashable
from typing import Any, Protocol

import numpy as np

from atmodist.fields.channels import named_channels
from atmodist.fields.grid import Grid
from atmodist.fields.labelled import CHANNEL, LabelledFields, recognised
from srgan.restoration.geometry import Refinement


class Refining(Protocol):
    """What refines fields, and the channels it knows; see `Restoration`."""

    @property
    def channels(self) -> tuple[str, ...] | None:
        """Names of the channels."""

    @property
    def units(self) -> tuple[str, ...]:
        """Their units."""

    def refinement(self, low: Grid, high: Grid | None = None) -> Refinement:
        """The fine grid of a coarse one."""

    def field(
        self, low: np.ndarray, refinement: Refinement, *, seed: int, member: int, step: int
    ) -> np.ndarray:
        """Refines one field."""


_FINE = ("__fine_latitude", "__fine_longitude")  # dimensions while they are without coordinates


def refined(restoration: Refining, low: Any, high_grid: Grid | None, seed: int, member: int) -> Any:
    """Refines a DataArray or Dataset.

    Returns:
        A Dataset of the channels for a Dataset of them, otherwise a DataArray (..., channel,
        latitude, longitude). Leading coordinates and attributes are those of `low`; latitudes run
        the same way, and longitudes are counted from -180 if they were.
    """
    import xarray as xr

    if restoration.channels is None:
        raise ValueError("labelled fields need the names of their channels: give `channels`")
    fields = recognised(low, named_channels(restoration.channels, restoration.units))
    refinement = restoration.refinement(fields.grid, high_grid)
    bare = fields.bare

    def block(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
        turned = fields.turned(values)
        out = np.empty((*turned.shape[:-2], *refinement.high.shape), np.float32)
        steps = np.broadcast_to(steps, turned.shape[:-3])
        for index in np.ndindex(*steps.shape):
            out[index] = restoration.field(
                turned[index], refinement, seed=seed, member=member, step=int(steps[index])
            )
        return out

    leading = bare.dims[:-3]
    shape = tuple(bare.sizes[dim] for dim in leading)
    steps = xr.DataArray(np.arange(int(np.prod(shape))).reshape(shape), dims=leading)
    channel = bare.dims[-3]
    sizes = dict(zip((CHANNEL, *_FINE), (bare.sizes[channel], *refinement.high.shape), strict=True))
    result = xr.apply_ufunc(
        block,
        bare,
        steps,
        input_core_dims=[list(bare.dims[-3:]), []],
        output_core_dims=[[CHANNEL, *_FINE]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": sizes},
        keep_attrs=True,
    )
    return _labelled(result, low, fields, refinement.high, restoration)


def _labelled(
    result: Any, low: Any, fields: LabelledFields, grid: Grid, restoration: Refining
) -> Any:
    """Gives the result its coordinates, turned as those of the input."""
    import xarray as xr

    rows, columns = fields.array.dims[-2:]
    result = result.rename(dict(zip(_FINE, (rows, columns), strict=True)))
    result = result.assign_coords(
        {
            CHANNEL: list(restoration.channels or ()),
            rows: _coordinate(fields.array, rows, grid.latitude),
            columns: _coordinate(fields.array, columns, grid.longitude),
        }
    )
    if fields.orientation.flipped:
        result = result.isel({rows: slice(None, None, -1)})
    if np.min(fields.orientation.longitude) < 0 and grid.is_periodic:
        turned = (grid.longitude + 180.0) % 360.0 - 180.0
        values = _coordinate(fields.array, columns, turned)
        result = result.assign_coords({columns: values}).isel({columns: np.argsort(turned)})
    if not isinstance(low, xr.Dataset) or "data" in low.data_vars:
        return result.rename(getattr(low, "name", None) or "data")
    dataset = result.to_dataset(dim=CHANNEL)
    for name, units in zip(restoration.channels or (), restoration.units, strict=True):
        dataset[name].attrs = {"units": units} if units else {}
    return dataset.assign_attrs(low.attrs)


def _coordinate(array: Any, dim: Hashable, values: np.ndarray) -> Any:
    import xarray as xr

    return xr.Variable((dim,), values, array[dim].attrs)
