"""The folder of results: what `phire-eval` writes, and what its report and comparison read.

metrics.json        numbers by statistic and variable, with units, differences and intervals
metrics.csv         the same, one row for each number (infinite ones: see `summary_numbers`)
<statistic>.nc      spectra, maps, series: all candidates along "candidate"; the reference,
where it is described, is the first of them
fields.nc           the fields themselves, at the times that the report shows
manifest.json       how all of it was made
parts/              sums to go on from, of what was judged last; may be removed
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.channels import Channel
from atmodist.fields.described_grid import described_grid, grid_of
from atmodist.fields.time_axis import TimeAxis
from atmodist.files.outputs import atomic_path, plain_config, read_json, write_json, write_manifest
from evaluation.contract.statistic import Statistic
from evaluation.numerics.setting import Region, Setting
from evaluation.running.datasets import read_dataset
from evaluation.significance.summary_numbers import COLUMNS, Row, flat, nested
from evaluation.statistics import STATISTICS

if TYPE_CHECKING:
    import xarray as xr

COMMAND = "phire-eval"
MANIFEST, METRICS, TABLE = "manifest.json", "metrics.json", "metrics.csv"
PARTS = "parts"  # a folder
FIELDS = "fields"  # .nc; no statistic may have this name
FORMAT, FORMAT_VERSION = "atmodist-evaluation", 1


@dataclass(frozen=True)
class CandidateFacts:
    """What is known of a candidate.

    Attributes:
        about: Where its fields come from, in words.
        num_members: Of an ensemble; 1 if it is none.
        identity: What decides its fields, as JSON.
    """

    about: str
    num_members: int
    identity: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The results of one statistic for all candidates.

    Attributes:
        name: Of the statistic.
        title: Heading in the report.
        version: Of the statistic.
        options: Its settings.
        path: The NetCDF file.
    """

    name: str
    title: str
    version: int
    options: Mapping[str, Any]
    path: Path

    @property
    def dataset(self) -> "xr.Dataset":
        """The results, read from disk when they are used."""
        return read_dataset(self.path)

    @property
    def statistic(self) -> Statistic:
        """What made it, and draws it."""
        return STATISTICS[self.name]


@dataclass(frozen=True, kw_only=True)
class Results:
    """An evaluation that is done; its files lie in `folder`.

    Attributes:
        folder: Where they are.
        setting: Grid, channels, regions, ...
        time: Times used.
        reference: File of the reference.
        identity: What decides all results beside candidates and statistics, by name.
        candidates: By name, in order.
        baseline: The candidate that others are compared with.
        outcomes: By statistic, in order.
        rows: All numbers.
        left_out: Why statistics were left out, by name.
        notes: What the user should know.
        config: Of the run.
    """

    folder: Path
    setting: Setting
    time: TimeAxis
    reference: str
    identity: Mapping[str, Any]
    candidates: Mapping[str, CandidateFacts]
    baseline: str
    outcomes: Mapping[str, Outcome]
    rows: Sequence[Row]
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fields(self) -> "xr.Dataset":
        """Fields at the times that are shown, one variable for each channel."""
        return read_dataset(self.folder / f"{FIELDS}.nc")

    @property
    def manifest(self) -> Mapping[str, Any]:
        """How all was made, with versions and fingerprints."""
        return dict(read_json(self.folder / MANIFEST))

    def summary(self) -> str:
        """What was done, in a few lines."""
        lines = [
            f"{len(self.outcomes)} statistics of {', '.join(self.candidates)} against "
            f"{self.reference}, {self.time}"
        ]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"left out: {name}: {reason}" for name, reason in self.left_out.items()]
        return "\n".join(lines)


