"""Runs an evaluation: from a configuration to a folder of results.

What units of work return (`work_units`) is merged in the order of time whatever the number of
workers (`progress`), and kept (`partial_sums`) every now and then, so that a run goes on where it
was and computes only what is new. Sums are over the times that the reference
and all candidates have: where another candidate changes these, all is new, and that is said. Memory
holds the sums of one candidate and those of the units under way, however many times there are.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from atmodist.fields.time_axis import TimeAxis
from atmodist.files.locking import locked
from atmodist.files.outputs import digest, fingerprint, plain_config, read_json
from atmodist.ingestion.sources import file_fingerprint
from evaluation.candidates.candidates import Sources, matched_times, open_sources
from evaluation.contract.configuration import EvaluationConfig
from evaluation.contract.regions import with_globe
from evaluation.contract.statistic import Statistic
from evaluation.drawing.pictures import choose_times
from evaluation.numerics.setting import REFERENCE, Setting
from evaluation.running.datasets import joined, joined_fields, write_dataset
from evaluation.running.partial_sums import Parts
from evaluation.running.progress import Tasks
from evaluation.running.results import (
    COMMAND,
    FIELDS,
    MANIFEST,
    PARTS,
    CandidateFacts,
    Outcome,
    Results,
    require_own,
    write_results,
)
from evaluation.running.work_units import WorkPlan, compute, read_fields
from evaluation.significance.summary_numbers import numbers
from evaluation.statistics import STATISTICS

FORMAT = 2  # of parts; raised when they mean something else
LOCK = ".lock"


def evaluate(
    config: EvaluationConfig, statistics: Mapping[str, Statistic] | None = None
) -> Results:
    """Judges candidates, or goes on judging them, and writes all but the report.

    Warns where the common times have changed, so that nothing done before is of use.

    Args:
        config: What to judge, and how.
        statistics: Those that can be asked for; by default all of `evaluation.statistics`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If files do not belong together, values are missing, or names are unknown.
    """
    statistics = STATISTICS if statistics is None else statistics
    chosen = _chosen(config, statistics)
    folder = config.folder
    require_own(folder)
    with locked(folder / LOCK, folder), open_sources(config.inputs) as sources:
        return _Run(config, sources, chosen, statistics).run()


class _Run:
    """One evaluation from open sources to written results."""

    def __init__(
        self,
        config: EvaluationConfig,
        sources: Sources,
        chosen: Mapping[str, Statistic],
        known: Mapping[str, Statistic],
    ):
        self.config = config
        self.known = known
        self.sources = sources
        self.parts = Parts(config.folder / PARTS)
        self.notes = list(sources.notes)
        setting = Setting(
            grid=sources.grid,
            channels=sources.channels,
            regions=with_globe(config.own_regions, sources.grid),
            seed=config.seed,
            radius=config.radius,
            encoder=config.encoder,
        )
        time = sources.reference.time
        steps = time.select(config.start, config.end)
        seconds, note = matched_times(
            sources, time.seconds[steps.start : steps.stop : config.every]
        )
        self.notes += [note] if note else []
        self.time = TimeAxis(seconds, time.calendar)
        self.left_out = {
            name: reason
            for name, statistic in chosen.items()
            if (reason := _lacking(statistic, setting, sources))
        }
        left = {name: s for name, s in chosen.items() if name not in self.left_out}
        if not left:
            raise ValueError(
                "no statistic can be computed: "
                + "; ".join(f"{name}: {reason}" for name, reason in self.left_out.items())
            )
        self.notes += _judged_by_means(sources, left)
        options = {name: config.options.get(name, {}) for name in left}
        self.plan = WorkPlan(
            inputs=config.inputs, setting=setting, seconds=seconds, statistics=left,
            options=options,
        )  # fmt: skip
        for name in left:
            self._check_options(name)
        self.identities = {name: source.identity for name, source in sources.candidates.items()}
        self.common = {
            "format": FORMAT,
            "reference": file_fingerprint(config.reference),
            "channels": [[c.name, c.units] for c in sources.channels],
            "times": digest([time.calendar, seconds]),
            "regions": plain_config(dict(setting.regions)),
            "encoder": _encoder_identity(config.encoder),
            "radius": config.radius,
            "seed": config.seed,
        }

    def run(self) -> Results:
        tasks = {
            candidate: Tasks(self.plan, candidate, self._identities(candidate), self.parts)
            for candidate in (REFERENCE, *self.sources.candidates)
        }
        units = [unit for task in tasks.values() for unit in task.units()]
        blocks = self.plan.blocks
        total = len(tasks) * len(self.plan.seconds)
        left = sum(len(blocks[unit.block]) for unit in units)
        if units:
            self._tell_of_changed_times()
        with tqdm(
            total=total, initial=total - left, desc=COMMAND, unit="field", disable=None
        ) as progress:
            try:
                for unit, arrays in compute(self.plan, units, self.config, self.sources):
                    tasks[unit.candidate].add(unit, arrays)
                    progress.update(len(blocks[unit.block]))
            except BaseException:  # Ctrl-C, or values that are missing: go on from here next time
                for task in tasks.values():
                    task.save()
                raise
        results = self._results(tasks)
        self.parts.keep_only(self._of_use())
        return results

    def _results(self, tasks: Mapping[str, Tasks]) -> Results:
        facts = {
            name: CandidateFacts(source.about, source.num_members, self.identities[name])
            for name, source in self.sources.candidates.items()
        }
        baseline = self.config.baseline or next(iter(facts))
        folder, outcomes, rows = self.config.folder, {}, []
        for name, statistic in self.plan.statistics.items():
            parts = {c: task.result(name) for c, task in tasks.items() if name in task.identities}
            dataset = joined(parts, self.time.calendar)
            rows += numbers(name, dataset, baseline)
            rows += statistic.rows(dataset, seed=self.config.seed)
            outcomes[name] = Outcome(
                name=name, title=statistic.title, version=statistic.version,
                options=dict(self.plan.options[name]),
                path=write_dataset(folder / f"{name}.nc", dataset),
            )  # fmt: skip
        write_dataset(folder / f"{FIELDS}.nc", self._fields())
        results = Results(
            folder=folder,
            setting=self.plan.setting,
            time=self.time,
            reference=self.config.reference,
            identity=plain_config(self.common),
            candidates=facts,
            baseline=baseline,
            outcomes=outcomes,
            rows=rows,
            left_out=self.left_out,
            notes=self.notes,
            config=plain_config(self.config),
        )
        write_results(results)
        return results

    def _identities(self, candidate: str) -> dict[str, str]:
        """Digest of all that decides each statistic of a candidate."""
        found = {}
        for name, statistic in self.plan.statistics.items():
            if candidate == REFERENCE and not statistic.of_reference:
                continue
            members = self._members(candidate)
            if "members" in statistic.needs and members == 1:
                continue
            found[name] = self._identity(candidate, statistic)
        return found

    def _identity(self, candidate: str, statistic: Statistic) -> str:
        options = self.plan.options.get(statistic.name, {})
        about = {
            "candidate": self.identities.get(candidate, REFERENCE),
            "statistic": [statistic.name, statistic.version, options],
            "block": len(self.plan.blocks[0]),
        }
        return digest({**self.common, **about})

    def _of_use(self) -> list[tuple[str, str]]:
        """Parts that the same inputs need again, for statistics that this run left alone too."""
        found = []
        for candidate in (REFERENCE, *self.sources.candidates):
            found.append((FIELDS, self._fields_identity(candidate)))
            found += [(s.name, self._identity(candidate, s)) for s in self.known.values()]
        return found

    def _tell_of_changed_times(self) -> None:
        """Says so where nothing that an earlier run has kept can be of use."""
        path = self.config.folder / MANIFEST
        before = read_json(path) if path.is_file() else {}
        ours, theirs = plain_config(self.common), before.get("identity", {})
        if [key for key in ours if ours[key] != theirs.get(key)] == ["times"]:
            times = TimeAxis(np.array(before["times"]["seconds"]), before["times"]["calendar"])
            warnings.warn(
                f"the common times changed from {_span(times)} to {_span(self.time)}: everything "
                "is computed anew",
                UserWarning,
                stacklevel=4,
            )

    def _members(self, candidate: str) -> int:
        return 1 if candidate == REFERENCE else self.sources.candidates[candidate].num_members

    def _check_options(self, name: str) -> None:
        try:
            self.plan.accumulator(name)
        except (TypeError, ValueError) as error:
            raise ValueError(f"statistic {name}: {error}") from None

    def _fields(self) -> Any:
        """Fields of all at the times that are shown."""
        shown, fields = self._shown(), {}
        for candidate in (REFERENCE, *self.sources.candidates):
            identity = self._fields_identity(candidate)
            _, kept = self.parts.load(FIELDS, identity)
            if "fields" not in kept:
                values = [read_fields(self.sources, candidate, second)[0] for second in shown]
                kept = {"fields": np.stack(values, axis=1)}
                self.parts.save(FIELDS, identity, 1, kept)
            fields[candidate] = kept["fields"]
        return joined_fields(fields, shown, self.plan.setting, self.time.calendar)

    def _fields_identity(self, candidate: str) -> str:
        who = self.identities.get(candidate, REFERENCE)
        return digest({**self.common, "candidate": who, "shown": self._shown()})

    def _shown(self) -> list[int]:
        seconds = self.time.seconds
        if self.config.picture_times is None:
            return [int(seconds[i]) for i in choose_times(len(seconds))]
        shown = []
        for text in self.config.picture_times:
            second = self.time.parse(text)
            if second not in seconds:
                raise ValueError(
                    f"`picture_times`: {text} is none of the {len(seconds)} times used, "
                    f"{self.time.isoformat(0)} to {self.time.isoformat(-1)}"
                )
            shown.append(second)
        return sorted(set(shown))


def _chosen(config: EvaluationConfig, known: Mapping[str, Statistic]) -> dict[str, Statistic]:
    """The statistics that are asked for, in the order they are asked for."""
    names = config.statistics or [name for name, s in known.items() if s.default]
    if not names:
        raise ValueError(
            "`statistics` must name some of those that run only if they are asked for: "
            f"{', '.join(known) or 'there are none'}"
        )
    for name in (*names, *config.options):
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ValueError(f"there is no statistic {name!r}; there are {listed}")
    idle = [name for name in config.options if name not in names]
    if idle:
        raise ValueError(f"`options` are given for {idle[0]}, which is not among `statistics`")
    return {name: known[name] for name in names}


def _lacking(statistic: Statistic, setting: Setting, sources: Sources) -> str | None:
    """Why a statistic cannot be computed, if so."""
    names = {channel.name for channel in setting.channels}
    if "sphere" in statistic.needs and not setting.grid.is_global:
        return "it needs a global grid"
    if "winds" in statistic.needs and not {"divergence", "vorticity"} <= names:
        return "it needs both divergence and vorticity"
    if "encoder" in statistic.needs and setting.encoder is None:
        return "it needs an encoder (--encoder)"
    several = any(source.num_members > 1 for source in sources.candidates.values())
    if "members" in statistic.needs and not several:
        return "no candidate has members"
    return None


def _judged_by_means(sources: Sources, statistics: Mapping[str, Statistic]) -> list[str]:
    """What is judged of candidates with members, in words."""
    of_members = ", ".join(name for name, s in statistics.items() if "members" in s.needs)
    but = f"; these themselves are judged by {of_members} alone" if of_members else ""
    return [
        f"{name}: the mean of its {source.num_members} members, which is judged, is smoother than "
        f"each of them{but}"
        for name, source in sources.candidates.items()
        if source.num_members > 1
    ]


def _span(time: TimeAxis) -> str:
    return f"{len(time)} ({time.isoformat(0)} to {time.isoformat(-1)})"


def _encoder_identity(encoder: str | None) -> Any:
    """Digests of the files of a package; an address stands for itself."""
    if encoder is None or not Path(encoder).is_dir():
        return encoder
    files = [p for p in sorted(Path(encoder).iterdir()) if p.suffix in (".keras", ".json")]
    names = ("encoder.keras", "normalization.json", "calibration.json")
    return [[p.name, fingerprint(p)] for p in files if p.name in names]
