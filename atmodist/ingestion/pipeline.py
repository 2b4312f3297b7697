"""Ingestion: from files of winds, or of vorticity and divergence, to one archive.

All files are scanned first, so that every fault that headers can tell is reported at once. Fields
are then made in time order and handed to the archive's writer one by one, so that memory holds a
few of them however many there are, and a run that was killed goes on after what it had written.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.archive import Archive, Compression
from atmodist.fields.archive_writer import ArchiveExistsError, ArchiveWriter
from atmodist.fields.cf.describe import some
from atmodist.fields.grid import require_contiguous
from atmodist.fields.time_axis import TimeAxis, format_seconds
from atmodist.fields.winds import Method
from atmodist.files.constants import EARTH_RADIUS
from atmodist.files.errors import BrokenFileError, UnsupportedFileError
from atmodist.files.outputs import manifest_path, write_manifest
from atmodist.files.workers import WorkerKilledError
from atmodist.ingestion.plan import Step, StepPlan, Variables, looked_for, plan_steps
from atmodist.ingestion.recognition import Contents, Selection
from atmodist.ingestion.sources import file_fingerprint, file_state, find_files, scan_file
from atmodist.ingestion.step import (
    StepRecipe,
    crop_grid,
)
from atmodist.ingestion.variables import MOTION, VARIABLES
from atmodist.ingestion.workers import make_steps

_NAME_HELP = "Name (or GRIB short name or paramId) of the {}, if it is not recognised."


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What comes first in the help; names of variables follow."""

    sources: tuple[str, ...] = field(
        metadata={
            "help": "GRIB and NetCDF files, Zarr stores, patterns of names, or folders, in any "
            "order."
        }
    )
    output: str
    """The archive to write, for instance winds.h5."""
    variables: Variables = "auto"
    """What to use: 'winds' computes vorticity and divergence from them; 'given' takes vorticity and
    divergence as they are; 'auto' takes them if both are there at all times, else uses winds. The
    name of a variable makes an archive of it alone, as it is."""
    level: float | None = None
    """Level, in hPa, m or model level as in the files; needed if they hold several."""


if TYPE_CHECKING:

    class _Names:
        """Names of variables in files, by variable."""
else:
    _Names = dataclasses.make_dataclass(
        "_Names",
        [
            (name, str | None, field(default=None, metadata={"help": _NAME_HELP.format(v.words)}))
            for name, v in VARIABLES.items()
        ],
        frozen=True,
        kw_only=True,
    )


