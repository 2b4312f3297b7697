"""The steps of both phases, and all that they change: generator, discriminator, optimisers.

Pre-training minimises a content loss C₀ (+ the consistency penalty). An adversarial step minimises,
from one forward pass G(x) of the generator and one of the discriminator over each of y and G(x),

    generator       C(y, G(x)) + w · mean(-log D(G(x))) (+ penalty),
    discriminator   ½ mean(-log D(y)) + ½ mean(-log(1 - D(G(x)))),

each with respect to its own weights alone: two tapes watch the same passes, and that of the
discriminator begins where G(x) ends. Both gradients are taken before either network moves. Whoever
falls behind (`balance`) takes another step on the same batch, with the networks as they are then.

Two generators are kept. The *trained* one takes the steps; the *network*, the running average of
its weights, is what is evaluated and saved:

    average <- d average + (1 - d) weights,   d = min(ema, (1 + step) / (10 + step)),

with steps counted within the phase. The adversarial phase begins with the average of the first one
and with fresh optimisers, as it would in a run of its own that starts from it.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from atmodist.training.devices import Devices, mean_over_parts
from atmodist.training.phases import Phase
from srgan.losses.adversarial import discriminator_loss, generator_loss, shares_recognised
from srgan.losses.combination import content_loss
from srgan.training.balance import falls_behind
from srgan.training.configuration import GeneratorTrainingConfig
from srgan.training.losses import ADVERSARIAL, PRETRAINING, Losses

MOMENTUM = 0.9  # of Adam, the reference's
LEAST_SCALE = 2.0**-14  # of the loss in float16; 29 steps were skipped then
GAME = (
    "adversarial_loss",
    "discriminator_loss",
    "true_recognised",
    "generated_recognised",
    "discriminator_gradient_norm",
)
EXTRA = ("extra_generator_steps", "extra_discriminator_steps")


class GeneratorTraining:
    """A generator being trained, with its adversary; implements `Learner`.

    Args:
        network: The generator, float32; receives the weights to be evaluated and saved.
        make_generator: Makes another one of the same shape.
        make_discriminator: Makes the discriminator.
        losses: What is wrong with generated fields.
        config: With no setting left open.
        devices: What steps run on; by default one device.
    """

    def __init__(
        self,
        network: keras.Model,
        make_generator: Callable[[], keras.Model],
        make_discriminator: Callable[[], keras.Model],
        losses: Losses,
        config: GeneratorTrainingConfig,
        *,
        devices: Devices | None = None,
    ):
        self.network = network
        self._losses, self._config = losses, config
        self._devices = devices = devices or Devices()
        devices.check_batch(config.batch_size, config.accumulation)
        with devices.scope(), _computing_in(config.precision):
            self.trained = make_generator()
            self.discriminator = make_discriminator()
            self._optimizers = {
                name: devices.adopt(_adam(network, config.precision))
                for name, network in (
                    ("pretraining", self.trained),
                    ("generator", self.trained),
                    ("discriminator", self.discriminator),
                )
            }
        self.trained.set_weights(network.get_weights())
        self._scaled = config.precision == "mixed_float16"
        penalty = ("consistency",) if losses.penalty else ()
        self.columns: tuple[str, ...] = (
            *("loss", *losses.parts, *penalty, "gradient_norm"),
            *(*GAME, *EXTRA),
        )
        self.shown: tuple[str, ...] = ("loss", "discriminator_loss")
        self._sums = tf.Variable(tf.zeros(len(self.columns) + 1))  # the last one counts steps
        compiled = {"jit_compile": config.xla}
        self._pretraining = tf.function(self._on_devices(self._pretraining_step), **compiled)
        self._adversarial = tf.function(self._on_devices(self._adversarial_step), **compiled)
        self._again = {
            "generator": tf.function(self._on_devices(self._generator_step), **compiled),
            "discriminator": tf.function(self._on_devices(self._discriminator_step), **compiled),
        }
        self._average = tf.function(self._update_average)
        self._predict = tf.function(
            lambda inputs: network(inputs, training=False), reduce_retracing=True
        )
        self.begin(Phase(name=PRETRAINING, epochs=0, steps_per_epoch=0))

    def begin(self, phase: Phase) -> None:
        """See `Learner`; the adversarial phase begins with the average of the first."""
        self._phase, self._first_step = phase.name, phase.first_step
        if phase.name == ADVERSARIAL:
            self.synchronize()
            for weight, average in zip(self.trained.weights, self.network.weights, strict=True):
                self._devices.assign(weight, average.numpy())

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
        shares = self._devices.share((inputs, targets))
        if self._phase == PRETRAINING:
            self._optimizers["pretraining"].learning_rate = learning_rate
            told = self._pretraining(shares)
            self._add(told)
        else:
            for name in ("generator", "discriminator"):
                self._optimizers[name].learning_rate = learning_rate
            told = self._adversarial(shares)
            self._add(told, self._extra_step(shares, told))
        if self._config.ema:
            step = number - self._first_step
            momentum = min(self._config.ema, (1 + step) / (10 + step))
            self._average(tf.constant(momentum, tf.float32))

    def synchronize(self) -> None:
        """Makes `network` ready for evaluation and saving."""
        if not self._config.ema:
            self.network.set_weights([self._value(weight) for weight in self.trained.weights])

    def losses(self) -> dict[str, float]:
        """Means over the steps of this phase since `reset`; waits for these to end.

        Returns:
            `loss` (of the generator, all terms), each part without its weight, `gradient_norm` (of
            the generator); in the adversarial phase besides the terms of the game, the shares of
            true and generated fields that were recognised, and how many extra steps a step had.
        """
        *sums, steps = self._sums.numpy().tolist()
        means = dict(zip(self.columns, (value / max(steps, 1.0) for value in sums), strict=True))
        if self._scaled and self._least_scale() < LEAST_SCALE:
            means = dict.fromkeys(means, math.nan)
        return {name: means[name] for name in (*self._told, *self._extra)}

    def reset(self, sums: Sequence[float] | None = None) -> None:
        """Starts the means of `losses` anew, or goes on with `sums`."""
        self._sums.assign([0.0] * (len(self.columns) + 1) if sums is None else list(sums))

    def sums(self) -> list[float]:
        """What `losses` is made of, to go on with by `reset` within an epoch."""
        return [float(value) for value in self._sums.numpy()]

    def predict(self, inputs: dict[str, Any]) -> np.ndarray:
        """Returns the fields of the evaluated generator; call `synchronize` before."""
        return self._predict(inputs).numpy()

    def state(self) -> dict[str, np.ndarray]:
        """Everything a step of this phase changes, as arrays."""
        return {name: self._value(variable) for name, variable in self._variables().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Takes up what `state` returned, in this phase or at the end of the one before."""
        phase = self._phase
        if phase == ADVERSARIAL and "discriminator/0000" not in state:
            self._phase = PRETRAINING  # the run was to end there, and is longer now
        self._devices.take_up(self._variables(), state)
        self.synchronize()
        if self._phase != phase:
            self.begin(Phase(name=phase, epochs=0, steps_per_epoch=0, first_step=self._first_step))

    @property
    def _told(self) -> tuple[str, ...]:
        """What the steps of this phase tell, in this order."""
        parts = [term.name for term in self._losses.of_phase(self._phase)]
        penalty = ["consistency"] if self._losses.penalty else []
        game = GAME if self._phase == ADVERSARIAL else ()
        return ("loss", *parts, *penalty, "gradient_norm", *game)

    @property
    def _extra(self) -> tuple[str, ...]:
        return EXTRA if self._phase == ADVERSARIAL else ()

    def _extra_step(self, shares: Any, told: Any) -> tuple[float, float]:
        """Lets whoever falls behind take another step; returns how many each of both took."""
        loss = float(told[self._told.index("discriminator_loss")])
        behind = falls_behind(loss, self._config.balance) if float(told[-1]) else None
        if behind is not None:
            self._again[behind](shares)
        return float(behind == "generator"), float(behind == "discriminator")

    def _add(self, told: Any, extra: tuple[float, ...] = ()) -> None:
        values = np.concatenate([told.numpy()[:-1], extra]) if extra else told[:-1]
        places = [[self.columns.index(name)] for name in (*self._told, *self._extra)]
        places.append([len(self.columns)])
        counted = tf.concat([tf.cast(values, tf.float32), told[-1:]], axis=0)
        self._sums.scatter_nd_add(places, counted)

    def _least_scale(self) -> float:
        names = ("pretraining",) if self._phase == PRETRAINING else ("generator", "discriminator")
        return min(float(self._value(self._optimizers[name].dynamic_scale)) for name in names)

    def _value(self, variable: Any) -> np.ndarray:
        return self._devices.copies(variable)[0].numpy()

    def _variables(self) -> dict[str, Any]:
        groups = {"trained": self.trained.variables}
        if self._phase == PRETRAINING:
            groups["optimizer"] = self._optimizers["pretraining"].variables
        else:
            groups["generator_optimizer"] = self._optimizers["generator"].variables
            groups["discriminator"] = self.discriminator.variables
            groups["discriminator_optimizer"] = self._optimizers["discriminator"].variables
        if self._config.ema:
            groups["average"] = self.network.variables
        return {
            f"{group}/{number:04d}": variable
            for group, variables in groups.items()
            for number, variable in enumerate(variables)
        }

    def _on_devices(self, replica_step: Callable[..., Any]) -> Callable[[Any], Any]:
        return lambda shares: self._devices.first(self._devices.run(replica_step, shares))

    def _pretraining_step(self, inputs: Any, targets: Any) -> Any:
        values = self._mean(self._generator_gradients, inputs, targets)
        *gradients, told = values
        norm, finite = self._apply("pretraining", self.trained, gradients)
        return _told(tf.concat([told, [norm]], axis=0), finite)

    def _adversarial_step(self, inputs: Any, targets: Any) -> Any:
        values = self._mean(self._both_gradients, inputs, targets)
        count = len(self.trained.trainable_variables)
        *others, told, game = values
        norm, finite = self._apply("generator", self.trained, others[:count])
        norm_d, finite_d = self._apply("discriminator", self.discriminator, others[count:])
        return _told(tf.concat([told, [norm], game, [norm_d]], axis=0), finite & finite_d)

    def _generator_step(self, inputs: Any, targets: Any) -> Any:
        """The generator's part of an adversarial step."""
        *gradients, told = self._mean(self._generator_gradients, inputs, targets)
        self._apply("generator", self.trained, gradients)
        return told

    def _discriminator_step(self, inputs: Any, targets: Any) -> Any:
        """The discriminator's part of an adversarial step."""
        *gradients, told = self._mean(self._discriminator_gradients, inputs, targets)
        self._apply("discriminator", self.discriminator, gradients)
        return told

    def _mean(self, function: Callable[..., Any], inputs: Any, targets: Any) -> Any:
        """The mean of gradients and more over the parts of a share, and over shares."""
        parts = self._config.accumulation
        return self._devices.mean(mean_over_parts(function, (inputs, targets), parts))

    def _apply(self, name: str, network: keras.Model, gradients: Any) -> tuple[Any, Any]:
        """Moves the weights; returns the norm of the gradients, and whether they were finite."""
        optimizer = self._optimizers[name]
        norm, finite = tf.linalg.global_norm(gradients), tf.constant(True)
        if self._scaled:
            norm, finite = norm / optimizer.dynamic_scale, optimizer.check_finite(gradients)
        optimizer.apply(gradients, network.trainable_variables)
        return norm, finite

    def _generator_gradients(self, inputs: Any, targets: Any) -> list[Any]:
        phase = self._phase
        variables = _values(self.trained)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            generated = _float32(self.trained(inputs, training=True))
            total, told = self._content(phase, inputs, targets, generated)
            if phase == ADVERSARIAL:
                opinion = generator_loss(self.discriminator(generated, training=True))
                total = total + self._config.adversarial_weight * opinion
            name = "pretraining" if phase == PRETRAINING else "generator"
            aim = self._aim(name, total)
        return [*tape.gradient(aim, variables), tf.stack([total, *told])]

    def _discriminator_gradients(self, inputs: Any, targets: Any) -> list[Any]:
        generated = _float32(self.trained(inputs, training=True))
        variables = _values(self.discriminator)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            true_logits = self.discriminator(targets["high"], training=True)
            loss = discriminator_loss(true_logits, self.discriminator(generated, training=True))
            aim = self._aim("discriminator", loss)
        return [*tape.gradient(aim, variables), loss]

    def _both_gradients(self, inputs: Any, targets: Any) -> list[Any]:
        """Gradients of both networks from the same forward passes, and what is told of them."""
        variables, adversary = _values(self.trained), _values(self.discriminator)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            generated = _float32(self.trained(inputs, training=True))
            # This tape sees `generated` as a constant: it has not been watching where it came from.
            with tf.GradientTape(watch_accessed_variables=False) as tape_of_adversary:
                tape_of_adversary.watch(adversary)
                true_logits = self.discriminator(targets["high"], training=True)
                generated_logits = self.discriminator(generated, training=True)
                loss = discriminator_loss(true_logits, generated_logits)
                aim_of_adversary = self._aim("discriminator", loss)
            opinion = generator_loss(generated_logits)
            total, told = self._content(ADVERSARIAL, inputs, targets, generated)
            total = total + self._config.adversarial_weight * opinion
            aim = self._aim("generator", total)
        gradients = tape.gradient(aim, variables)
        gradients += tape_of_adversary.gradient(aim_of_adversary, adversary)
        shares = shares_recognised(true_logits, generated_logits)
        return [*gradients, tf.stack([total, *told]), tf.stack([opinion, loss, *shares])]

    def _content(
        self, phase: str, inputs: Any, targets: Any, generated: Any
    ) -> tuple[Any, list[Any]]:
        """The loss without the discriminator's opinion, and its parts."""
        total, parts = content_loss(self._losses.of_phase(phase), targets["high"], generated)
        told = list(parts.values())
        penalty = self._losses.penalty
        if penalty is not None:
            told.append(penalty(inputs["low"], generated, targets["row_weights"]))
            total = total + self._config.consistency_weight * told[-1]
        return total, told

    def _aim(self, name: str, loss: Any) -> Any:
        return self._optimizers[name].scale_loss(loss) if self._scaled else loss

    def _update_average(self, momentum: Any) -> None:
        for average, weight in zip(self.network.weights, self.trained.weights, strict=True):
            value = self._devices.copies(weight)[0]
            average.assign(momentum * average + (1.0 - momentum) * value)


def _told(values: Any, finite: Any) -> Any:
    """What a step tells, and a count of one; zeros for a step that was skipped."""
    told = tf.concat([values, [1.0]], axis=0)
    # A loss that is no number is no overflow of gradients: it is told.
    return tf.where(finite | ~tf.math.is_finite(values[0]), told, tf.zeros_like(told))


def _adam(network: keras.Model, precision: str) -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.Adam(beta_1=MOMENTUM)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(network.trainable_variables)
    return optimizer


@contextlib.contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _values(network: keras.Model) -> list[Any]:
    return [variable.value for variable in network.trainable_variables]


def _float32(field: Any) -> Any:
    return tf.cast(field, tf.float32)
