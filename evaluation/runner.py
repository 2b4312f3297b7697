"""Runs an evaluation: from a configuration to a folder of results.

What units of work return (`evaluation.computation`) is merged in the order of time whatever the
number of workers, and kept (`evaluation.parts`) every now and then, so that a run goes on where it
was and computes only what is new. Memory holds the sums of one candidate and those of the units
under way, however many times there are.
"""

import time as clock
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from atmodist.fields.time_axis import TimeAxis
from atmodist.ingestion.sources import file_fingerprint
from atmodist.locking import locked
from atmodist.outputs import digest, fingerprint, plain_config
from evaluation.candidates import Inputs, Sources, matched_times, open_sources
from evaluation.computation import Arrays, Plan, Unit, compute, read_fields
from evaluation.configuration import EvaluationConfig
from evaluation.datasets import joined, joined_fields, write_dataset
from evaluation.numbers import Bootstrap, numbers
from evaluation.parts import Parts
from evaluation.pictures import choose_times
from evaluation.regions import with_globe
from evaluation.results import (
    COMMAND,
    FIELDS,
    PARTS,
    CandidateFacts,
    Outcome,
    Results,
    require_own,
    write_results,
)
from evaluation.statistic import REFERENCE, Accumulator, Setting, Statistic
from evaluation.statistics import known

FORMAT = 2  # of parts; raised when they mean something else
SAVE_SECONDS = 30.0  # between two times that sums are kept
SAVE_SHARE = 0.1  # of the run that may be spent on keeping them
LOCK = ".lock"


def evaluate(
    config: EvaluationConfig, statistics: Mapping[str, Statistic] | None = None
) -> Results:
    """Judges candidates, or goes on judging them, and writes all but the report.

    Args:
        config: What to judge, and how.
        statistics: Those that can be asked for; by default all of `evaluation.statistics`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If files do not belong together, values are missing, or names are unknown.
    """
    chosen = _chosen(config, known() if statistics is None else statistics)
    folder = config.folder
    require_own(folder)
    with locked(folder / LOCK, folder), open_sources(Inputs.of(config)) as sources:
        return _Run(config, sources, chosen).run()


class _Run:
    """One evaluation from open sources to written results."""

    def __init__(self, config: EvaluationConfig, sources: Sources, chosen: Mapping[str, Statistic]):
        self.config = config
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
        options = {name: config.options.get(name, {}) for name in left}
        self.plan = Plan(
            inputs=Inputs.of(config), setting=setting, seconds=seconds, statistics=left,
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
            candidate: _Tasks(self.plan, candidate, self._identities(candidate), self.parts)
            for candidate in (REFERENCE, *self.sources.candidates)
        }
        units = [unit for task in tasks.values() for unit in task.units()]
        blocks = self.plan.blocks
        total = len(tasks) * len(self.plan.seconds)
        left = sum(len(blocks[unit.block]) for unit in units)
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
        return self._results(tasks)

    def _results(self, tasks: "Mapping[str, _Tasks]") -> Results:
        facts = {
            name: CandidateFacts(source.about, source.num_members, self.identities[name])
            for name, source in self.sources.candidates.items()
        }
        baseline = self.config.baseline or next(iter(facts))
        bootstrap = Bootstrap(self.config.resamples, self.config.seed)
        folder, outcomes, rows = self.config.folder, {}, []
        for name, statistic in self.plan.statistics.items():
            parts = {c: task.result(name) for c, task in tasks.items() if name in task.identities}
            dataset = joined(parts, self.time.calendar)
            rows += numbers(name, dataset, baseline, bootstrap)
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
        plan, found = self.plan, {}
        for name, statistic in plan.statistics.items():
            if candidate == REFERENCE and not statistic.of_reference:
                continue
            members = self._members(candidate)
            if "members" in statistic.needs and members == 1:
                continue
            about = {
                "candidate": self.identities.get(candidate, REFERENCE),
                "statistic": [name, statistic.version, plan.options[name]],
                "block": len(plan.blocks[0]),
            }
            found[name] = digest({**self.common, **about})
        return found

    def _members(self, candidate: str) -> int:
        return 1 if candidate == REFERENCE else self.sources.candidates[candidate].num_members

    def _check_options(self, name: str) -> None:
        try:
            self.plan.accumulator(name)
        except (TypeError, ValueError) as error:
            raise ValueError(f"statistic {name}: {error}") from None

    def _fields(self) -> Any:
        """Fields of all at the times that are shown."""
        shown = self._shown()
        fields = {}
        for candidate in (REFERENCE, *self.sources.candidates):
            who = self.identities.get(candidate, REFERENCE)
            identity = digest({**self.common, "candidate": who, "shown": shown})
            _, kept = self.parts.load("fields", identity)
            if "fields" not in kept:
                values = [read_fields(self.sources, candidate, second)[0] for second in shown]
                kept = {"fields": np.stack(values, axis=1)}
                self.parts.save("fields", identity, 1, kept)
            fields[candidate] = kept["fields"]
        return joined_fields(fields, shown, self.plan.setting, self.time.calendar)

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


