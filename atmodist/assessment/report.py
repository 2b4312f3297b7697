"""What an evaluation came to: lines for people, tables as CSV, and figures."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.assessment import figures
from atmodist.assessment.audit import Audit
from atmodist.assessment.base_times import LEAST_BASE_TIMES, cell
from atmodist.assessment.configuration import PretextEvaluationConfig
from atmodist.assessment.reliability import bound_note, temperature_text
from atmodist.files.outputs import write_csv


@dataclass
class PretextResults:
    """What an evaluation came to."""

    config: PretextEvaluationConfig
    epoch: int  # the one that figures, audit and maps are of
    metrics: dict[str, Any] = field(default_factory=dict)
    audit: Audit | None = None
    notes: list[str] = field(default_factory=list)  # what could not be done, and conclusions

    def summary(self) -> str:
        """A compact table, where everything is, and what to run next."""
        entry = self.metrics["checkpoints"][str(self.epoch)]
        lines = [f"epoch {self.epoch}, {entry['count']:,} pairs, {_base_times(entry)}"]
        lines += [f"  {row['score']:<12} {cell(row)}" for row in entry["scores"]]
        calibration = entry["calibration"]
        before, after = (
            calibration[key]["expected_calibration_error"]["value"] for key in ("before", "after")
        )
        lines.append(
            f"  calibration  {temperature_text(calibration['temperature'])}, error "
            f"{before:.3f} -> {after:.3f}"
        )
        if self.audit is not None:
            lines.append("shortcuts      own guess (95 %)             refitted (95 %)")
            for name in dict.fromkeys(row["control"] for row in self.audit.rows):
                own, refitted = (
                    cell(self.audit.value(name, score)) for score in ("accuracy", "refitted")
                )
                lines.append(f"  {name:<24} {own:<26} {refitted}")
        lines += [f"  {note}" for note in self.notes]
        if self.config.archive is None:
            lines.append("  With --archive ARCHIVE there are maps, and the audit is exact.")
        where = f"Everything is in {self.config.folder}/ (metrics.json)."
        following = f"atmodist calibrate {self.config.run}"
        if self.metrics["step_seconds"] is None:
            following += " --step_hours HOURS"
        if not self.metrics["normalized"]:
            following += f" --normalization {self.config.normalization or 'FILE_OR_NAME'}"
        return "\n".join([*lines, f"{where} Next: {following}"])


def entry_notes(entry: dict[str, Any]) -> list[str]:
    """What must be known lest the numbers of a checkpoint be misread."""
    notes = []
    if entry["base_times"] < LEAST_BASE_TIMES:
        notes.append(
            f"There are no intervals: they need {LEAST_BASE_TIMES} base times, and the pairs have "
            f"{entry['base_times']}."
        )
    note = bound_note(entry["calibration"]["temperature"])
    return notes if note is None else [*notes, note]


def write_tables(folder: Path, entries: dict[str, Any]) -> None:
    """Writes the tables of all epochs as CSV.

    Args:
        folder: Where to.
        entries: What was found for each epoch, by its number.
    """
    for name, key in (("scores", "scores"), ("by_lag", "by_lag"), ("by_latitude",) * 2):
        rows = [{"epoch": e, **row} for e, entry in entries.items() for row in entry[key]]
        write_csv(folder / f"{name}.csv", rows)
    write_csv(
        folder / "confusion.csv",
        (
            {"epoch": e, "true_lag_steps": i + 1, "guessed_lag_steps": j + 1, "count": count}
            for e, entry in entries.items()
            for i, row in enumerate(entry["confusion"])
            for j, count in enumerate(row)
        ),
    )
    write_csv(
        folder / "reliability.csv",
        (
            {"epoch": e, "temperature": 1.0 if when == "before" else fitted, **row}
            for e, entry in entries.items()
            for fitted in (entry["calibration"]["temperature"],)
            for when in ("before", "after")
            for row in entry["calibration"][when]["diagram"]
        ),
    )


def draw(
    folder: Path,
    log: Path,
    entries: dict[str, Any],
    *,
    main_epoch: int,
    step_hours: float | None,
    audit: Audit | None,
) -> None:
    """Draws the figures of an evaluation.

    Args:
        folder: Where to.
        log: The log of the training, which need not be there.
        entries: What was found for each epoch, by its number.
        main_epoch: The one that is drawn.
        step_hours: Time step of the archive in hours; None if unknown.
        audit: None if there was none.
    """
    entry = entries[str(main_epoch)]
    chance = entry["commonest_label_share"]
    title = f"epoch {main_epoch}, {entry['count']:,} pairs"
    figures.draw_confusion(folder, np.array(entry["confusion"]), step_hours, title)
    figures.draw_reliability(folder, entry["calibration"])
    figures.draw_lags(folder, entry["by_lag"], chance)
    figures.draw_latitudes(folder, entry["by_latitude"], chance)
    judged = [{"epoch": int(e), **row} for e, part in entries.items() for row in part["scores"]]
    figures.draw_epochs(folder, _read_log(log), judged)
    if audit is not None:
        figures.draw_audit(folder, audit.rows)


def _base_times(entry: dict[str, Any]) -> str:
    count = entry["base_times"]
    if count < LEAST_BASE_TIMES:
        return f"{count} base time{'' if count == 1 else 's'}"
    return f"{count} base times (95 % intervals from their series)"


def _read_log(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
