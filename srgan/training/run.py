"""A training run of a generator; what `phire-train` does.

The order of events is the loop's (`atmodist.training.loop`). What is inside a step lives in `step`,
what is in a batch in `source`, how it is judged in `judge` and `validation`.
"""

import contextlib
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from atmodist.files.keras_settings import settled_keras
from atmodist.files.locking import locked
from atmodist.files.outputs import fingerprint, write_json, write_manifest
from atmodist.training import checkpoints
from atmodist.training.devices import Devices, naming_lost_workers
from atmodist.training.first_weights import draw_first_weights
from atmodist.training.gradient_step import delivered, make_deterministic
from atmodist.training.loop import Loop
from atmodist.training.phases import Phase
from atmodist.training.resuming import (
    check_same_normalization,
    check_same_provenance,
    check_same_settings,
)
from atmodist.training.roles import Plan, Scores
from atmodist.training.saving import load_network, save_network
from atmodist.training.schedules import Constant
from srgan.generators.facts import GeneratorFacts
from srgan.generators.package import FACTS, NETWORK, NORMALIZATION, write_generator
from srgan.networks.discriminator import discriminator
from srgan.networks.generator import generator, receptive_radius
from srgan.samples.reading import PatchSet
from srgan.training.configuration import CONTINUABLE, GeneratorTrainingConfig
from srgan.training.judge import PRETRAINED, TOLD, GeneratorJudge
from srgan.training.losses import ADVERSARIAL, PRETRAINING, make_losses, tell_uncalibrated
from srgan.training.source import PatchSource
from srgan.training.start import take_weights
from srgan.training.step import GeneratorTraining


@dataclass(frozen=True, kw_only=True)
class GeneratorTrainingResult:
    """What a run came to.

    Attributes:
        output: The folder with the generator.
        epochs: Epochs trained, of both phases.
        seconds: Of training per epoch, the median.
        best: Scores of the epoch that was kept, with `epoch`.
        bicubic: Scores of bicubic interpolation.
        phase: The phase of that epoch.
        is_package: Whether phire-infer takes the folder as it is.
    """

    output: Path
    epochs: int
    seconds: float
    best: Scores
    bicubic: Scores
    phase: str
    is_package: bool

    def summary(self) -> str:
        """How good it became, where it is, and what to run next."""
        kind = "content loss" if self.phase == ADVERSARIAL else "loss"
        told = ", ".join(
            f"{name.replace('_', ' ')} {self.best[name]:.4g} ({self.bicubic[name]:.4g})"
            for name in TOLD
        )
        text = (
            f"trained   {self.epochs} epochs of {self.seconds:.3g} s; kept is epoch "
            f"{self.best['epoch']} ({self.phase}), the best by {kind} on the evaluation patches, "
            f"{self.best['loss']:.4g} (bicubic interpolation: {self.bicubic['loss']:.4g})\n"
            f"          {told}\n"
            f"Wrote {self.output / NETWORK}; scores are in evaluation.json, losses in "
            "log.csv. Next: "
        )
        if self.is_package:
            return text + f"phire-infer {self.output} <low-resolution archive or file>"
        return text + f"put the {NORMALIZATION} of the records into {self.output} for phire-infer"


@settled_keras()
def train(
    config: GeneratorTrainingConfig, patches: PatchSet | None = None
) -> GeneratorTrainingResult:
    """Trains a generator, or goes on with one.

    Args:
        config: What to do.
        patches: Where patches come from; by default the records that `config` names.

    Raises:
        ValueError: If the output folder holds another run, or the records do not suit.
        TrainingDivergedError: If a loss or a gradient is no longer a finite number.
    """
    devices = Devices.of(config.devices)
    lock = locked(config.output / checkpoints.LOCK, config.output)
    with naming_lost_workers(), lock if devices.is_chief else contextlib.nullcontext():
        run = GeneratorRun(config, patches, devices)
        with run.source.guard(), naming_lost_workers():  # before the source looks for damage
            run.loop.go_on()
            return run.finish()


