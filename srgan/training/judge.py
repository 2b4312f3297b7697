"""Judges a generator after epochs: scores, pictures, and what is kept of pre-training."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from atmodist.training.gradient_step import delivered
from atmodist.training.phases import Phase
from atmodist.training.roles import Scores
from atmodist.training.run_log import RunLog
from atmodist.training.saving import save_network
from srgan.losses.consistency import ConsistencyPenalty
from srgan.training.configuration import GeneratorTrainingConfig
from srgan.training.losses import ADVERSARIAL, PRETRAINING, Losses
from srgan.training.pictures import draw_samples
from srgan.training.source import PatchSource
from srgan.training.step import GeneratorTraining
from srgan.training.validation import PatchScores, bicubic

PRETRAINED = "pretrained.keras"
PICTURES = "samples"  # folder within the output
TOLD = ("mse", "small_scale_power")  # beside bicubic interpolation, in the line about an epoch


class GeneratorJudge:
    """Scores the evaluated generator on the evaluation patches; implements `Judge`.

    Args:
        config: With no setting left open.
        source: Where the patches come from.
        learner: What is being trained.
        losses: Whose parts are scores.
        num_pretraining: Epochs of the first phase.
    """

    def __init__(
        self,
        config: GeneratorTrainingConfig,
        source: PatchSource,
        learner: GeneratorTraining,
        losses: Losses,
        num_pretraining: int,
    ):
        self._config, self._source, self._learner = config, source, learner
        self._num_pretraining = num_pretraining
        penalty = losses.penalty or ConsistencyPenalty(
            factor=source.patches.factor, normalization=source.means_in
        )
        self._scores = PatchScores(losses, penalty)
        self._of_bicubic: dict[str, Scores] = {}
        self._shown: list[np.ndarray] | None = None
        self.scores: tuple[str, ...] = self._scores.names

    def evaluate(self, phase: Phase, watch: Callable[[Iterable[Any]], Iterable[Any]]) -> Scores:
        """See `validation`; the first time, bicubic interpolation is scored as well."""
        if phase.name not in self._of_bicubic:
            self._of_bicubic[phase.name] = self._scores.of(
                self._interpolated(watch(self._batches())), phase.name
            )
        return self._scores.of(self._generated(watch(self._batches())), phase.name)

    def bicubic_scores(self) -> Scores:
        """Scores of bicubic interpolation in the last phase."""
        phase = ADVERSARIAL if self._config.epochs else PRETRAINING
        if phase not in self._of_bicubic:
            self._of_bicubic[phase] = self._scores.of(self._interpolated(self._batches()), phase)
        return self._of_bicubic[phase]

    def best(self, evaluations: list[Scores]) -> Scores:
        """The one of the smallest content loss in the adversarial phase, once there is one.

        Before, that of the smallest loss of pre-training: losses of both may be different things.
        """
        adversarial = [scores for scores in evaluations if scores["epoch"] > self._num_pretraining]
        return min(adversarial or evaluations, key=lambda scores: scores["loss"])

    def show(self, epoch: int, step: int, log: RunLog) -> None:
        """Draws a few patches into `samples/`, and for TensorBoard."""
        if self._shown is None:
            return
        path = self._config.output / PICTURES / f"epoch-{epoch:04d}.png"
        draw_samples(path, self._shown, self._source.patches.channels)
        log.picture("samples", path, step)

    def phase_ended(self, phase: Phase) -> None:
        """Keeps the generator that pre-training ended with."""
        if phase.name == PRETRAINING:
            save_network(self._learner.network, self._config.output / PRETRAINED)

    def tell(self, row: dict[str, Any], num_epochs: int) -> str:
        """Losses, scores beside those of bicubic interpolation, and speed."""
        parts = [f"loss {row['loss']:.4g}"]
        if row.get("discriminator_loss") is not None:
            parts.append(f"discriminator {row['discriminator_loss']:.3f}")
        if row["evaluation_loss"] is not None:
            other = self._of_bicubic[row["phase"]]
            same = row["evaluation_loss"] == row["evaluation_mse"]  # where that is all of the loss
            names = TOLD if same else ("loss", *TOLD)
            told = [
                f"{name.replace('_', ' ')} {row[f'evaluation_{name}']:.4g} ({other[name]:.4g})"
                for name in names
            ]
            parts.append(f"evaluation (bicubic): {', '.join(told)}")
        speed = f"{row['patches_per_second']:.3g} patches/s"
        return f"{row['phase']} epoch {row['epoch']}/{num_epochs}: {'; '.join((*parts, speed))}"

    def _batches(self) -> Any:
        batches, steps = self._source.evaluation_batches(), self._config.evaluation_steps
        return delivered(batches.take(steps) if steps else batches)

    def _generated(self, batches: Iterable[Any]) -> Iterator[tuple[Any, Any, np.ndarray]]:
        self._shown = None
        for inputs, targets in batches:
            generated = self._learner.predict(inputs)
            if self._shown is None and self._config.samples:
                count = self._config.samples
                low, high = (np.asarray(x[:count]) for x in (inputs["low"], targets["high"]))
                self._shown = [low, self._interpolate(low), generated[:count], high]
            yield inputs, targets, generated

    def _interpolated(self, batches: Iterable[Any]) -> Iterator[tuple[Any, Any, np.ndarray]]:
        for inputs, targets in batches:
            yield inputs, targets, self._interpolate(np.asarray(inputs["low"]))

    def _interpolate(self, low: np.ndarray) -> np.ndarray:
        patches = self._source.patches
        return bicubic(low, patches.factor, patches.alignment, self._source.normalization)
