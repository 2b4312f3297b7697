"""Finding and reading fields in NetCDF files, classic and 4, through xarray.

Axes are told by their attributes and by their usual names in any case, in any order; packed
integers and fill values are undone by xarray, times by cftime, so that every calendar works.
Values are read in blocks of steps that follow the chunks of the file, so that no chunk is
decompressed once per step.
"""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.time_axis import EPOCH_UNITS, STANDARD_CALENDARS
from atmodist.ingestion.recognition import (
    BrokenFileError,
    Contents,
    Level,
    Orientation,
    Selection,
    Series,
    UnsupportedFileError,
    check_units,
    level_from_name,
    some,
)

if TYPE_CHECKING:
    import xarray as xr

# What libraries raise when a file is cut short depends on where it ends.
_LIBRARY_FAULTS = (OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError)

BLOCK_BYTES = 128 << 20  # of one variable held in memory, at most, unless a field is larger
READ_BYTES = 1 << 20  # smaller reads cost more in overhead than in reading
MERGED = -1  # place along an axis whose entries complement each other (ERA5's expver)

_LATITUDES = ("latitude", "lat", "nav_lat", "y", "g0_lat_1", "g0_lat_2")
_LONGITUDES = ("longitude", "lon", "nav_lon", "long", "x", "g0_lon_2", "g0_lon_3")
_VALID_TIMES = ("valid_time", "validtime")
_TIMES = ("time", "t", "times", "timestep", "datetime", "date", "forecast_reference_time")
_LEADS = ("step", "lead_time", "leadtime", "forecast_period", "prediction_timedelta")
_LEVELS = (
    "pressure_level", "level", "lev", "plev", "levels", "isobaricinhpa", "isobaric", "pressure",
    "p", "plevel", "hybrid", "model_level", "height", "heightaboveground", "z",
)  # fmt: skip
_COMPLEMENTARY = ("expver",)
_PRESSURES = {"pa": 0.01, "hpa": 1.0, "mb": 1.0, "mbar": 1.0, "millibar": 1.0, "millibars": 1.0}
_DURATIONS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "s": 1,
    "h": 3600,
    "d": 86_400,
}


def scan_netcdf(path: str, selection: Selection) -> Contents:
    """Lists the wanted fields of a file from its coordinates.

    Raises:
        BrokenFileError: If it is damaged or cut short.
        UnsupportedFileError: If axes, times or units of a wanted variable are not understood.
    """
    with _reporting(path), open_netcdf(path) as dataset:
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
                _read_last(path, dataset, found[-1])
            else:
                others.append(f"{name} at other levels")
    if len(calendars) > 1:
        raise UnsupportedFileError(f"{path}: times are in several calendars: {some(calendars)}")
    calendar = calendars.pop() if calendars else "standard"
    return Contents(path, calendar, tuple(series), tuple(others), tuple(notes))


class NetcdfReader:
    """Reads fields of one NetCDF file, which stays open until `close`."""

    def __init__(self, path: str):
        self._path = path
        self._dataset = open_netcdf(path)
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
        rows, columns = _horizontal(self._path, self._dataset, array)
        with _reporting(self._path, _LIBRARY_FAULTS):
            orientation = Orientation(self._dataset[rows].values, self._dataset[columns].values)
            return orientation.apply(self._field(array, rows, columns, place))

    @property
    def held_bytes(self) -> int:
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
        inner = [dim for dim in outer if str(dim).lower() not in _LEVELS]
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


def open_netcdf(path: str) -> "xr.Dataset":
    """Opens a file with the engine for its format, without decoding times."""
    import xarray as xr

    with Path(path).open("rb") as file:
        head = file.read(8)
    if head.startswith((b"CDF\x01", b"CDF\x02")):
        engine = "scipy"
    elif head.startswith(b"\x89HDF"):
        engine = "h5netcdf"
        try:
            import h5netcdf  # type: ignore[import-untyped]  # noqa: F401
        except ImportError:
            raise ImportError(
                f"{path} is NetCDF-4, which needs h5netcdf: pip install 'atmodist[netcdf]'"
            ) from None
    else:
        raise UnsupportedFileError(
            f"{path}: this variant of NetCDF (CDF-5) is not read; convert it (nccopy -k nc4)"
        )
    with _reporting(path, _LIBRARY_FAULTS):
        return xr.open_dataset(path, engine=engine, decode_times=False, chunks=None, cache=False)


