"""Results as xarray datasets: candidates joined, times with their dates, NetCDF on disk."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.time_axis import EPOCH_UNITS, NO_CALENDAR, STANDARD_CALENDARS
from atmodist.files.outputs import atomic_path
from evaluation.numerics.setting import Setting

if TYPE_CHECKING:
    import xarray as xr


def joined(parts: Mapping[str, "xr.Dataset"], calendar: str) -> "xr.Dataset":
    """Joins the results of candidates along "candidate", and gives times their dates.

    What one of them has and another lacks is NaN there.
    """
    import xarray as xr

    variables = {str(name) for dataset in parts.values() for name in dataset.data_vars}
    aligned = xr.align(*(_dated(d, calendar) for d in parts.values()), join="outer", copy=False)
    arrays, attributes = {}, {}
    for name in sorted(variables, key=_order_in(list(aligned))):
        first = next(dataset[name] for dataset in aligned if name in dataset)
        having = [
            dataset[name] if name in dataset else xr.full_like(first, np.nan, dtype=float)
            for dataset in aligned
        ]
        index = xr.DataArray(list(parts), dims="candidate", name="candidate")
        arrays[name] = xr.concat(
            having, index, coords="minimal", compat="override", combine_attrs="override"
        )
        arrays[name].attrs = dict(first.attrs)
    for dataset in aligned:
        attributes.update(dataset.attrs)
    result = xr.Dataset(arrays, attrs=attributes)
    for dataset in aligned:  # coordinates that no variable uses, and attributes of the others
        for key, values in dataset.coords.items():
            if key not in result.coords:
                result = result.assign_coords({key: values})
            result[key].attrs = {**values.attrs, **result[key].attrs}
    return result


def joined_fields(
    fields: Mapping[str, np.ndarray], seconds: Sequence[int], setting: Setting, calendar: str
) -> "xr.Dataset":
    """Fields to be shown, with CF coordinates.

    Args:
        fields: (channel, time, latitude, longitude) of each candidate, the reference first.
        seconds: Their times.
        setting: Grid and channels.
        calendar: Of the times.
    """
    import xarray as xr

    axes = ("candidate", "time", "latitude", "longitude")
    grid = setting.grid
    variables = {}
    for i, channel in enumerate(setting.channels):
        values = np.stack([field[i] for field in fields.values()])
        names = {"units": channel.units, "standard_name": channel.standard_name}
        variables[channel.name] = (axes, values, {k: v for k, v in names.items() if v})
    north = {"standard_name": "latitude", "units": "degrees_north"}
    east = {"standard_name": "longitude", "units": "degrees_east"}
    dataset = xr.Dataset(
        variables,
        coords={
            "candidate": list(fields),
            "time": np.asarray(seconds, np.int64),
            "latitude": ("latitude", grid.latitude, north),
            "longitude": ("longitude", grid.longitude, east),
        },
    )
    return _dated(dataset, calendar)


def write_dataset(path: Path, dataset: "xr.Dataset") -> Path:
    """Writes NetCDF, version 4 if h5netcdf is installed, else version 3; atomically."""
    dataset = dataset.copy()
    dataset.attrs = {"Conventions": "CF-1.8", **dataset.attrs}
    modern = importlib.util.find_spec("h5netcdf") is not None
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in dataset.variables.items():
        variable.attrs = _plain_attributes(variable.attrs)
        variable.encoding = {}
        if name == "time" and variable.dtype.kind in "MO":  # dates of numpy, or of cftime
            kind = "int64" if modern else "float64"  # version 3 has no long integers
            encoding[str(name)] = {"units": EPOCH_UNITS, "dtype": kind}
        elif modern and variable.dtype.kind == "f" and variable.size > 1:
            encoding[str(name)] = {"zlib": True, "complevel": 1, "shuffle": True}
    dataset.attrs = _plain_attributes(dataset.attrs)
    with atomic_path(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf" if modern else "scipy", encoding=encoding)
    return path


def read_dataset(path: Path) -> "xr.Dataset":
    """Opens what `write_dataset` wrote; values are read when they are used."""
    import xarray as xr

    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; run phire-eval again")
    return xr.open_dataset(path, decode_timedelta=False)


def _dated(dataset: "xr.Dataset", calendar: str) -> "xr.Dataset":
    """Times as dates, where they are integers yet."""
    if "time" not in dataset.coords or dataset["time"].dtype.kind != "i":
        return dataset
    seconds = dataset["time"].values
    if calendar == NO_CALENDAR:
        attributes = {"long_name": "step number", "units": "1"}
        return dataset.assign_coords(time=("time", seconds, attributes))
    if calendar in STANDARD_CALENDARS:
        dates: Any = seconds.astype("datetime64[s]")
    else:
        import cftime

        dates = cftime.num2date(seconds, EPOCH_UNITS, calendar=calendar)
    attributes = {"standard_name": "time", "long_name": "time"}
    return dataset.assign_coords(time=("time", dates, attributes))


def _order_in(datasets: Sequence["xr.Dataset"]) -> Any:
    """Variables in the order of the first dataset that has them."""
    order: dict[str, int] = {}
    for dataset in datasets:
        for name in dataset.data_vars:
            order.setdefault(str(name), len(order))
    return order.__getitem__


def _plain_attributes(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as NetCDF can hold them."""
    return {
        str(key): int(value) if isinstance(value, bool | np.bool_) else value
        for key, value in attributes.items()
        if value is not None
    }