class _Tasks:
    """The statistics of one candidate: what is done, and what is left to do."""

    def __init__(self, plan: Plan, candidate: str, identities: dict[str, str], parts: Parts):
        self.plan = plan
        self.candidate = candidate
        self.identities = identities
        self.parts = parts
        self.sums: dict[str, Accumulator] = {}
        self.done: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.saved_at, self.save_took = clock.monotonic(), 0.0
        for name, identity in identities.items():
            self.done[name] = self.kept[name] = parts.done(name, identity)

    def units(self) -> list[Unit]:
        """What is left, in the order of time."""
        found = []
        for block in range(len(self.plan.blocks)):
            names = tuple(name for name, done in self.done.items() if done <= block)
            found += [Unit(self.candidate, block, names)] if names else []
        return found

    def add(self, unit: Unit, arrays: Mapping[str, Arrays]) -> None:
        """Merges the next block, and keeps what there is every now and then."""
        for name in unit.names:
            later = self._restored(name, arrays[name])
            if name not in self.sums and self.done[name]:
                _, before = self.parts.load(name, self.identities[name])
                self.sums[name] = self._restored(name, before)
            if name in self.sums:
                self.sums[name].merge(later)
            else:
                self.sums[name] = later
            self.done[name] = unit.block + 1
        is_last = unit.block + 1 == len(self.plan.blocks)
        pause = max(SAVE_SECONDS, self.save_took / SAVE_SHARE)
        if is_last or clock.monotonic() - self.saved_at > pause:
            self.save()
        if is_last:
            self.sums.clear()

    def save(self) -> None:
        """Keeps what is not kept yet."""
        start = clock.monotonic()
        for name, sums in self.sums.items():
            if self.kept[name] < self.done[name]:
                self.parts.save(name, self.identities[name], self.done[name], sums.arrays())
                self.kept[name] = self.done[name]
        self.saved_at = clock.monotonic()
        self.save_took = self.saved_at - start

    def result(self, name: str) -> Any:
        """The result of a statistic that is done."""
        return self._restored(name, self.parts.load(name, self.identities[name])[1]).result()

    def _restored(self, name: str, arrays: Mapping[str, np.ndarray]) -> Accumulator:
        accumulator = self.plan.accumulator(name)
        accumulator.restore(arrays)
        return accumulator


def _chosen(config: EvaluationConfig, known: Mapping[str, Statistic]) -> dict[str, Statistic]:
    """The statistics that are asked for, in the order they are asked for."""
    names = config.statistics or [name for name, s in known.items() if s.default]
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


def _encoder_identity(encoder: str | None) -> Any:
    """Digests of the files of a package; an address stands for itself."""
    if encoder is None or not Path(encoder).is_dir():
        return encoder
    files = [p for p in sorted(Path(encoder).iterdir()) if p.suffix in (".keras", ".json")]
    names = ("encoder.keras", "normalization.json", "calibration.json")
    return [[p.name, fingerprint(p)] for p in files if p.name in names]
