"""A training run: epochs, evaluations, logs and checkpoints, and going on after being killed.

A checkpoint holds all that a step changes, and the order of the data is a pure function of
(seed, epoch), so a run that was killed and started again by the same command repeats the losses of
one that was not. Within an epoch, batches seen before are skipped. What is inside a step lives in
`optimization`, what is in a batch in `pair_source`, how many steps there are in `phases`; here is
only the order of events.
"""

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from atmodist.learning import checkpoints
from atmodist.learning.configuration import TrainingConfig
from atmodist.learning.continuation import check_same_data, check_same_run, describe_source
from atmodist.learning.devices import Devices, naming_lost_workers
from atmodist.learning.interruption import StopSignals, TrainingInterrupted
from atmodist.learning.optimization import Optimization, is_finite
from atmodist.learning.pair_source import PairSource, open_source
from atmodist.learning.phases import Phase, fit_warmup, plan_phases
from atmodist.learning.results import TrainingResult, describe_row, summarize, write_results
from atmodist.learning.run_log import RunLog
from atmodist.learning.schedules import Schedule, make_schedule
from atmodist.learning.tasks.task import Scores, Task, make_task
from atmodist.locking import locked
from atmodist.outputs import plain_config, write_csv, write_json

PROGRESS = ("epoch", "step", "epoch_step", "sums", "seconds", "steps_per_epoch", "schedule")
RECORD = ("history", "evaluations", "config")
LOOK_EVERY = 20  # steps between two looks at the loss; a look waits for the accelerator


class TrainingDivergedError(ValueError):
    """The loss or its gradient is no longer a finite number."""


def train(
    config: TrainingConfig, source: PairSource | None = None, task: Task | None = None
) -> TrainingResult:
    """Trains a network, or goes on with one.

    Args:
        config: What to do; open settings are taken from the architecture's recipe.
        source: Where pairs come from; by default the records that `config` names.
        task: What the network learns from; by default the task that `config` names.

    Raises:
        ValueError: If the output folder holds another run, or the records do not suit.
        TrainingDivergedError: If the loss or its gradient is no longer a finite number.
    """
    devices = Devices.of(config.devices)
    lock = locked(config.output / checkpoints.LOCK, config.output)
    with naming_lost_workers(), lock if devices.is_chief else contextlib.nullcontext():
        run = TrainingRun(config, source, task, devices)
        with run.source.guard(), naming_lost_workers():  # before the source looks for damage
            run.go_on()
        return run.finish()