class GeneratorRun:
    """A run that can go on: the loop with all that belongs to it."""

    def __init__(
        self,
        config: GeneratorTrainingConfig,
        patches: PatchSet | None = None,
        devices: Devices | None = None,
    ):
        self.config = config = config.resolved()
        self.devices = devices or Devices.of(config.devices)
        keras.utils.set_random_seed(config.seed)
        if config.deterministic:
            make_deterministic()
        self.source = source = PatchSource(config, patches)
        self.losses = losses = make_losses(config, source)
        if self.devices.is_chief:
            tell_uncalibrated(config, losses)
        plan = Plan(
            phases=plan_phases(config, source),
            batches=lambda phase, epoch, start: delivered(
                source.training_batches(phase.order(epoch)).take(phase.steps_per_epoch), start
            ),
            schedule=self._schedule,
            described={**describe_source(source), "provenance": losses.provenance},
            check=self._check,
            unit="patches",
            network_name=NETWORK,
        )
        self.loop = Loop(config, plan, self.devices)  # refuses another run before it is built
        network, adversary = make_generator(config, source), make_discriminator(config, source)
        for number, made in enumerate((network, adversary)):
            draw_first_weights(made, [config.seed, number])
        if config.start_from is not None and self.loop.is_new:  # else its checkpoint has them all
            take_weights(network, Path(config.start_from), source)
        self.learner = GeneratorTraining(
            network,
            adversary,
            losses,
            config,
            devices=self.devices,
        )
        self.judge = GeneratorJudge(config, source, self.learner, losses, self._pretraining)
        self.loop.begin(self.learner, self.judge)
        if self.devices.is_chief and source.normalization is not None:
            source.normalization.save(config.output / NORMALIZATION)

    def finish(self) -> GeneratorTrainingResult:
        """Writes the best generator with all it needs, its scores and the manifest."""
        config, loop, best = self.config, self.loop, self.loop.best
        bicubic = self.judge.bicubic_scores()
        result = GeneratorTrainingResult(
            output=config.output,
            epochs=loop.epoch,
            seconds=statistics.median(row["seconds"] for row in loop.history),
            best=best,
            bicubic=bicubic,
            phase=ADVERSARIAL if best["epoch"] > self._pretraining else PRETRAINING,
            is_package=self.source.normalization is not None,
        )
        if self.devices.is_chief:
            self._write(result)
        self.devices.wait()
        return result

    def _write(self, result: GeneratorTrainingResult) -> None:
        config, source, output = self.config, self.source, self.config.output
        if not config.epochs:
            self.judge.phase_ended(self.loop.plan.phases[0])
        network = load_network(checkpoints.path(output, result.best["epoch"]) / NETWORK)
        facts = describe_generator(config, source, network)
        static = source.patches.static
        if source.normalization is None:
            save_network(network, output / NETWORK)
            facts.save(output / FACTS)
        else:
            write_generator(output, network, source.normalization, facts, static=static)
        evaluations = self.loop.evaluations
        scores = {"best": result.best, "last": evaluations[-1], "bicubic": result.bicubic}
        write_json(output / "evaluation.json", {**scores, "kept_by": "loss", "phase": result.phase})
        write_manifest(
            output / "manifest.json",
            command="phire-train",
            config=config,
            seed=config.seed,
            inputs=source.files,
            normalization=describe_source(source)["normalization"],
            num_train=source.num_train,
            num_evaluation=source.num_evaluation,
            best_epoch=result.best["epoch"],
            provenance=self.losses.provenance,
            scores=scores,
        )

    @property
    def _pretraining(self) -> int:
        """Epochs of the first phase."""
        return int(self.config.pretraining_epochs or 0)

    def _schedule(self, phase: Phase) -> Constant:
        config = self.config
        if phase.name == PRETRAINING:
            return Constant(peak=config.pretraining_learning_rate)
        return Constant(peak=config.learning_rate)

    def _check(self, state: dict[str, Any]) -> None:
        """Raises `ValueError` if a checkpoint is of another run."""
        config, source = self.config, self.source
        check_same_settings(state["config"], config, config.output, free=CONTINUABLE)
        ours, now = f"the records in {config.records}", describe_source(source)
        check_same_normalization(state["normalization"], source.normalization, ours, config.output)
        if state["config"]["epochs"] and not config.epochs and state["epoch"] >= self._pretraining:
            raise ValueError(
                f"the run in {config.output} has begun its adversarial phase; give `epochs` of at "
                f"least 1, or another --output. {PRETRAINED} is what its pre-training came to."
            )
        for name in ("content", "shapes"):
            if state[name] != now[name]:
                raise ValueError(
                    f"the run in {config.output} was started with the records in "
                    f"{state['config']['records']}; {ours} are others. Give those to go on, or "
                    "choose another --output."
                )
        check_same_provenance(state["provenance"], self.losses.provenance, config.output)


