"""Finding and reading fields in GRIB files, editions 1 and 2, message by message with eccodes.

Headers are read first, values only when they are asked for, so that files of any size can be used;
no index file is left beside the data. eccodes is an optional package and is imported late: loaded
before pyproj (which cartopy needs), the two crash each other.
"""

import calendar
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NamedTuple

import numpy as np

from atmodist.fields.cf.levels import Level
from atmodist.fields.grid import gauss_latitudes
from atmodist.fields.orientation import Orientation
from atmodist.files.errors import BrokenFileError, UnsupportedFileError
from atmodist.files.file_kinds import file_kind, find_grib
from atmodist.ingestion.file_format import FileFormat, FileReader
from atmodist.ingestion.grib_sections import check_message, check_messages
from atmodist.ingestion.recognition import Contents, Selection, Series, check_units, level_from_name

_LEVELS = {  # GRIB's typeOfLevel -> our unit and factor
    "isobaricInhPa": ("hPa", 1.0),
    "isobaricInPa": ("hPa", 0.01),
    "heightAboveGround": ("m", 1.0),
    "hybrid": ("model level", 1.0),
}
_KINDS = {
    "sh": "spherical-harmonic GRIB is not supported yet; interpolate to a grid first (for "
    "instance: cdo sp2gp, or MARS with GRID=)",
    "reduced_gg": "reduced Gaussian grids are not supported yet; interpolate to a regular one "
    "(cdo setgridtype,regular)",
    "reduced_ll": "reduced grids are not supported yet; interpolate to a regular one",
}
_MADE = {"an": "analysis", "fc": "forecast", "4v": "analysis"} | dict.fromkeys(
    ("cf", "pf"), "forecast"
)
_MISSING = 9.999e33
_LARGEST_GAUSS_NUMBER = 8000  # rows between a pole and the equator; a kilometre apart
# What comes of numbers in damaged headers, here and in eccodes.
_FAULTS = (ValueError, TypeError, ArithmeticError, LookupError, MemoryError)


def import_eccodes() -> ModuleType:
    """Returns eccodes, or says how to install it."""
    try:
        import eccodes
    except ImportError as error:
        raise ImportError(
            f"GRIB files need eccodes ({error}): pip install 'atmodist[grib]'"
        ) from error
    module: ModuleType = eccodes
    return module


def scan_grib(path: str, selection: Selection) -> Contents:
    """Lists the wanted fields of a file from its headers.

    Raises:
        BrokenFileError: If it is damaged or cut short.
        UnsupportedFileError: If a wanted field is on a grid that is not read, or in other units.
    """
    with _reporting(path):
        check_messages(path)
        return _scan(path, selection)


class GribReader(FileReader):
    """Reads fields of one GRIB file."""

    def __init__(self, path: str):
        self._path = path
        self._orientations: dict[str, Orientation] = {}

    def read(self, name: str, place: tuple[int, ...]) -> np.ndarray:
        """Reads one field.

        Args:
            name: Its short name; for messages only.
            place: Offset of the message in the file, and number of the field within it.

        Returns:
            (latitude, longitude), north to south, missing values as NaN.
        """
        eccodes = import_eccodes()
        offset, number = place
        with _reporting(self._path), _opened(self._path) as file:
            check_message(file, offset, self._path)
            file.seek(offset)
            for _ in range(number + 1):
                handle = eccodes.codes_grib_new_from_file(file)
            if handle is None:
                raise BrokenFileError(f"{self._path}: {name} is no longer where it was")
            try:
                return self._values(eccodes, handle)
            finally:
                eccodes.codes_release(handle)

    def _values(self, eccodes: ModuleType, handle: Any) -> np.ndarray:
        message = _Message(eccodes, handle)
        section = str(message["md5GridSection"])
        if section not in self._orientations:
            self._orientations[section] = _orientation(message)
        eccodes.codes_set(handle, "missingValue", _MISSING)
        values = eccodes.codes_get_values(handle)
        values[values == _MISSING] = np.nan  # whether by a bitmap or by the packing
        columns, rows = int(message["Ni"]), int(message["Nj"])
        if message["jPointsAreConsecutive"]:
            field = values.reshape(columns, rows).T
        else:
            field = values.reshape(rows, columns)
        return self._orientations[section].apply(field)


