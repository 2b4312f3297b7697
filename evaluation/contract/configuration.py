"""What `phire-eval` is told: its configuration, checked, without importing anything heavy.

A candidate is written `name=KIND:VALUE`, with the kinds of `evaluation.candidates.kinds`, or as one
or several files. In YAML, `candidates` maps names to the same words.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from atmodist.files.constants import EARTH_RADIUS
from evaluation.candidates.kind import FILES, Candidate, Inputs
from evaluation.candidates.kinds import KINDS
from evaluation.contract.regions import named_regions
from evaluation.numerics.setting import REFERENCE, Region

MAX_MEMBERS = 1000
_NAME = re.compile(r"\w[\w .+@()-]*")
_KIND = re.compile(r"[a-z_]{2,}")  # a single letter is a drive


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Judges fields against a reference: spectra, errors, distributions, structure; one report."""

    reference: str = field(
        metadata={"help": "Archive, NetCDF file or Zarr store of the fields taken as the truth."}
    )
    candidates: dict[str, str | list[str]] | list[str]
    """What is judged, any number of name=WHAT: name=sr.h5, an ensemble 'name=member-*.h5', or
    name=KIND:VALUE. All kinds stand at the end of this help."""
    output: str = "report"
    """Folder for report.html, metrics.json, metrics.csv and NetCDF files. Run again with another
    candidate or option, it computes only what is new."""
    statistics: list[str] | None = None
    """Names of statistics, such as power_spectrum errors; the usual ones by default. All names
    stand at the end of this help."""
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Options of statistics, by name of the statistic, best given in YAML."""
    regions: dict[str, list[float] | None] | list[str] | None = None
    """Regions beside the globe: names such as europe tropics north_atlantic southern_ocean, or
    name=south,north,west,east in degrees. Unless given, the tropics and the extratropics of both
    hemispheres, where the reference is global."""
    channels: list[str] | None = None
    """Names of the channels that are judged; by default all of an archive, or divergence and
    vorticity."""
    factor: int | None = None
    """Points per coarse cell in each direction that interpolations begin from; by default that of
    the generators."""
    low_archive: str | None = None
    """File of low-resolution fields that generators and interpolations begin from; block means of
    the reference by default."""
    members: int = 1
    """Members of each stochastic generator."""
    unusual_values: bool = False
    """Read winds, vorticity or divergence that no atmosphere has, rather than refuse them."""
    encoder: str | None = None
    """Encoder package or address, for the learned distance and projections."""
    baseline: str | None = None
    """The candidate that others are compared with; the first one by default."""
    start: str | None = None
    """First time, for instance 2018-10-06; the first of all by default."""
    end: str | None = None
    """Last time; the last of all by default."""
    every: int = 1
    """Every how many of the times are used."""
    picture_times: list[str] | None = None
    """Times whose fields are shown; the first, the middle and the last one by default."""
    resamples: int | None = None
    """Has no effect: intervals are computed, not drawn. Kept for configurations of version 0.1."""
    seed: int = 0
    """Of all that is drawn: pairs of points, projections, sign flips, noise."""
    radius: float = EARTH_RADIUS
    """Radius of the Earth in metres."""
    workers: int | None = None
    """Processes that compute; all cores by default. Results do not depend on them, but for
    rounding in what uses threads itself."""
    scheduler: str | None = None
    """Address of a dask.distributed scheduler, whose workers see the same files, to compute
    there."""

    def __post_init__(self) -> None:
        names = [candidate.name for candidate in self.parsed]
        self.own_regions  # noqa: B018  complains of wrong ones
        least = {"members": 1, "every": 1, "seed": 0, "workers": 1, "factor": 2}
        for name, limit in least.items():
            value = getattr(self, name)
            if value is not None and value < limit:
                raise ValueError(f"`{name}` must be at least {limit}; got {name}={value}")
        if self.members > MAX_MEMBERS:
            raise ValueError(f"`members` must be at most {MAX_MEMBERS}; got {self.members}")
        if not self.radius > 0:
            raise ValueError(f"`radius` must be positive, in metres; got {self.radius}")
        for name in ("statistics", "channels", "picture_times"):
            if getattr(self, name) == []:
                raise ValueError(f"`{name}` must name at least one, or be left out")
        if self.baseline is not None and self.baseline not in names:
            raise ValueError(
                f"`baseline` must be one of the candidates {', '.join(names)}; "
                f"got {self.baseline!r}"
            )
        if self.workers is not None and self.scheduler is not None:
            raise ValueError("`scheduler` has workers of its own; leave `workers` out")
        if not self.output:
            raise ValueError("`output` must name a folder")

    @cached_property
    def parsed(self) -> tuple[Candidate, ...]:
        """The candidates."""
        return parse_candidates(self.candidates)

    @property
    def own_regions(self) -> dict[str, Region] | None:
        """The regions that were asked for, without the globe; None if nobody asked."""
        return None if self.regions is None else named_regions(self.regions)

    @property
    def has_networks(self) -> bool:
        """Whether neural networks have to be run, and what runs them to be imported."""
        return self.encoder is not None or any(KINDS[c.kind].has_networks for c in self.parsed)

    @property
    def inputs(self) -> Inputs:
        """What is to be opened."""
        return Inputs(
            reference=self.reference,
            candidates=self.parsed,
            channels=None if self.channels is None else tuple(self.channels),
            factor=self.factor,
            low_archive=self.low_archive,
            members=self.members,
            seed=self.seed,
            unusual_values=self.unusual_values,
        )

    @property
    def folder(self) -> Path:
        """Where results go."""
        return Path(self.output)


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """Joins finished runs of phire-eval with the same reference into one report."""

    runs: list[str] = field(metadata={"help": "Folders that phire-eval has made."})
    output: str = "comparison"
    """Folder for the joined report, tables and NetCDF files."""
    baseline: str | None = None
    """The candidate that others are compared with; that of the first run by default."""
    resamples: int | None = None
    """Has no effect: intervals are computed, not drawn. Kept for configurations of version 0.1."""

    def __post_init__(self) -> None:
        if len(self.runs) < 2:
            raise ValueError(f"there must be at least two runs to compare; got {len(self.runs)}")
        if not self.output:
            raise ValueError("`output` must name a folder")


def parse_candidates(given: Mapping[str, Any] | Sequence[str]) -> tuple[Candidate, ...]:
    """Candidates as they are written in YAML (by name) or as flags (`name=WHAT`)."""
    if isinstance(given, Mapping):
        found = [_candidate(str(name), what) for name, what in given.items()]
    else:
        found = [_candidate(*_split(word)) for word in given]
    if not found:
        raise ValueError("there is nothing to judge: name at least one of `candidates`")
    names = [candidate.name for candidate in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two candidates are called {name!r}; give them names: a=... b=...")
    return tuple(found)


def _split(word: str) -> tuple[str, str]:
    """Name and what it stands for; what has no name gets one."""
    name, equals, what = word.partition("=")
    if equals and _NAME.fullmatch(name):
        return name, what
    kind, _, value = word.partition(":")
    if kind in KINDS and value:
        return KINDS[kind].default_name(value), word
    return KINDS[FILES].default_name(word), word


def _candidate(name: str, what: Any) -> Candidate:
    if not _NAME.fullmatch(name) or name == REFERENCE:
        raise ValueError(
            f"a candidate cannot be called {name!r}: names have letters, digits, spaces, ._+-@(), "
            f"and not {REFERENCE!r}; write name=PATH"
        )
    if isinstance(what, str) and what.startswith("[") and what.endswith("]"):
        what = [word.strip() for word in what[1:-1].split(",")]
    if not isinstance(what, str):
        paths = tuple(str(path) for path in what or ())
        if not paths or not all(paths):
            raise ValueError(f"candidate {name}: no files are named")
        return Candidate(name=name, kind=FILES, value=paths)
    kind, colon, value = what.partition(":")
    if not colon or kind not in KINDS:
        if colon and _KIND.fullmatch(kind) and not value.startswith("//"):
            _require_file(name, kind, what)
        kind, value = FILES, what
    if not value:
        raise ValueError(f"candidate {name}: nothing stands after {kind!r}; see --help")
    try:
        KINDS[kind].check(value)
    except ValueError as error:
        raise ValueError(f"candidate {name}: {error}") from None
    return Candidate(name=name, kind=kind, value=(value,))


def _require_file(name: str, kind: str, what: str) -> None:
    """Refuses what looks like a kind that there is not."""
    if not Path(what).exists():
        usages = "; ".join(KINDS[known].usage for known in KINDS)
        raise ValueError(
            f"candidate {name}: there is no kind {kind!r}, and no file {what}; candidates are "
            f"{usages}"
        )