class TrainingRun:
    """The state of a run between two steps."""

    def __init__(
        self,
        config: TrainingConfig,
        source: PairSource | None = None,
        task: Task | None = None,
        devices: Devices | None = None,
    ):
        self.output = config.output
        self.devices = devices or Devices.of(config.devices)
        keras.utils.set_random_seed(config.seed)
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        self.source = source or open_source(config.resolved())
        self.config = config = fit_warmup(config, self.source)
        self._described = describe_source(self.source)
        self.epoch = 0  # epochs done
        self.step = 0  # steps done
        self.epoch_step = 0  # steps done in the epoch that is not done yet
        self.seconds = 0.0  # that these took
        self.history: list[dict[str, Any]] = []
        self.evaluations: list[dict[str, Any]] = []
        self._signals = StopSignals()
        self._clock = checkpoints.Clock(config.checkpoint_minutes)
        self._place: tuple[int, int | None] | None = None  # the latest checkpoint
        self.phases = plan_phases(config, self.source)
        previous = self._previous_state()
        self.phase = self._find_phase()
        self.schedule = self._make_schedule()
        self.task = task or make_task(config, self.source)
        self._check_workers(previous)
        self.optimization = Optimization(
            self.task.network(), self.task, config, devices=self.devices
        )
        if previous is not None:
            self._take_up(previous)
        if self.devices.is_chief:
            self._prepare_output()

    def _prepare_output(self) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        if self.source.normalization is not None:
            self.source.normalization.save(self.output / "normalization.json")
        else:
            (self.output / "normalization.json").unlink(missing_ok=True)  # of another run
        checkpoints.remove_leftovers(self.output)
        write_csv(self.output / "log.csv", self.history)

    def _check_workers(self, previous: dict[str, Any] | None) -> None:
        """Raises `ValueError` unless all workers of a cluster do the same."""
        settings = plain_config(self.config)
        for name in ("records", "output"):
            del settings[name]
        place = [previous[name] for name in ("epoch", "step")] if previous else []
        self.devices.require_same("what to do", [settings, self._described, place])

    @property
    def num_epochs(self) -> int:
        """Epochs of the whole run, of all phases."""
        return self.phases[-1].end

    def go_on(self) -> None:
        """Trains the epochs that are missing.

        Raises:
            TrainingInterrupted: If it was told to end; a checkpoint holds what was done.
        """
        log = RunLog(self.output) if self.devices.is_chief else None
        self._clock.start()
        with self._signals:
            done = self.epoch == self.num_epochs
            if done and not (self.evaluations and self.evaluations[-1]["epoch"] == self.epoch):
                self._add_evaluation(self.epoch)  # a longer run did not evaluate this epoch
            while self.epoch < self.num_epochs:
                losses = self._train_epoch()
                self._end_epoch(losses, self._evaluate(self.epoch + 1))
                if log is not None:
                    log.write(self.history)

    def _end_epoch(self, losses: dict[str, float], scores: dict[str, Any]) -> None:
        pairs = self.phase.steps_per_epoch * int(self.config.batch_size or 1)
        row = {
            "epoch": self.epoch + 1,
            "phase": self.phase.name,
            "step": self.step,
            "learning_rate": self._rate(self.step - 1),  # asked before it falls
            **losses,
            **scores,
            "seconds": round(self.seconds, 3),
            "pairs_per_second": round(pairs / self.seconds, 2),
        }
        self.schedule.after_epoch(losses["loss"])
        self.epoch += 1
        self.epoch_step, self.seconds = 0, 0.0
        if self._find_phase() is not self.phase:
            self.phase = self._find_phase()
            self.schedule = self._make_schedule()
        self.history.append(row)
        self._save()
        if self.devices.is_chief:
            tqdm.write(describe_row(row, self.num_epochs, self.task))

    def finish(self) -> TrainingResult:
        """Writes the best network, its scores and the manifest."""
        result = summarize(
            self.config,
            self.task,
            history=self.history,
            evaluations=self.evaluations,
            best=self._best(),
        )
        if self.devices.is_chief:
            write_results(self.config, self.task, self.source, self.evaluations, result)
        self.devices.wait()
        return result

    def _train_epoch(self) -> dict[str, float]:
        if self.epoch_step == 0:  # else the sums were taken up with the checkpoint
            self.optimization.reset()
        size, before = self.phase.steps_per_epoch, self.seconds
        label = f"{self.phase.name} epoch {self.epoch + 1}/{self.num_epochs}"
        started = time.perf_counter()
        hidden = None if self.devices.is_chief else True  # None: shown on terminals
        shown = {"desc": label, "unit": "step", "disable": hidden}
        with tqdm(total=size, initial=self.epoch_step, **shown) as bar:
            for inputs, targets in self._batches() if self.epoch_step < size else ():
                rate = self._rate(self.step)
                self.optimization.step(inputs, targets, number=self.step, learning_rate=rate)
                self.step += 1
                self.epoch_step += 1
                if self.epoch_step % LOOK_EVERY == 0:
                    losses = self._checked_losses()
                    bar.set_postfix({name: losses[name] for name in ("loss", *self.task.measures)})
                bar.update()
                self.seconds = before + time.perf_counter() - started
                self._after_step()
        if self.epoch_step != size:
            raise ValueError(
                f"the records gave {self.epoch_step} batches in epoch {self.epoch + 1}, but "
                f"{size} were announced; are some shards missing?"
            )
        losses = self._checked_losses()
        self.seconds = before + time.perf_counter() - started  # the last steps have ended now
        return losses

    def _batches(self) -> tf.data.Dataset:
        """What the epoch has left; earlier batches are read, and dropped."""
        batches = self.phase.batches(self.source, self.epoch)
        # A task may draw by the number of a batch, so that it must see the dropped ones.
        return self.task.prepare(batches, self.epoch).skip(self.epoch_step)

    def _after_step(self) -> None:
        """Leaves a checkpoint when it is due, and ends if told to."""
        if self._signals.received is not None:
            self._interrupt()
        if self._clock.is_due():
            self._save_within()

    def _interrupt(self) -> None:
        where, place = "", ""
        if self.epoch_step:
            self._save_within()
            where = (
                f" in epoch {self.epoch + 1} after step {self.epoch_step} of "
                f"{self.phase.steps_per_epoch}"
            )
            place = f" from {self._last_checkpoint()}"
        raise TrainingInterrupted(
            f"interrupted{where}; run the same command again to go on{place}.",
            int(self._signals.received or 0),
        )

    def _rate(self, step: int) -> float:
        return self.schedule.learning_rate(step - self.phase.first_step)

    def _find_phase(self) -> Phase:
        return next((phase for phase in self.phases if self.epoch < phase.end), self.phases[-1])

    def _make_schedule(self) -> Schedule:
        return make_schedule(self.config, self.phase.num_steps)

    def _checked_losses(self) -> dict[str, float]:
        losses = self.optimization.losses()
        if not is_finite(losses):
            last = self._last_checkpoint()
            raise TrainingDivergedError(
                f"training broke down in epoch {self.epoch + 1}: loss {losses['loss']:.3g}, norm "
                f"of the gradient {losses['gradient_norm']:.3g} (step {self.step}, learning rate "
                f"{self._rate(self.step - 1):g}); "
                + (f"the last good checkpoint is {last}. " if last else "there is no checkpoint. ")
                + "Try a smaller --learning_rate and another --output."
            )
        return losses

    def _evaluate(self, epoch: int) -> dict[str, Any]:
        """Scores the network when it is due; returns the columns for the log."""
        self.optimization.synchronize()
        due = epoch % self.config.evaluate_every == 0 or epoch == self.num_epochs
        if due:
            self._add_evaluation(epoch)
        scores = self.evaluations[-1] if due else dict.fromkeys(self.task.scores)
        return {f"evaluation_{name}": scores[name] for name in self.task.scores}

    def _add_evaluation(self, epoch: int) -> None:
        scores = self.evaluate()
        if not math.isfinite(scores["loss"]):
            raise TrainingDivergedError(
                f"the evaluation loss of epoch {epoch} is {scores['loss']}, though training "
                "went well; do the evaluation records hold missing values?"
            )
        self.evaluations.append({"epoch": epoch, **scores})

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
            if self._signals.received is not None:
                self._interrupt()

    def _best(self) -> dict[str, Any]:
        return min(self.evaluations, key=lambda scores: scores["loss"])

    def _save(self) -> None:
        """Leaves a checkpoint after an epoch, and says which is the best."""
        self._write_checkpoint(self.epoch, None, network=self.optimization.network)
        if not self.devices.is_chief:
            return
        kept = [self.epoch]
        if self.evaluations:
            best = self._best()
            kept.append(best["epoch"])
            summary = {name: best[name] for name in ("epoch", *self.task.scores)}
            place = checkpoints.path(self.output, best["epoch"]).relative_to(self.output)
            write_json(self.output / "best.json", {**summary, "checkpoint": str(place)})
        if self.config.keep_checkpoints:
            checkpoints.prune(self.output, keep=self.config.keep_checkpoints, besides=kept)

    def _save_within(self) -> None:
        """Leaves a checkpoint within an epoch, in place of the one before."""
        self._checked_losses()
        self._write_checkpoint(self.epoch + 1, self.epoch_step)

    def _write_checkpoint(self, epoch: int, step: int | None, network: Any = None) -> None:
        if self.devices.is_chief:
            self._write(epoch, step, network)
        self._place = epoch, step
        self._clock.start()

    def _write(self, epoch: int, step: int | None, network: Any) -> None:
        within = step is not None
        checkpoints.save(
            self.output,
            epoch,
            step,
            network=network,
            arrays=self.optimization.state(),
            state={
                "epoch": self.epoch,
                "step": self.step,
                "epoch_step": self.epoch_step,
                "sums": self.optimization.sums() if within else None,
                "seconds": self.seconds,
                "steps_per_epoch": self.phases[-1].steps_per_epoch,
                "schedule": self.schedule.state(),
                "history": self.history,
                "evaluations": self.evaluations,
                "config": plain_config(self.config),
                **self._described,
            },
        )

    def _last_checkpoint(self) -> Path | None:
        return None if self._place is None else checkpoints.path(self.output, *self._place)

    def _previous_state(self) -> dict[str, Any] | None:
        """Finds the last checkpoint; refuses what cannot be gone on with."""
        self._place = checkpoints.latest(self.output, self.num_epochs)
        if self._place is None:
            return None
        if not self.config.resume:
            done = len(checkpoints.epochs(self.output)) and checkpoints.epochs(self.output)[-1]
            raise ValueError(
                f"{self.output} already holds a run of {done} epochs; choose another --output, "
                "or go on with it by --resume true."
            )
        state = checkpoints.load_state(
            self.output, *self._place, required=(*PROGRESS, *RECORD, *self._described)
        )
        check_same_run(state["config"], self.config, self.output)
        check_same_data(state, self.source, self.config)
        return state

    def _take_up(self, state: dict[str, Any]) -> None:
        steps_per_epoch = self.phases[-1].steps_per_epoch
        if state["steps_per_epoch"] != steps_per_epoch:
            raise ValueError(
                f"the run in {self.output} had {state['steps_per_epoch']} steps per epoch, these "
                f"records give {steps_per_epoch}; choose another --output."
            )
        self.epoch, self.step = state["epoch"], state["step"]
        self.epoch_step, self.seconds = state["epoch_step"], state["seconds"]
        self.history, self.evaluations = state["history"], state["evaluations"]
        place = self._place or (self.epoch, None)
        arrays = checkpoints.load_arrays(self.output, *place)
        self.phase = self._find_phase()
        self.schedule = self._make_schedule()
        try:  # the settings are the same, so what does not fit is no other network's
            self.schedule.restore(state["schedule"])
            self.optimization.restore(arrays)
            self.optimization.reset(state["sums"])
        except (KeyError, TypeError, ValueError) as error:
            raise checkpoints.damaged(self.output, *place, error) from error
        if self.epoch < self.num_epochs:
            where = f"step {self.epoch_step} of epoch {self.epoch + 1}"
            where = where if self.epoch_step else f"epoch {self.epoch}"
            tqdm.write(f"going on after {where} of {self.output}")
