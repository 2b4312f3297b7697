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
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from atmodist.learning.acceleration import training_copy
from atmodist.learning.configuration import TrainingConfig
from atmodist.learning.tasks.task import Task

MOMENTUM = 0.9
CLIP_NORM = 5.0


class Optimization:
    """A network being trained.

    Args:
        network: Maps inputs to outputs; receives the weights to be evaluated and saved.
        task: Knows what is wrong with the outputs.
        config: With no setting left open.
        fused: Whether batch normalisation trains in one kernel; see `acceleration`.
    """

    def __init__(
        self, network: keras.Model, task: Task, config: TrainingConfig, *, fused: bool = True
    ):
        self.network = network
        self.trained = training_copy(network, fused=fused)
        self.ema = float(config.ema or 0.0)
        self.optimizer = make_optimizer(config)
        self.optimizer.build(self.trained.trainable_variables)
        self._task = task
        # Summed over steps, without waiting for them.
        self._summed = ("loss", "penalty", *task.measures, "gradient_norm")
        self._sums = tf.Variable(tf.zeros(len(self._summed)))
        self._steps = 0
        self._step = tf.function(self._train_step, jit_compile=config.xla)
        self._average = tf.function(self._update_average, jit_compile=False)
        self._predict = tf.function(
            lambda inputs: network(inputs, training=False), reduce_retracing=True
        )

    def step(self, inputs: Any, targets: Any, *, number: int, learning_rate: float) -> None:
        """Takes one gradient step.

        Args:
            inputs: What the network takes.
            targets: What the loss of the task takes.
            number: Steps taken before.
            learning_rate: The size of this one.
        """
        self.optimizer.learning_rate = learning_rate
        self._step(inputs, targets)
        self._steps += 1
        if self.ema:
            self._average(tf.constant(min(self.ema, (1 + number) / (10 + number)), tf.float32))

    def synchronize(self) -> None:
        """Makes `network` ready for evaluation and saving."""
        if not self.ema:
            self.network.set_weights(self.trained.get_weights())

    def losses(self) -> dict[str, float]:
        """Means over the steps since `reset`; waits for these to end.

        Returns:
            `loss` (with its penalty), `penalty`, the measures of the task and `gradient_norm`
            (before clipping).
        """
        means = (self._sums.numpy() / max(self._steps, 1)).tolist()
        return dict(zip(self._summed, means, strict=True))

    def reset(self, sums: Sequence[float] | None = None, steps: int = 0) -> None:
        """Starts the means of `losses` anew, or with the `sums` over some `steps`."""
        self._sums.assign([0.0] * len(self._summed) if sums is None else list(sums))
        self._steps = steps

    def sums(self) -> list[float]:
        """What `losses` is made of, to go on with by `reset` within an epoch."""
        return [float(value) for value in self._sums.numpy()]

    def predict(self, inputs: Any) -> np.ndarray:
        """Returns the outputs of the evaluated network; call `synchronize` before."""
        return self._predict(inputs).numpy()

    def state(self) -> dict[str, np.ndarray]:
        """Everything a step changes, as arrays."""
        return {
            name: keras.ops.convert_to_numpy(variable)
            for name, variable in self._variables().items()
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Takes up what `state` returned."""
        variables = self._variables()
        expected = {name: tuple(variable.shape) for name, variable in variables.items()}
        found = {name: array.shape for name, array in state.items()}
        if expected != found:
            odd = sorted(expected.items() ^ found.items())[:2]
            raise ValueError(
                f"the checkpoint is of another network or optimiser; they differ in {odd}."
            )
        for name, variable in variables.items():
            variable.assign(state[name])
        self.synchronize()

    def _variables(self) -> dict[str, Any]:
        groups = {"trained": self.trained.variables, "optimizer": self.optimizer.variables}
        if self.ema:
            groups["average"] = self.network.variables
        return {
            f"{group}/{number:04d}": variable
            for group, variables in groups.items()
            for number, variable in enumerate(variables)
        }

    def _train_step(self, inputs: Any, targets: Any) -> None:
        gradients, sums = self._gradients(inputs, targets)
        self.optimizer.apply(gradients, self.trained.trainable_variables)
        self._sums.assign_add(sums)

    def _gradients(self, inputs: Any, targets: Any) -> tuple[list[Any], Any]:
        variables = [variable.value for variable in self.trained.trainable_variables]
        with tf.GradientTape() as tape:
            loss, measures = self._task.loss(self.trained(inputs, training=True), targets)
            penalty = tf.add_n(self.trained.losses or [tf.zeros(())])
            total = loss + penalty
        gradients = tape.gradient(total, variables)
        told = [measures[name] for name in self._task.measures]
        return gradients, tf.stack([total, penalty, *told, tf.linalg.global_norm(gradients)])

    def _update_average(self, momentum: Any) -> None:
        for average, weight in zip(self.network.weights, self.trained.weights, strict=True):
            average.assign(momentum * average + (1.0 - momentum) * weight)


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """Makes the optimiser of a resolved configuration."""
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(config.learning_rate, momentum=MOMENTUM, clipnorm=CLIP_NORM)
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias", "threshold"])
    return optimizer


def is_finite(losses: dict[str, float]) -> bool:
    """Whether training still makes sense.

    The loss alone does not tell: ReLU may turn NaN into 0, and the loss into that of a blind guess.
    """
    return all(math.isfinite(value) for value in losses.values())