@dataclass(frozen=True, kw_only=True)
class IngestConfig(_Names, _Subject):
    """Makes one archive of vorticity and divergence from files of winds, or of these themselves."""

    member: int | None = None
    """Member of an ensemble, as the files number it; needed if they hold several."""
    lead_hours: float | None = None
    """Take fields so many hours from the start of their forecast only (0 for analyses); needed if
    files hold several of one valid time."""
    time: str | None = None
    """Valid time of files that hold none, for instance 2025-12-01T00:00."""
    time_units: str | None = None
    """What the times count in files that do not say, for instance 'hours since 1996-01-05'."""
    latitude_range: tuple[float, float] | None = None
    """Keep this region only: [south, north] in degrees north."""
    longitude_range: tuple[float, float] | None = None
    """Keep this region only: [west, east] in degrees east; may cross 0 or 180."""
    method: Method = "auto"
    """How winds are differentiated: by spherical 'harmonics' (global files, before any cropping) or
    by finite 'differences'; 'auto' uses harmonics wherever the files are global."""
    truncation: int | None = None
    """Largest degree kept by harmonics; by default all that the grid resolves."""
    radius: float = EARTH_RADIUS
    """Radius of the Earth in metres."""
    skip_broken: bool = False
    """Leave out broken files, incomplete times and fields with missing values; what is left out
    makes a hole in time, which no pair of fields will span."""
    append: bool = False
    """Add later times to the archive that is there."""
    overwrite: bool = False
    """Replace a file that is there already, and is not this archive."""
    unusual_values: bool = False
    """Take winds, vorticity or divergence that no atmosphere has, rather than refuse them."""
    compression: Compression = "blosc2"
    """Lossless compression of the archive; 'gzip' is slow but read by every HDF5 program."""
    workers: int = 1
    """Processes that read and transform; the result does not depend on them."""

    def __post_init__(self) -> None:
        given: Any = self.sources
        if isinstance(given, str):  # would be taken letter by letter
            raise TypeError(f"`sources` must be a list of names; got {self.sources!r}")
        object.__setattr__(self, "sources", tuple(self.sources))
        if not self.sources:
            raise ValueError("`sources` must name at least one file, pattern or folder")
        if not str(self.output):
            raise ValueError("`output` must name the archive to write")
        if self.append and self.overwrite:
            raise ValueError("`append` keeps what `overwrite` would replace; give one of them")
        if self.workers < 1:
            raise ValueError(f"`workers` must be at least 1; got {self.workers}")
        if not self.radius > 0:
            raise ValueError(f"`radius` must be positive, in metres; got {self.radius}")
        if self.truncation is not None and self.truncation < 1:
            raise ValueError(f"`truncation` must be at least 1; got {self.truncation}")
        if self.latitude_range is not None:
            south, north = self.latitude_range
            if not -90 <= south < north <= 90:
                raise ValueError(
                    "`latitude_range` must be [south, north] within -90..90; got "
                    f"{list(self.latitude_range)}"
                )
        if self.longitude_range is not None:
            west, east = self.longitude_range
            if west == east or max(abs(west), abs(east)) > 540:
                raise ValueError(
                    "`longitude_range` must be [west, east] in degrees east; got "
                    f"{list(self.longitude_range)}"
                )

    @property
    def selection(self) -> Selection:
        """What is wanted of each file."""
        names = {name: str(getattr(self, name)) for name in VARIABLES if getattr(self, name)}
        time = None if self.time is None else TimeAxis(np.zeros(1)).parse(self.time)
        wanted = looked_for(self.variables)
        return Selection(
            names, self.level, self.time_units, time, wanted, self.member, self.lead_hours
        )


@dataclass(frozen=True)
class IngestSummary:
    """What was made.

    Attributes:
        path: The archive.
        time: Its times, with their holes.
        grid: Its grid, in words.
        existed: Whether the whole archive was there already, and nothing was done.
        resumed: Steps that were there already, from an earlier run or by appending.
        left_out: Files and times that were left out, in words.
        notes: What had to be assumed.
    """

    path: Path
    time: TimeAxis
    grid: str
    existed: bool
    resumed: int
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        text = f"Wrote {self.path}: {self.time}, {self.grid}"
        if self.existed:
            text = f"{self.path} exists already, nothing was done: {self.time}, {self.grid}"
        elif self.resumed:
            text += f"; {self.resumed} steps were there already"
        if self.left_out:
            text += f"; left out: {some(self.left_out, 3)}"
        if self.notes:
            text += f"; note: {some(self.notes, 2)}"
        return f"{text}. Next: rplearn-data {self.path}"


