"""One evaluation from a run folder to a folder of tables, figures and numbers.

Each checkpoint meets the records once; its answers are kept under `predictions/`, so that tables
and figures can be redone without a network.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from atmodist.assessment import figures, reliability, tables
from atmodist.assessment.audit import Audit, AuditSettings, audit_shortcuts
from atmodist.assessment.base_times import BaseTimes
from atmodist.assessment.configuration import PretextEvaluationConfig
from atmodist.assessment.control_fields import ArchiveDonors, ClockTimes, RecordDonors
from atmodist.assessment.judged_run import find_subject
from atmodist.assessment.maps import LagMap, map_lag, map_steps
from atmodist.assessment.predictions import (
    JudgedPairs,
    Predictions,
    join,
    load_arrays,
    load_predictions,
    predict_split,
    save_arrays,
    save_predictions,
    stream_pairs,
)
from atmodist.assessment.provenance_check import require_origin
from atmodist.assessment.report import PretextResults, draw, entry_notes, write_tables
from atmodist.fields.archive import Archive
from atmodist.fields.normalization import FILE as NORMALIZATION
from atmodist.fields.normalization import NAMED, Normalization
from atmodist.fields.time_axis import NO_CALENDAR
from atmodist.files.outputs import digest, fingerprint, write_csv, write_json, write_manifest

TRAIN = "train"
TRAINING_PAIRS = 50_000  # looked at for the tables without a network
DONORS_PER_PAIR = 4  # records looked through for each audited pair and split


def evaluate(config: PretextEvaluationConfig) -> PretextResults:
    """Judges the checkpoints of a run and writes everything into `config.folder`."""
    return _Evaluation(config).run()


class _Evaluation:
    """The parts of an evaluation, in order."""

    def __init__(self, config: PretextEvaluationConfig):
        self.config = config
        self.subject = find_subject(config)
        self.records = self.subject.records
        self.notes: list[str] = []

    def run(self) -> PretextResults:
        subject, folder = self.subject, self.config.folder
        results = PretextResults(self.config, subject.main_epoch, notes=self.notes)
        with self._archive() as archive:  # first of all, since another's is refused
            entries = {str(epoch): self._judge(epoch) for epoch in subject.epochs}
            results.metrics = {
                "split": self.config.split,
                "num_classes": subject.num_classes,
                "step_seconds": subject.step_seconds,
                "normalized": (self.config.run / NORMALIZATION).is_file(),
                "main_epoch": subject.main_epoch,
                "checkpoints": entries,
            }
            self.notes += entry_notes(entries[str(subject.main_epoch)])
            if self.config.audit:
                results.audit = self._audit(archive)
            if archive is not None and subject.normalization is not None:
                results.metrics["map"] = self._map(archive, subject.normalization)
        if results.audit is not None:
            rows, notes = results.audit.rows, results.audit.notes
            results.metrics["audit"] = {"controls": rows, "notes": notes}
            write_csv(folder / "audit.csv", rows)
        results.metrics["notes"] = self.notes
        write_tables(folder, entries)
        if self.config.figures:
            draw(
                folder / "figures",
                self.config.run / "log.csv",
                entries,
                main_epoch=subject.main_epoch,
                step_hours=subject.step_hours,
                audit=results.audit,
            )
        write_json(folder / "metrics.json", results.metrics)
        self._write_manifest()
        return results

    def _write_manifest(self) -> None:
        inputs = [self.subject.network_file(epoch) for epoch in self.subject.epochs]
        inputs += [] if self.config.archive is None else [self.config.archive]
        write_manifest(
            self.config.folder / "manifest.json",
            command="rplearn-eval",
            config=self.config,
            seed=self.config.seed,
            inputs=[*inputs, *self.subject.record_files],
            epochs=self.subject.epochs,
            main_epoch=self.subject.main_epoch,
        )

    def _judge(self, epoch: int) -> dict[str, Any]:
        """All numbers of one checkpoint."""
        predictions = self.predictions(epoch)
        label = predictions.pairs.label
        config, num_classes = self.config, self.subject.num_classes
        base_times = BaseTimes(predictions.pairs.step)
        confusion = tables.confusion_matrix(label, predictions.guess, num_classes)
        return {
            "count": len(label),
            "base_times": base_times.num,
            "commonest_label_share": float(np.bincount(label).max() / len(label)),
            "scores": tables.score_table(predictions, base_times),
            "confusion": confusion.tolist(),
            "calibration": reliability.judge_calibration(predictions, bins=config.bins),
            "by_lag": tables.lag_table(predictions, base_times, self.subject.step_seconds),
            "by_latitude": tables.latitude_table(predictions, base_times, config.band_degrees),
        }

    def predictions(self, epoch: int) -> Predictions:
        """The answers of a checkpoint, from the last time or anew."""
        path = self.config.folder / "predictions" / f"epoch-{epoch:04d}.npz"
        identity = self.subject.identity(epoch)
        kept = load_predictions(path, identity)
        if kept is not None:
            return kept
        tqdm.write(f"epoch {epoch}: answers to {self.config.split}")
        predictions = predict_split(
            self.subject.network(epoch),
            self.records,
            self.config.split,
            num_classes=self.subject.num_classes,
            batch_size=self.config.batch_size,
        )
        save_predictions(path, identity, predictions)
        return predictions

    @contextlib.contextmanager
    def _archive(self) -> Iterator[Archive | None]:
        if self.config.archive is None:
            yield None
            return
        records, normalization = self.records, self.subject.normalization
        if normalization is None:
            raise ValueError(
                f"{self.config.run} has no normalization.json, which archives need; give it by "
                f"--normalization, a file or a name ({', '.join(NAMED)})."
            )
        with Archive(self.config.archive) as archive:
            names = tuple(channel.name for channel in archive.channels)
            if names != records.channels:
                raise ValueError(
                    f"{archive.path} has the channels {names}, the records {records.channels}"
                )
            if not require_origin(archive, normalization, records, self.config.split):
                self.notes.append(
                    f"The records have no times: whether {archive.path} is theirs is not known."
                )
            yield archive

    def _audit(self, archive: Archive | None) -> Audit | None:
        pairs = self.predictions(self.subject.main_epoch).pairs
        clock = self._clock(pairs)
        if clock is None:
            return None
        tqdm.write("audit of shortcuts")
        settings = AuditSettings(
            num_classes=self.subject.num_classes,
            clock=clock,
            unrelated_seconds=3600 * self.config.unrelated_hours,
            band_degrees=self.config.band_degrees,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
        )
        patches, pairs = self._first_pairs()
        donors: RecordDonors | ArchiveDonors
        if archive is not None and self.subject.normalization is not None:
            donors = ArchiveDonors(
                archive, self.subject.normalization, self.records.patch_shape, clock
            )
        else:
            donors = RecordDonors(
                self.records,
                [split for split in (TRAIN, self.config.split) if split in self.records.splits],
                limit=DONORS_PER_PAIR * self.config.audit_pairs,
                num_classes=self.subject.num_classes,
                clock=clock,
            )
        audit = audit_shortcuts(
            self.subject.network(self.subject.main_epoch),
            patches,
            pairs,
            self._training_pairs(),
            settings,
            donors=donors,
            composite_steps=self.subject.period(TRAIN),
        )
        self.notes += audit.notes
        identity = self.subject.identity(self.subject.main_epoch)
        save_arrays(self.config.folder / "predictions" / "audit.npz", identity, **audit.logits)
        return audit

    def _clock(self, pairs: JudgedPairs) -> ClockTimes | None:
        dated = pairs.is_dated and self.records.metadata.get("calendar") != NO_CALENDAR
        if not dated or self.subject.step_seconds is None:
            self.notes.append("The records have no dates, so there is no audit of the clock.")
            return None
        try:
            return ClockTimes(self.subject.step_seconds)
        except ValueError as error:
            self.notes.append(f"There is no audit of the clock: {error}.")
            return None

    def _first_pairs(self) -> tuple[np.ndarray, JudgedPairs]:
        parts, found = [], []
        for patches, pairs in stream_pairs(
            self.records,
            self.config.split,
            num_classes=self.subject.num_classes,
            batch_size=self.config.batch_size,
            desc="pairs to audit",
        ):
            parts.append(patches)
            found.append(pairs)
            if sum(map(len, found)) >= self.config.audit_pairs:
                break
        limit = self.config.audit_pairs
        return np.concatenate(parts)[:limit], join(found).take(slice(limit))

    def _training_pairs(self) -> JudgedPairs | None:
        if TRAIN not in self.records.splits or self.config.split == TRAIN:
            return None
        path = self.config.folder / "predictions" / "training_pairs.npz"
        identity = digest(
            [[fingerprint(p) for p in self.subject.record_files], self.subject.num_classes]
        )
        kept = load_arrays(path, identity)
        if kept is not None:
            return JudgedPairs(**kept)
        found: list[JudgedPairs] = []
        for _, pairs in stream_pairs(
            self.records,
            TRAIN,
            num_classes=self.subject.num_classes,
            batch_size=self.config.batch_size,
            desc="training pairs",
        ):
            found.append(pairs)
            if sum(map(len, found)) >= TRAINING_PAIRS:
                break
        joined = join(found)
        save_arrays(path, identity, **joined.arrays())
        return joined

    def _map(self, archive: Archive, normalization: Normalization) -> dict[str, Any]:
        lag = self.config.lag or (self.subject.num_classes + 1) // 2
        if lag > self.subject.num_classes:
            raise ValueError(f"`lag` must be 1 to {self.subject.num_classes}; got lag={lag}.")
        period = self.subject.period(self.config.split) or range(len(archive.time))
        if period.stop > len(archive.time):
            raise ValueError(
                f"the {self.config.split} period ends with step {period.stop - 1}, but "
                f"{archive.path} has {len(archive.time)}; is it the one of the records?"
            )
        tqdm.write(f"map of lag {lag}")
        result = map_lag(
            self.subject.network(self.subject.main_epoch),
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
            figures.draw_map(
                self.config.folder / "figures",
                result,
                self.subject.step_hours,
                self.subject.num_classes,
            )
        return _map_metrics(result)


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
