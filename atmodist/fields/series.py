"""Series of fields in archives, NetCDF or Zarr, read one by one, and which of them to compare."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.fields import labelled
from atmodist.fields.archive import Archive, is_archive
from atmodist.fields.cf.axes import FieldAxes, field_axes
from atmodist.fields.cf.describe import some, standard_name
from atmodist.fields.cf.valid_times import ValidTimes
from atmodist.fields.channels import KNOWN_CHANNELS, Channel
from atmodist.fields.grid import Grid
from atmodist.fields.plausibility import require_plausible
from atmodist.fields.time_axis import NO_CALENDAR, TimeAxis, format_seconds
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
        members: What the members of an ensemble are called, where there are several and none was
            chosen; then `read` takes the number of one as well (see `by_member`).
        notes: What had to be assumed.
    """

    path: Path
    grid: Grid
    times: tuple[str, ...]
    is_dated: bool
    seconds: np.ndarray | None
    read: Callable[..., np.ndarray]
    channels: tuple[Channel, ...] = ()
    calendar: str = "standard"
    members: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    @property
    def time(self) -> TimeAxis:
        """The times; steps are counted where there are no dates."""
        if self.seconds is None:
            return TimeAxis.counted(len(self))
        return TimeAxis(self.seconds, self.calendar)

    def by_member(self) -> "tuple[FieldSeries, ...]":
        """A series for each member of an ensemble; the series itself where there is none."""
        if not self.members:
            return (self,)
        return tuple(
            replace(self, read=partial(self.read, member=place), members=())
            for place in range(len(self.members))
        )


def require_series(path: str | Path) -> None:
    """Raises `FileNotFoundError` where there is neither a file nor a Zarr store."""
    if Path(path).is_dir() and not is_zarr(path):
        raise FileNotFoundError(f"{path} is a folder, and no Zarr store")
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file {path}")


@contextmanager
def open_series(
    path: str | Path,
    channels: Sequence[Channel],
    *,
    member: int | None = None,
    ensemble: bool = False,
    unusual_values: bool = False,
) -> Iterator[FieldSeries]:
    """Opens an archive, NetCDF file or Zarr store.

    Args:
        path: The file.
        channels: What to read, in this order. Units must agree where both are known.
        member: Which member of an ensemble, by what the file calls it; by default there must be
            one at most.
        ensemble: Whether to take all members instead, see `FieldSeries.members`.
        unusual_values: Whether to read values that no atmosphere has (see `plausibility`).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of them, or lacks a channel.
    """
    path = Path(path)
    require_series(path)
    if is_archive(path):
        with Archive(path) as archive:
            series = archive_series(archive, channels)
            yield series if unusual_values else _plausible(series)
        return
    from atmodist.fields.opening import open_dataset

    try:
        dataset = open_dataset(str(path))
    except ImportError as error:
        raise ValueError(str(error)) from None
    with dataset:
        series = _of_dataset(path, dataset, channels, member, ensemble)
        yield series if unusual_values else _plausible(series)


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


def _of_dataset(
    path: Path, dataset: Any, channels: Sequence[Channel], member: int | None, ensemble: bool
) -> FieldSeries:
    try:
        arrays = labelled.separate(dataset, channels)
        axes = field_axes(dataset, arrays[0])
        orientation = labelled.oriented(axes.latitude, axes.longitude)
        step_dim, member_dim = _series_axes(axes, arrays, member, ensemble)
        count = 1 if step_dim is None else arrays[0].sizes[step_dim]
        times, seconds, calendar = _times(axes.times, count)
        chosen = _chosen_member(axes, member) if member is not None or not ensemble else None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    marks = [labelled.invalid_of(array) for array in arrays]
    core = (axes.latitude.dim, axes.longitude.dim)

    def read(step: int, member: int = chosen or 0) -> np.ndarray:
        fields = []
        for array, invalid in zip(arrays, marks, strict=True):
            places = dict.fromkeys((dim for dim in array.dims if dim not in core), 0)
            wanted = {step_dim: step, member_dim: member}
            places |= {dim: wanted[dim] for dim in places if dim in wanted}
            fields.append(invalid.apply(array.isel(places).transpose(*core).values))
        return orientation.apply(np.stack(fields))

    own = tuple(
        c if c.units else KNOWN_CHANNELS.get(c.name) or _as_told(c, array)
        for c, array in zip(channels, arrays, strict=True)
    )
    return FieldSeries(
        path, orientation.grid, times, seconds is not None, seconds, read, own, calendar,
        members=axes.members if chosen is None and member_dim is not None else (),
        notes=() if axes.times is None else axes.times.notes,
    )  # fmt: skip