class _Key(NamedTuple):
    """What fields of one series have in common."""

    variable: str
    name: str
    level: Level
    grid: int
    member: int | None
    kind: str


def _scan(path: str, selection: Selection) -> Contents:
    found: dict[_Key, list[tuple[int, int, int, int]]] = {}
    grids: dict[str, int] = {}
    orientations: list[Orientation] = []
    others, notes = set(), []
    for message, place in _messages(path):
        name = str(message["shortName"])
        standard_name = str(message.get("cfName", ""))
        variable = selection.variable(name, standard_name, str(message["paramId"]))
        if variable is None:
            others.add(name)
            continue
        level, member = _level(message, name), _member(message)
        valid, lead = _valid_seconds(message, path), _lead_seconds(message, path)
        if not (
            selection.accepts(level)
            and selection.accepts_member(member)
            and selection.accepted_leads(np.array(lead))
        ):
            of = "" if member is None else f" of member {member}"
            others.add(f"{name} at {level}{of}, {lead / 3600:g} h ahead")
            continue
        kind = str(message["gridType"])
        if kind not in ("regular_ll", "regular_gg"):
            reason = _KINDS.get(kind, f"the GRIB grid type {kind!r} is not supported")
            raise UnsupportedFileError(f"{path}: {name}: {reason}")
        if message["alternativeRowScanning"]:
            raise UnsupportedFileError(f"{path}: {name}: rows that run to and fro are not read")
        note = check_units(variable, message.get("units"), f"{path}: {name}")
        notes += [note] if note else []
        grid = str(message["md5GridSection"])
        if grid not in grids:
            _require_all_points(message, path, name)
            grids[grid] = len(orientations)
            orientations.append(_orientation(message))
        made = _MADE.get(str(message.get("dataType", "")), "")
        key = _Key(variable, name, level, grids[grid], member, made)
        found.setdefault(key, []).append((valid, lead, *place))
    series = []
    for key, entries in found.items():
        table, turn = np.array(entries, np.int64), orientations[key.grid]
        series.append(
            Series(
                key.variable, key.name, key.level, turn.grid, turn.flipped, table[:, 0],
                table[:, 2:], key.member, table[:, 1], key.kind,
            )
        )  # fmt: skip
    return Contents(path, "standard", tuple(series), tuple(sorted(others)), tuple(set(notes)))


def _member(message: "_Message") -> int | None:
    """Number within an ensemble; None where a field belongs to none."""
    number = message.get("perturbationNumber")
    of_ensemble = message.get("numberOfForecastsInEnsemble", 0)
    if number is None or not (of_ensemble or number or message.get("dataType") in ("cf", "pf")):
        return None
    return int(number)


class _Message:
    """Keys of one message, as a mapping."""

    def __init__(self, eccodes: ModuleType, handle: Any):
        self._eccodes, self._handle = eccodes, handle

    def __getitem__(self, key: str) -> Any:
        return self._eccodes.codes_get(self._handle, key)

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except self._eccodes.KeyValueNotFoundError:
            return default


def _messages(path: str) -> Iterator[tuple[_Message, tuple[int, int]]]:
    """Yields headers, each with its offset and its number among the fields of one message."""
    eccodes = import_eccodes()
    with _opened(path) as file:
        file.seek(find_grib(path) or 0)  # eccodes would take the word GRIB of a text for a message
        last, number = -1, 0
        while True:
            handle = eccodes.codes_grib_new_from_file(file, headers_only=True)
            if handle is None:
                break
            try:
                offset = int(eccodes.codes_get_message_offset(handle))
                number = number + 1 if offset == last else 0
                last = offset
                yield _Message(eccodes, handle), (offset, number)
            finally:
                eccodes.codes_release(handle)
        if last < 0:
            raise BrokenFileError(f"{path} holds no GRIB message")


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    """Opens a file of which messages may hold several fields, as those of NCEP do."""
    eccodes = import_eccodes()
    eccodes.codes_grib_multi_support_on()
    with Path(path).open("rb", buffering=0) as file:
        try:
            yield file
        finally:  # eccodes would give what is left of a message to the next file
            eccodes.codes_grib_multi_support_reset_file(file)