@contextmanager
def _reporting(
    path: str, faults: tuple[type[Exception], ...] = (OSError, RuntimeError, EOFError)
) -> Iterator[None]:
    try:
        yield
    except (BrokenFileError, UnsupportedFileError, FileNotFoundError, PermissionError):
        raise
    except faults as error:
        text = " ".join(str(error).split())[:200]
        raise BrokenFileError(f"{path} is damaged or cut short ({text})") from error


def _scan_variable(
    path: str, dataset: "xr.Dataset", name: str, variable: str, selection: Selection
) -> tuple[list[Series], str]:
    array = dataset[name]
    rows, columns = _horizontal(path, dataset, array)
    try:
        orientation = Orientation(dataset[rows].values, dataset[columns].values)
        grid = orientation.grid
    except ValueError as error:
        raise UnsupportedFileError(f"{path}: {error}") from None
    outer = [dim for dim in array.dims if dim not in (rows, columns)]
    seconds, dims, calendar = _valid_times(path, dataset, array, outer, selection)
    level_dim, levels = _levels(dataset, array, [d for d in outer if d not in dims])
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
    with _reporting(path, _LIBRARY_FAULTS):
        array.isel(dict.fromkeys(array.dims, -1)).load()


def _horizontal(path: str, dataset: "xr.Dataset", array: "xr.DataArray") -> tuple[str, str]:
    dims = []
    for axis, letter, names in (("latitude", "Y", _LATITUDES), ("longitude", "X", _LONGITUDES)):
        candidates = [
            dim
            for dim in array.dims
            if dim in dataset.coords and _is_axis(dataset[dim], str(dim), axis, letter, names)
        ]
        if len(candidates) != 1:
            raise UnsupportedFileError(
                f"{path}: {array.name} {tuple(array.dims)} has no 1-D {axis} axis that can be "
                "told (curvilinear and rotated grids are not read; interpolate first)"
            )
        dims.append(str(candidates[0]))
    return dims[0], dims[1]


def _is_axis(
    coordinate: "xr.DataArray", name: str, axis: str, letter: str, names: tuple[str, ...]
) -> bool:
    attributes = {key: str(value).lower() for key, value in coordinate.attrs.items()}
    if "standard_name" in attributes:
        return attributes["standard_name"] == axis
    degrees = {"latitude": "degrees_n", "longitude": "degrees_e"}[axis]
    units = attributes.get("units", "")
    if units.startswith("degree") and "_" in units:
        return units.startswith((degrees, degrees.replace("degrees", "degree")))
    # x and y in metres are no longitude and latitude
    plain = units in ("", "degrees", "degree", "deg")
    return plain and (name.lower() in names or attributes.get("axis") == letter.lower())


def _coordinate(
    dataset: "xr.Dataset", array: "xr.DataArray", names: tuple[str, ...], standard_name: str
) -> "xr.DataArray | None":
    """The variable of the file that is a coordinate of `array` under one of these names."""
    for name in dataset.variables:
        candidate = dataset[name]
        told = candidate.attrs.get("standard_name") == standard_name
        known = str(name).lower() in names
        if (told or known) and set(candidate.dims) <= set(array.dims) and name != array.name:
            return candidate
    return None


def _valid_times(
    path: str,
    dataset: "xr.Dataset",
    array: "xr.DataArray",
    outer: list[Hashable],
    selection: Selection,
) -> tuple[np.ndarray, list[Hashable], str]:
    """Valid times, the axes they run along, and their calendar (empty if there is no time)."""
    valid = _coordinate(dataset, array, _VALID_TIMES, "no standard name")
    time = valid if valid is not None else _coordinate(dataset, array, _TIMES, "time")
    if time is None:
        long = [dim for dim in outer if array.sizes[dim] > 1 and str(dim).lower() in _TIMES]
        if selection.time is None or long:
            raise UnsupportedFileError(
                f"{path}: {array.name} has no time; give its valid time, for instance "
                "--time 2025-12-01T00:00"
            )
        return np.array([selection.time]), [], ""
    seconds, calendar = _decoded(path, time, selection)
    dims = list(time.dims)
    lead = None if valid is not None else _coordinate(dataset, array, _LEADS, "forecast_period")
    if lead is not None:
        seconds = seconds.reshape(seconds.shape + (1,) * lead.ndim) + _lead_seconds(path, lead)
        dims += list(lead.dims)
    return seconds, dims, calendar


