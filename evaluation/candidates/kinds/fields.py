"""Fields on the grid of the reference, in files; several members are an ensemble."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.ingestion.sources import file_fingerprint
from evaluation.candidates.fields import Fields, common_times
from evaluation.candidates.kind import Candidate, Kind, Opening


@dataclass(frozen=True)
class StoredFields:
    """A candidate whose fields are in files: all members in one, or a file for each."""

    members: tuple[Fields, ...]

    @cached_property
    def seconds(self) -> np.ndarray:
        """Times that all members have."""
        return common_times([member.time.seconds for member in self.members])

    @property
    def num_members(self) -> int:
        """How many members."""
        return len(self.members)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Fingerprints of the files."""
        paths = dict.fromkeys(member.series.path for member in self.members)
        return {"fields": [file_fingerprint(path) for path in paths]}

    @property
    def about(self) -> str:
        """Names of the files."""
        first, last = self.members[0].series.path, self.members[-1].series.path
        return f"{first} ... {last}" if last != first else str(first)

    def read(self, second: int) -> Iterator[np.ndarray]:
        """Reads the members one by one."""
        for member in self.members:
            yield member.read(second)


class StoredKind(Kind):
    """See the module."""

    usage = "FILE, [FILE, FILE] or 'PATTERN'"
    about = (
        "fields on the grid of the reference; several files, or an axis of members, are an ensemble"
    )

    def default_name(self, value: str) -> str:
        """The name of the file, without its suffix."""
        return Path(value).stem

    def open(self, candidate: Candidate, opening: Opening) -> StoredFields:
        """Opens the files."""
        members = tuple(
            member for path in _files(candidate) for member in opening.members(path, candidate)
        )
        expected = opening.reference.series.grid
        for member in members:
            if not member.series.grid.matches(expected):
                raise ValueError(
                    f"candidate {candidate.name}: {member.series.path} is on the grid "
                    f"{member.series.grid}, and the reference on {expected}"
                )
        return StoredFields(members)


def _files(candidate: Candidate) -> list[str]:
    """Files of a candidate, patterns of names resolved."""
    paths = []
    for word in candidate.value:
        is_pattern = glob.has_magic(word) and not Path(word).exists()
        found = sorted(glob.glob(word)) if is_pattern else [word]  # noqa: PTH207  any folder
        if not found:
            raise FileNotFoundError(f"candidate {candidate.name}: no file matches {word}")
        paths += found
    return paths


KIND = StoredKind()