@contextmanager
def _reporting(path: str) -> Iterator[None]:
    eccodes = import_eccodes()
    try:
        yield
    except (BrokenFileError, UnsupportedFileError):
        raise
    except eccodes.PrematureEndOfFileError:
        raise BrokenFileError(f"{path} is cut short") from None
    except (eccodes.CodesInternalError, *_FAULTS) as error:
        raise BrokenFileError(f"{path} is damaged ({error})") from error


def _level(message: _Message, name: str) -> Level:
    kind = str(message["typeOfLevel"])
    named = level_from_name(name)
    if kind == "surface" and named.value is not None:  # ECMWF: 10u is a field "at the surface"
        return named
    unit, factor = _LEVELS.get(kind, (kind, 1.0))
    return Level(float(message["level"]) * factor, unit)


def _valid_seconds(message: _Message, path: str) -> int:
    return _seconds(message, "validity", path)


def _lead_seconds(message: _Message, path: str) -> int:
    """Seconds from the start of the forecast, none for an analysis."""
    return _valid_seconds(message, path) - _seconds(message, "data", path)


def _seconds(message: _Message, which: str, path: str) -> int:
    date, time = int(message[f"{which}Date"]), int(message[f"{which}Time"])
    day = (date // 10000, date // 100 % 100, date % 100)
    try:
        return calendar.timegm((*day, time // 100, time % 100, 0))
    except ValueError:
        raise BrokenFileError(f"{path} has the impossible {which} date {date}") from None


def _require_all_points(message: _Message, path: str, name: str) -> None:
    columns, rows = int(message["Ni"]), int(message["Nj"])
    points = int(message["numberOfDataPoints"])
    if min(columns, rows) < 2 or columns * rows != points:
        raise BrokenFileError(
            f"{path} is damaged: {name} has {points} points, on a grid of {rows} x {columns}"
        )


def _orientation(message: _Message) -> Orientation:
    columns, rows = int(message["Ni"]), int(message["Nj"])
    ends = [float(message[f"latitudeOf{end}GridPointInDegrees"]) for end in ("First", "Last")]
    if str(message["gridType"]) == "regular_gg":
        latitude = _gauss_rows(int(message["N"]), ends, rows)
    else:
        latitude = np.linspace(ends[0], ends[1], rows)
    west, east = (
        float(message[f"longitudeOf{end}GridPointInDegrees"]) for end in ("First", "Last")
    )
    if message["iScansNegatively"]:
        west, east = east, west
    span = (east - west) % 360.0 or 360.0
    spacing = span / (columns - 1)
    if abs(span + spacing - 360.0) < 0.5 * spacing:  # headers are rounded to 1e-3 degrees
        spacing = 360.0 / columns
    longitude = west + spacing * np.arange(columns)
    return Orientation(latitude, longitude[::-1] if message["iScansNegatively"] else longitude)


def _gauss_rows(number: int, ends: list[float], rows: int) -> np.ndarray:
    """Latitudes of the 2 N Gauss rows between two of them; eccodes has crashed over wrong ones."""
    if not 1 <= number <= _LARGEST_GAUSS_NUMBER:
        raise ValueError(f"Gauss grid N{number}")
    every = gauss_latitudes(2 * number)
    latitude = every[(every < max(ends) + 0.5 / number) & (every > min(ends) - 0.5 / number)]
    if len(latitude) != rows:
        raise ValueError(f"{rows} rows between {ends[0]} and {ends[1]} of the Gauss grid N{number}")
    return latitude[::-1] if ends[0] < ends[1] else latitude


FORMAT = FileFormat(
    words="GRIB",
    recognises=lambda path: Path(path).is_file() and file_kind(path) == "grib",
    scan=scan_grib,
    open=GribReader,
)
