"""The steps of both phases, and all that they change: generator, discriminator, optimisers.

Pre-training minimises a content loss C₀ (+ the consistency penalty). An adversarial step minimises,
from one forward pass G(x) of the generator and one of the discriminator over each of y and G(x),

    generator       C(y, G(x)) + w · mean(-log D(G(x))) (+ penalty),
    discriminator   ½ mean(-log D(y)) + ½ mean(-log(1 - D(G(x)))),

each with respect to its own weights alone. Both gradients are taken before either network moves.
Whoever falls behind (`balance`) takes another step on the same batch, with the networks as they are
then.

The average of the generator's weights counts steps within the phase. The adversarial phase begins
with the average of the first one and with fresh optimisers, as it would in a run of its own that
starts from it.
"""

import functools
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from atmodist.training.acceleration import training_copy
from atmodist.training.devices import Devices
from atmodist.training.gradient_step import GradientLearner, GradientStep, make_backend, scaling
from atmodist.training.phases import Phase
from srgan.losses.adversarial import discriminator_loss, generator_loss, shares_recognised
from srgan.losses.combination import content_loss
from srgan.training.balance import falls_behind
from srgan.training.configuration import GeneratorTrainingConfig
from srgan.training.losses import ADVERSARIAL, PRETRAINING, Losses

MOMENTUM = 0.9  # of Adam, the reference's
GENERATOR, DISCRIMINATOR = "generator", "discriminator"
NORMS = {GENERATOR: "gradient_norm", DISCRIMINATOR: "discriminator_gradient_norm"}
GAME = (
    "adversarial_loss",
    "discriminator_loss",
    "true_recognised",
    "generated_recognised",
    "discriminator_gradient_norm",
)
EXTRA = ("extra_generator_steps", "extra_discriminator_steps")


