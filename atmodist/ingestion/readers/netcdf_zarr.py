"""Finding and reading fields in NetCDF files and Zarr stores, as xarray shows them.

Axes may have any name and order (`fields.cf`); packed integers are undone by xarray, what marks
missing values by `fields.cf.invalid_values`.
Values are read in blocks of steps that follow the chunks they are stored in, so that no chunk is
decompressed once per step.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.cf.axes import FieldAxes, field_axes
from atmodist.fields.cf.describe import some, standard_name, variables_of
from atmodist.fields.cf.horizontal import horizontal_axes
from atmodist.fields.cf.invalid_values import InvalidValues, invalid_values
from atmodist.fields.cf.levels import Level, vertical_levels
from atmodist.fields.opening import LIBRARY_FAULTS, open_dataset, reporting
from atmodist.fields.orientation import Orientation
from atmodist.fields.time_axis import NO_CALENDAR
from atmodist.fields.zarr_store import is_zarr, require_chunks
from atmodist.files.errors import UnsupportedFileError
from atmodist.files.file_kinds import file_kind
from atmodist.ingestion.file_format import FileFormat, FileReader
from atmodist.ingestion.recognition import Contents, Selection, Series, check_units, level_from_name

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
            variable = selection.variable(str(name), standard_name(array.attrs))
            if variable is None or array.ndim < 2:
                others.append(str(name))
                continue
            if why := selection.contradiction(variable, array.attrs):
                others.append(f"{name} ({why})")
                continue
            note = check_units(variable, array.attrs.get("units"), f"{path}: {name}")
            notes += [note] if note else []
            found = _scan_variable(path, dataset, str(name), variable, selection)
            series += found.series
            calendars |= {found.calendar} if found.calendar else set()
            notes += [note for note in found.notes if note not in notes]
            others += found.others
            if found.series:
                require_chunks(path, str(name), array)
                _read_last(path, dataset, found.series[-1])
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
        self._layouts: dict[str, _Layout] = {}

    def read(self, name: str, place: tuple[int, ...]) -> np.ndarray:
        """Reads one field.

        Args:
            name: Name of the variable.
            place: Index along each axis of the variable but latitude and longitude, in order.

        Returns:
            (latitude, longitude), north to south, missing values as NaN.
        """
        with reporting(self._path, LIBRARY_FAULTS):
            if name not in self._layouts:
                self._layouts[name] = _layout(self._dataset, name)
            layout = self._layouts[name]
            return layout.orientation.apply(self._field(layout, place))

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

    def _field(self, layout: "_Layout", place: tuple[int, ...]) -> np.ndarray:
        array = layout.array
        indexers: dict[Hashable, Any] = dict(zip(layout.outer, place, strict=True))
        inner = [dim for dim in layout.outer if dim != layout.level_dim]
        long = max(inner, key=lambda dim: array.sizes[dim], default=None)
        step, within = 0, 0
        if long is not None and indexers[long] != MERGED:
            length = _block_length(array, long, *layout.core)
            step, within = divmod(indexers[long], length)
            indexers[long] = slice(step * length, (step + 1) * length)
        key = (array.name, *(str(value) for value in indexers.values()))
        if key not in self._blocks:
            for old in [k for k in self._blocks if k[0] == array.name]:
                del self._blocks[old]
            merged = [dim for dim, index in indexers.items() if index == MERGED]
            part = array.isel({d: i for d, i in indexers.items() if d not in merged})
            self._blocks[key] = _merged(part, merged, layout)
        block = self._blocks[key]
        return block[within] if block.ndim == 3 else block


@dataclass(frozen=True, eq=False)
class _Layout:
    """How a variable lies in a file: its axes of latitude and longitude, and all others."""

    array: "xr.DataArray"
    core: tuple[Hashable, Hashable]
    outer: tuple[Hashable, ...]
    level_dim: Hashable | None
    orientation: Orientation
    invalid: InvalidValues


def _layout(dataset: "xr.Dataset", name: str) -> _Layout:
    array = dataset[name]
    variables = {**variables_of(dataset), **variables_of(array)}
    rows, columns = horizontal_axes(variables, array.dims, name)
    outer = tuple(dim for dim in array.dims if dim not in (rows.dim, columns.dim))
    return _Layout(
        array,
        (rows.dim, columns.dim),
        outer,
        vertical_levels(variables, outer)[0],
        Orientation(rows.degrees, columns.degrees),
        invalid_values(array.attrs, array.encoding, array.dtype),
    )


def _merged(part: "xr.DataArray", merged: list[Hashable], layout: _Layout) -> np.ndarray:
    """Values (..., latitude, longitude), those missing at one entry of an axis from the next."""
    if not merged:
        return layout.invalid.apply(part.transpose(..., *layout.core).values)
    whole: np.ndarray | None = None
    for index in range(part.sizes[merged[0]]):
        values = _merged(part.isel({merged[0]: index}), merged[1:], layout)
        whole = values if whole is None else np.where(np.isnan(whole), values, whole)
    assert whole is not None  # noqa: S101  an axis has entries
    return whole


@dataclass(frozen=True)
class _Found:
    """Fields of one variable."""

    series: list[Series]
    calendar: str
    notes: tuple[str, ...]
    others: list[str]


def _scan_variable(
    path: str, dataset: "xr.Dataset", name: str, variable: str, selection: Selection
) -> _Found:
    array = dataset[name]
    try:
        axes = field_axes(dataset, array, time_units=selection.time_units)
        orientation = Orientation(axes.latitude.degrees, axes.longitude.degrees)
        grid = orientation.grid
    except ValueError as error:
        raise UnsupportedFileError(f"{path}: {error}") from None
    seconds, dims, calendar = _times(path, axes, array, selection)
    outer = [dim for dim in array.dims if dim not in (axes.latitude.dim, axes.longitude.dim)]
    fixed = {dim: 0 for dim in outer if dim not in dims}
    for dim in axes.others:
        if str(dim).lower() not in _COMPLEMENTARY:
            raise UnsupportedFileError(
                f"{path}: {name} has {array.sizes[dim]} entries along {dim!r}, which is not time, "
                "level, member, latitude or longitude; choose one before (ncks -d, cdo)"
            )
        fixed[dim] = MERGED
    leads = None if axes.times is None or axes.times.leads is None else axes.times.leads.ravel()
    kept = _wanted_leads(leads, seconds.size, selection)
    positions = np.indices(seconds.shape).reshape(seconds.ndim, seconds.size)
    levels = axes.levels or (level_from_name(name),)
    members = axes.members or (None,)
    series = []
    for number, member in enumerate(members):
        if not selection.accepts_member(member):
            continue
        for index, level in enumerate(levels):
            if not selection.accepts(level) or not kept.any():
                continue
            here = {**fixed, axes.level_dim: index, axes.member_dim: number}
            places = np.empty((seconds.size, len(outer)), np.int64)
            for axis, dim in enumerate(outer):
                places[:, axis] = positions[dims.index(dim)] if dim in dims else here[dim]
            series.append(
                Series(
                    variable, name, level, grid, orientation.flipped,
                    seconds.ravel()[kept], places[kept], member,
                    None if leads is None else leads[kept],
                )
            )  # fmt: skip
    notes = () if axes.times is None or selection.time is not None else axes.times.notes
    if selection.level is not None and series and levels[0].value is None:
        notes += (f"{name} does not say at which level it is; taken as {selection.level:g}",)
    others = [] if series else [_present(name, axes, levels, leads)]
    return _Found(series, calendar, tuple(f"{path}: {note}" for note in notes), others)


def _times(
    path: str, axes: FieldAxes, array: "xr.DataArray", selection: Selection
) -> tuple[np.ndarray, tuple[Hashable, ...], str]:
    """Valid times, the axes they run along, and their calendar (empty if there is no time)."""
    times = axes.times
    if times is not None and times.calendar != NO_CALENDAR:
        return times.seconds, times.dims, times.calendar
    if times is not None and (selection.time is None or times.dims):
        raise UnsupportedFileError(f"{path}: {times.notes[0]}")
    if selection.time is None:
        raise UnsupportedFileError(
            f"{path}: {array.name} has no time; give its valid time, for instance "
            "--time 2025-12-01T00:00"
        )
    return np.array(selection.time), (), ""


def _wanted_leads(leads: np.ndarray | None, count: int, selection: Selection) -> np.ndarray:
    if leads is None:
        return np.full(count, selection.lead_hours in (None, 0))
    return selection.accepted_leads(leads)


def _present(
    name: str, axes: FieldAxes, levels: tuple[Level, ...], leads: np.ndarray | None
) -> str:
    """What there is of a variable of which nothing is wanted."""
    parts = [f"{name} at {some(levels)}"] if levels[0].value is not None else [name]
    parts += [f"of members {some(axes.members)}"] if axes.members else []
    if leads is not None:
        parts.append(f"of leads {some(f'{lead / 3600:g}' for lead in np.unique(leads))} h")
    return " ".join(parts)


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
