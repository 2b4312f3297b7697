"""A training run: epochs, evaluations, logs and checkpoints, and going on after being killed.

A checkpoint holds all that an epoch changes, and the order of the data is a pure function of
(seed, epoch), so a run that was killed and started again by the same command repeats the losses of
one that was not. What is inside a step lives in `optimization`, what is in a batch in
`pair_source`; here is only the order of events.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from atmodist.learning import checkpoints
from atmodist.learning.configuration import TrainingConfig
from atmodist.learning.continuation import check_same_data, check_same_run, describe_source
from atmodist.learning.optimization import Optimization, is_finite
from atmodist.learning.pair_source import PairSource, open_source
from atmodist.learning.pretext import encoder_of
from atmodist.learning.run_log import RunLog, write_csv
from atmodist.learning.saving import load_network, save_network
from atmodist.learning.schedules import Schedule, make_schedule
from atmodist.learning.tasks.task import Scores, make_task
from atmodist.outputs import plain_config, write_json, write_manifest

PROGRESS = ("epoch", "step", "steps_per_epoch", "schedule", "history", "evaluations", "config")
LOOK_EVERY = 20  # steps between two looks at the loss; a look waits for the accelerator
LAST_EVALUATIONS = 5  # averaged in evaluation.json, lest a lucky one be reported


class TrainingDivergedError(ValueError):
    """The loss or its gradient is no longer a finite number."""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        output: The folder with the network.
        epochs: Epochs trained.
        best: Scores of the best epoch by evaluation loss, with `epoch`.
        last: Mean scores of the last evaluations.
        report: Lines about them, for people.
    """

    output: Path
    epochs: int
    best: Scores
    last: Scores
    report: str

    def summary(self) -> str:
        """How good it became, where it is, and what to run next."""
        return (
            f"trained   {self.epochs} epochs; the best is epoch {self.best['epoch']}, evaluation "
            f"loss {self.best['loss']:.3f}\n"
            f"{self.report}\n"
            f"Wrote {self.output / 'encoder.keras'}; all scores are in "
            f"{self.output / 'evaluation.json'}. Next: atmodist inspect {self.output}"
        )


def train(config: TrainingConfig, source: PairSource | None = None) -> TrainingResult:
    """Trains a network, or goes on with one.

    Args:
        config: What to do; open settings are taken from the architecture's recipe.
        source: Where pairs come from; by default the records that `config` names.

    Raises:
        ValueError: If the output folder holds another run, or the records do not suit.
        TrainingDivergedError: If the loss or its gradient is no longer a finite number.
    """
    run = TrainingRun(config, source)
    with run.source.guard():
        run.go_on()
    return run.finish()


