"""A shard of a set of records as `records.json` lists it, and how what stands there is checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atmodist.records.frames import SHARD_NAME, RecordsDigest


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file of records.

    Attributes:
        name: File name within the folder.
        num_records: How many records it holds; None if nobody counted.
        num_bytes: Its length.
        digest: `RecordsDigest` of its records; None if nobody computed it.
    """

    name: str
    num_records: int | None
    num_bytes: int
    digest: str | None = None

    @classmethod
    def measure(
        cls, path: str | Path, num_records: int | None, digest: str | None = None
    ) -> "Shard":
        """Describes the file at `path`; its digest is computed unless it is given."""
        path = Path(path)
        return cls(
            name=path.name,
            num_records=num_records,
            num_bytes=path.stat().st_size,
            digest=digest or RecordsDigest.of(path),
        )


class WrongContentError(Exception):
    """What is wrong in `records.json`."""


def checked_shape(name: str, value: Any) -> tuple[int, int]:
    """A list of two positive integers, as a tuple; else `WrongContentError`."""
    if not isinstance(value, list) or len(value) != 2:
        raise WrongContentError(f"{name} must be two integers; got {value!r}")
    rows, columns = (positive(name, size) for size in value)
    return rows, columns


def positive(name: str, value: Any, least: int = 1) -> int:
    """An integer that is large enough; else `WrongContentError`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise WrongContentError(f"{name} must be an integer >= {least}; got {value!r}")
    return value


def shard_from_json(content: dict[str, Any]) -> Shard:
    """An entry of `records.json`, checked; else `WrongContentError` or `TypeError`."""
    shard = Shard(**content)
    # A name is used to open a file: it must not lead out of the folder.
    if not isinstance(shard.name, str) or not SHARD_NAME.fullmatch(shard.name):
        raise WrongContentError(f"{shard.name!r} is not the name of a shard")
    positive("num_bytes", shard.num_bytes, least=0)
    if shard.num_records is not None:
        positive("num_records", shard.num_records, least=0)
    return shard
