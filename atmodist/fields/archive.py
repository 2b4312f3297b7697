"""The archive: one HDF5 file of fields in time order, which xarray and ncdump understand too.

`/data` is float32 with axes (channel, time, latitude, longitude); `/channel`, `/time`, `/latitude`
and `/longitude` are its coordinates (CF). Chunks hold one step, so that a whole field is read once
in time order, and are tiles of it, so that a single patch needs not all of it. A bare file with
nothing but `/data`, as the reference implementation writes, can be read as well.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import h5py
import hdf5plugin  # also registers the filters that archives may use
import numpy as np

from atmodist.fields.cf.invalid_values import invalid_values
from atmodist.fields.channels import DEFAULT_CHANNELS, DIVERGENCE, VORTICITY, Channel
from atmodist.fields.grid import Grid, make_grid
from atmodist.fields.time_axis import EPOCH_UNITS, NO_CALENDAR, TimeAxis
from atmodist.fields.virtual_sources import require_sources
from atmodist.files.described import Described
from atmodist.files.file_kinds import file_kind, mismatch

if TYPE_CHECKING:
    import xarray as xr

Compression = Literal["blosc2", "zstd", "gzip", "none"]

TILE = 160  # grid points; a chunk is a tile of about this size, the reference's patch
FORMAT_VERSION = 1
LATITUDE_ATTRIBUTES = {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}
LONGITUDE_ATTRIBUTES = {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}
BEYOND = 1e15  # what no quantity of the atmosphere is, in any usual units
COUNT_UNITS = "1"  # of /time where steps are counted, not dated


def is_archive(path: str | Path) -> bool:
    """Whether a path is an archive: an HDF5 file with a dataset "data"."""
    try:
        with h5py.File(path, "r") as file:
            return "data" in file
    except OSError:
        return False


def channel_names(path: str | Path) -> tuple[str, ...]:
    """Names of all channels of an archive; the usual ones for a file of any other kind."""
    if not is_archive(path):
        return DEFAULT_CHANNELS
    with Archive(path) as archive:
        return tuple(channel.name for channel in archive.channels)


class Archive(Described):
    """An archive opened for reading; use it in a `with` statement, or call `close`.

    Attributes:
        path: The file.
        channels: Names and units, in the order of the first axis.
        grid: Latitudes and longitudes.
        time: Times and their holes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no archive; the message says what was expected and what was found.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"there is no archive {self.path}")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            if file_kind(self.path) != "hdf5":
                raise ValueError(mismatch(self.path, "an archive (HDF5)")) from None
            raise ValueError(f"{self.path} is damaged or cut short ({error})") from None
        try:
            self._data = _checked_data(self._file, self.path)
            self.channels = _read_channels(self._file, self.path, self._data.shape[0])
            self.time = _read_time(self._file, self.path, self._data.shape[1])
            self.grid = _read_grid(self._file, self.path, self._data.shape[2:])
            # Ours were found complete when they were written; others may mark what is missing.
            own = "atmodist_format" in self._file.attrs
            marks = invalid_values(dict(self._data.attrs), {}, self._data.dtype)
            self._invalid = None if own else marks
        except BaseException:
            self._file.close()
            raise

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(channel, time, latitude, longitude)."""
        return tuple(self._data.shape)

    @property
    def field_bytes(self) -> int:
        """Bytes of one field, all channels, in memory."""
        channels, _, rows, columns = self.shape
        return 4 * channels * rows * columns

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the file (history, source, ...)."""
        return dict(self._file.attrs)

    def read(self, step: int, out: np.ndarray | None = None) -> np.ndarray:
        """Reads the field of one step, from disk once.

        Args:
            step: Index along time, 0 to T - 1.
            out: Where to put it; C-contiguous float32 of shape (channel, latitude, longitude).

        Returns:
            (channel, latitude, longitude), float32, in the units of the channels; NaN where a file
            of others marks values as missing.
        """
        channels, steps, rows, columns = self.shape
        if not 0 <= step < steps:
            raise ValueError(f"`step` must lie in 0..{steps - 1}; got {step}")
        if out is None:
            out = np.empty((channels, rows, columns), np.float32)
        try:
            # Same number of axes in memory and on disk: otherwise HDF5 copies value by value,
            # 27 times slower.
            self._data.read_direct(out[:, np.newaxis], np.s_[:, step : step + 1])
        except OSError as error:
            raise ValueError(
                f"{self.path} is damaged at {self.time.isoformat(step)} (step {step}): {error}"
            ) from None
        if self._invalid is not None:
            out[...] = self._invalid.apply(out)
        return out

    def to_xarray(self) -> "xr.Dataset":
        """The archive as a Dataset, a variable (time, latitude, longitude) for each channel.

        Values are read when they are computed, as long as the archive is open. Times are dates of
        the calendar of the archive, or step numbers where it has none.
        """
        import dask.array as da
        import xarray as xr

        # One lock for all reads: HDF5 takes one at a time anyhow.
        data = da.from_array(self._data, chunks=(-1, 1, -1, -1), lock=True)
        dims = ("time", "latitude", "longitude")
        variables = {
            channel.name: (dims, data[number], _described(channel))
            for number, channel in enumerate(self.channels)
        }
        dated = self.time.calendar != NO_CALENDAR
        units = {"units": EPOCH_UNITS, "calendar": self.time.calendar} if dated else {}
        coordinates = {
            "time": ("time", self.time.seconds, {"standard_name": "time", **units}),
            "latitude": ("latitude", self.grid.latitude, dict(LATITUDE_ATTRIBUTES)),
            "longitude": ("longitude", self.grid.longitude, dict(LONGITUDE_ATTRIBUTES)),
        }
        texts = {k: v for k, v in self.attributes.items() if isinstance(v, str)}
        return xr.decode_cf(xr.Dataset(variables, coordinates, texts))

    def sel(self, **choices: Any) -> "xr.Dataset":
        """`to_xarray().sel(...)`: `archive.sel(time="2018-10-06")`, slices of dates, and so on."""
        return self.to_xarray().sel(**choices)

    def __str__(self) -> str:
        return self.summary(num_channels=8)

    def validate(self) -> None:
        """Reads every field and checks that all values are finite.

        Raises:
            ValueError: Names the first step and channel with values that are not.
        """
        for step in range(self.shape[1]):
            check_finite(self.read(step), self.channels, self.time.isoformat(step), self.path)

    def fingerprint(self) -> str:
        """A digest of coordinates and of three whole fields (first, middle, last step)."""
        digest = hashlib.sha256(repr((self.shape, self.channels)).encode())
        for values in (self.time.seconds, self.grid.latitude, self.grid.longitude):
            digest.update(np.ascontiguousarray(values).tobytes())
        last = self.shape[1] - 1
        for step in sorted({0, last // 2, last}):
            digest.update(self.read(step).tobytes())
        return f"sha256:{digest.hexdigest()}"

    def summary(self, num_channels: int | None = None) -> str:
        """What the archive holds, in a few lines; names `num_channels` channels, or all."""
        named = [f"{c.name} ({c.units or '1'})" for c in self.channels[:num_channels]]
        total = len(self.channels)
        channels = ", ".join([*named, f"... {total} in all"] if len(named) < total else named)
        size = self.path.stat().st_size
        ratio = self.field_bytes * self.shape[1] / size
        return (
            f"archive   {self.path}\n"
            f"channels  {channels}\n"
            f"grid      {self.grid}\n"
            f"time      {self.time}\n"
            f"storage   {size / 1e6:.1f} MB, {storage_name(self._data)}, ratio {ratio:.2f}"
        )

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _described(channel: Channel) -> dict[str, str]:
    attributes = {"units": channel.units, "standard_name": channel.standard_name}
    return {name: text for name, text in attributes.items() if text}


def check_finite(
    field: np.ndarray, channels: Sequence[Channel], time: str, path: str | Path
) -> None:
    """Raises `ValueError` if a field (channel, latitude, longitude) has missing values.

    These are NaN, infinite, or so large that they are marks such as 1e20 or 9.97e36.
    """
    for channel, values in zip(channels, field, strict=True):
        bad = values.size - int((np.abs(values) < BEYOND).sum())
        if bad:
            raise ValueError(
                f"{path}: {bad} of {values.size} values of {channel.name} at {time} are missing "
                f"(NaN) or infinite, or beyond {BEYOND:g}; fields must be complete"
            )


def create_layout(
    file: h5py.File,
    shape: tuple[int, int, int, int],
    channels: Sequence[Channel],
    grid: Grid,
    seconds: np.ndarray,
    calendar: str,
    compression: Compression,
) -> h5py.Dataset:
    """Writes the coordinates of an archive and creates its empty `/data`, which is returned."""
    string = h5py.string_dtype()
    scales = {
        "channel": file.create_dataset("channel", data=[c.name for c in channels], dtype=string),
        "time": file.create_dataset("time", data=seconds.astype(np.int64)),
        "latitude": file.create_dataset("latitude", data=grid.latitude),
        "longitude": file.create_dataset("longitude", data=grid.longitude),
    }
    attributes: dict[str, dict[str, Any]] = {
        "channel": {"long_name": "variable"},
        "time": {"standard_name": "time", "units": EPOCH_UNITS, "calendar": calendar, "axis": "T"},
        "latitude": dict(LATITUDE_ATTRIBUTES),
        "longitude": dict(LONGITUDE_ATTRIBUTES),
    }
    if calendar == NO_CALENDAR:
        attributes["time"] = {"long_name": "step number", "units": COUNT_UNITS, "axis": "T"}
    # One channel differs from another in its units: they are kept per channel, as CF labels.
    for name in ("units", "standard_name"):
        labels = [getattr(c, name) for c in channels]
        label = file.create_dataset(f"channel_{name}", data=labels, dtype=string)
        label.attrs["long_name"] = f"{name.replace('_', ' ')} of the channel"
        scales[f"channel_{name}"] = label
    data = create_data(file, shape, compression)
    for name, scale in scales.items():
        scale.attrs.update(attributes.get(name, {}))
        if not name.startswith("channel_"):
            scale.make_scale(name)
    for axis, name in enumerate(("channel", "time", "latitude", "longitude")):
        data.dims[axis].attach_scale(scales[name])
    for name in ("channel_units", "channel_standard_name"):
        scales[name].dims[0].attach_scale(scales["channel"])
    data.attrs["coordinates"] = "channel_units channel_standard_name"
    units = {c.units for c in channels}
    if len(units) == 1:
        data.attrs["units"] = units.pop()
    file.attrs.update({"Conventions": "CF-1.8", "atmodist_format": FORMAT_VERSION})
    return data


def storage_name(data: h5py.Dataset) -> str:
    """How a dataset is stored, in words."""
    if data.chunks is None:
        return "virtual" if data.is_virtual else "uncompressed"
    plist = data.id.get_create_plist()
    filters = [plist.get_filter(i)[3].decode() for i in range(plist.get_nfilters())]
    return f"{'+'.join(filters) or 'uncompressed'} in chunks of {data.chunks}"


def create_data(
    file: h5py.File,
    shape: tuple[int, int, int, int],
    compression: Compression,
    *,
    growing: bool = False,
) -> h5py.Dataset:
    """Creates an empty `/data`; `growing` lets its number of steps be changed later."""
    rows, columns = shape[2:]
    tile = (_even_part(rows), _even_part(columns)) if compression != "none" else (rows, columns)
    storage: dict[str, Any] = {"chunks": (shape[0], 1, *tile), **_filters(compression)}
    if growing:
        storage["maxshape"] = (shape[0], None, rows, columns)
    elif compression == "none":
        storage = {}  # contiguous: nothing is faster to read
    return file.create_dataset("data", shape, np.float32, **storage)


def _even_part(size: int) -> int:
    # 721 rows are five tiles of 145 rather than four of 160 and a remnant
    return -(-size // -(-size // TILE))


def _filters(compression: Compression) -> dict[str, Any]:
    filters: dict[str, dict[str, Any]] = {
        "blosc2": dict(hdf5plugin.Blosc2(cname="lz4", filters=hdf5plugin.Blosc2.SHUFFLE)),
        "zstd": dict(hdf5plugin.Blosc2(cname="zstd", filters=hdf5plugin.Blosc2.BITSHUFFLE)),
        "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
        "none": {},
    }
    if compression not in filters:
        raise ValueError(f"`compression` must be one of {', '.join(filters)}; got {compression!r}")
    return filters[compression]


def _checked_data(file: h5py.File, path: Path) -> h5py.Dataset:
    data = file.get("data")
    if not isinstance(data, h5py.Dataset):
        found = ", ".join(sorted(file)) or "nothing"
        raise ValueError(
            f"{path} has no dataset /data, it is no archive; it holds {found} (where that is wind, "
            "vorticity or divergence of NetCDF, `atmodist ingest` makes an archive of it)"
        )
    if data.ndim != 4 or 0 in data.shape:
        raise ValueError(
            f"{path}: /data must have four axes (channel, time, latitude, longitude); "
            f"its shape is {data.shape}"
        )
    if data.dtype != np.float32:
        raise ValueError(
            f"{path}: /data must be float32; it is {data.dtype} (write it again with "
            ".astype('float32'), after undoing any packing)"
        )
    require_sources(data, path)
    return data


def _read_channels(file: h5py.File, path: Path, count: int) -> tuple[Channel, ...]:
    if "channel" not in file:
        named = (DIVERGENCE, VORTICITY)
        return named if count == 2 else tuple(Channel(f"channel{i}") for i in range(count))
    labels = [
        file[name].asstr()[...].tolist() if name in file else [""] * count
        for name in ("channel", "channel_units", "channel_standard_name")
    ]
    if any(len(values) != count for values in labels):
        raise ValueError(
            f"{path}: /channel and its labels name {[len(v) for v in labels]} channels; "
            f"/data has {count}"
        )
    return tuple(Channel(*values) for values in zip(*labels, strict=True))


def _read_time(file: h5py.File, path: Path, count: int) -> TimeAxis:
    if "time" not in file:
        return TimeAxis.counted(count)
    dataset = file["time"]
    calendar = _text(dataset.attrs.get("calendar", "standard"))
    units = _text(dataset.attrs.get("units", EPOCH_UNITS))
    if units == COUNT_UNITS:
        units, calendar = EPOCH_UNITS, NO_CALENDAR
    if units != EPOCH_UNITS or dataset.shape != (count,):
        raise ValueError(
            f"{path}: /time must be {count} values in {EPOCH_UNITS!r}; it is {dataset.shape} in "
            f"{units!r}"
        )
    try:
        return TimeAxis(dataset[...], calendar)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _text(attribute: str | bytes) -> str:
    # The netCDF C library writes attributes that h5py reads as bytes.
    return attribute.decode() if isinstance(attribute, bytes) else str(attribute)


def _read_grid(file: h5py.File, path: Path, shape: tuple[int, int]) -> Grid:
    if "latitude" in file and "longitude" in file:
        try:
            grid = Grid(file["latitude"][...], file["longitude"][...])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if grid.shape != tuple(shape):
            raise ValueError(f"{path}: coordinates are for {grid.shape}; /data has {shape}")
        return grid
    rows, columns = shape
    if columns == 2 * rows and rows % 2 == 0:
        return make_grid("driscoll-healy", rows)
    if columns == 2 * (rows - 1):
        return make_grid("regular", rows)
    raise ValueError(
        f"{path} has no /latitude and /longitude, and {rows} x {columns} is neither n x 2n nor "
        "(n+1) x 2n; add both coordinates to the file"
    )