def write_results(results: Results, command: str = COMMAND) -> None:
    """Writes tables and manifest beside the NetCDF files, which are there already.

    Files of statistics that an earlier run left there, and this one has not, are removed.
    """
    folder = results.folder
    setting = results.setting
    before = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    for name in set(before.get("statistics", ())) - set(results.outcomes):
        (folder / f"{Path(name).name}.nc").unlink(missing_ok=True)
    titles = {name: outcome.title for name, outcome in results.outcomes.items()}
    write_json(
        folder / METRICS,
        {
            "reference": results.reference,
            "baseline": results.baseline,
            "times": _described_times(results.time),
            "candidates": {
                name: {"about": facts.about, "members": facts.num_members}
                for name, facts in results.candidates.items()
            },
            "notes": list(results.notes),
            "left_out": dict(results.left_out),
            "statistics": nested(results.rows, titles),
        },
    )
    _write_table(folder / TABLE, results.rows)
    write_manifest(
        folder / MANIFEST,
        command=command,
        config=results.config,
        seed=setting.seed,
        inputs={results.reference: str(results.identity.get("reference", ""))},
        format=FORMAT,
        version=FORMAT_VERSION,
        reference=results.reference,
        identity=dict(results.identity),
        candidates={name: asdict(facts) for name, facts in results.candidates.items()},
        baseline=results.baseline,
        statistics={
            name: {"title": o.title, "version": o.version, "options": dict(o.options)}
            for name, o in results.outcomes.items()
        },
        left_out=dict(results.left_out),
        notes=list(results.notes),
        setting={
            "grid": described_grid(setting.grid),
            "channels": [asdict(channel) for channel in setting.channels],
            "regions": plain_config(dict(setting.regions)),
            "seed": setting.seed,
            "radius": setting.radius,
            "encoder": setting.encoder,
        },
        times={"calendar": results.time.calendar, "seconds": results.time.seconds},
    )


def load_results(folder: str | Path) -> Results:
    """Reads what `write_results` wrote.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is something else, or files are missing.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise FileNotFoundError(f"{folder} holds no results of phire-eval: it has no {MANIFEST}")
    content = read_json(folder / MANIFEST)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{folder} holds no results of phire-eval, but other things")
    if content.get("version") != FORMAT_VERSION:
        raise ValueError(
            f"{folder}: version {content.get('version')!r} is unknown; this release reads "
            f"version {FORMAT_VERSION}"
        )
    try:
        return _loaded(folder, content)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / MANIFEST} is incomplete ({error!r})") from None


def require_own(folder: Path) -> None:
    """Refuses to write into a folder that holds anything but results of ours."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    manifest = folder / MANIFEST
    content = read_json(manifest) if manifest.is_file() else {}
    ours = str(content.get("command", "")).startswith(COMMAND) or (folder / PARTS).is_dir()
    if not ours:
        raise ValueError(f"{folder} holds other things; choose another --output")


def _loaded(folder: Path, content: dict[str, Any]) -> Results:
    about = content["setting"]
    grid = grid_of(about["grid"], f"the grid in {folder / MANIFEST}")
    if grid is None:
        raise KeyError("grid")
    setting = Setting(
        grid=grid,
        channels=tuple(Channel(**channel) for channel in about["channels"]),
        regions={
            name: None if box is None else Region(**box) for name, box in about["regions"].items()
        },
        seed=about["seed"],
        radius=about["radius"],
        encoder=about["encoder"],
    )
    outcomes = {
        name: Outcome(name=name, path=folder / f"{Path(name).name}.nc", **entry)
        for name, entry in content["statistics"].items()
    }
    return Results(
        folder=folder,
        setting=setting,
        time=TimeAxis(np.array(content["times"]["seconds"]), content["times"]["calendar"]),
        reference=content["reference"],
        identity=content["identity"],
        candidates={name: CandidateFacts(**facts) for name, facts in content["candidates"].items()},
        baseline=content["baseline"],
        outcomes=outcomes,
        rows=flat(read_json(folder / METRICS)["statistics"]),
        left_out=content["left_out"],
        notes=content["notes"],
        config=content["config"],
    )


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    more = dict.fromkeys(column for s in STATISTICS.values() for column in s.columns)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, (*COLUMNS, *more), restval="")
        writer.writeheader()
        writer.writerows(rows)


def _described_times(time: TimeAxis) -> dict[str, Any]:
    return {"number": len(time), "first": time.isoformat(0), "last": time.isoformat(-1)}