def plan_phases(config: GeneratorTrainingConfig, source: PatchSource) -> tuple[Phase, ...]:
    """The phases of a run: pre-training, then the adversarial one; either may be missing.

    Raises:
        ValueError: If there are fewer records than asked for.
    """
    if not source.num_train:
        raise ValueError(
            f"{config.records} has no patches for training; whole fields, for one, are for "
            "evaluation only. Give the records of patches that phire-data made."
        )
    available = source.num_train // config.batch_size
    if available < 1 or source.num_evaluation < 1:
        raise ValueError(
            f"{config.records} has {source.num_train} patches for training and "
            f"{source.num_evaluation} for evaluation; needed are at least one batch "
            f"({config.batch_size}) and one patch. Try a smaller --batch_size, or more records."
        )
    steps = config.steps_per_epoch or available
    if steps > available:
        raise ValueError(
            f"`steps_per_epoch` is {steps}, but {config.records} has {source.num_train} patches "
            f"for training, {available} batches of {config.batch_size}; ask for fewer, or make "
            "more records."
        )
    pretraining = Phase(
        name=PRETRAINING,
        epochs=int(config.pretraining_epochs or 0),
        steps_per_epoch=steps,
        rate_option="pretraining_learning_rate",
    )
    adversarial = Phase(
        name=ADVERSARIAL,
        epochs=config.epochs,
        steps_per_epoch=steps,
        first_epoch=pretraining.end,
        first_step=pretraining.num_steps,
    )
    return tuple(phase for phase in (pretraining, adversarial) if phase.epochs)


def describe_source(source: PatchSource) -> dict[str, Any]:
    """What a checkpoint keeps of its records, as plain content."""
    patches, normalization = source.patches, source.normalization
    return {
        "shapes": [
            *map(list, (patches.lr_shape, patches.hr_shape, patches.factors)),
            *map(list, (patches.channels, patches.static_names)),
        ],
        "normalization": None if normalization is None else normalization.identity,
        "content": [fingerprint(path) for path in source.files],
    }


def make_generator(config: GeneratorTrainingConfig, source: PatchSource) -> keras.Model:
    """Builds the generator with fresh weights."""
    patches = source.patches
    return generator(
        patches.num_channels,
        patches.factors,
        filters=config.filters,
        blocks=config.blocks,
        num_static=len(patches.static_names),
        noise_channels=config.noise_channels,
        projection=(
            (source.means_in or "normalized") if config.consistency == "projection" else None
        ),
    )


def make_discriminator(config: GeneratorTrainingConfig, source: PatchSource) -> keras.Model:
    """Builds the discriminator with fresh weights."""
    patches = source.patches
    shape = patches.hr_shape if config.discriminator_head == "flatten" else (None, None)
    return discriminator(patches.num_channels, shape, head=config.discriminator_head)


def describe_generator(
    config: GeneratorTrainingConfig, source: PatchSource, network: keras.Model
) -> GeneratorFacts:
    """What must be known to use the generator."""
    patches = source.patches
    return GeneratorFacts(
        factors=patches.factors,
        channels=patches.channels,
        receptive_radius=receptive_radius(network),
        alignment=patches.alignment,
        degradation="paired" if patches.degradation == "archive" else patches.degradation,
        static=patches.static_names,
        noise_channels=config.noise_channels,
        projection=config.consistency == "projection",
        spacing_degrees=patches.spacing_degrees,
        grid="" if patches.grid is None else str(patches.grid),
    )
