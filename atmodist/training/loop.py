"""The loop of every training: epochs, evaluations, logs and checkpoints, and going on when killed.

A checkpoint holds all that a step changes, and the order of the data is a pure function of
(seed, epoch), so a run that was killed and started again by the same command repeats the losses of
one that was not. Within an epoch, batches seen before are skipped.

The loop knows only the order of events; what happens in them, the `roles` say.
"""

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from atmodist.files.outputs import plain_config, write_csv, write_json
from atmodist.training import checkpoints
from atmodist.training.devices import Devices
from atmodist.training.interruption import StopSignals, TrainingInterrupted
from atmodist.training.phases import Phase
from atmodist.training.roles import Judge, Learner, LoopConfig, Plan, Scores
from atmodist.training.run_log import RunLog

PROGRESS = ("epoch", "step", "epoch_step", "sums", "seconds", "steps_per_epoch", "schedule")
RECORD = ("history", "evaluations", "config")
LOOK_EVERY = 20  # steps between two looks at the loss; a look waits for the accelerator


class TrainingDivergedError(ValueError):
    """The loss or its gradient is no longer a finite number."""


class Loop:
    """The state of a run between two steps.

    Args:
        config: Of the run, with no setting left open.
        plan: What it does.
        devices: What it runs on.

    Attributes:
        phase: The current one.
        epoch: Epochs done.
        step: Steps done.
        epoch_step: Steps done in the epoch that is not done yet.
        seconds: That these took.
        history: Rows of the log.
        evaluations: Scores with "epoch", in order.

    Raises:
        ValueError: If the folder holds a run that cannot be gone on with.
    """

    learner: Learner
    judge: Judge

    def __init__(self, config: LoopConfig, plan: Plan, devices: Devices):
        self.config, self.plan, self.devices = config, plan, devices
        self.output = config.output
        self.epoch = self.step = self.epoch_step = 0
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []
        self.evaluations: list[Scores] = []
        self._signals = StopSignals()
        self._clock = checkpoints.Clock(config.checkpoint_minutes)
        self._place: tuple[int, int | None] | None = None  # the latest checkpoint
        self._previous = self._previous_state()
        self.phase = self._find_phase()
        self.schedule = plan.schedule(self.phase)
        self._check_workers()

    def begin(self, learner: Learner, judge: Judge) -> None:
        """Takes up the latest checkpoint, if there is one."""
        self.learner, self.judge = learner, judge
        if self._previous is None:
            learner.begin(self.phase)
        else:
            self._take_up(self._previous)
        self._previous = None
        if self.devices.is_chief:
            self.output.mkdir(parents=True, exist_ok=True)
            checkpoints.remove_leftovers(self.output)
            write_csv(self.output / "log.csv", self.history)

    @property
    def is_new(self) -> bool:
        """Whether there is no checkpoint to go on from; to be asked before `begin`."""
        return self._previous is None

    @property
    def num_epochs(self) -> int:
        """Epochs of the whole run, of all phases."""
        return self.plan.phases[-1].end

    @property
    def best(self) -> Scores:
        """Scores of the best epoch."""
        return self.judge.best(self.evaluations)

    def go_on(self) -> None:
        """Trains the epochs that are missing.

        Raises:
            TrainingInterrupted: If it was told to end; a checkpoint holds what was done.
        """
        log = RunLog(self.output) if self.devices.is_chief else None
        self._clock.start()
        with self._signals:
            done = self.epoch >= self.num_epochs
            if done and not (self.evaluations and self.evaluations[-1]["epoch"] == self.epoch):
                self._add_evaluation(self.epoch)  # a longer run did not evaluate this epoch
            while self.epoch < self.num_epochs:
                losses = self._train_epoch()
                self._end_epoch(losses, self._evaluate(self.epoch + 1, log))
                if log is not None:
                    log.write(self.history)

    def watched(self, items: Iterable[Any]) -> Iterable[Any]:
        """The items of an evaluation, shown on a bar; ends it if told to."""
        for item in tqdm(items, desc="evaluation", leave=False, disable=None):
            yield item
            if self._signals.received is not None:
                self._interrupt()

    def save_within(self) -> None:
        """Leaves a checkpoint within an epoch, in place of the one before."""
        self._checked_losses()
        self._write_checkpoint(self.epoch + 1, self.epoch_step)

    def _end_epoch(self, losses: dict[str, float], scores: Scores) -> None:
        samples = self.phase.steps_per_epoch * int(self.config.batch_size or 1)
        row = {
            "epoch": self.epoch + 1,
            "phase": self.phase.name,
            "step": self.step,
            "learning_rate": self._rate(self.step - 1),  # asked before it falls
            **{name: losses.get(name) for name in self.learner.columns},
            **scores,
            "seconds": round(self.seconds, 3),
            f"{self.plan.unit}_per_second": round(samples / self.seconds, 2),
        }
        self.schedule.after_epoch(losses["loss"])
        self.epoch += 1
        self.epoch_step, self.seconds = 0, 0.0
        if self._find_phase() is not self.phase:
            self._next_phase()
        self.history.append(row)
        self._save()
        if self.devices.is_chief:
            tqdm.write(self.judge.tell(row, self.num_epochs))

    def _next_phase(self) -> None:
        if self.devices.is_chief:
            self.judge.phase_ended(self.phase)
        self.phase = self._find_phase()
        self.schedule = self.plan.schedule(self.phase)
        self.learner.begin(self.phase)

    def _train_epoch(self) -> dict[str, float]:
        if self.epoch_step == 0:  # else the sums were taken up with the checkpoint
            self.learner.reset()
        size, before = self.phase.steps_per_epoch, self.seconds
        label = f"{self.phase.name} epoch {self.epoch + 1}/{self.num_epochs}"
        started = time.perf_counter()
        hidden = None if self.devices.is_chief else True  # None: shown on terminals
        options = {"desc": label, "unit": "step", "disable": hidden}
        with tqdm(total=size, initial=self.epoch_step, **options) as bar:
            for batch in self._batches() if self.epoch_step < size else ():
                rate = self._rate(self.step)
                self.learner.step(*batch, number=self.step, learning_rate=rate)
                self.step += 1
                self.epoch_step += 1
                if self.epoch_step % LOOK_EVERY == 0:
                    losses = self._checked_losses()
                    bar.set_postfix({k: losses[k] for k in self.learner.shown if k in losses})
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

    def _batches(self) -> Iterable[Any]:
        """What the epoch has left."""
        return self.plan.batches(self.phase, self.epoch, self.epoch_step)

    def _after_step(self) -> None:
        """Leaves a checkpoint when it is due, and ends if told to."""
        if self._signals.received is not None:
            self._interrupt()
        if self._clock.is_due():
            self.save_within()

    def _interrupt(self) -> None:
        where, place = "", ""
        if self.epoch_step:
            self.save_within()
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
        phases = self.plan.phases
        return next((phase for phase in phases if self.epoch < phase.end), phases[-1])

    def _checked_losses(self) -> dict[str, float]:
        losses = self.learner.losses()
        if not is_finite(losses):
            last = self._last_checkpoint()
            raise TrainingDivergedError(
                f"training broke down in epoch {self.epoch + 1}: loss {losses['loss']:.3g}, norm "
                f"of the gradient {losses['gradient_norm']:.3g} (step {self.step}, learning rate "
                f"{self._rate(self.step - 1):g}); "
                + (f"the last good checkpoint is {last}. " if last else "there is no checkpoint. ")
                + f"Try a smaller --{self.phase.rate_option} and another --output."
            )
        return losses

    def _evaluate(self, epoch: int, log: RunLog | None) -> Scores:
        """Scores the network when it is due; returns the columns for the log."""
        self.learner.synchronize()
        due = epoch % self.config.evaluate_every == 0 or epoch in (self.phase.end, self.num_epochs)
        if due:
            self._add_evaluation(epoch)
            if log is not None:
                self.judge.show(epoch, self.step, log)
        names = self.judge.scores
        scores = self.evaluations[-1] if due else dict.fromkeys(names)
        return {f"evaluation_{name}": scores[name] for name in names}

    def _add_evaluation(self, epoch: int) -> None:
        scores = self.judge.evaluate(self.phase, self.watched)
        if not math.isfinite(scores["loss"]):
            raise TrainingDivergedError(
                f"the evaluation loss of epoch {epoch} is {scores['loss']}, though training "
                "went well; do the evaluation records hold missing values?"
            )
        self.evaluations.append({"epoch": epoch, **scores})

    def _save(self) -> None:
        """Leaves a checkpoint after an epoch, and says which is the best."""
        self._write_checkpoint(self.epoch, None, network=self.learner.network)
        if not self.devices.is_chief:
            return
        kept = [self.epoch]
        if self.evaluations:
            best = self.best
            kept.append(best["epoch"])
            summary = {name: best[name] for name in ("epoch", *self.judge.scores)}
            place = checkpoints.path(self.output, best["epoch"]).relative_to(self.output)
            write_json(self.output / "best.json", {**summary, "checkpoint": str(place)})
        if self.config.keep_checkpoints:
            checkpoints.prune(self.output, keep=self.config.keep_checkpoints, besides=kept)

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
            network_name=self.plan.network_name,
            arrays=self.learner.state(),
            state={
                "epoch": self.epoch,
                "step": self.step,
                "epoch_step": self.epoch_step,
                "sums": self.learner.sums() if within else None,
                "seconds": self.seconds,
                "steps_per_epoch": self.plan.phases[-1].steps_per_epoch,
                "schedule": self.schedule.state(),
                "history": self.history,
                "evaluations": self.evaluations,
                "config": plain_config(self.config),
                **self.plan.described,
            },
        )

    def _last_checkpoint(self) -> Path | None:
        return None if self._place is None else checkpoints.path(self.output, *self._place)

    def _check_workers(self) -> None:
        """Raises `ValueError` unless all workers of a cluster do the same."""
        settings = plain_config(self.config)
        for name in ("records", "output"):
            del settings[name]
        before = self._previous
        place = [before[name] for name in ("epoch", "step")] if before else []
        self.devices.require_same("what to do", [settings, self.plan.described, place])

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
            self.output, *self._place, required=(*PROGRESS, *RECORD, *self.plan.described)
        )
        self.plan.check(state)
        return state

    def _take_up(self, state: dict[str, Any]) -> None:
        steps_per_epoch = self.plan.phases[-1].steps_per_epoch
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
        self.schedule = self.plan.schedule(self.phase)
        self.learner.begin(self.phase)
        try:  # the settings are the same, so what does not fit is no other network's
            self.schedule.restore(state["schedule"])
            self.learner.restore(arrays)
            self.learner.reset(state["sums"])
        except (KeyError, TypeError, ValueError) as error:
            raise checkpoints.damaged(self.output, *place, error) from error
        if self.epoch < self.num_epochs:
            where = f"step {self.epoch_step} of epoch {self.epoch + 1}"
            where = where if self.epoch_step else f"epoch {self.epoch}"
            tqdm.write(f"going on after {where} of {self.output}")


def is_finite(losses: dict[str, float]) -> bool:
    """Whether training still makes sense.

    The loss alone does not tell: ReLU may turn NaN into 0, and the loss into that of a blind guess.
    """
    return all(math.isfinite(value) for value in losses.values())
