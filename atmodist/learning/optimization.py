"""One training step, and all that it changes: the one place that knows TensorFlow's machinery.

Two networks are kept. The *trained* one takes the gradient steps. The *network* is what is
evaluated and saved: the running average of the trained one's weights,

    average <- d average + (1 - d) weights,   d = min(ema, (1 + step) / (10 + step)),

or its plain copy without averaging. The moving statistics of batch normalisation are averaged
along with the weights: statistics of the latest weights would not fit averaged ones (on
real winds: accuracy 0.59 with averaged statistics, 0.57 with the latest).

The loss is the cross-entropy against the label, or a bell around it, plus the network's L2 penalty.
"sgd" clips the gradient of each variable by itself to norm 5, which is what `clipnorm` means in the
reference (Keras' `SGD(momentum=0.9, clipnorm=5.0)`); "adamw" does not clip.
"""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from atmodist.learning.acceleration import training_copy
from atmodist.learning.configuration import TrainingConfig

MOMENTUM = 0.9
CLIP_NORM = 5.0
SUMMED = ("loss", "penalty", "accuracy", "gradient_norm")  # over steps, without waiting for them


class Optimization:
    """A network being trained.

    Args:
        network: Maps pairs to logits; receives the weights to be evaluated and saved.
        config: With no setting left open.
        fused: Whether batch normalisation trains in one kernel; see `acceleration`.
    """

    def __init__(self, network: keras.Model, config: TrainingConfig, *, fused: bool = True):
        self.network = network
        self.trained = training_copy(network, fused=fused)
        self.ema = float(config.ema or 0.0)
        self.optimizer = make_optimizer(config)
        self.optimizer.build(self.trained.trainable_variables)
        num_classes = network.output.shape[-1]
        self._targets = tf.constant(soft_targets(num_classes, config.label_spread or 0.0))
        self._sums = tf.Variable(tf.zeros(len(SUMMED)))
        self._steps = 0
        self._step = tf.function(self._train_step, jit_compile=config.xla)
        self._average = tf.function(self._update_average, jit_compile=False)
        self._predict = tf.function(
            lambda pairs: network(pairs, training=False), reduce_retracing=True
        )

    def step(self, pairs: Any, labels: Any, *, number: int, learning_rate: float) -> None:
        """Takes one gradient step.

        Args:
            pairs: (batch, 2, latitude, longitude, channel).
            labels: (batch,), from 0.
            number: Steps taken before.
            learning_rate: The size of this one.
        """
        self.optimizer.learning_rate = learning_rate
        self._step(pairs, labels)
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
            `loss` (with its penalty), `penalty`, `accuracy` and `gradient_norm` (before clipping).
        """
        means = (self._sums.numpy() / max(self._steps, 1)).tolist()
        return dict(zip(SUMMED, means, strict=True))

    def reset(self) -> None:
        """Starts the means of `losses` anew."""
        self._sums.assign(tf.zeros(len(SUMMED)))
        self._steps = 0

    def predict(self, pairs: Any) -> np.ndarray:
        """Returns the logits of the evaluated network; call `synchronize` before."""
        return self._predict(pairs).numpy()

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

    def _train_step(self, pairs: Any, labels: Any) -> None:
        gradients, sums = self._gradients(pairs, labels)
        self.optimizer.apply(gradients, self.trained.trainable_variables)
        self._sums.assign_add(sums)

    def _gradients(self, pairs: Any, labels: Any) -> tuple[list[Any], Any]:
        variables = [variable.value for variable in self.trained.trainable_variables]
        with tf.GradientTape() as tape:
            logits = self.trained(pairs, training=True)
            targets = tf.gather(self._targets, labels)
            entropy = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_mean(entropy)
            penalty = tf.add_n(self.trained.losses or [tf.zeros(())])
            total = loss + penalty
        gradients = tape.gradient(total, variables)
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=labels.dtype), labels)
        accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
        return gradients, tf.stack([total, penalty, accuracy, tf.linalg.global_norm(gradients)])

    def _update_average(self, momentum: Any) -> None:
        for average, weight in zip(self.network.weights, self.trained.weights, strict=True):
            average.assign(momentum * average + (1.0 - momentum) * weight)


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """Makes the optimiser of a resolved configuration."""
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(config.learning_rate, momentum=MOMENTUM, clipnorm=CLIP_NORM)
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def soft_targets(num_classes: int, spread: float) -> np.ndarray:
    """Probabilities (label, class) to aim at: a bell of width σ = `spread` around the label.

        p_k ∝ exp(-½ ((k - label) / σ)²), with Σ_k p_k = 1; all on the label for σ = 0

    The bell says that a neighbour in time is a smaller mistake than a distant label.
    """
    distance = np.abs(np.subtract.outer(np.arange(num_classes), np.arange(num_classes)))
    if spread == 0:
        return (distance == 0).astype(np.float32)
    bell = np.exp(-0.5 * (distance / spread) ** 2)
    return (bell / bell.sum(axis=1, keepdims=True)).astype(np.float32)


def is_finite(losses: dict[str, float]) -> bool:
    """Whether training still makes sense.

    The loss alone does not tell: ReLU may turn NaN into 0, and the loss into that of a blind guess.
    """
    return all(math.isfinite(value) for value in losses.values())
