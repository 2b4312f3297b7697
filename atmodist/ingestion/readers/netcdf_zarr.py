"""Finding and reading fields in NetCDF files and Zarr stores, as xarray shows them.

Axes may have any name and order (`axes`); packed integers and fill values are undone by xarray.
Values are read in blocks of steps that follow the chunks they are stored in, so that no chunk is
decompressed once per step.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.opening import LIBRARY_FAULTS, open_dataset, reporting
from atmodist.fields.orientation import Orientation
from atmodist.fields.zarr_store import is_zarr, require_chunks
from atmodist.files.errors import UnsupportedFileError
from atmodist.files.file_kinds import file_kind
from atmodist.ingestion.axes import (
    LEVEL_NAMES,
    horizontal_axes,
    valid_times,
    vertical_levels,
)
from atmodist.ingestion.file_format import FileFormat, FileReader
from atmodist.ingestion.recognition import Contents, Selection, Series, check_units, some

if TYPE_CHECKING:
    import xarray as xr

BLOCK_BYTES = 128 << 20  # of one variable held in memory, at most, unless a field is larger
READ_BYTES = 1 << 20  # smaller reads cost more in overhead than in reading
MERGED = -1  # place along an axis whose entries complement each other (ERA5's expver)
_COMPLEMENTARY = ("expver",)


def scan_dataset(path: str, selection: Selection) -> Contents:
    """Lists the wanted fields of a file or store from its coordinates.

    Raises:
        BrokenFileError: If it is damaged or cut short.
        UnsupportedFileError: If axes, times or units of a wanted variable are not understood.
    """
    with reporting(path), open_dataset(path) as dataset:
        series, others, notes, calendars = [], [], [], set()
        for name, array in dataset.data_vars.items():
            standard_name = str(array.attrs.get("standard_name", ""))
            variable = selection.variable(str(name), standard_name)
            if variable is None or array.ndim < 2:
                others.append(str(name))
                continue
            note = check_units(variable, array.attrs.get("units"), f"{path}: {name}")
            notes += [note] if note else []
            found, calendar = _scan_variable(path, dataset, str(name), variable, selection)
            series += found
            calendars |= {calendar} if calendar else set()
            if found:
                require_chunks(path, str(name), array)
                _read_last(path, dataset, found[-1])
            else:
                others.append(f"{name} at other levels")
    if len(calendars) > 1:
        raise UnsupportedFileError(f"{path}: times are in several calendars: {some(calendars)}")
    calendar = calendars.pop() if calendars else "standard"
    return Contents(path, calendar, tuple(series), tuple(others), tuple(notes))


class DatasetReader(FileReader):
    """Reads fields of one file or store, which stays open until `close`."""

    def __init__(self, path: str):
        self._path = path
        self._dataset = open_dataset(path)
        self._blocks: dict[tuple[Any, ...], np.ndarray] = {}

    def read(self, name: str, place: tuple[int, ...]) -> np.ndarray:
        """Reads one field.

        Args:
            name: Name of the variable.
            place: Index along each axis of the variable but latitude and longitude, in order.

        Returns:
            (latitude, longitude), north to south, missing values as NaN.
        """
        array = self._dataset[name]
        rows, columns = horizontal_axes(self._path, self._dataset, array)
        with reporting(self._path, LIBRARY_FAULTS):
            orientation = Orientation(self._dataset[rows].values, self._dataset[columns].values)
            return orientation.apply(self._field(array, rows, columns, place))

    @property
    def held_bytes(self) -> int:  # type: ignore[override]
        """Memory of the blocks that are kept for later reads."""
        return sum(block.nbytes for block in self._blocks.values())

    def release(self) -> None:
        """Frees the blocks; they will be read again if need be."""
        self._blocks.clear()

    def close(self) -> None:
        """Closes the file."""
        self.release()
        self._dataset.close()

    def _field(
        self, array: "xr.DataArray", rows: Hashable, columns: Hashable, place: tuple[int, ...]
    ) -> np.ndarray:
        outer = [dim for dim in array.dims if dim not in (rows, columns)]
        indexers: dict[Hashable, Any] = dict(zip(outer, place, strict=True))
        inner = [dim for dim in outer if str(dim).lower() not in LEVEL_NAMES]
        long = max(inner, key=lambda dim: array.sizes[dim], default=None)
        step, within = 0, 0
        if long is not None and indexers[long] != MERGED:
            length = _block_length(array, long, rows, columns)
            step, within = divmod(indexers[long], length)
            indexers[long] = slice(step * length, (step + 1) * length)
        key = (array.name, *(str(value) for value in indexers.values()))
        if key not in self._blocks:
            for old in [k for k in self._blocks if k[0] == array.name]:
                del self._blocks[old]
            merged = [dim for dim, index in indexers.items() if index == MERGED]
            part = array.isel({d: i for d, i in indexers.items() if d not in merged})
            for dim in merged:
                whole = part.isel({dim: 0})
                for index in range(1, array.sizes[dim]):
                    whole = whole.fillna(part.isel({dim: index}))
                part = whole
            self._blocks[key] = part.transpose(..., rows, columns).values
        block = self._blocks[key]
        return block[within] if block.ndim == 3 else block


def _scan_variable(
    path: str, dataset: "xr.Dataset", name: str, variable: str, selection: Selection
) -> tuple[list[Series], str]:
    array = dataset[name]
    rows, columns = horizontal_axes(path, dataset, array)
    try:
        orientation = Orientation(dataset[rows].values, dataset[columns].values)
        grid = orientation.grid
    except ValueError as error:
        raise UnsupportedFileError(f"{path}: {error}") from None
    outer = [dim for dim in array.dims if dim not in (rows, columns)]
    seconds, dims, calendar = valid_times(path, dataset, array, outer, selection)
    level_dim, levels = vertical_levels(dataset, array, [d for d in outer if d not in dims])
    fixed: dict[Hashable, int] = {}
    for dim in outer:
        if dim in dims or dim == level_dim:
            continue
        fixed[dim] = 0
        if array.sizes[dim] > 1:
            if str(dim).lower() not in _COMPLEMENTARY:
                raise UnsupportedFileError(
                    f"{path}: {name} has {array.sizes[dim]} entries along {dim!r}, which is not "
                    "time, level, latitude or longitude; choose one before (ncks -d, cdo)"
                )
            fixed[dim] = MERGED
    series = []
    for index, level in enumerate(levels):
        if not selection.accepts(level):
            continue
        places = np.empty((seconds.size, len(outer)), np.int64)
        positions = np.indices(seconds.shape).reshape(seconds.ndim, seconds.size)
        for axis, dim in enumerate(outer):
            if dim in dims:
                places[:, axis] = positions[dims.index(dim)]
            else:
                places[:, axis] = index if dim == level_dim else fixed[dim]
        flipped = orientation.flipped
        series.append(Series(variable, name, level, grid, flipped, seconds.ravel(), places))
    return series, calendar


def _read_last(path: str, dataset: "xr.Dataset", series: Series) -> None:
    """Touches the last value, where a file that was cut short ends."""
    array = dataset[series.name]
    with reporting(path, LIBRARY_FAULTS):
        array.isel(dict.fromkeys(array.dims, -1)).load()


def _block_length(array: "xr.DataArray", dim: Hashable, rows: Hashable, columns: Hashable) -> int:
    """Steps read at once: those of a chunk as it is stored, within bounds of memory."""
    size = array.sizes[dim]
    field_bytes = 8 * array.sizes[rows] * array.sizes[columns]
    # NetCDF has chunk sizes, Zarr chunks.
    chunks = array.encoding.get("chunksizes") or array.encoding.get("chunks")
    chunk = chunks[array.dims.index(dim)] if chunks else 1
    length = max(chunk, READ_BYTES // field_bytes)
    return max(1, min(length, BLOCK_BYTES // field_bytes, size))


def _recognises(path: str) -> bool:
    kinds = ("hdf5", "classic NetCDF", "CDF-5")
    return is_zarr(path) or (Path(path).is_file() and file_kind(path) in kinds)


FORMAT = FileFormat(
    words="NetCDF or Zarr", recognises=_recognises, scan=scan_dataset, open=DatasetReader
)
