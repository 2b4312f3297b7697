"""Gradient steps of any networks, and all that they change; for every backend of Keras we train on.

An *objective* says, from a batch, what each network minimises with respect to its own weights, and
what is told about it. It calls networks as they are and is made of `keras.ops`; what takes its
gradient, compiles it and spreads it over devices, a `Backend` does: `tensorflow_step`, `jax_step`.

Two networks are kept. The *trained* one takes the steps. The *network* is what is evaluated and
saved: the running average of the trained one's weights,

    average <- d average + (1 - d) weights,   d = min(ema, (1 + step) / (10 + step)),

or its plain copy without averaging. The moving statistics of batch normalisation are averaged
along with the weights: statistics of the latest weights would not fit averaged ones (on
real winds: accuracy 0.59 with averaged statistics, 0.57 with the latest).

With mixed_float16, small gradients would vanish: the loss is multiplied by a scale, and gradients
are divided by it. Where they overflow, the step is skipped and the scale halved: its loss is told
like any other, the norm of its gradient is not. A network whose loss is no number, or whose scale
falls without end, has diverged all the same.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from atmodist.training.devices import Devices
from atmodist.training.settings import PrecisionName

LEAST_SCALE = 2.0**-14  # of the loss; 29 steps were skipped then

# From (inputs, targets) to what each network minimises, by its name, and scalars by what they are
# told as; all float32, means over the batch.
Objective = Callable[[Any, Any], tuple[dict[str, Any], dict[str, Any]]]


class Backend(Protocol):
    """What a step needs of TensorFlow or JAX."""

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Trained networks and their optimisers are made under it."""

    def adopt(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """Prepares an optimiser, and returns it."""

    def compiled(
        self,
        function: Callable[..., Any],
        *,
        changes: Iterable[Any] = (),
        reads: Iterable[Any] = (),
    ) -> Callable[..., Any]:
        """Compiles a function of nested arrays, for one device.

        Args:
            function: What it does to variables, it does by `assign`.
            changes: Keras variables that it assigns.
            reads: Others that it uses, and that change between calls.
        """

    def step(
        self, function: Callable[..., Any], *, changes: Iterable[Any], reads: Iterable[Any]
    ) -> Callable[..., Any]:
        """The same of a function of a batch, for all devices; returns what the first one does."""

    def gradients(
        self,
        objective: Callable[..., Any],
        networks: Mapping[str, keras.Model],
        moved: Sequence[str],
        batch: tuple[Any, ...],
    ) -> tuple[dict[str, list[Any]], dict[str, Any]]:
        """Within `step`: gradients of an objective, and what it tells.

        Args:
            objective: As `Objective`.
            networks: All that it calls; moving statistics are updated.
            moved: Names of those whose gradients are wanted.
            batch: The share of this device.

        Returns:
            By name, the gradients with respect to the trainable variables; scalars by name. Both
            are means over the batch, all its parts and devices.
        """

    def value(self, variable: keras.Variable) -> Any:
        """The tensor that a variable holds, of this worker's first replica."""

    def assign(self, variable: keras.Variable, value: Any) -> None:
        """Sets a variable, all its replicas; outside of a step."""


def make_backend(
    devices: Devices, *, precision: PrecisionName = "float32", parts: int = 1, xla: bool = False
) -> Backend:
    """Makes what runs steps under the backend of Keras.

    Args:
        devices: What steps run on.
        precision: What networks will compute in.
        parts: In how many equal parts a batch passes through the networks, one after the other.
        xla: Whether TensorFlow compiles steps with XLA; JAX always does.

    Raises:
        ValueError: If the backend cannot compute in this precision.
    """
    name = keras.backend.backend()
    if name == "tensorflow":
        from atmodist.training.tensorflow_step import TensorFlowBackend

        return TensorFlowBackend(devices, parts=parts, xla=xla)
    if precision == "mixed_float16":
        raise ValueError(
            f"precision=mixed_float16 is for KERAS_BACKEND=tensorflow; under {name} use "
            "mixed_bfloat16 or float32."
        )
    from atmodist.training.jax_step import JaxBackend

    return JaxBackend(parts=parts)


def make_deterministic() -> None:
    """Has accelerators repeat a run bit by bit, at some cost; before anything is computed."""
    if keras.backend.backend() == "tensorflow":
        from atmodist.training import tensorflow_step as step
    else:
        from atmodist.training import jax_step as step  # type: ignore[no-redef]
    step.make_deterministic()


def delivered(batches: Any, start: int = 0) -> Iterable[Any]:
    """Batches of a `tf.data.Dataset` from one on: arrays, or tensors where TensorFlow takes them.

    Earlier ones are read, and dropped.
    """
    rest = batches.skip(start) if start else batches
    return rest if keras.backend.backend() == "tensorflow" else rest.as_numpy_iterator()


class GradientStep:
    """One kind of step: it moves some networks against the gradients of one objective.

    Args:
        backend: What it runs under.
        objective: See `Objective`.
        networks: All that the objective calls, by name.
        optimizers: Of those that are moved, by name.
        norms: What the norms of their gradients are told as, before clipping, by name.
        columns: Order of what is told; none for a step of which nothing is told, and that computes
            no more than its gradients need.
    """

    def __init__(
        self,
        backend: Backend,
        objective: Objective,
        networks: Mapping[str, keras.Model],
        optimizers: Mapping[str, keras.optimizers.Optimizer],
        *,
        norms: Mapping[str, str],
        columns: Sequence[str] = (),
    ):
        self._backend, self._objective = backend, objective
        self._networks, self._optimizers = dict(networks), dict(optimizers)
        self._norms, self._columns = dict(norms), tuple(columns)
        self._statistics = [v for n in networks.values() for v in n.non_trainable_variables]
        changed = [v for name in optimizers for v in networks[name].trainable_variables]
        changed += [v for optimizer in optimizers.values() for v in optimizer.variables]
        others = [n for name, n in networks.items() if name not in optimizers]
        self._step = backend.step(
            self.take,
            changes=[*changed, *self._statistics],
            reads=[v for network in others for v in network.trainable_variables],
        )

    def __call__(self, inputs: Any, targets: Any, learning_rate: float | None = None) -> Any:
        """Takes a step, compiled; returns what `take` does.

        Args:
            inputs: What the objective takes.
            targets: The same.
            learning_rate: The size of the step; None for that of the step before.
        """
        if learning_rate is not None:
            for optimizer in self._optimizers.values():
                optimizer.learning_rate = learning_rate
        return self._step(inputs, targets)

    def take(self, inputs: Any, targets: Any) -> Any:
        """What is compiled: a step of one device, of its share but with everybody's gradient.

        Returns:
            What is told, and how often it counts, 1 or 0. Shape (2, column); None without columns.
        """
        scaled = any(map(is_scaled, self._optimizers.values()))
        before = [ops.copy(v) for v in self._statistics] if scaled else []
        gradients, told = self._backend.gradients(
            self._scaled_objective, self._networks, tuple(self._optimizers), (inputs, targets)
        )
        counts = dict.fromkeys(told, 1.0)
        for name, optimizer in self._optimizers.items():
            norm, finite = global_norm(gradients[name]), True
            if is_scaled(optimizer):
                finite = optimizer.check_finite(gradients[name])
                norm = ops.where(finite, norm / optimizer.dynamic_scale, 0.0)
                for variable, old in zip(self._statistics, before, strict=True):
                    variable.assign(ops.where(finite, variable, old))
            optimizer.apply(gradients[name], self._networks[name].trainable_variables)
            told[self._norms[name]], counts[self._norms[name]] = norm, finite
        return ops.stack([self._row(told), self._row(counts)]) if self._columns else None

    def _scaled_objective(self, inputs: Any, targets: Any) -> Any:
        aims, told = self._objective(inputs, targets)
        return {n: o.scale_loss(aims[n]) for n, o in self._optimizers.items()}, told

    def _row(self, values: Mapping[str, Any]) -> Any:
        return ops.stack([ops.cast(values.get(name, 0.0), "float32") for name in self._columns])


class GradientLearner:
    """What all learners have in common whose networks follow gradients; see `Learner`.

    Whoever derives from it takes steps, tells of them by `add`, and then calls `follow`.

    Args:
        network: What is evaluated and saved, float32.
        trained: A copy that takes the steps.
        backend: What they run under.
        ema: Momentum of the running average of weights; 0 for none.
        columns: Names of all that steps tell of.
    """

    def __init__(
        self,
        network: keras.Model,
        trained: keras.Model,
        backend: Backend,
        *,
        ema: float,
        columns: Sequence[str],
    ):
        self.network, self.trained, self.backend = network, trained, backend
        self.ema, self.columns = ema, tuple(columns)
        # Summed over steps, without waiting for them: what was told, and how often. (2, column)
        self._sums = keras.Variable(np.zeros((2, len(columns)), np.float32), trainable=False)
        weights = trained.weights
        self._follow = backend.compiled(self._move_average, changes=network.weights, reads=weights)
        self._predict = backend.compiled(
            lambda inputs: network(inputs, training=False), reads=network.variables
        )

    @property
    def optimizers(self) -> dict[str, keras.optimizers.Optimizer]:
        """Those that move networks now, by name in checkpoints."""
        raise NotImplementedError

    @property
    def told(self) -> Sequence[str]:
        """The columns that steps tell of now."""
        return self.columns

    def groups(self) -> dict[str, Iterable[keras.Variable]]:
        """The variables that steps change now, by name in checkpoints, but for the average."""
        optimizers = {name: optimizer.variables for name, optimizer in self.optimizers.items()}
        return {"trained": self.trained.variables, **optimizers}

    def add(self, told: Any) -> None:
        """Adds what a `GradientStep` told to what `losses` averages."""
        self._sums.assign_add(told)

    def follow(self, step: int) -> None:
        """Moves the average after a step, of which there were so many before."""
        if self.ema:
            self._follow(np.array(min(self.ema, (1 + step) / (10 + step)), np.float32))

    def synchronize(self) -> None:
        """Makes `network` ready for evaluation and saving."""
        if not self.ema:
            self.network.set_weights([self._array(weight) for weight in self.trained.weights])

    def losses(self) -> dict[str, float]:
        """Means over the steps since `reset`; waits for these to end.

        Norms of gradients are means over the steps that were not skipped.
        """
        sums, counts = ops.convert_to_numpy(self._sums).tolist()
        means = {
            name: total / max(count, 1.0)
            for name, total, count in zip(self.columns, sums, counts, strict=True)
        }
        scales = [o.dynamic_scale for o in self.optimizers.values() if is_scaled(o)]
        if any(self._array(scale) < LEAST_SCALE for scale in scales):
            means = dict.fromkeys(means, math.nan)
        return {name: means[name] for name in self.told}

    def reset(self, sums: Sequence[float] | None = None) -> None:
        """Starts the means of `losses` anew, or goes on with `sums`."""
        shape = self._sums.shape
        self._sums.assign(np.zeros(shape) if sums is None else np.reshape(self._read(sums), shape))

    def sums(self) -> list[float]:
        """What `losses` is made of, to go on with by `reset` within an epoch."""
        return [float(value) for value in np.ravel(ops.convert_to_numpy(self._sums))]

    def predict(self, inputs: Any) -> np.ndarray:
        """Returns the outputs of the evaluated network; call `synchronize` before."""
        return np.asarray(ops.convert_to_numpy(self._predict(inputs)))

    def state(self) -> dict[str, np.ndarray]:
        """Everything a step changes now, as arrays."""
        return {name: self._array(variable) for name, variable in self._variables().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Takes up what `state` returned, under whichever backend.

        Raises:
            ValueError: If names or shapes differ.
        """
        variables = self._variables()
        expected = {name: tuple(variable.shape) for name, variable in variables.items()}
        found = {name: array.shape for name, array in state.items()}
        if expected != found:
            odd = sorted(expected.items() ^ found.items())[:2]
            raise ValueError(
                f"the checkpoint is of another network or optimiser; they differ in {odd}."
            )
        for name, variable in variables.items():
            self.backend.assign(variable, state[name])
        self.synchronize()

    def _variables(self) -> dict[str, keras.Variable]:
        groups = {**self.groups(), **({"average": self.network.variables} if self.ema else {})}
        return {
            f"{group}/{number:04d}": variable
            for group, variables in groups.items()
            for number, variable in enumerate(variables)
        }

    def _array(self, variable: keras.Variable) -> np.ndarray:
        return np.asarray(ops.convert_to_numpy(self.backend.value(variable)))

    def _move_average(self, momentum: Any) -> None:
        for average, weight in zip(self.network.weights, self.trained.weights, strict=True):
            value = self.backend.value(weight)
            average.assign(momentum * average + (1.0 - momentum) * value)

    def _read(self, sums: Sequence[float]) -> list[float]:
        """Sums of a checkpoint; until version 0.1.0 they had other orders."""
        count = len(self.columns)
        if len(sums) == count + 1:  # of phire-train: what was told, steps
            return [*sums[:-1], *[sums[-1]] * count]
        if len(sums) == count + 2:  # of rplearn-train: what was told, steps, norm, steps taken
            *told, steps, norm, taken = sums
            return [*told, norm, *[steps] * (count - 1), taken]
        return list(sums)


def is_scaled(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether an optimiser scales the loss, and skips steps that overflow."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def scaling(
    optimizer: keras.optimizers.Optimizer, precision: PrecisionName
) -> keras.optimizers.Optimizer:
    """Has an optimiser scale the loss if a precision needs it."""
    if precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def global_norm(gradients: Iterable[Any]) -> Any:
    """The norm of all gradients as one vector."""
    return ops.sqrt(ops.sum(ops.stack([ops.sum(ops.square(g)) for g in gradients])))