class TrainingRun:
    """The state of a run between two epochs."""

    def __init__(self, config: TrainingConfig, source: PairSource | None = None):
        self.config = config = config.resolved()
        self.output = config.output
        keras.utils.set_random_seed(config.seed)
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        self.source = source or open_source(config)
        self._described = describe_source(self.source)
        self.epoch = 0  # epochs done
        self.step = 0  # steps done
        self.history: list[dict[str, Any]] = []
        self.evaluations: list[dict[str, Any]] = []
        previous = self._previous_state()
        self.steps_per_epoch = self._count_steps()
        self.schedule: Schedule = make_schedule(config, self.num_epochs * self.steps_per_epoch)
        self.task = make_task(config, self.source)
        self.optimization = Optimization(self.task.network(), self.task, config)
        self.output.mkdir(parents=True, exist_ok=True)
        if self.source.normalization is not None:
            self.source.normalization.save(self.output / "normalization.json")
        else:
            (self.output / "normalization.json").unlink(missing_ok=True)  # of another run
        checkpoints.remove_leftovers(self.output)
        if previous is not None:
            self._take_up(previous)

    @property
    def num_epochs(self) -> int:
        """Epochs of the whole run."""
        return int(self.config.epochs or 1)

    def go_on(self) -> None:
        """Trains the epochs that are missing."""
        log = RunLog(self.output)
        done = self.epoch == self.num_epochs
        if done and not (self.evaluations and self.evaluations[-1]["epoch"] == self.epoch):
            self._add_evaluation()  # a longer run did not evaluate the epoch that is the last now
        while self.epoch < self.num_epochs:
            started = time.perf_counter()
            losses = self._train_epoch()
            seconds = time.perf_counter() - started
            rate = self.schedule.learning_rate(self.step - 1)  # asked before it falls
            self.schedule.after_epoch(losses["loss"])
            self.epoch += 1
            pairs = self.steps_per_epoch * int(self.config.batch_size or 1)
            row = {
                "epoch": self.epoch,
                "step": self.step,
                "learning_rate": rate,
                **losses,
                **self._evaluate(),
                "seconds": round(seconds, 3),
                "pairs_per_second": round(pairs / seconds, 2),
            }
            self.history.append(row)
            self._save()
            self._tell(row)
            log.write(self.history)

    def finish(self) -> TrainingResult:
        """Writes the best network, its scores and the manifest."""
        best = self._best()
        best_checkpoint = checkpoints.path(self.output, best["epoch"])
        network = load_network(best_checkpoint / checkpoints.NETWORK)
        last = self.evaluations[-LAST_EVALUATIONS:]
        last_mean = {**self.task.mean_scores(last), "epochs": [scores["epoch"] for scores in last]}
        save_network(network, self.output / "pretext.keras")
        save_network(encoder_of(network), self.output / "encoder.keras")
        write_json(
            self.output / "evaluation.json",
            {
                **self.task.describe(),
                "best": best,
                "mean_of_last": last_mean,
                "last": self.evaluations[-1],
            },
        )
        write_manifest(
            self.output / "manifest.json",
            command="rplearn-train",
            config=self.config,
            seed=self.config.seed,
            inputs=self.source.files,
            normalization=self._described["normalization"],
            num_train=self.source.num_train,
            num_evaluation=self.source.num_evaluation,
            best_epoch=best["epoch"],
        )
        return TrainingResult(
            output=self.output,
            epochs=self.epoch,
            best=best,
            last=last_mean,
            report=self.task.report(last_mean, len(last)),
        )

    def _train_epoch(self) -> dict[str, float]:
        self.optimization.reset()
        batches = self.source.training_batches(self.epoch).take(self.steps_per_epoch)
        batches = self.task.prepare(batches, self.epoch)
        label = f"epoch {self.epoch + 1}/{self.num_epochs}"
        with tqdm(total=self.steps_per_epoch, desc=label, unit="step", disable=None) as bar:
            for number, (inputs, targets) in enumerate(batches, start=1):
                rate = self.schedule.learning_rate(self.step)
                self.optimization.step(inputs, targets, number=self.step, learning_rate=rate)
                self.step += 1
                if number % LOOK_EVERY == 0:
                    losses = self._checked_losses(rate)
                    bar.set_postfix({name: losses[name] for name in ("loss", *self.task.measures)})
                bar.update()
        if number != self.steps_per_epoch:
            raise ValueError(
                f"the records gave {number} batches in epoch {self.epoch + 1}, but "
                f"{self.steps_per_epoch} were announced; are some shards missing?"
            )
        return self._checked_losses(rate)

    def _checked_losses(self, rate: float) -> dict[str, float]:
        losses = self.optimization.losses()
        if not is_finite(losses):
            last = self.epoch and checkpoints.path(self.output, self.epoch)
            raise TrainingDivergedError(
                f"training broke down in epoch {self.epoch + 1}: loss {losses['loss']:.3g}, norm "
                f"of the gradient {losses['gradient_norm']:.3g} (step {self.step}, learning rate "
                f"{rate:g}); "
                + (f"the last good checkpoint is {last}. " if last else "there is no checkpoint. ")
                + "Try a smaller --learning_rate and another --output."
            )
        return losses

    def _evaluate(self) -> dict[str, Any]:
        """Scores the network when it is due; returns the columns for the log."""
        self.optimization.synchronize()
        due = self.epoch % self.config.evaluate_every == 0 or self.epoch == self.num_epochs
        if due:
            self._add_evaluation()
        scores = self.evaluations[-1] if due else dict.fromkeys(self.task.scores)
        return {f"evaluation_{name}": scores[name] for name in self.task.scores}

    def _add_evaluation(self) -> None:
        scores = self.evaluate()
        if not math.isfinite(scores["loss"]):
            raise TrainingDivergedError(
                f"the evaluation loss of epoch {self.epoch} is {scores['loss']}, though training "
                "went well; do the evaluation records hold missing values?"
            )
        self.evaluations.append({"epoch": self.epoch, **scores})

    def evaluate(self) -> Scores:
        """Scores the network on the evaluation split."""
        return self.task.evaluate(self._evaluation_outputs())

    def _evaluation_outputs(self) -> Iterator[tuple[np.ndarray, Any]]:
        batches = self.source.evaluation_batches()
        if self.config.evaluation_steps:
            batches = batches.take(self.config.evaluation_steps)
        batches = self.task.prepare(batches, None)
        for inputs, targets in tqdm(batches, desc="evaluation", leave=False, disable=None):
            yield self.optimization.predict(inputs), targets

    def _best(self) -> dict[str, Any]:
        return min(self.evaluations, key=lambda scores: scores["loss"])

    def _save(self) -> None:
        checkpoints.save(
            self.output,
            self.epoch,
            network=self.optimization.network,
            arrays=self.optimization.state(),
            state={
                "epoch": self.epoch,
                "step": self.step,
                "steps_per_epoch": self.steps_per_epoch,
                "schedule": self.schedule.state(),
                "history": self.history,
                "evaluations": self.evaluations,
                "config": plain_config(self.config),
                **self._described,
            },
        )
        kept = [self.epoch]
        if self.evaluations:
            best = self._best()
            kept.append(best["epoch"])
            summary = {name: best[name] for name in ("epoch", *self.task.scores)}
            place = checkpoints.path(self.output, best["epoch"]).relative_to(self.output)
            write_json(self.output / "best.json", {**summary, "checkpoint": str(place)})
        if self.config.keep_checkpoints:
            checkpoints.prune(self.output, keep=self.config.keep_checkpoints, besides=kept)

    def _tell(self, row: dict[str, Any]) -> None:
        names = ["loss", *self.task.measures]
        names += [f"evaluation_{name}" for name in self.task.scores]
        scores = ", ".join(
            f"{name.replace('_', ' ')} {row[name]:.3f}" for name in names if row[name] is not None
        )
        tqdm.write(
            f"epoch {row['epoch']}/{self.num_epochs}: {scores}, "
            f"{row['pairs_per_second']:.0f} pairs/s"
        )

    def _previous_state(self) -> dict[str, Any] | None:
        """Finds the last checkpoint; refuses what cannot be gone on with."""
        done = checkpoints.epochs(self.output)
        if done and not self.config.resume:
            raise ValueError(
                f"{self.output} already holds a run of {done[-1]} epochs; choose another --output, "
                "or go on with it by --resume true."
            )
        if not done:
            return None
        state = checkpoints.load_state(
            self.output, done[-1], required=(*PROGRESS, *self._described)
        )
        check_same_run(state["config"], self.config, self.output)
        check_same_data(state, self.source, self.config)
        return state

    def _take_up(self, state: dict[str, Any]) -> None:
        if state["steps_per_epoch"] != self.steps_per_epoch:
            raise ValueError(
                f"the run in {self.output} had {state['steps_per_epoch']} steps per epoch, these "
                f"records give {self.steps_per_epoch}; choose another --output."
            )
        self.epoch, self.step = state["epoch"], state["step"]
        self.history, self.evaluations = state["history"], state["evaluations"]
        arrays = checkpoints.load_arrays(self.output, self.epoch)
        try:  # the settings are the same, so what does not fit is no other network's
            self.schedule.restore(state["schedule"])
            self.optimization.restore(arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise checkpoints.damaged(self.output, self.epoch, error) from error
        write_csv(self.output / "log.csv", self.history)
        if self.epoch < self.num_epochs:
            tqdm.write(f"going on after epoch {self.epoch} of {self.output}")

    def _count_steps(self) -> int:
        batch_size = int(self.config.batch_size or 1)
        available = self.source.num_train // batch_size
        if available < 1 or self.source.num_evaluation < 1:
            raise ValueError(
                f"{self.config.records} has {self.source.num_train} pairs for training and "
                f"{self.source.num_evaluation} for evaluation; needed are at least one batch "
                f"({batch_size}) and one pair. Try a smaller --batch_size, or more records."
            )
        asked = self.config.steps_per_epoch or available
        if asked > available:
            raise ValueError(
                f"`steps_per_epoch` is {asked}, but {self.config.records} has "
                f"{self.source.num_train} pairs for training, {available} batches of {batch_size}; "
                "ask for fewer, or make more records."
            )
        return asked
