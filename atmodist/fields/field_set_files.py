"""Field sets on disk: NetCDF (`.nc`) or Zarr (`.zarr`), chunked by time, whole or not there.

A long rollout is appended piece by piece and never in memory as a whole. Reading takes files of any
layout that `field_set_xarray` understands.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from atmodist.fields.field_set import FieldSet, ForecastTimes, LevelKind
from atmodist.fields.field_set_xarray import from_xarray, to_xarray
from atmodist.fields.opening import open_dataset
from atmodist.fields.time_axis import EPOCH_UNITS, NO_CALENDAR
from atmodist.files.outputs import atomic_path

if TYPE_CHECKING:
    import xarray as xr


def write_field_set(fields: FieldSet, path: str | Path) -> None:
    """Writes a set; one that is there is replaced once the new one is complete.

    Of dask arrays one time after the other is computed.
    """
    is_lazy = any(not isinstance(one.values, np.ndarray) for one in fields.variables.values())
    with FieldSetWriter(path) as writer:
        if not is_lazy or fields.times is None:
            writer.append(fields)
        else:
            for step in range(len(fields.times)):
                writer.append(fields.part(slice(step, step + 1)))


@contextmanager
def open_field_set(path: str | Path, *, level_kind: LevelKind | None = None) -> Iterator[FieldSet]:
    """Opens a file or store as dask arrays, of which each time is read when it is needed.

    Args:
        path: NetCDF 3 or 4, or Zarr.
        level_kind: Of levels that the file says nothing about.

    Raises:
        ValueError: If it is not understood; names the file.
    """
    try:
        dataset = open_dataset(str(path))
    except ImportError as error:
        raise ValueError(str(error)) from None
    with dataset:
        try:
            fields = from_xarray(dataset.chunk(_outer_chunks(dataset)), level_kind=level_kind)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        yield fields


def read_field_set(path: str | Path, *, level_kind: LevelKind | None = None) -> FieldSet:
    """Reads a file or store into memory; see `open_field_set`."""
    with open_field_set(path, level_kind=level_kind) as fields:
        return fields.loaded()


class FieldSetWriter:
    """Writes sets one after the other in time; use it in a `with` statement.

    The file gets its name when the block ends, if nothing was raised in it.

    Args:
        path: Ends in `.zarr` for a Zarr store; else it is NetCDF. Replaced if it is there.

    Raises:
        ValueError: If the package for the format is missing.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._is_zarr = self.path.suffix == ".zarr"
        _require("zarr" if self._is_zarr else "h5netcdf", self.path)
        self._like: Any = None  # what the first set is like, and all after it
        self._count, self._end = 0, 0
        self._whole = atomic_path(self.path)

    def append(self, fields: FieldSet) -> None:
        """Adds fields, all later than those before.

        Raises:
            ValueError: If they have other variables, grid, levels or members, or are not later.
        """
        like, dataset = _likeness(fields), _stored(fields.loaded())
        if self._like is None:
            self._create(dataset)
        else:
            self._require_continuation(like, fields)
            self._extend(dataset)
        self._like = like
        if fields.time is not None:
            self._count, self._end = self._count + len(fields.time), int(fields.time.seconds[-1])

    def __enter__(self) -> Self:
        self._temporary = self._whole.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self._like is None:
            empty = ValueError(f"nothing was written to {self.path}: no fields were appended")
            self._whole.__exit__(ValueError, empty, None)
            raise empty
        self._whole.__exit__(kind, error, trace)

    def _require_continuation(self, like: Any, fields: FieldSet) -> None:
        for what, one in like.items():
            if one != self._like[what]:
                raise ValueError(f"{self.path}: what is appended must have the same {what}")
        if fields.time is None:
            raise ValueError(f"{self.path}: fields without times are written once")
        if fields.time.seconds[0] <= self._end:
            raise ValueError(
                f"{self.path}: {fields.time.isoformat(0)} is not later than what is written"
            )

    def _create(self, dataset: "xr.Dataset") -> None:
        encoding: dict[str, dict[str, Any]] = {}
        for name, array in dataset.variables.items():
            if name in dataset.coords:
                encoding[str(name)] = {"_FillValue": None}
                continue
            chunks = tuple(
                1 if dim in ("member", "time") else size for dim, size in array.sizes.items()
            )
            compressed = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks}
            encoding[str(name)] = {"chunks": chunks} if self._is_zarr else compressed
        if self._is_zarr:
            dataset.to_zarr(self._temporary, mode="w", encoding=encoding, zarr_format=2)
            return
        growing = ["time"] if "time" in dataset.dims else []
        dataset.to_netcdf(
            self._temporary, engine="h5netcdf", encoding=encoding, unlimited_dims=growing
        )

    def _extend(self, dataset: "xr.Dataset") -> None:
        along = dataset[[name for name in dataset.data_vars if "time" in dataset[name].dims]]
        along = along.drop_vars([n for n in along.coords if "time" not in along[n].dims])
        if self._is_zarr:
            along.to_zarr(self._temporary, append_dim="time", zarr_format=2)
            return
        import h5netcdf  # type: ignore[import-untyped]

        with h5netcdf.File(self._temporary, "a") as file:
            file.resize_dimension("time", self._count + along.sizes["time"])
            for name, array in along.variables.items():
                later = [slice(self._count if d == "time" else 0, None) for d in array.dims]
                file.variables[name][tuple(later)] = array.values


def _likeness(fields: FieldSet) -> dict[str, Any]:
    """What sets must have in common to be one after the other."""
    variables = {
        name: (
            one.dims,
            one.units,
            one.standard_name,
            None if one.levels is None else (one.levels.kind, one.levels.values.tolist()),
        )
        for name, one in fields.variables.items()
    }
    return {
        "variables, units and levels": variables,
        "grid": (fields.grid.latitude.tolist(), fields.grid.longitude.tolist()),
        "members": fields.members,
        "calendar": None if fields.time is None else fields.time.calendar,
        "kind of times": type(fields.times),
    }


def _stored(fields: FieldSet) -> "xr.Dataset":
    """The dataset with times as whole seconds, so that pieces need no encoding in common."""
    dataset = to_xarray(fields)
    if fields.time is None:
        return dataset
    calendar = fields.time.calendar
    stored = {"time": (fields.time.seconds, EPOCH_UNITS)}
    if isinstance(fields.times, ForecastTimes):
        stored["init_time"] = (fields.times.init_time, EPOCH_UNITS)
        stored["lead_time"] = (fields.times.lead_time, "seconds")
    for name, (seconds, units) in stored.items():
        said = dict(dataset[name].attrs)
        if calendar != NO_CALENDAR:
            said |= {"units": units}
            said |= {"calendar": calendar} if units == EPOCH_UNITS else {}
        dims = dataset[name].dims
        dataset = dataset.assign_coords({name: (dims, seconds if dims else seconds[0], said)})
    return dataset


def _outer_chunks(dataset: "xr.Dataset") -> dict[Any, int]:
    """Chunks of one along what is not latitude, longitude or level: times and members."""
    small = {
        dim: dataset.sizes[dim]
        for dim in dataset.dims
        if dim in dataset.coords
        and any(word in str(dim).lower() for word in ("time", "step", "member", "number"))
    }
    return {dim: 1 if dim in small else -1 for dim in dataset.dims}


def _require(package: str, path: Path) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        extra = "zarr" if package == "zarr" else "netcdf"
        raise ValueError(f"{path} needs {package} to be written: pip install 'atmodist[{extra}]'")
