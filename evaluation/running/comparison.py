"""Joins finished runs with the same reference into one, as if it had judged all their candidates.

Nothing is computed again but differences: the runs must agree in all that decides a number (the
reference, times, channels, regions, seeds, options of statistics).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atmodist.files.locking import locked
from atmodist.files.outputs import plain_config
from evaluation.contract.configuration import ComparisonConfig
from evaluation.numerics.setting import REFERENCE
from evaluation.running.datasets import write_dataset
from evaluation.running.results import (
    COMMAND,
    FIELDS,
    CandidateFacts,
    Outcome,
    Results,
    load_results,
    require_own,
    write_results,
)
from evaluation.significance.summary_numbers import numbers
from evaluation.statistics import STATISTICS

if TYPE_CHECKING:
    import xarray as xr

Names = dict[str, str]  # of candidates: as a run calls them, and as they are called together


def compare(config: ComparisonConfig) -> Results:
    """Writes what runs came to, joined, into a folder; all but the report.

    Raises:
        FileNotFoundError: If a folder holds no results.
        ValueError: If the runs do not agree; says in what.
    """
    runs = [load_results(folder) for folder in config.runs]
    for run in runs[1:]:
        _require_same(runs[0], run)
    renamed, facts = _candidates(runs)
    baseline = config.baseline or renamed[0][runs[0].baseline]
    if baseline not in facts:
        raise ValueError(
            f"`baseline` must be one of the candidates {', '.join(facts)}; got {baseline!r}"
        )
    folder = Path(config.output)
    if any(folder.exists() and folder.samefile(run.folder) for run in runs):
        raise ValueError(f"the output {folder} is one of the runs; choose another --output")
    require_own(folder)
    with locked(folder / ".lock", folder):
        return _join(config, runs, renamed, facts, baseline)


def _join(
    config: ComparisonConfig,
    runs: Sequence[Results],
    renamed: Sequence[Names],
    facts: Mapping[str, CandidateFacts],
    baseline: str,
) -> Results:
    first = runs[0]
    folder = Path(config.output)
    common, left_out = _statistics(runs)
    outcomes, rows = {}, []
    for name in common:
        dataset = _together([run.outcomes[name].dataset for run in runs], renamed)
        rows += numbers(name, dataset, baseline)
        if name in STATISTICS:
            rows += STATISTICS[name].rows(dataset, seed=first.setting.seed)
        path = write_dataset(folder / f"{name}.nc", dataset)
        outcomes[name] = Outcome(**{**_entries(first.outcomes[name]), "path": path})
    shown = _together([run.fields for run in runs], renamed, join="inner")
    write_dataset(folder / f"{FIELDS}.nc", shown)
    results = Results(
        folder=folder,
        setting=first.setting,
        time=first.time,
        reference=first.reference,
        identity=first.identity,
        candidates=facts,
        baseline=baseline,
        outcomes=outcomes,
        rows=rows,
        left_out=left_out,
        notes=list(dict.fromkeys(note for run in runs for note in run.notes)),
        config=plain_config(config),
    )
    write_results(results, f"{COMMAND} compare")
    return results


def _require_same(first: Results, other: Results) -> None:
    differing = [
        key
        for key in first.identity
        if first.identity[key] != other.identity.get(key)
        and not (key == "encoder" and None in (first.identity[key], other.identity.get(key)))
    ]
    if "reference" in differing:
        raise ValueError(
            f"{first.folder} and {other.folder} have different references, {first.reference} and "
            f"{other.reference}: they cannot be compared"
        )
    if differing:
        raise ValueError(
            f"{first.folder} and {other.folder} cannot be compared: they differ in "
            f"{', '.join(differing)}"
        )
    for name, outcome in first.outcomes.items():
        theirs = other.outcomes.get(name)
        if theirs is None:
            continue
        if (outcome.version, outcome.options) != (theirs.version, theirs.options):
            raise ValueError(
                f"{first.folder} and {other.folder} cannot be compared: {name} was computed with "
                "other options, or by another release"
            )


def _candidates(runs: Sequence[Results]) -> tuple[list[Names], dict[str, CandidateFacts]]:
    """New names of the candidates of each run; those that are the same have one name."""
    facts: dict[str, CandidateFacts] = {}
    renamed: list[Names] = []
    for run in runs:
        names: Names = {}
        for name, about in run.candidates.items():
            new = name
            if name in facts and facts[name].identity != about.identity:
                new = f"{name} ({run.folder.resolve().name})"
            if new in facts and facts[new].identity != about.identity:
                raise ValueError(
                    f"two candidates are called {new!r}; run phire-eval with another name for one"
                )
            names[name] = new
            facts.setdefault(new, about)
        renamed.append(names)
    return renamed, facts


def _statistics(runs: Sequence[Results]) -> tuple[list[str], dict[str, str]]:
    """Statistics that all runs have, and why others are left out."""
    common = [name for name in runs[0].outcomes if all(name in run.outcomes for run in runs)]
    if not common:
        raise ValueError("the runs have no statistic in common")
    left_out: dict[str, str] = {}
    for run in runs:
        left_out |= {name: reason for name, reason in run.left_out.items() if name not in common}
        for name in run.outcomes:
            if name not in common:
                having = [str(r.folder) for r in runs if name in r.outcomes]
                left_out[name] = f"only {', '.join(having)} has it"
    return common, left_out


def _together(
    datasets: Sequence["xr.Dataset"], renamed: Sequence[Names], join: Any = "outer"
) -> "xr.Dataset":
    """Candidates of all runs along one dimension, each once."""
    import xarray as xr

    seen: set[str] = set()
    parts = []
    for dataset, names in zip(datasets, renamed, strict=True):
        own = [str(name) for name in dataset["candidate"].values]
        called = [REFERENCE if name == REFERENCE else names[name] for name in own]
        new = [i for i, name in enumerate(called) if name not in seen]
        seen.update(called)
        parts.append(dataset.assign_coords(candidate=called).isel(candidate=new))
    varying = [name for name, v in parts[0].data_vars.items() if "candidate" in v.dims]
    return xr.concat(
        [part for part in parts if part.sizes["candidate"]],
        "candidate",
        data_vars=varying,
        coords="minimal",
        compat="override",
        join=join,
        combine_attrs="override",
    )


def _entries(outcome: Outcome) -> dict[str, Any]:
    return {key: value for key, value in asdict(outcome).items() if key != "path"}
