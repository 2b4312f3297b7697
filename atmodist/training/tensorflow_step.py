"""How a step runs under TensorFlow, on one device or several; implements `Backend`.

Gradients of all replicas are averaged before they are clipped and applied, so that every replica
makes the same step and all stay equal to the last bit. Keras' own layers and optimisers hold the
variables; what is averaged, and when, is said here.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from atmodist.training.devices import Devices


class TensorFlowBackend:
    """See `Backend`.

    Args:
        devices: What steps run on.
        parts: In how many equal parts a share passes through the networks, one after the other.
        xla: Whether to compile steps with XLA.
    """

    def __init__(self, devices: Devices, *, parts: int = 1, xla: bool = False):
        self._strategy, self._num_replicas = devices.strategy, devices.num_replicas
        self._parts, self._xla = parts, xla

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Variables made under it have a replica on each device."""
        return contextlib.nullcontext() if self._strategy is None else self._mirroring()

    def adopt(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """Has an optimiser take gradients as they are, and returns it.

        Under a strategy Keras would clip the gradients of a replica first, and then sum them over
        replicas; ours are averaged before, so that clipping means what it means on one device.
        Keras has no public way to say so.
        """
        if self._strategy is not None:
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            if not callable(getattr(inner, "_all_reduce_sum_gradients", None)):
                raise RuntimeError("this version of Keras sums gradients in a way not known to us.")
            inner._all_reduce_sum_gradients = list
        return optimizer

    def compiled(
        self,
        function: Callable[..., Any],
        *,
        changes: Iterable[Any] = (),
        reads: Iterable[Any] = (),
    ) -> Callable[..., Any]:
        """See `Backend`; TensorFlow finds the variables by itself."""
        return tf.function(function, reduce_retracing=True)

    def step(
        self, function: Callable[..., Any], *, changes: Iterable[Any], reads: Iterable[Any]
    ) -> Callable[..., Any]:
        """See `Backend`; each replica takes its share of the batch."""

        def on_replicas(shares: tuple[Any, ...]) -> Any:
            if self._strategy is None:
                return function(*shares)
            results = self._strategy.run(function, args=shares)
            return tf.nest.map_structure(lambda result: self._local(result)[0], results)

        traced = tf.function(on_replicas, jit_compile=self._xla)
        return lambda *batch: traced(self._shared(batch))

    def gradients(
        self,
        objective: Callable[..., Any],
        networks: Mapping[str, keras.Model],
        moved: Iterable[str],
        batch: tuple[Any, ...],
    ) -> tuple[dict[str, list[Any]], dict[str, Any]]:
        """See `Backend`; the moving statistics of replicas are averaged as well."""
        values = {name: [v.value for v in networks[name].trainable_variables] for name in moved}

        def of_part(*part: Any) -> Any:
            # A tape sees only what follows from its own weights: that of a discriminator begins
            # where the generated field ends, though both watch the same passes.
            with contextlib.ExitStack() as stack:
                tapes = {}
                for name, weights in values.items():
                    tape = tf.GradientTape(watch_accessed_variables=False)
                    tapes[name] = stack.enter_context(tape)
                    tape.watch(weights)
                aims, told = objective(*part)
            gradients = {name: tapes[name].gradient(aims[name], values[name]) for name in values}
            return gradients, told

        found = self._mean(mean_over_parts(of_part, batch, self._parts))
        self._average(v for network in networks.values() for v in network.non_trainable_variables)
        return found

    def value(self, variable: keras.Variable) -> Any:
        """See `Backend`; all replicas hold the same between steps."""
        return self._local(variable.value)[0]

    def assign(self, variable: keras.Variable, value: Any) -> None:
        """See `Backend`."""
        for copy in self._local(variable.value):
            copy.assign(value)

    def copies(self, variable: keras.Variable) -> tuple[Any, ...]:
        """The replicas of a variable on this worker."""
        return self._local(variable.value)

    def _shared(self, batch: Any) -> Any:
        """Splits a batch (nested tensors, first axis) into what is given to each replica."""
        if self._strategy is None:
            return batch

        def of_replica(context: Any) -> Any:
            return part_of(batch, context.replica_id_in_sync_group, self._num_replicas)

        return self._strategy.experimental_distribute_values_from_function(of_replica)

    def _mean(self, tensors: Any) -> Any:
        """Within a step: the mean over replicas of nested float tensors."""
        if self._num_replicas == 1:
            return tensors
        flat = [tf.identity(tensor) for tensor in tf.nest.flatten(tensors)]  # on this device
        reduced = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, flat)
        return tf.nest.pack_sequence_as(tensors, reduced)

    def _average(self, variables: Iterable[Any]) -> None:
        """Within a step: replaces variables that are not trained by their mean over replicas."""
        floats = [v for v in variables if keras.backend.is_float_dtype(v.dtype)]
        if self._num_replicas > 1 and floats:
            values = self._mean([tf.convert_to_tensor(variable.value) for variable in floats])
            for variable, value in zip(floats, values, strict=True):
                variable.assign(value)

    def _local(self, value: Any) -> tuple[Any, ...]:
        if self._strategy is None:
            return (value,)
        return tuple(self._strategy.experimental_local_results(value))

    @contextlib.contextmanager
    def _mirroring(self) -> Any:
        with self._strategy.scope(), tf.variable_creator_scope(_statistics_of_each_replica):
            yield


def _statistics_of_each_replica(make: Callable[..., Any], **options: Any) -> Any:
    # Keras does not say how replicas should update moving statistics, and TensorFlow then refuses.
    # Each replica keeps its own during a step, and `gradients` joins them.
    if str(options.get("name")).startswith("moving_"):
        options["synchronization"] = tf.VariableSynchronization.ON_READ
        options["aggregation"] = tf.VariableAggregation.MEAN
    return make(**options)


def part_of(batch: Any, number: Any, parts: int) -> Any:
    """Returns one of several equal parts of nested tensors, cut along the first axis."""

    def cut(tensor: Any) -> Any:
        size = tf.shape(tensor)[0] // parts
        return tensor[number * size : (number + 1) * size]

    return tf.nest.map_structure(cut, batch)


def mean_over_parts(function: Callable[..., Any], batch: tuple[Any, ...], parts: int) -> Any:
    """Returns the mean of `function` over equal parts of a batch, computed one after the other.

    Args:
        function: From (a part of) the batch to nested tensors whose shapes do not depend on it.
        batch: Nested tensors, cut along their first axis.
        parts: Their number; memory falls with it.
    """
    if parts == 1:
        return function(*batch)

    def add(number: Any, sums: Any) -> Any:
        values = tf.nest.flatten(function(*part_of(batch, number, parts)))
        return number + 1, [total + value for total, value in zip(sums, values, strict=True)]

    # The first part lies outside of the loop and tells how many tensors there are, of which shape.
    first = function(*part_of(batch, 0, parts))
    state = (tf.constant(1), [tf.convert_to_tensor(value) for value in tf.nest.flatten(first)])
    _, sums = tf.while_loop(lambda number, _: number < parts, add, state, parallel_iterations=1)
    return tf.nest.pack_sequence_as(first, [total / parts for total in sums])


def make_deterministic() -> None:
    """See `gradient_step.make_deterministic`."""
    tf.config.experimental.enable_op_determinism()
