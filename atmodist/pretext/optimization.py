"""The training step of a pretext task: the task's loss plus the network's L2 penalty.

"sgd" clips the gradient of each variable by itself to norm 5, which is what `clipnorm` means in the
reference (Keras' `SGD(momentum=0.9, clipnorm=5.0)`); "adamw" does not clip.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.task import Task
from atmodist.training.acceleration import training_copy
from atmodist.training.devices import Devices
from atmodist.training.gradient_step import GradientLearner, GradientStep, make_backend, scaling
from atmodist.training.phases import Phase

MOMENTUM = 0.9
CLIP_NORM = 5.0


class Optimization(GradientLearner):
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
        devices, parts = devices or Devices(), config.accumulation
        devices.check_batch(int(config.batch_size or 1), parts)
        backend = make_backend(devices, precision=config.precision, parts=parts, xla=config.xla)
        with backend.scope():
            trained = training_copy(network, fused=fused, precision=config.precision)
            self.optimizer = backend.adopt(make_optimizer(config))
            self.optimizer.build(trained.trainable_variables)
        self._task = task
        columns = ("loss", "penalty", *task.measures, "gradient_norm")
        self.shown: tuple[str, ...] = ("loss", *task.measures)
        ema = float(config.ema or 0.0)
        super().__init__(network, trained, backend, ema=ema, columns=columns)
        self._step = GradientStep(
            backend,
            self._objective,
            {"trained": trained},
            {"trained": self.optimizer},
            norms={"trained": "gradient_norm"},
            columns=columns,
        )

    @property
    def optimizers(self) -> dict[str, keras.optimizers.Optimizer]:
        """See `GradientLearner`."""
        return {"optimizer": self.optimizer}

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
        self.add(self._step(inputs, targets, learning_rate))
        self.follow(number)

    def _objective(self, inputs: Any, targets: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        outputs = keras.tree.map_structure(_as_float32, self.trained(inputs, training=True))
        loss, measures = self._task.loss(outputs, targets)
        penalty = sum(self.trained.losses, ops.zeros(()))
        total = loss + penalty
        told: Mapping[str, Any] = {name: measures[name] for name in self._task.measures}
        return {"trained": total}, {"loss": total, "penalty": penalty, **told}


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """Makes the optimiser of a resolved configuration; it scales the loss if float16 needs it."""
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            config.learning_rate, momentum=MOMENTUM, clipnorm=CLIP_NORM
        )
    else:
        optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias", "threshold"])
    return scaling(optimizer, config.precision)


def _as_float32(output: Any) -> Any:
    return ops.cast(output, "float32")
