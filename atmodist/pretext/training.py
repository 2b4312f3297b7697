"""A training run of a pretext task; what `rplearn-train` does.

The order of events is the loop's (`loop`). What is inside a step lives in `optimization`, what is
in a batch in `pair_source`, what is learnt in `tasks`, how many steps there are in `phases`.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np

from atmodist.files.keras_settings import settled_keras
from atmodist.files.locking import locked
from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.optimization import Optimization
from atmodist.pretext.pair_source import PairSource, open_source
from atmodist.pretext.provenance import check_same_data, check_same_run, describe_source
from atmodist.pretext.results import TrainingResult, describe_row, summarize, write_results
from atmodist.pretext.schedule import make_schedule
from atmodist.pretext.task import Scores, Task
from atmodist.pretext.tasks import TASKS
from atmodist.pretext.warm_up import fit_warmup, plan_phases
from atmodist.training import checkpoints
from atmodist.training.devices import Devices, naming_lost_workers
from atmodist.training.first_weights import draw_first_weights
from atmodist.training.gradient_step import delivered, make_deterministic
from atmodist.training.loop import Loop, TrainingDivergedError
from atmodist.training.phases import Phase
from atmodist.training.resuming import check_same_provenance
from atmodist.training.roles import Plan
from atmodist.training.run_log import RunLog

__all__ = ["TrainingDivergedError", "TrainingRun", "train"]


@settled_keras()
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
            run.loop.go_on()
        return run.finish()


class TrainingRun:
    """A run that can go on: the loop with all that belongs to it."""

    def __init__(
        self,
        config: TrainingConfig,
        source: PairSource | None = None,
        task: Task | None = None,
        devices: Devices | None = None,
    ):
        self.devices = devices or Devices.of(config.devices)
        keras.utils.set_random_seed(config.seed)
        if config.deterministic:
            make_deterministic()
        self.source = source or open_source(config.resolved())
        self.config = config = fit_warmup(config, self.source)
        self.task = task or TASKS[config.task].make(config, self.source)
        plan = Plan(
            phases=plan_phases(config, self.source),
            batches=self._batches,
            schedule=lambda phase: make_schedule(config, phase.num_steps),
            described={**describe_source(self.source), "provenance": self.task.provenance()},
            check=self._check,
            unit="pairs",
        )
        self.loop = Loop(config, plan, self.devices)  # refuses another run before it is built
        network = self.task.network()
        draw_first_weights(network, [config.seed])
        self.optimization = Optimization(network, self.task, config, devices=self.devices)
        self.loop.begin(self.optimization, PretextJudge(self))
        if self.devices.is_chief:
            self._keep_normalization()

    def finish(self) -> TrainingResult:
        """Writes the best network, its scores and the manifest."""
        loop = self.loop
        result = summarize(
            self.config,
            self.task,
            history=loop.history,
            evaluations=loop.evaluations,
            best=loop.best,
        )
        if self.devices.is_chief:
            write_results(self.config, self.task, self.source, loop.evaluations, result)
        self.devices.wait()
        return result

    def _batches(self, phase: Phase, epoch: int, start: int) -> Iterable[Any]:
        batches = self.source.training_batches(phase.order(epoch)).take(phase.steps_per_epoch)
        # A task may draw by the number of a batch, so that it must see the whole epoch.
        return delivered(self.task.prepare(batches, epoch), start)

    def _check(self, state: dict[str, Any]) -> None:
        check_same_run(state["config"], self.config, self.config.output)
        check_same_data(state, self.source, self.config)
        check_same_provenance(state["provenance"], self.task.provenance(), self.config.output)

    def _keep_normalization(self) -> None:
        path = self.config.output / "normalization.json"
        if self.source.normalization is not None:
            self.source.normalization.save(path)
        else:
            path.unlink(missing_ok=True)  # of another run


class PretextJudge:
    """Scores a network on the evaluation split by its task; implements `Judge`."""

    def __init__(self, run: TrainingRun):
        self._run, self._task = run, run.task
        self.scores: tuple[str, ...] = run.task.scores

    def evaluate(self, phase: Phase, watch: Callable[[Iterable[Any]], Iterable[Any]]) -> Scores:
        """See `Judge`."""
        return self._task.evaluate(self._outputs(watch))

    def best(self, evaluations: list[Scores]) -> Scores:
        """The one of the smallest loss."""
        return min(evaluations, key=lambda scores: scores["loss"])

    def show(self, epoch: int, step: int, log: RunLog) -> None:
        """Shows nothing but scores."""

    def phase_ended(self, phase: Phase) -> None:
        """Keeps nothing but checkpoints."""

    def tell(self, row: dict[str, Any], num_epochs: int) -> str:
        """See `Judge`."""
        return describe_row(row, num_epochs, self._task)

    def _outputs(
        self, watch: Callable[[Iterable[Any]], Iterable[Any]]
    ) -> Iterator[tuple[np.ndarray, Any]]:
        batches, steps = self._run.source.evaluation_batches(), self._run.config.evaluation_steps
        batches = self._task.prepare(batches.take(steps) if steps else batches, None)
        for inputs, targets in watch(delivered(batches)):
            yield self._run.optimization.predict(inputs), targets
