"""Did the network learn the dynamics, or the clock?

Where the largest label is no more than a day, the times of day of both fields give the label away:
whoever reads the hour from the diurnal cycle, or tells analyses from short forecasts, needs no
dynamics. So the network is shown pairs from which the dynamics are gone and the clock is left
(and others), and simple tables are fitted on the training pairs, without any network.

A network that finds two fields unrelated may say "the longest lag" throughout and hide what it
knows. So besides its own guesses we judge a *refitted read-out*; see `recalibrated_scores`.

Names of scores: `accuracy`; `refitted`, `refitted_parity` (is the lag odd or even?) and
`refitted_nats` (information about the label, 0 for none) of the refitted read-out; `says_longest`
(share of guesses that are the largest label); `clock_answer` (share of guesses that are what the
clock says, where this is not the truth); `guessing` is what is got by always naming the commonest
label or parity.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atmodist.assessment.base_times import BaseTimes, cell
from atmodist.assessment.control_fields import DAY, ArchiveDonors, ClockTimes, RecordDonors
from atmodist.assessment.place_and_clock_baseline import (
    accuracy_by_position,
    table_cells,
    table_guesses,
)
from atmodist.assessment.predictions import JudgedPairs, Predictor
from atmodist.assessment.recalibrated_scores import information, parity_is_right, refit_read_out

SENTENCES = {
    "intact": "The pairs as they are.",
    "exchanged": "Both fields exchanged: the elapsed time is the same, but the clock now says a "
    "day minus the lag.",
    "same hour": "The second field is of an unrelated date but of the right time of day: only the "
    "clock (diurnal cycle, analysis or forecast) tells the label.",
    "same parity": "The second field is of an unrelated date and of an hour that is right only in "
    "being an even or odd number of steps later: only the alternation of steps tells anything.",
    "any hour": "The second field is of an unrelated date and any hour: nothing tells the label, "
    "so this is the floor of the procedure.",
    "day later": "The second field is taken a day later than it was: the clock still says the "
    "label, while the weather says more than the longest lag.",
    "diurnal cycle": "Both fields are means over many days at their times of day, of different "
    "days: only the mean diurnal cycle of the place tells the label.",
    "mean state": "Both fields are means over all times: only the place is left, which says "
    "nothing about the label.",
    "latitude": "The answers as they are, judged by labels of other pairs of the same latitude "
    "band: what position alone gives.",
    "table: nothing": "The commonest label of the training pairs.",
    "table: latitude": "The commonest training label in this latitude band, without a network.",
    "table: hour": "The commonest training label at this time of day of the first field.",
    "table: latitude and hour": "The commonest training label for both together.",
    "table: parity of both": "The commonest training label for an even or odd number of steps "
    "between the fields: what perfect reading of the alternation would give.",
    "table: hours of both": "The commonest training label for the times of day of both fields: "
    "what perfect reading of the clock would give.",
}


@dataclass
class Audit:
    """What the audit found.

    Attributes:
        rows: control, isolates, source, count, score, value, low, high, guessing.
        notes: What could not be done, and the conclusion.
        logits: Of each control that was shown to the network, for another look.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    logits: dict[str, np.ndarray] = field(default_factory=dict)

    def value(self, control: str, score: str) -> dict[str, Any] | None:
        """The row of a control and score, if there is one."""
        return next(
            (r for r in self.rows if (r["control"], r["score"]) == (control, score)),
            None,
        )


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """How the audit is made.

    Attributes:
        num_classes: Number of labels.
        clock: Of the series.
        unrelated_seconds: Fields at least this far apart count as unrelated.
        band_degrees: Width of latitude bands.
        batch_size: JudgedPairs per call of the network.
        seed: Of the choice of fields.
    """

    num_classes: int
    clock: ClockTimes
    unrelated_seconds: float = 3 * DAY
    band_degrees: float = 15.0
    batch_size: int = 128
    seed: int = 0


