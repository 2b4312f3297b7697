"""What is judged: a run, some of its epochs, and the records that they are judged on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atmodist.assessment.configuration import PretextEvaluationConfig
from atmodist.assessment.predictions import Predictor
from atmodist.fields.normalization import Normalization, normalization_of
from atmodist.files.outputs import digest, fingerprint, read_json
from atmodist.pairs.pair_records import SIDECAR, PairRecords, open_records, step_seconds
from atmodist.training import checkpoints
from atmodist.training.saving import load_network


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Checkpoints and records that fit each other.

    Attributes:
        run: Folder of the run.
        epochs: Those that are judged.
        main_epoch: The one of them that figures, audit and maps are of.
        num_classes: Labels that the network tells apart.
        records: What it is judged on.
        split: Which part of them.
        normalization: Of the network and the records; None where nobody knows.
        step_seconds: Time step of the archive; None where nobody knows.
    """

    run: Path
    epochs: list[int]
    main_epoch: int
    num_classes: int
    records: PairRecords
    split: str
    normalization: Normalization | None
    step_seconds: int | None

    @property
    def step_hours(self) -> float | None:
        """The same in hours."""
        return self.step_seconds / 3600 if self.step_seconds else None

    @property
    def record_files(self) -> list[Path]:
        """Files whose fingerprints tell the records apart from others."""
        sidecar = self.records.folder / SIDECAR
        return [sidecar] if sidecar.is_file() else self.records.paths(self.split)

    def network_file(self, epoch: int) -> Path:
        """The network of a checkpoint."""
        return checkpoints.path(self.run, epoch) / checkpoints.NETWORK

    def network(self, epoch: int) -> Predictor:
        """Loads the network of a checkpoint."""
        network = load_network(self.network_file(epoch))
        return lambda patches: network.predict_on_batch(patches)

    def identity(self, epoch: int) -> str:
        """A digest of all that answers of a checkpoint depend on."""
        return digest(
            {
                "network": fingerprint(self.network_file(epoch)),
                "records": [fingerprint(path) for path in self.record_files],
                "split": self.split,
                "num_classes": self.num_classes,
            }
        )

    def period(self, split: str) -> range | None:
        """Steps of the archive that a split was drawn from; None if unknown."""
        period = self.records.metadata.get("periods", {}).get(split)
        return range(period["first_step"], period["last_step"] + 1) if period else None


def find_subject(config: PretextEvaluationConfig) -> Subject:
    """Finds what a configuration means.

    Raises:
        ValueError: If there are no such checkpoints or records, if the run is of another task, or
            if network and records do not fit each other.
    """
    epochs = select_epochs(config.run, config.checkpoints)
    best = best_epoch(config.run)
    main_epoch = best if best in epochs else epochs[-1]
    state = checkpoints.load_state(config.run, main_epoch)
    require_temporal_distance(config.run, state)
    num_classes = int(state["num_classes"])
    records = find_records(config, state)
    records.shards(config.split)  # refuses a wrong name at once
    normalization = _checked_normalization(config, records)
    given = None if config.step_hours is None else step_seconds(config.step_hours)
    if num_classes > records.max_label:
        raise ValueError(
            f"the network tells {num_classes} labels apart, the records in {records.folder} have "
            f"{records.max_label}."
        )
    return Subject(
        run=config.run,
        epochs=epochs,
        main_epoch=main_epoch,
        num_classes=num_classes,
        records=records,
        split=config.split,
        normalization=normalization,
        step_seconds=records.step_seconds(given),
    )


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


def find_records(config: PretextEvaluationConfig, state: dict[str, Any]) -> PairRecords:
    """The records of the configuration, or those that the run was trained with."""
    if config.records is not None:
        return open_records(config.records)
    noted = Path(state["config"]["records"])
    for path in (noted, config.run.parent / noted):
        if path.exists():
            return open_records(path)
    raise ValueError(f"the records of the run, {noted}, are not there; name them by --records.")


def _checked_normalization(
    config: PretextEvaluationConfig, records: PairRecords
) -> Normalization | None:
    normalization = normalization_of(config.run, config.normalization)
    theirs = normalization_of(records.folder)
    if normalization is not None and theirs is not None:
        theirs.require_same(
            normalization,
            ours=f"the records in {records.folder}",
            theirs=f"the network in {config.run}",
        )
    return normalization