class GeneratorTraining(GradientLearner):
    """A generator being trained, with its adversary; implements `Learner`.

    Args:
        network: The generator, float32; receives the weights to be evaluated and saved.
        discriminator: Of float32; a copy of it is trained.
        losses: What is wrong with generated fields.
        config: With no setting left open.
        devices: What steps run on; by default one device.
    """

    def __init__(
        self,
        network: keras.Model,
        discriminator: keras.Model,
        losses: Losses,
        config: GeneratorTrainingConfig,
        *,
        devices: Devices | None = None,
    ):
        self._losses, self._config = losses, config
        devices, precision, parts = devices or Devices(), config.precision, config.accumulation
        devices.check_batch(config.batch_size, parts)
        backend = make_backend(devices, precision=precision, parts=parts, xla=config.xla)
        with backend.scope():
            trained = training_copy(network, precision=precision)
            self.discriminator = training_copy(discriminator, precision=precision)
            adams = (_adam(moved, config) for moved in (trained, trained, self.discriminator))
            self._pretraining_optimizer, self._optimizer, self._adversary = map(
                backend.adopt, adams
            )
        penalty = ("consistency",) if losses.penalty else ()
        columns = ("loss", *losses.parts, *penalty, "gradient_norm", *GAME, *EXTRA)
        self.shown: tuple[str, ...] = ("loss", "discriminator_loss")
        super().__init__(network, trained, backend, ema=config.ema, columns=columns)
        own = {GENERATOR: trained}
        both = {**own, DISCRIMINATOR: self.discriminator}
        movers = {GENERATOR: self._optimizer, DISCRIMINATOR: self._adversary}
        kind = functools.partial(GradientStep, backend, norms=NORMS)
        self._pretraining = kind(
            self._pretraining_objective,
            own,
            {GENERATOR: self._pretraining_optimizer},
            columns=columns,
        )
        self._adversarial = kind(self._adversarial_objective, both, movers, columns=columns)
        self._again = {
            name: kind(self._adversarial_objective, both, {name: optimizer})
            for name, optimizer in movers.items()
        }
        self.begin(Phase(name=PRETRAINING, epochs=0, steps_per_epoch=0))

    @property
    def optimizers(self) -> dict[str, keras.optimizers.Optimizer]:
        """See `GradientLearner`."""
        if self._phase == PRETRAINING:
            return {"optimizer": self._pretraining_optimizer}
        return {
            "generator_optimizer": self._optimizer,
            "discriminator_optimizer": self._adversary,
        }

    @property
    def told(self) -> tuple[str, ...]:
        """See `GradientLearner`; parts of the loss are told without their weights.

        `loss` and `gradient_norm` are the generator's. In the adversarial phase terms of the game,
        shares of true and generated fields that were recognised, and extra steps are told besides.
        """
        parts = [term.name for term in self._losses.of_phase(self._phase)]
        penalty = ["consistency"] if self._losses.penalty else []
        game = (*GAME, *EXTRA) if self._phase == ADVERSARIAL else ()
        return ("loss", *parts, *penalty, "gradient_norm", *game)

    def groups(self) -> dict[str, Iterable[keras.Variable]]:
        """See `GradientLearner`; the discriminator takes no part in the first phase."""
        groups = super().groups()
        if self._phase == ADVERSARIAL:
            groups["discriminator"] = self.discriminator.variables
        return groups

    def begin(self, phase: Phase) -> None:
        """See `Learner`; the adversarial phase begins with the average of the first."""
        self._phase, self._first_step = phase.name, phase.first_step
        if phase.name == ADVERSARIAL:
            self.synchronize()
            for weight, average in zip(self.trained.weights, self.network.weights, strict=True):
                self.backend.assign(weight, ops.convert_to_numpy(average))

    def step(
        self,
        inputs: dict[str, Any],
        targets: dict[str, Any],
        *,
        number: int,
        learning_rate: float,
    ) -> None:
        """Takes a step of the phase, and an extra one for whoever falls behind.

        Args:
            inputs: What the generator takes.
            targets: "high", and "row_weights".
            number: Steps taken before, over all phases.
            learning_rate: The size of this one.
        """
        if self._phase == PRETRAINING:
            self.add(self._pretraining(inputs, targets, learning_rate))
        else:
            told = np.array(ops.convert_to_numpy(self._adversarial(inputs, targets, learning_rate)))
            behind = self._behind(told)
            if behind is not None:
                self._again[behind](inputs, targets)
            for kind, name in zip((GENERATOR, DISCRIMINATOR), EXTRA, strict=True):
                told[:, self.columns.index(name)] = float(behind == kind), 1.0
            self.add(told)
        self.follow(number - self._first_step)

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Takes up what `state` returned, in this phase or at the end of the one before."""
        phase = self._phase
        if phase == ADVERSARIAL and "discriminator/0000" not in state:
            self._phase = PRETRAINING  # the run was to end there, and is longer now
        super().restore(state)
        if self._phase != phase:
            self.begin(Phase(name=phase, epochs=0, steps_per_epoch=0, first_step=self._first_step))

    def _behind(self, told: np.ndarray) -> str | None:
        """Who needs an extra step; nobody after a step of which a part was skipped."""
        sums, counts = told
        taken = all(counts[self.columns.index(name)] for name in NORMS.values())
        loss = float(sums[self.columns.index("discriminator_loss")])
        return falls_behind(loss, self._config.balance) if taken else None

    def _pretraining_objective(
        self, inputs: Any, targets: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        generated = _float32(self.trained(inputs, training=True))
        total, told = self._content(PRETRAINING, inputs, targets, generated)
        return {GENERATOR: total}, {"loss": total, **told}

    def _adversarial_objective(
        self, inputs: Any, targets: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What both networks minimise, from the same forward passes."""
        generated = _float32(self.trained(inputs, training=True))
        true_logits = self.discriminator(targets["high"], training=True)
        generated_logits = self.discriminator(generated, training=True)
        loss = discriminator_loss(true_logits, generated_logits)
        opinion = generator_loss(generated_logits)
        total, told = self._content(ADVERSARIAL, inputs, targets, generated)
        total = total + self._config.adversarial_weight * opinion
        game = (opinion, loss, *shares_recognised(true_logits, generated_logits))
        told |= {"loss": total, **dict(zip(GAME, game, strict=False))}
        return {GENERATOR: total, DISCRIMINATOR: loss}, told

    def _content(
        self, phase: str, inputs: Any, targets: Any, generated: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The loss without the discriminator's opinion, and its parts."""
        total, parts = content_loss(self._losses.of_phase(phase), targets["high"], generated)
        penalty = self._losses.penalty
        if penalty is None:
            return total, dict(parts)
        found = penalty(inputs["low"], generated, targets["row_weights"])
        return total + self._config.consistency_weight * found, {**parts, "consistency": found}


def _adam(network: keras.Model, config: GeneratorTrainingConfig) -> keras.optimizers.Optimizer:
    optimizer = scaling(keras.optimizers.Adam(beta_1=MOMENTUM), config.precision)
    optimizer.build(network.trainable_variables)
    return optimizer


def _float32(field: Any) -> Any:
    return ops.cast(field, "float32")
