"""The task of AtmoDist: how far apart in time are two fields of one place?

Each label is a class. The loss is the cross-entropy against the label, or against a bell around it,
which says that a neighbour in time is a smaller mistake than a distant label.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from atmodist.files.checks import check_settings
from atmodist.files.options import Options
from atmodist.pretext.scores import classification_scores, mean_scores
from atmodist.pretext.task import PretextTask, Scores, TaskFields, TaskSettings

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

HeadName = Literal["classes", "ordinal"]


@dataclass(frozen=True, kw_only=True)
class TemporalDistanceOptions(Options):
    """How the temporal distance is told."""

    head: HeadName = "classes"
    """How the temporal distance is told. classes: labels know nothing of each other. ordinal: one
    score, cut into labels by thresholds that are learnt (proportional odds)."""

    def __post_init__(self) -> None:
        check_settings(self, {})


class TemporalDistance:
    """See the module; implements `Task`.

    Args:
        config: With no setting left open.
        input_shape: (latitude, longitude, channel) of one field.
        num_classes: Number of labels.
    """

    measures: tuple[str, ...] = ("accuracy",)
    scores: tuple[str, ...] = ("loss", "accuracy", "within_one", "top3")
    next_commands: tuple[str, ...] = ("rplearn-eval", "atmodist calibrate")

    def __init__(self, config: TaskSettings, input_shape: tuple[int, int, int], num_classes: int):
        self._config, self._input_shape, self._num_classes = config, input_shape, num_classes
        self._targets = soft_targets(num_classes, config.label_spread or 0.0)

    def network(self) -> "keras.Model":
        """From pairs to logits; see `pretext_model`."""
        from atmodist.pretext.pair_model import pretext_model

        config, head = self._config, self._config.options.head
        return pretext_model(config.architecture, self._input_shape, self._num_classes, head)

    def prepare(self, batches: "tf.data.Dataset", epoch: int | None) -> "tf.data.Dataset":
        """Leaves (pairs, labels) as they are."""
        return batches

    def loss(self, outputs: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
        """Cross-entropy (nats) of logits (batch, class) and labels (batch,)."""
        from keras import ops

        wanted = ops.take(ops.convert_to_tensor(self._targets), targets, axis=0)
        entropy = ops.categorical_crossentropy(wanted, outputs, from_logits=True)
        right = ops.equal(ops.argmax(outputs, axis=-1), ops.cast(targets, "int32"))
        return ops.mean(entropy), {"accuracy": ops.mean(ops.cast(right, "float32"))}

    def evaluate(self, batches: Iterable[tuple[np.ndarray, Any]]) -> Scores:
        """See `classification_scores`; the loss there knows no bell."""
        answers = [(logits, np.asarray(labels)) for logits, labels in batches]
        logits, labels = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        return classification_scores(logits, labels)

    def mean_scores(self, evaluations: list[Scores]) -> Scores:
        """See `scores.mean_scores`."""
        return mean_scores(evaluations)

    def describe(self) -> dict[str, Any]:
        """The labels, and the accuracy of a blind guess."""
        labels = list(range(1, self._num_classes + 1))
        return {"labels": labels, "chance": 1 / self._num_classes}

    def provenance(self) -> dict[str, str]:
        """Nothing: the loss is made of settings alone."""
        return {}

    def report(self, last: Scores, num_last: int) -> str:
        """Accuracy, beside chance, and recall by label."""
        recall = " ".join("-" if value is None else f"{value:.2f}" for value in last["recall"])
        return (
            f"accuracy  {last['accuracy']:.3f}, within one class {last['within_one']:.3f} (mean of "
            f"the last {num_last} evaluations; chance is {1 / self._num_classes:.3f})\n"
            f"by label  1..{self._num_classes}: {recall}"
        )

    def illustrate(self, network: "keras.Model", batches: "tf.data.Dataset", folder: Path) -> None:
        """Draws nothing: `rplearn-eval` does, and more."""


def soft_targets(num_classes: int, spread: float) -> np.ndarray:
    """Probabilities (label, class) to aim at: a bell of width σ = `spread` around the label.

        p_k ∝ exp(-½ ((k - label) / σ)²), with Σ_k p_k = 1; all on the label for σ = 0

    The bell says that a neighbour in time is a smaller mistake than a distant label.
    """
    distance = np.abs(np.subtract.outer(np.arange(num_classes), np.arange(num_classes)))
    if spread == 0:
        return (distance == 0).astype(np.float32)
    bell = np.exp(-0.5 * (distance / spread) ** 2)
    return (bell / bell.sum(axis=1, keepdims=True)).astype(np.float32)


def _make(config: TaskSettings, fields: TaskFields) -> TemporalDistance:
    return TemporalDistance(config, fields.input_shape, fields.num_classes)


TASK = PretextTask(
    asks="how far apart in time two fields are",
    learnt="tell how far apart in time two fields are",
    make=_make,
    options=TemporalDistanceOptions,
    uses_labels=True,
)
