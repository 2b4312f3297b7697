"""One evaluation from a run folder to a folder of tables, figures and numbers.

Each checkpoint meets the records once; its answers are kept under `predictions/`, so that tables
and figures can be redone without a network. Epochs share one set of resamples.
"""

import contextlib
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from atmodist.assessment import figures, reliability, tables
from atmodist.assessment.audit import Audit, AuditSettings, audit_shortcuts
from atmodist.assessment.configuration import EvaluationConfig
from atmodist.assessment.donors import ArchiveDonors, Clock, RecordDonors
from atmodist.assessment.maps import LagMap, map_lag, map_steps
from atmodist.assessment.predictions import (
    Pairs,
    Predictions,
    Predictor,
    join,
    load_arrays,
    load_predictions,
    predict_split,
    save_arrays,
    save_predictions,
    stream_pairs,
)
from atmodist.fields.archive import Archive
from atmodist.fields.time_axis import NO_CALENDAR
from atmodist.learning import checkpoints
from atmodist.learning.saving import load_network
from atmodist.outputs import digest, fingerprint, read_json, write_csv, write_json, write_manifest
from atmodist.records.record_set import SIDECAR, RecordSet, open_records
from atmodist.samples.normalization import Normalization

TRAIN = "train"
TRAINING_PAIRS = 50_000  # looked at for the tables without a network
DONORS_PER_PAIR = 4  # records looked through for each audited pair and split


@dataclass
class Results:
    """What an evaluation came to."""

    config: EvaluationConfig
    epoch: int  # the one that figures, audit and maps are of
    metrics: dict[str, Any] = field(default_factory=dict)
    audit: Audit | None = None

    def summary(self) -> str:
        """A compact table, where everything is, and what to run next."""
        entry = self.metrics["checkpoints"][str(self.epoch)]
        lines = [f"epoch {self.epoch}, {entry['count']:,} pairs, {entry['base_times']} base times"]
        lines += [
            f"  {row['score']:<12} {row['value']:7.3f}  ({row['low']:.3f} to {row['high']:.3f})"
            for row in entry["scores"]
        ]
        before, after = (entry["calibration"][key] for key in ("before", "after"))
        lines.append(
            f"  calibration  T = {entry['calibration']['temperature']:.2f}, error "
            f"{before['expected_calibration_error']['value']:.3f} -> "
            f"{after['expected_calibration_error']['value']:.3f}"
        )
        if self.audit is not None:
            lines.append("shortcuts      own guess (95 %)             refitted (95 %)")
            names = dict.fromkeys(row["control"] for row in self.audit.rows)
            for name in names:
                cells = [self.audit.value(name, score) for score in ("accuracy", "refitted")]
                texts = [_cell(row) for row in cells]
                lines.append(f"  {name:<24} {texts[0]:<26} {texts[1]}")
            lines += [f"  {note}" for note in self.audit.notes]
        folder = self.config.folder
        following = "atmodist distance --help"
        if self.config.archive is None:
            following = f"rplearn-eval {self.config.run} --archive ARCHIVE (maps, exact audit)"
        return "\n".join([*lines, f"Everything is in {folder}/ (metrics.json). Next: {following}"])


def evaluate(config: EvaluationConfig) -> Results:
    """Judges the checkpoints of a run and writes everything into `config.folder`."""
    evaluation = _Evaluation(config)
    return evaluation.run()


def select_epochs(run: Path, which: str) -> list[int]:
    """Epochs that are meant by "best", "all" or a number.

    Raises:
        ValueError: If there are no checkpoints, or not that one.
    """
    available = checkpoints.epochs(run)
    if not available:
        raise ValueError(f"{run} is no folder of a run: it has no checkpoints; rplearn-train does.")
    if which == "all":
        return available
    epoch = best_epoch(run) if which == "best" else int(which)
    if epoch not in available:
        listed = ", ".join(map(str, available))
        raise ValueError(f"{run} has no checkpoint of epoch {epoch}; it has {listed}.")
    return [epoch]


def best_epoch(run: Path) -> int:
    """The epoch of least evaluation loss; the last one where nothing was evaluated."""
    path = run / "best.json"
    return int(read_json(path)["epoch"]) if path.is_file() else checkpoints.epochs(run)[-1]