def ingest(config: IngestConfig) -> IngestSummary:
    """Makes an archive from files, or goes on making it after having been killed.

    Where the archive is there already, made from the same files with the same settings, nothing is
    done. A manifest is written beside it, `<full name of the archive>.manifest.json`.

    Raises:
        FileNotFoundError: If a source does not exist.
        ArchiveExistsError: If the output is another file, and neither `append` nor `overwrite`.
        ValueError: If files are broken (all are named), unsupported, incomplete, contradict each
            other, or hold missing values; says what to do.
        ImportError: If a package that reads or transforms them is not installed; says which.
        OSError: If the archive cannot be written, or a worker was killed.
    """
    output = Path(config.output)
    paths = find_files(config.sources)
    if output.exists() and any(output.samefile(path) for path in paths):
        raise ValueError(f"the output {output} is one of the sources; choose another name")
    contents, left_out = _scan(paths, config)
    plan = plan_steps(contents, config.selection, config.variables)
    if plan.incomplete and not config.skip_broken:
        raise ValueError(
            f"{len(plan.incomplete)} times are incomplete: {some(plan.incomplete)}; give "
            "--skip-broken to leave them out"
        )
    if config.truncation is not None and not plan.from_winds:
        raise ValueError(
            "`truncation` is for winds that are transformed; here vorticity and divergence are "
            "taken as they are (--variables winds would compute them)"
        )
    recipe = _recipe(plan, config)
    used = [item.path for item in contents if item.series]
    try:
        with ArchiveWriter(
            output,
            channels=plan.channels,
            grid=recipe.crop.region,
            calendar=plan.calendar,
            compression=config.compression,
            identity=_identity(config, contents),
            append=config.append,
            overwrite=config.overwrite,
            attributes=_attributes(plan, recipe, contents),
        ) as writer:
            resumed = len(writer.written)
            skipped = {} if writer.existed else _write(writer, plan, recipe, config)
            record = not (writer.existed and writer.is_recorded)
            # Before the parts are joined: of what is read here, a kill loses nothing.
            inputs = _fingerprints(used) if record else {}
    except ArchiveExistsError as error:
        raise ArchiveExistsError(f"{error}, or give --append to add later times to it") from None
    except WorkerKilledError:
        raise
    except OSError as error:
        if error.filename in paths:  # a source that vanished
            raise
        raise OSError(f"cannot write {output}: {error.strerror or error}") from error
    with Archive(output) as archive:
        missing = sorted({step.seconds for step in plan.steps} - {*archive.time.seconds.tolist()})
        summary = IngestSummary(
            output,
            archive.time,
            str(archive.grid),
            writer.existed,
            resumed,
            (*left_out, *plan.incomplete, *_reasons(missing, skipped, plan.calendar)),
            (*_discarded(writer), *plan.notes),
        )
    if not record:
        return summary
    write_manifest(
        manifest_path(output),
        command="atmodist ingest",
        config=config,
        inputs=inputs,
        identity=writer.identity,
        archive=str(output),
        channels=[channel.name for channel in plan.channels],
        steps=len(summary.time),
        segments=[len(segment) for segment in summary.time.segments()],
        left_out=summary.left_out,
        notes=summary.notes,
    )
    return summary


def _scan(paths: Sequence[str], config: IngestConfig) -> tuple[list[Contents], list[str]]:
    """Lists what files hold; broken ones all together are an error, or are left out."""
    from tqdm import tqdm

    contents, broken, unsupported = [], [], []
    for path in tqdm(paths, desc="scanning", unit="file", disable=None, leave=False):
        try:
            contents.append(scan_file(path, config.selection))
        except BrokenFileError as error:
            broken.append(str(error))
        except UnsupportedFileError as error:
            unsupported.append(str(error))
    if unsupported:
        raise UnsupportedFileError(some(unsupported, 3))
    if broken and not contents:
        raise BrokenFileError(f"no file can be read: {some(broken)}")
    if broken and not config.skip_broken:
        raise BrokenFileError(
            f"{len(broken)} of {len(paths)} files are broken: {some(broken)}; give --skip-broken "
            "to leave them out"
        )
    return contents, broken


def _recipe(plan: StepPlan, config: IngestConfig) -> StepRecipe:
    crop = crop_grid(plan.grid, config.latitude_range, config.longitude_range)
    require_contiguous(crop.region, "keep one side of it by --longitude_range or --latitude_range")
    if config.method == "harmonics" and not plan.grid.is_global:
        raise ValueError(f"spherical harmonics need global files; these are on {plan.grid}")
    recipe = StepRecipe(
        crop=crop,
        channels=plan.channels,
        from_winds=plan.from_winds,
        calendar=plan.calendar,
        radius=config.radius,
        truncation=config.truncation,
        method=config.method,
        nthreads=0 if config.workers == 1 else 1,  # 0: as many as there are
        unusual_values=config.unusual_values,
    )
    if plan.from_winds and not recipe.by_harmonics and config.truncation is not None:
        raise ValueError(f"`truncation` needs spherical harmonics; winds on {plan.grid} have none")
    return recipe