class _Judge:
    """Turns answers into rows."""

    def __init__(self, audit: Audit, settings: AuditSettings):
        self.audit, self.settings = audit, settings
        self.refitted: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # (pair numbers, log p)

    def answers(
        self, name: str, logits: np.ndarray, pairs: JudgedPairs, numbers: np.ndarray, source: str
    ) -> None:
        """Adds the rows of one control; `numbers` says which of the audited pairs these are."""
        self.audit.logits[name] = logits
        label, guess = pairs.label, logits.argmax(axis=1)
        self.add(name, "accuracy", guess == label, pairs, source=source)
        if name != "mean state":  # the same answer for every label leaves nothing to fit
            refitted = refit_read_out(logits, label, pairs.step)
            self.refitted[name] = numbers, refitted
            self.add(name, "refitted", refitted.argmax(axis=1) == label, pairs, source=source)
            self.add(name, "refitted_parity", parity_is_right(refitted, label), pairs, True, source)
            self.add(name, "refitted_nats", information(refitted, label), pairs, source=source)
        longest = guess == self.settings.num_classes - 1
        self.add(name, "says_longest", longest, pairs, source=source)

    def add(
        self,
        control: str,
        score: str,
        values: np.ndarray,
        pairs: JudgedPairs,
        parity: bool = False,
        source: str = "",
        mask: np.ndarray | None = None,
    ) -> None:
        """Adds one row: the mean of values over the pairs."""
        target = pairs.label % 2 if parity else pairs.label
        chosen = target if mask is None else target[mask]
        guessing = None
        if score in ("accuracy", "refitted", "refitted_parity") and len(chosen):
            guessing = float(np.bincount(chosen).max() / len(chosen))
        self.audit.rows.append(
            {
                "control": control,
                "isolates": SENTENCES[control],
                "source": source,
                "count": len(chosen),
                "score": score,
                **BaseTimes(pairs.step).mean(np.asarray(values, np.float64), mask),
                "guessing": guessing,
            }
        )


def audit_shortcuts(
    predict: Predictor,
    patches: np.ndarray,
    pairs: JudgedPairs,
    training: JudgedPairs | None,
    settings: AuditSettings,
    *,
    donors: RecordDonors | ArchiveDonors | None,
    composite_steps: range | None = None,
) -> Audit:
    """Shows the network what is not dynamics.

    Args:
        predict: The network.
        patches: The audited pairs, (pair, 2, latitude, longitude, channel), normalised.
        pairs: Where and when they are.
        training: The training pairs, for the tables; None if there are none.
        settings: How.
        donors: Fields of other dates; None leaves out what needs them.
        composite_steps: Steps of the archive that the mean fields are made of.
    """
    audit = Audit()
    judge = _Judge(audit, settings)
    network = _batched(predict, settings.batch_size)
    everything = np.arange(len(pairs))

    intact = network(patches)
    judge.answers("intact", intact, pairs, everything, "records")
    exchanged = network(patches[:, ::-1])
    judge.answers("exchanged", exchanged, pairs, everything, "records")
    _clock_answers(judge, {"intact": intact, "exchanged": exchanged}, pairs)
    judge.add(
        "latitude",
        "accuracy",
        accuracy_by_position(
            intact.argmax(axis=1),
            pairs,
            num_classes=settings.num_classes,
            band_degrees=settings.band_degrees,
        ),
        pairs,
        source="records",
    )
    if donors is not None:
        _unrelated_dates(judge, network, patches, pairs, donors)
    if isinstance(donors, ArchiveDonors):
        _archive_controls(judge, network, patches, pairs, donors, composite_steps)
    if training is not None:
        _tables(judge, pairs, training)
    else:
        audit.notes.append("There are no training pairs, so no tables were fitted.")
    _conclude(judge, pairs, isinstance(donors, RecordDonors))
    return audit


def _batched(predict: Predictor, batch_size: int) -> Callable[[np.ndarray], np.ndarray]:
    def network(patches: np.ndarray) -> np.ndarray:
        starts = range(0, len(patches), batch_size)
        parts = [predict(np.ascontiguousarray(patches[i : i + batch_size])) for i in starts]
        return np.concatenate([np.asarray(part) for part in parts])

    return network


def _clock_answers(judge: _Judge, answers: dict[str, np.ndarray], pairs: JudgedPairs) -> None:
    """How often the network says what the clock says of exchanged fields: a day minus the lag."""
    day, num_classes = judge.settings.clock.num_phases, judge.settings.num_classes
    if num_classes > day:
        judge.audit.notes.append(
            "Labels go beyond a day, so exchanged fields have no single answer by the clock."
        )
        return
    steps = np.mod(-(pairs.label + 1), day)
    clock_label = np.where(steps == 0, day, steps) - 1
    differs = (clock_label != pairs.label) & (clock_label < num_classes)
    for name, logits in answers.items():
        says = logits.argmax(axis=1) == clock_label
        judge.add(name, "clock_answer", says, pairs, source="records", mask=differs)