def _as_told(channel: Channel, array: Any) -> Channel:
    """A channel with the units and standard name that the file gives it."""
    standard = channel.standard_name or standard_name(array.attrs)
    return Channel(channel.name, str(array.attrs.get("units", "")), standard)


def _series_axes(
    axes: FieldAxes, arrays: Sequence[Any], member: int | None, ensemble: bool
) -> tuple[Hashable | None, Hashable | None]:
    """The axis along which fields follow each other, and that of members; refuses all others."""
    first = arrays[0]
    for array in arrays[1:]:
        if dict(array.sizes) != dict(first.sizes):
            raise ValueError(
                f"{first.name} has the axes {dict(first.sizes)} and {array.name} "
                f"{dict(array.sizes)}; they must be the same"
            )
    if len(axes.levels) > 1:
        raise ValueError(
            f"{first.name} has {len(axes.levels)} levels ({some(axes.levels)}), of which one is "
            f"needed: {_select(axes.level_dim)}"
        )
    if axes.member_dim is not None and first.sizes[axes.member_dim] > 1:
        if member is None and not ensemble:
            raise ValueError(
                f"{first.name} has {len(axes.members)} members of an ensemble "
                f"({some(axes.members)}), of which one is needed: {_select(axes.member_dim)}"
            )
        member_dim = axes.member_dim
    else:
        member_dim = None
    dims = () if axes.times is None else axes.times.dims
    if axes.times is not None and axes.times.lead_dim is not None:
        dim = axes.times.lead_dim
        raise ValueError(
            f"{first.name} has {first.sizes[dim]} lead times of each valid time: {_select(dim)}"
        )
    if len(dims) > 1:
        both = " and ".join(f"{first.sizes[dim]} of {dim}" for dim in dims)
        raise ValueError(
            f"{first.name} has several starts of forecasts and several lead times ({both}): "
            f"{_select(dims[-1])}"
        )
    along = [*dims, *axes.others]
    if len(along) > 1:
        raise ValueError(
            "besides channel, latitude and longitude there must be one axis, of time; "
            f"{first.name} has {tuple(map(str, along))}: {_select(along[-1])}"
        )
    return (along[0] if along else None), member_dim


def _select(dim: Hashable) -> str:
    return f"select one first, for instance with xarray: dataset.isel({dim}=0)"


def _chosen_member(axes: FieldAxes, member: int | None) -> int | None:
    """Place of the member that was asked for; None where nothing is to be chosen."""
    if member is None:
        return None
    if not axes.members:
        raise ValueError(f"there is no member {member}, for the file has no members")
    names = [str(name) for name in axes.members]
    if str(member) not in names:
        raise ValueError(f"there is no member {member}; there are {some(axes.members)}")
    return names.index(str(member))


def _times(times: ValidTimes | None, count: int) -> tuple[tuple[str, ...], np.ndarray | None, str]:
    """Times in words, in seconds where there are dates, and their calendar."""
    if times is None or times.calendar == NO_CALENDAR or times.seconds.size != count:
        return tuple(f"step {i}" for i in range(count)), None, NO_CALENDAR
    seconds = times.seconds.ravel()
    words = tuple(format_seconds(int(second), times.calendar) for second in seconds)
    return words, seconds, times.calendar


def _plausible(series: FieldSeries) -> FieldSeries:
    def read(step: int, **which: int) -> np.ndarray:
        field = series.read(step, **which)
        require_plausible(field, series.channels, series.times[step], series.path)
        return field

    return replace(series, read=read)