def _write(
    writer: ArchiveWriter, plan: StepPlan, recipe: StepRecipe, config: IngestConfig
) -> dict[int, str]:
    """Makes what is not yet written; returns why steps were left out, by time."""
    from tqdm import tqdm

    done = set(writer.written.tolist())
    last = int(writer.written[-1]) if done else None
    steps = [step for step in plan.steps if last is None or step.seconds > last]
    if config.append and done:
        _require_later(plan, done, steps)
    skipped: dict[int, str] = {}
    progress = tqdm(
        total=len(plan.steps), initial=len(plan.steps) - len(steps), desc="ingesting",
        unit="step", disable=None,
    )  # fmt: skip
    with progress:
        for step, result in make_steps(steps, recipe, config.workers):
            if isinstance(result, str):
                if not config.skip_broken:
                    raise BrokenFileError(result)
                skipped[step.seconds] = result
            else:
                writer.append(step.seconds, result)
            progress.update()
    if not len(writer.written):
        raise ValueError(f"no step is left: {some(skipped.values(), 3)}")
    return skipped


def _require_later(plan: StepPlan, done: set[int], later: Sequence[Step]) -> None:
    kept = {step.seconds for step in later}
    earlier = [s.seconds for s in plan.steps if s.seconds not in kept and s.seconds not in done]
    # Times that an interrupted run left out lie between its own and are no mistake.
    first_own = min((s.seconds for s in plan.steps if s.seconds in done), default=None)
    earlier = [seconds for seconds in earlier if first_own is None or seconds < first_own]
    if earlier:
        raise ValueError(
            f"cannot append {len(earlier)} times that are earlier than the end of the archive, "
            f"the first {format_seconds(earlier[0], plan.calendar)}; make a new archive from all "
            "files"
        )


def _reasons(missing: Sequence[int], skipped: dict[int, str], calendar: str) -> list[str]:
    unknown = "left out by an earlier run"
    return [f"{format_seconds(s, calendar)} ({skipped.get(s, unknown)})" for s in missing]


def _discarded(writer: ArchiveWriter) -> list[str]:
    if not writer.discarded:
        return []
    return [f"discarded {writer.discarded} steps of an interrupted run with other files or options"]


def _fingerprints(paths: Sequence[str]) -> dict[str, str]:
    from tqdm import tqdm

    bar = tqdm(paths, desc="fingerprints", unit="file", disable=None, leave=False)
    return {path: file_fingerprint(path) for path in bar}


def _identity(config: IngestConfig, contents: Sequence[Contents]) -> dict[str, object]:
    """What decides the fields: files as they are now, and options that change numbers."""
    options = dataclasses.asdict(config)
    for name in (
        "sources",
        "output",
        "workers",
        "append",
        "overwrite",
        "skip_broken",
        "compression",
    ):
        del options[name]
    # archives outlive new variables and options
    for name in (VARIABLES.keys() - {*MOTION}) | {"member", "lead_hours", "unusual_values"}:
        if options[name] is None or options[name] is False:
            del options[name]
    paths = sorted({Path(item.path).resolve() for item in contents if item.series})
    return {"options": options, "files": [file_state(path) for path in paths]}


def _attributes(plan: StepPlan, recipe: StepRecipe, contents: Sequence[Contents]) -> dict[str, str]:
    used = sorted(Path(item.path).name for item in contents if item.series)
    if not plan.from_winds:
        how = "as given"
    elif recipe.by_harmonics:
        degree = recipe.truncation or plan.grid.max_truncation
        how = f"from winds by vector spherical harmonics to degree {degree}"
    else:
        how = "from winds by finite differences"
    names = " and ".join(channel.name for channel in plan.channels)
    return {
        "title": f"{names}, {recipe.crop.region}",
        "source": f"{len(used)} files, {some(used, 3)}",
        "history": f"atmodist ingest: {names} {how}, radius {recipe.radius:g} m",
    }
