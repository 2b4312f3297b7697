"""One training step, and all that it changes: the one place that knows TensorFlow's machinery.

Two networks are kept. The *trained* one takes the gradient steps. The *network* is what is
evaluated and saved: the running average of the trained one's weights,

    average <- d average + (1 - d) weights,   d = min(ema, (1 + step) / (10 + step)),

or its plain copy without averaging. The moving statistics of batch normalisation are averaged
along with the weights: statistics of the latest weights would not fit averaged ones (on
real winds: accuracy 0.59 with averaged statistics, 0.57 with the latest).

The loss is the task's, plus the network's L2 penalty.
"sgd" clips the gradient of each variable by itself to norm 5, which is what `clipnorm` means in the
reference (Keras' `SGD(momentum=0.9, clipnorm=5.0)`); "adamw" does not clip.

With mixed_float16, small gradients would vanish: the loss is multiplied by a scale, and gradients
are divided by it. Where they overflow, the step is skipped and the scale halved: its loss is told
like any other, the norm of its gradient is not. A network whose loss is no number, or whose scale
falls without end, has diverged all the same.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.task import Task
from atmodist.training.acceleration import training_copy
from atmodist.training.devices import Devices, mean_over_parts
from atmodist.training.phases import Phase

MOMENTUM = 0.9
CLIP_NORM = 5.0
LEAST_SCALE = 2.0**-14  # of the loss; 29 steps were skipped then


class Optimization:
    """A network being trained; implements `Learner`.

    Args:
        network: Maps inputs to outputs; receives the weights to be evaluated and saved.
        task: Knows what is wrong with the outputs.
        config: With no setting left open.
        fused: Whether batch normalisation trains in one kernel; see `acceleration`.
        devices: What steps run on; by default one device.
    """

    def __init__(
        self,
        network: keras.Model,
        task: Task,
        config: TrainingConfig,
        *,
        fused: bool = True,
        devices: Devices | None = None,
    ):
        self.network = network
        self._devices = devices = devices or Devices()
        self._parts = config.accumulation
        devices.check_batch(int(config.batch_size or 1), self._parts)
        self.ema = float(config.ema or 0.0)
        with devices.scope():
            self.trained = training_copy(network, fused=fused, precision=config.precision)
            self.optimizer = devices.adopt(make_optimizer(config))
            self.optimizer.build(self.trained.trainable_variables)
        self._scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        self._task = task
        self.columns: tuple[str, ...] = ("loss", "penalty", *task.measures, "gradient_norm")
        self.shown: tuple[str, ...] = ("loss", *task.measures)
        # Summed over steps, without waiting for them: losses, steps, norm, steps not skipped.
        self._sums = tf.Variable(tf.zeros(len(self.columns) + 2))
        self._step = tf.function(self._train_step, jit_compile=config.xla)
        self._average = tf.function(self._update_average, jit_compile=False)
        self._predict = tf.function(
            lambda inputs: network(inputs, training=False), reduce_retracing=True
        )

    def begin(self, phase: Phase) -> None:
        """See `Learner`; all phases take the same steps."""

    def step(self, inputs: Any, targets: Any, *, number: int, learning_rate: float) -> None:
        """Takes one gradient step.

        Args:
            inputs: What the network takes.
            targets: What the loss of the task takes.
            number: Steps taken before.
            learning_rate: The size of this one.
        """
        self.optimizer.learning_rate = learning_rate
        self._step(self._devices.share((inputs, targets)))
        if self.ema:
            self._average(tf.constant(min(self.ema, (1 + number) / (10 + number)), tf.float32))

    def synchronize(self) -> None:
        """Makes `network` ready for evaluation and saving."""
        if not self.ema:
            self.network.set_weights([self._value(weight) for weight in self.trained.weights])

    def losses(self) -> dict[str, float]:
        """Means over the steps since `reset`; waits for these to end.

        Returns:
            `loss` (with its penalty), `penalty`, the measures of the task and `gradient_norm`
            (before clipping).
        """
        *sums, steps, norm, taken = self._sums.numpy().tolist()
        means = [*(value / max(steps, 1.0) for value in sums), norm / max(taken, 1.0)]
        if self._scaled and self._value(self.optimizer.dynamic_scale) < LEAST_SCALE:
            means = [math.nan] * len(means)
        return dict(zip(self.columns, means, strict=True))

    def reset(self, sums: Sequence[float] | None = None) -> None:
        """Starts the means of `losses` anew, or goes on with `sums`."""
        self._sums.assign([0.0] * (len(self.columns) + 2) if sums is None else list(sums))

    def sums(self) -> list[float]:
        """What `losses` is made of, to go on with by `reset` within an epoch."""
        return [float(value) for value in self._sums.numpy()]

    def predict(self, inputs: Any) -> np.ndarray:
        """Returns the outputs of the evaluated network; call `synchronize` before."""
        return self._predict(inputs).numpy()

    def state(self) -> dict[str, np.ndarray]:
        """Everything a step changes, as arrays."""
        return {name: self._value(variable) for name, variable in self._variables().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Takes up what `state` returned."""
        self._devices.take_up(self._variables(), state)
        self.synchronize()

    def _value(self, variable: Any) -> np.ndarray:
        return self._devices.copies(variable)[0].numpy()

    def _variables(self) -> dict[str, Any]:
        groups = {"trained": self.trained.variables, "optimizer": self.optimizer.variables}
        if self.ema:
            groups["average"] = self.network.variables
        return {
            f"{group}/{number:04d}": variable
            for group, variables in groups.items()
            for number, variable in enumerate(variables)
        }

    def _train_step(self, shares: tuple[Any, Any]) -> None:
        self._sums.assign_add(self._devices.first(self._devices.run(self._replica_step, shares)))

    def _replica_step(self, inputs: Any, targets: Any) -> Any:
        """A step of one replica: of its share, but with the gradient of all shares."""
        statistics = self.trained.non_trainable_variables
        before = [tf.identity(variable.value) for variable in statistics]
        values = mean_over_parts(self._gradients, (inputs, targets), self._parts)
        *gradients, sums = self._devices.mean(values)
        self._devices.average(statistics)
        norm, taken = tf.linalg.global_norm(gradients), tf.constant(1.0)
        if self._scaled:
            finite = self.optimizer.check_finite(gradients)
            norm = tf.where(finite, norm / self.optimizer.dynamic_scale, 0.0)
            taken = tf.cast(finite, tf.float32)
            for variable, old in zip(statistics, before, strict=True):
                variable.assign(tf.where(finite, variable.value, old))
        self.optimizer.apply(gradients, self.trained.trainable_variables)
        return tf.concat([sums, [1.0, norm, taken]], axis=0)

    def _gradients(self, inputs: Any, targets: Any) -> list[Any]:
        """Gradients, of the scaled loss if it is scaled, and what is told of them."""
        variables = [variable.value for variable in self.trained.trainable_variables]
        with tf.GradientTape() as tape:
            outputs = tf.nest.map_structure(_as_float32, self.trained(inputs, training=True))
            loss, measures = self._task.loss(outputs, targets)
            penalty = tf.add_n(self.trained.losses or [tf.zeros(())])
            total = loss + penalty
            aim = self.optimizer.scale_loss(total) if self._scaled else total
        gradients = tape.gradient(aim, variables)
        told = [measures[name] for name in self._task.measures]
        return [*gradients, tf.stack([total, penalty, *told])]

    def _update_average(self, momentum: Any) -> None:
        for average, weight in zip(self.network.weights, self.trained.weights, strict=True):
            value = self._devices.copies(weight)[0]
            average.assign(momentum * average + (1.0 - momentum) * value)


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """Makes the optimiser of a resolved configuration; it scales the loss if float16 needs it."""
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            config.learning_rate, momentum=MOMENTUM, clipnorm=CLIP_NORM
        )
    else:
        optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias", "threshold"])
    if config.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _as_float32(output: Any) -> Any:
    return tf.cast(output, tf.float32)