def require_temporal_distance(run: Path, state: dict[str, Any]) -> None:
    """Refuses the run of another pretext task."""
    task = state["config"].get("task", "temporal_distance")
    if task != "temporal_distance":
        raise ValueError(
            f"the network in {run} was trained as {task}, and rplearn-eval judges how well a "
            f"temporal distance is told; its own scores are in {run / 'evaluation.json'}, and "
            f"`atmodist calibrate {run}` says what its encoder is worth as a ruler."
        )


def find_records(config: EvaluationConfig, state: dict[str, Any]) -> RecordSet:
    """The records of the configuration, or those that the run was trained with."""
    if config.records is not None:
        return open_records(config.records)
    noted = Path(state["config"]["records"])
    for path in (noted, config.run.parent / noted):
        if path.exists():
            return open_records(path)
    raise ValueError(f"the records of the run, {noted}, are not there; name them by --records.")


class _Evaluation:
    """The parts of an evaluation, in order."""

    def __init__(self, config: EvaluationConfig):
        self.config = config
        self.epochs = select_epochs(config.run, config.checkpoints)
        best = best_epoch(config.run)
        self.main_epoch = best if best in self.epochs else self.epochs[-1]
        state = checkpoints.load_state(config.run, self.main_epoch)
        require_temporal_distance(config.run, state)
        self.num_classes = int(state["num_classes"])
        self.records = find_records(config, state)
        self.records.shards(config.split)  # refuses a wrong name at once
        self.normalization = self._checked_normalization()
        if self.num_classes > self.records.max_label:
            raise ValueError(
                f"the network tells {self.num_classes} labels apart, the records in "
                f"{self.records.folder} have {self.records.max_label}."
            )
        self.step_seconds = int(self.records.metadata.get("step_seconds") or 0) or None
        self.notes: list[str] = []

    def run(self) -> Results:
        results = Results(self.config, self.main_epoch)
        entries = {str(epoch): self._judge(epoch) for epoch in self.epochs}
        results.metrics = {
            "split": self.config.split,
            "num_classes": self.num_classes,
            "step_seconds": self.step_seconds,
            "main_epoch": self.main_epoch,
            "checkpoints": entries,
        }
        with self._archive() as archive:
            if self.config.audit:
                results.audit = self._audit(archive)
            if archive is not None and self.normalization is not None:
                results.metrics["map"] = self._map(archive, self.normalization)
        if results.audit is not None:
            results.metrics["audit"] = {"controls": results.audit.rows, "notes": self.notes}
            write_csv(self.config.folder / "audit.csv", results.audit.rows)
            results.audit.notes[:] = self.notes
        elif self.notes:
            results.metrics["notes"] = self.notes
        self._write_tables(entries)
        if self.config.figures:
            self._draw(entries, results.audit)
        write_json(self.config.folder / "metrics.json", results.metrics)
        inputs = [checkpoints.path(self.config.run, e) / checkpoints.NETWORK for e in self.epochs]
        inputs += [] if self.config.archive is None else [self.config.archive]
        write_manifest(
            self.config.folder / "manifest.json",
            command="rplearn-eval",
            config=self.config,
            seed=self.config.seed,
            inputs=[*inputs, *self._record_files()],
            epochs=self.epochs,
            main_epoch=self.main_epoch,
        )
        return results

    def _judge(self, epoch: int) -> dict[str, Any]:
        """All numbers of one checkpoint."""
        predictions = self.predictions(epoch)
        label = predictions.pairs.label
        bootstrap = tables.BaseTimeBootstrap(
            predictions.pairs.step, resamples=self.config.resamples, seed=self.config.seed
        )
        confusion = tables.confusion_matrix(label, predictions.guess, self.num_classes)
        config = self.config
        return {
            "count": len(label),
            "base_times": bootstrap.num_groups,
            "commonest_label_share": float(np.bincount(label).max() / len(label)),
            "scores": tables.score_table(predictions, bootstrap),
            "confusion": confusion.tolist(),
            "calibration": reliability.judge_calibration(
                predictions, bins=config.bins, resamples=config.resamples, seed=config.seed
            ),
            "by_lag": tables.lag_table(predictions, bootstrap, self.step_seconds),
            "by_latitude": tables.latitude_table(predictions, bootstrap, config.band_degrees),
        }

    def predictions(self, epoch: int) -> Predictions:
        """The answers of a checkpoint, from the last time or anew."""
        path = self.config.folder / "predictions" / f"epoch-{epoch:04d}.npz"
        identity = self._identity(epoch)
        kept = load_predictions(path, identity)
        if kept is not None:
            return kept
        tqdm.write(f"epoch {epoch}: answers to {self.config.split}")
        predictions = predict_split(
            self._network(epoch),
            self.records,
            self.config.split,
            num_classes=self.num_classes,
            batch_size=self.config.batch_size,
        )
        save_predictions(path, identity, predictions)
        return predictions

    def _network(self, epoch: int) -> Predictor:
        network = load_network(checkpoints.path(self.config.run, epoch) / checkpoints.NETWORK)
        return lambda patches: network.predict_on_batch(patches)

    def _identity(self, epoch: int) -> str:
        network = checkpoints.path(self.config.run, epoch) / checkpoints.NETWORK
        return digest(
            {
                "network": fingerprint(network),
                "records": [fingerprint(path) for path in self._record_files()],
                "split": self.config.split,
                "num_classes": self.num_classes,
            }
        )

    def _record_files(self) -> list[Path]:
        sidecar = self.records.folder / SIDECAR
        return [sidecar] if sidecar.is_file() else self.records.paths(self.config.split)

    def _checked_normalization(self) -> Normalization | None:
        ours = self.config.run / "normalization.json"
        theirs = self.records.folder / "normalization.json"
        if not ours.is_file():
            return None
        normalization = Normalization.load(ours)
        if theirs.is_file():
            Normalization.load(theirs).require_same(
                normalization,
                ours=f"the records in {self.records.folder}",
                theirs=f"the network in {self.config.run}",
            )
        return normalization

    @contextlib.contextmanager
    def _archive(self) -> Iterator[Archive | None]:
        if self.config.archive is None:
            yield None
            return
        if self.normalization is None:
            raise ValueError(f"{self.config.run} has no normalization.json, which archives need.")
        with Archive(self.config.archive) as archive:
            names = tuple(channel.name for channel in archive.channels)
            if names != self.records.channels:
                raise ValueError(
                    f"{archive.path} has the channels {names}, the records {self.records.channels}"
                )
            yield archive

    def _audit(self, archive: Archive | None) -> Audit | None:
        pairs = self.predictions(self.main_epoch).pairs
        clock = self._clock(pairs)
        if clock is None:
            return None
        tqdm.write("audit of shortcuts")
        settings = AuditSettings(
            num_classes=self.num_classes,
            clock=clock,
            unrelated_seconds=3600 * self.config.unrelated_hours,
            band_degrees=self.config.band_degrees,
            batch_size=self.config.batch_size,
            resamples=self.config.resamples,
            seed=self.config.seed,
        )
        patches, pairs = self._first_pairs()
        donors: RecordDonors | ArchiveDonors
        if archive is not None and self.normalization is not None:
            donors = ArchiveDonors(archive, self.normalization, self.records.patch_shape, clock)
        else:
            donors = RecordDonors(
                self.records,
                [split for split in (TRAIN, self.config.split) if split in self.records.splits],
                limit=DONORS_PER_PAIR * self.config.audit_pairs,
                num_classes=self.num_classes,
                clock=clock,
            )
        audit = audit_shortcuts(
            self._network(self.main_epoch),
            patches,
            pairs,
            self._training_pairs(),
            settings,
            donors=donors,
            composite_steps=self._period(TRAIN),
        )
        self.notes += audit.notes
        identity = self._identity(self.main_epoch)
        save_arrays(self.config.folder / "predictions" / "audit.npz", identity, **audit.logits)
        return audit

    def _clock(self, pairs: Pairs) -> Clock | None:
        dated = pairs.is_dated and self.records.metadata.get("calendar") != NO_CALENDAR
        if not dated or self.step_seconds is None:
            self.notes.append("The records have no dates, so there is no audit of the clock.")
            return None
        try:
            return Clock(self.step_seconds)
        except ValueError as error:
            self.notes.append(f"There is no audit of the clock: {error}.")
            return None

    def _first_pairs(self) -> tuple[np.ndarray, Pairs]:
        parts, found = [], []
        for patches, pairs in stream_pairs(
            self.records,
            self.config.split,
            num_classes=self.num_classes,
            batch_size=self.config.batch_size,
            desc="pairs to audit",
        ):
            parts.append(patches)
            found.append(pairs)
            if sum(map(len, found)) >= self.config.audit_pairs:
                break
        limit = self.config.audit_pairs
        return np.concatenate(parts)[:limit], join(found).take(slice(limit))

    def _training_pairs(self) -> Pairs | None:
        if TRAIN not in self.records.splits or self.config.split == TRAIN:
            return None
        path = self.config.folder / "predictions" / "training_pairs.npz"
        identity = digest([[fingerprint(p) for p in self._record_files()], self.num_classes])
        kept = load_arrays(path, identity)
        if kept is not None:
            return Pairs(**kept)
        found: list[Pairs] = []
        for _, pairs in stream_pairs(
            self.records,
            TRAIN,
            num_classes=self.num_classes,
            batch_size=self.config.batch_size,
            desc="training pairs",
        ):
            found.append(pairs)
            if sum(map(len, found)) >= TRAINING_PAIRS:
                break
        joined = join(found)
        save_arrays(path, identity, **joined.arrays())
        return joined

    def _period(self, split: str) -> range | None:
        period = self.records.metadata.get("periods", {}).get(split)
        return range(period["first_step"], period["last_step"] + 1) if period else None

    def _map(self, archive: Archive, normalization: Normalization) -> dict[str, Any]:
        lag = self.config.lag or (self.num_classes + 1) // 2
        if lag > self.num_classes:
            raise ValueError(f"`lag` must be 1 to {self.num_classes}; got lag={lag}.")
        period = self._period(self.config.split) or range(len(archive.time))
        if period.stop > len(archive.time):
            raise ValueError(
                f"the {self.config.split} period ends with step {period.stop - 1}, but "
                f"{archive.path} has {len(archive.time)}; is it the one of the records?"
            )
        tqdm.write(f"map of lag {lag}")
        result = map_lag(
            self._network(self.main_epoch),
            archive,
            normalization,
            lag=lag,
            steps=map_steps(archive, period, lag, self.config.map_times),
            patch_shape=self.records.patch_shape,
            stride=self.config.stride,
            batch_size=self.config.batch_size,
        )
        write_csv(self.config.folder / f"map_lag{lag:02d}.csv", result.rows())
        if self.config.figures:
            figures.draw_map(self._figures(), result, self._step_hours(), self.num_classes)
        return _map_metrics(result)

    def _write_tables(self, entries: dict[str, Any]) -> None:
        folder = self.config.folder
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

    def _draw(self, entries: dict[str, Any], audit: Audit | None) -> None:
        folder, entry = self._figures(), entries[str(self.main_epoch)]
        hours, chance = self._step_hours(), entry["commonest_label_share"]
        title = f"epoch {self.main_epoch}, {entry['count']:,} pairs"
        figures.draw_confusion(folder, np.array(entry["confusion"]), hours, title)
        figures.draw_reliability(folder, entry["calibration"])
        figures.draw_lags(folder, entry["by_lag"], chance)
        figures.draw_latitudes(folder, entry["by_latitude"], chance)
        judged = [{"epoch": int(e), **row} for e, part in entries.items() for row in part["scores"]]
        figures.draw_epochs(folder, _read_log(self.config.run / "log.csv"), judged)
        if audit is not None:
            figures.draw_audit(folder, audit.rows)

    def _figures(self) -> Path:
        return self.config.folder / "figures"

    def _step_hours(self) -> float | None:
        return self.step_seconds / 3600 if self.step_seconds else None


def _map_metrics(result: LagMap) -> dict[str, Any]:
    weights = np.cos(np.radians(result.latitude))[:, None] * np.ones(result.accuracy.shape)
    south, north = result.covered
    return {
        "lag_steps": result.lag,
        "num_times": len(result.steps),
        "mean_accuracy": float(np.average(result.accuracy, weights=weights)),
        "mean_entropy_nats": float(np.average(result.entropy, weights=weights)),
        "windows_reach": [south, north],
        "centres_reach": [float(result.latitude[-1]), float(result.latitude[0])],
        "note": "Values stand at the centres of the windows; nearer the poles there are none.",
    }


def _read_log(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _cell(row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "-"
    return f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
