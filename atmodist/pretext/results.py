"""What a training run comes to: the best network, its scores, a manifest, and lines for people."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atmodist.files.outputs import write_json, write_manifest
from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.pair_model import encoder_of
from atmodist.pretext.pair_source import PairSource
from atmodist.pretext.provenance import describe_source
from atmodist.pretext.task import Scores, Task
from atmodist.pretext.tasks import TASKS
from atmodist.training import checkpoints
from atmodist.training.saving import load_network, save_network

LAST_EVALUATIONS = 5  # averaged in evaluation.json, lest a lucky one be reported


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        output: The folder with the network.
        epochs: Epochs trained.
        seconds: Of training per epoch, the median.
        best: Scores of the best epoch by evaluation loss, with `epoch`.
        last: Mean scores of the last evaluations.
        report: Lines about them, for people.
        next_commands: What to do with the run, in order.
    """

    output: Path
    epochs: int
    seconds: float
    best: Scores
    last: Scores
    report: str
    next_commands: tuple[str, ...]

    def summary(self) -> str:
        """How good it became, where it is, and what to run next."""
        following = ", then ".join(f"{command} {self.output}" for command in self.next_commands)
        return (
            f"trained   {self.epochs} epochs of {self.seconds:.3g} s; the best is epoch "
            f"{self.best['epoch']}, evaluation loss {self.best['loss']:.3f}\n"
            f"{self.report}\n"
            f"Wrote {self.output / 'encoder.keras'}; scores are in evaluation.json, losses in "
            f"log.csv, all epochs in checkpoints/. Next: {following}"
        )


def summarize(
    config: TrainingConfig,
    task: Task,
    *,
    history: list[dict[str, Any]],
    evaluations: list[dict[str, Any]],
    best: dict[str, Any],
) -> TrainingResult:
    """Says what a run came to.

    Args:
        config: With no setting left open.
        task: What was learnt.
        history: Rows of the log.
        evaluations: Scores with `epoch`, in order.
        best: One of them; its checkpoint holds the network.
    """
    last = evaluations[-LAST_EVALUATIONS:]
    last_mean = {**task.mean_scores(last), "epochs": [scores["epoch"] for scores in last]}
    return TrainingResult(
        output=config.output,
        epochs=history[-1]["epoch"],
        seconds=statistics.median(row["seconds"] for row in history),
        best=best,
        last=last_mean,
        report=task.report(last_mean, len(last)),
        next_commands=task.next_commands,
    )


def write_results(
    config: TrainingConfig,
    task: Task,
    source: PairSource,
    evaluations: list[dict[str, Any]],
    result: TrainingResult,
) -> None:
    """Writes the best network, its scores and the manifest.

    Args:
        config: With no setting left open.
        task: What was learnt.
        source: What it was learnt from.
        evaluations: Scores with `epoch`, in order.
        result: As `summarize` returned it.
    """
    best = result.best
    output = config.output
    place = checkpoints.path(output, best["epoch"])
    network = load_network(place / checkpoints.NETWORK)
    save_network(network, output / "pretext.keras")
    save_network(encoder_of(network), output / "encoder.keras")
    task.illustrate(network, task.prepare(source.evaluation_batches().take(1), None), output)
    scores = {"best": best, "mean_of_last": result.last, "last": evaluations[-1]}
    write_json(output / "evaluation.json", {**task.describe(), **scores})
    write_manifest(
        output / "manifest.json",
        command="rplearn-train",
        config=config,
        seed=config.seed,
        inputs=source.files,
        normalization=describe_source(source)["normalization"],
        num_train=source.num_train,
        num_evaluation=source.num_evaluation,
        best_epoch=best["epoch"],
        provenance=task.provenance(),
        learnt=TASKS[config.task].learnt,
    )


def describe_row(row: dict[str, Any], num_epochs: int, task: Task) -> str:
    """One line about an epoch that ended, from its row of the log."""
    names = ["loss", *task.measures]
    names += [f"evaluation_{name}" for name in task.scores]
    scores = ", ".join(
        f"{name.replace('_', ' ')} {row[name]:.3f}" for name in names if row[name] is not None
    )
    return (
        f"{row['phase']} epoch {row['epoch']}/{num_epochs}: {scores}, "
        f"{row['pairs_per_second']:.0f} pairs/s"
    )