def _decoded(path: str, time: "xr.DataArray", selection: Selection) -> tuple[np.ndarray, str]:
    import cftime

    calendar = str(time.attrs.get("calendar", "standard")).lower()
    calendar = "standard" if calendar in STANDARD_CALENDARS else calendar
    calendar = {"365_day": "noleap", "366_day": "all_leap"}.get(calendar, calendar)
    units = selection.time_units or str(time.attrs.get("units", ""))
    values = np.asarray(time.values)
    try:
        if not np.issubdtype(values.dtype, np.number) or not np.isfinite(values).all():
            raise ValueError("values are not numbers")
        dates = cftime.num2date(values, units, calendar)
        seconds = np.asarray(cftime.date2num(dates, EPOCH_UNITS, calendar), np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise UnsupportedFileError(
            f"{path}: the times {time.name!r} (units {units!r}) cannot be read ({error}); say what "
            "they count, for instance --time_units 'hours since 1996-01-05 00:00'"
        ) from None
    return np.rint(seconds).astype(np.int64), calendar


def _lead_seconds(path: str, lead: "xr.DataArray") -> np.ndarray:
    if np.issubdtype(lead.dtype, np.timedelta64):
        return lead.values.astype("timedelta64[s]").astype(np.int64)
    units = str(lead.attrs.get("units", "")).lower().strip()
    factor = _DURATIONS.get(units, _DURATIONS.get(units.rstrip("s")))
    if factor is None:
        raise UnsupportedFileError(f"{path}: {lead.name} has the unknown units {units!r}")
    return np.rint(np.asarray(lead.values, np.float64) * factor).astype(np.int64)


def _levels(
    dataset: "xr.Dataset", array: "xr.DataArray", dims: list[Hashable]
) -> tuple[Hashable | None, list[Level]]:
    """The vertical axis, if any, and the levels along it."""
    named = level_from_name(str(array.name))
    for name in [*dims, *(n for n in dataset.coords if dataset[n].ndim == 0)]:
        coordinate = dataset[name] if name in dataset.variables else None
        if coordinate is None or not np.issubdtype(coordinate.dtype, np.number):
            continue
        attributes = {key: str(value).lower() for key, value in coordinate.attrs.items()}
        if str(name).lower() not in _LEVELS and attributes.get("axis") != "z":
            continue
        unit, factor = _level_unit(str(name).lower(), attributes)
        levels = [Level(float(value) * factor, unit) for value in np.atleast_1d(coordinate.values)]
        return (name if name in dims else None), levels
    return None, [named]


def _level_unit(name: str, attributes: dict[str, str]) -> tuple[str, float]:
    units = attributes.get("units", "")
    if units in _PRESSURES:
        return "hPa", _PRESSURES[units]
    if units in ("m", "metre", "metres", "meter", "meters"):
        return "m", 1.0
    if "model" in attributes.get("long_name", "") or name in ("hybrid", "model_level"):
        return "model level", 1.0
    return units if units not in ("1", "") else "", 1.0


def _block_length(array: "xr.DataArray", dim: Hashable, rows: Hashable, columns: Hashable) -> int:
    """Steps read at once: those of a chunk of the file, within bounds of memory."""
    size = array.sizes[dim]
    field_bytes = 8 * array.sizes[rows] * array.sizes[columns]
    chunks = array.encoding.get("chunksizes")
    chunk = chunks[array.dims.index(dim)] if chunks else 1
    length = max(chunk, READ_BYTES // field_bytes)
    return max(1, min(length, BLOCK_BYTES // field_bytes, size))
