"""Series of fields in archives, NetCDF or Zarr, read one by one, and which of them to compare."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.fields import labelled
from atmodist.fields.archive import KNOWN_CHANNELS, Archive, Channel, is_archive
from atmodist.fields.grid import Grid
from atmodist.fields.time_axis import EPOCH_UNITS, NO_CALENDAR, TimeAxis
from atmodist.fields.zarr_store import is_zarr


@dataclass(frozen=True)
class FieldSeries:
    """Fields of a file, open as long as the `open_series` that made it.

    Attributes:
        path: The file.
        grid: Its grid.
        times: What the time of each field is called; ISO 8601 where there are dates.
        is_dated: Whether times are dates, which can be matched with those of another file.
        seconds: Times in seconds since 1970-01-01 in `calendar`; None where there are no dates.
        read: Reads the field of a step: (channel, latitude, longitude), float32.
        channels: Names and units of the channels, as far as the file tells them.
        calendar: CF calendar of the times.
    """

    path: Path
    grid: Grid
    times: tuple[str, ...]
    is_dated: bool
    seconds: np.ndarray | None
    read: Callable[[int], np.ndarray]
    channels: tuple[Channel, ...] = ()
    calendar: str = "standard"

    def __len__(self) -> int:
        return len(self.times)

    @property
    def time(self) -> TimeAxis:
        """The times; steps are counted where there are no dates."""
        if self.seconds is None:
            return TimeAxis.counted(len(self))
        return TimeAxis(self.seconds, self.calendar)


def require_series(path: str | Path) -> None:
    """Raises `FileNotFoundError` where there is neither a file nor a Zarr store."""
    if Path(path).is_dir() and not is_zarr(path):
        raise FileNotFoundError(f"{path} is a folder, and no Zarr store")
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file {path}")


@contextmanager
def open_series(path: str | Path, channels: Sequence[Channel]) -> Iterator[FieldSeries]:
    """Opens an archive, NetCDF file or Zarr store.

    Args:
        path: The file.
        channels: What to read, in this order. Units must agree where both are known.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of them, or lacks a channel.
    """
    path = Path(path)
    require_series(path)
    if is_archive(path):
        with Archive(path) as archive:
            yield archive_series(archive, channels)
        return
    from atmodist.fields.opening import open_dataset

    try:
        dataset = open_dataset(str(path))
    except ImportError as error:
        raise ValueError(str(error)) from None
    with dataset:
        yield _of_dataset(path, dataset, channels)


def matched(a: FieldSeries, b: FieldSeries) -> list[tuple[int, int]]:
    """Which steps of two series to compare.

    A series of one field is compared with every field of the other. Otherwise fields of the same
    time are compared, or, where there are no dates, of the same number.
    """
    if len(a) == 1 or len(b) == 1:
        count = max(len(a), len(b))
        return [(i if len(a) > 1 else 0, i if len(b) > 1 else 0) for i in range(count)]
    if a.is_dated and b.is_dated:
        places = {time: j for j, time in enumerate(b.times)}
        pairs = [(i, places[time]) for i, time in enumerate(a.times) if time in places]
        if not pairs:
            raise ValueError(
                f"{a.path} ({a.times[0]} to {a.times[-1]}) and {b.path} ({b.times[0]} to "
                f"{b.times[-1]}) have no time in common"
            )
        return pairs
    if len(a) != len(b):
        raise ValueError(
            f"{a.path} has {len(a)} fields and {b.path} {len(b)}, and without dates it is not "
            "known which belong together"
        )
    return [(i, i) for i in range(len(a))]


def after(series: FieldSeries, lag: int) -> list[tuple[int, int]]:
    """Steps of a series that are `lag` time steps apart; none across a hole in time.

    Raises:
        ValueError: If there are none.
    """
    pairs = [(i, i + lag) for i in range(len(series) - lag)]
    if series.seconds is not None and len(series) > 1:
        step = series.time.step
        pairs = [(i, j) for i, j in pairs if series.seconds[j] - series.seconds[i] == lag * step]
    if not pairs:
        raise ValueError(
            f"{series.path} has {len(series)} fields, of which none are {lag} time steps apart"
        )
    return pairs


def archive_series(archive: Archive, channels: Sequence[Channel]) -> FieldSeries:
    """The fields of an open archive, with the channels that are wanted.

    Raises:
        ValueError: If it lacks a channel, or one has other units.
    """
    names = [channel.name for channel in archive.channels]
    missing = [channel.name for channel in channels if channel.name not in names]
    if missing:
        raise ValueError(f"{archive.path} lacks {', '.join(missing)}; it has {', '.join(names)}")
    order = [names.index(channel.name) for channel in channels]
    for place, channel in zip(order, channels, strict=True):
        labelled.require_units(names[place], archive.channels[place].units, channel.units)
    whole = order == list(range(len(names)))

    def read(step: int) -> np.ndarray:
        field = archive.read(step)
        return field if whole else field[order]

    times = tuple(archive.time.isoformat(i) for i in range(len(archive.time)))
    dated = archive.time.calendar != NO_CALENDAR
    seconds = archive.time.seconds if dated else None
    own = tuple(archive.channels[place] for place in order)
    calendar = archive.time.calendar
    return FieldSeries(archive.path, archive.grid, times, dated, seconds, read, own, calendar)


def _of_dataset(path: Path, dataset: Any, channels: Sequence[Channel]) -> FieldSeries:
    import xarray as xr

    try:
        decoded = xr.decode_cf(dataset)
        fields = labelled.recognised(decoded, channels)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    array = fields.array.squeeze([d for d in fields.array.dims[:-3] if fields.array.sizes[d] == 1])
    if array.ndim > 4:
        raise ValueError(
            f"{path}: besides channel, latitude and longitude there must be one axis, of time; "
            f"there are {tuple(map(str, array.dims[:-3]))}: select one of each first"
        )
    if array.ndim == 3:
        array = array.expand_dims("time")
    times, seconds, calendar = _times(_time_values(array, decoded))

    def read(step: int) -> np.ndarray:
        return fields.orientation.apply(array.isel({array.dims[0]: step}).values)

    own = tuple(c if c.units else KNOWN_CHANNELS.get(c.name, c) for c in channels)
    dated = seconds is not None
    return FieldSeries(path, fields.grid, times, dated, seconds, read, own, calendar)


def _time_values(array: Any, dataset: Any) -> np.ndarray:
    """Dates of the fields, from whatever variable of the file tells them; else their numbers.

    A forecast is known by the time that it is valid at, and a file of one field may have its time
    as a scalar beside it.
    """
    dim, count = array.dims[0], array.sizes[array.dims[0]]
    named = {name: dataset[name] for name in ("valid_time", dim, "time") if name in dataset}
    standard = {
        name: variable
        for name, variable in dataset.variables.items()
        if variable.attrs.get("standard_name") == "time"
    }
    for variable in (named | standard).values():
        fits = variable.dims == (dim,) if count > 1 else variable.size == 1
        if fits and _are_dates(values := variable.values.reshape(count)):
            return np.asarray(values)
    return np.arange(count)


def _are_dates(values: np.ndarray) -> bool:
    return np.issubdtype(values.dtype, np.datetime64) or hasattr(values[0], "isoformat")


def _times(values: np.ndarray) -> tuple[tuple[str, ...], np.ndarray | None, str]:
    """Times in words, in seconds where there are dates, and their calendar."""
    if np.issubdtype(values.dtype, np.datetime64):
        seconds = values.astype("datetime64[s]")
        return tuple(map(str, seconds)), seconds.astype(np.int64), "standard"
    if _are_dates(values):
        from cftime import date2num

        calendar = str(values[0].calendar)
        seconds = np.round(date2num(values, EPOCH_UNITS, calendar=calendar)).astype(np.int64)
        return tuple(value.isoformat() for value in values), seconds, calendar
    return tuple(f"step {i}" for i in range(len(values))), None, NO_CALENDAR