def _unrelated_dates(
    judge: _Judge,
    network: Callable[[np.ndarray], np.ndarray],
    patches: np.ndarray,
    pairs: JudgedPairs,
    donors: RecordDonors | ArchiveDonors,
) -> None:
    settings, clock = judge.settings, judge.settings.clock
    rng = np.random.default_rng(settings.seed)
    right = clock.phase(pairs.time + (pairs.label + 1) * clock.step_seconds)
    wanted = {"same hour": right}
    if clock.num_phases % 2 == 0 and clock.num_phases > 2:
        shift = 2 * rng.integers(0, clock.num_phases // 2, len(pairs))
        wanted["same parity"] = (right + shift) % clock.num_phases
    wanted["any hour"] = rng.integers(0, clock.num_phases, len(pairs))
    for name, phase in wanted.items():
        found = donors.find(pairs, phase, apart=settings.unrelated_seconds, rng=rng)
        kept = np.flatnonzero(found >= 0)
        if len(kept) < 2 * settings.num_classes:
            judge.audit.notes.append(
                f"There are too few fields of unrelated dates for the control {name!r}; a smaller "
                "--unrelated_hours, or more data, would help."
            )
            continue
        second = donors.read(pairs.take(kept), found[kept])
        changed = np.stack([patches[kept, 0], second], axis=1)
        judge.answers(name, network(changed), pairs.take(kept), kept, donors.source)


def _archive_controls(
    judge: _Judge,
    network: Callable[[np.ndarray], np.ndarray],
    patches: np.ndarray,
    pairs: JudgedPairs,
    donors: ArchiveDonors,
    composite_steps: range | None,
) -> None:
    clock = judge.settings.clock
    if judge.settings.num_classes <= clock.num_phases:
        later = pairs.time + (pairs.label + 1) * clock.step_seconds + DAY
        found = donors.at(later)
        kept = np.flatnonzero(found >= 0)
        if len(kept) >= 2 * judge.settings.num_classes:
            second = donors.read(pairs.take(kept), found[kept])
            logits = network(np.stack([patches[kept, 0], second], axis=1))
            judge.answers("day later", logits, pairs.take(kept), kept, donors.source)
    everything = np.arange(len(pairs))
    for name, by_hour in (("diurnal cycle", True), ("mean state", False)):
        try:
            steps = composite_steps or range(len(donors.archive.time))
            means = donors.composites(pairs, steps, by_hour=by_hour)
        except ValueError as error:
            judge.audit.notes.append(f"The control {name!r} is missing: {error}.")
            continue
        judge.answers(name, network(means), pairs, everything, donors.source)


def _tables(judge: _Judge, pairs: JudgedPairs, training: JudgedPairs) -> None:
    settings = judge.settings
    ours, theirs = (
        table_cells(which, settings.clock, settings.band_degrees) for which in (pairs, training)
    )
    for name in ours:
        guess = table_guesses(theirs[name], training.label, ours[name], settings.num_classes)
        judge.add(name, "accuracy", guess == pairs.label, pairs, source="training records")


def _conclude(judge: _Judge, pairs: JudgedPairs, blurred: bool) -> None:
    """Compares `same hour` and `same parity` with the floor, pair by pair."""
    for control, what in (("same hour", "time of day"), ("same parity", "odd and even steps")):
        if control not in judge.refitted or "any hour" not in judge.refitted:
            continue
        parity = control == "same parity"
        right = []
        for name in (control, "any hour"):
            numbers, refitted = judge.refitted[name]
            label = pairs.label[numbers]
            hits = np.full(len(pairs), np.nan)
            hits[numbers] = (
                parity_is_right(refitted, label) if parity else refitted.argmax(axis=1) == label
            )
            right.append(hits)
        both = ~np.isnan(right[0]) & ~np.isnan(right[1])
        gain = BaseTimes(pairs.step).mean(np.nan_to_num(right[0] - right[1]), both)
        if gain["value"] is None:
            continue
        target = "parity accuracy" if parity else "accuracy"
        found = f"{control!r} against 'any hour', refitted {target}: {cell(gain, '+.3f')}"
        if gain["low"] is None:
            judge.audit.notes.append(f"{found}; too few base times for a verdict.")
            continue
        if gain["low"] > 0:
            verdict = f"the network does read {what}: some of its accuracy may be no dynamics"
        elif gain["high"] < 0.05:
            verdict = f"no sign that the network reads {what}"
        else:
            verdict = f"too few base times to say whether the network reads {what}"
        if gain["low"] <= 0 and blurred:
            verdict += " (the places of both fields differ a little, which blurs it; an --archive "
            verdict += "is sharper)"
        judge.audit.notes.append(f"{found}; {verdict}.")
    by_clock, whole = (judge.audit.value(name, "refitted_nats") for name in ("same hour", "intact"))
    if by_clock is not None and whole is not None:
        judge.audit.notes.append(
            f"The clock alone gives {max(by_clock['value'], 0.0):.2f} of the {whole['value']:.2f} "
            "nats that the answers say about the label (refitted, unrelated weather)."
        )
