"""What a training step runs on: one device, all of a machine, or all of several machines.

Every device holds a replica of the trained network and takes an equal share of each batch. Their
gradients are averaged, so that all replicas make the same step and stay equal to the last bit.
Every worker (process) reads the same batches and leaves to the others what is not its share: the
order of the data is that of one device, whatever the number of workers. Keras' own layers and
optimisers hold the variables; what is averaged, and when, is said here and in the step.

A step looks like this, with the variables of its networks and optimisers made under `scope`:

    @tf.function
    def step(shares):
        return devices.first(devices.run(replica_step, shares))

    def replica_step(inputs, targets):
        ...  # gradients and measures of one share
        gradients, measures = devices.mean((gradients, measures))
        optimizer.apply(gradients, variables)
        devices.average(statistics)  # the moving statistics of batch normalisation
        return measures

    step(devices.share(batch))

One worker, the chief, writes files; the others read the same folders.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from atmodist.training.settings import DevicesName

CLUSTER = "TF_CONFIG"
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


class Devices:
    """The devices of a run; see the module. Make them first: a cluster forms before all else.

    Args:
        strategy: TensorFlow's; None for one device.

    Attributes:
        num_replicas: Number of devices, all workers taken together.
        num_workers: Number of processes.
        is_chief: Whether this worker writes files.
    """

    def __init__(self, strategy: Any = None):
        self._strategy = strategy
        self.num_replicas = 1 if strategy is None else int(strategy.num_replicas_in_sync)
        resolver: Any = None if strategy is None else strategy.cluster_resolver
        spec = {} if resolver is None else resolver.cluster_spec().as_dict()
        self.num_workers = max(1, sum(len(tasks) for tasks in spec.values()))
        self.is_chief = self.num_workers == 1 or (
            resolver.task_type == "chief" or ("chief" not in spec and resolver.task_id == 0)
        )

    @classmethod
    def of(cls, name: DevicesName) -> "Devices":
        """Finds the devices that a configuration names; waits for all workers of a cluster."""
        if name == "one":
            return cls()
        if name == "machine":
            return cls(tf.distribute.MirroredStrategy())
        check_cluster(os.environ.get(CLUSTER))
        return cls(tf.distribute.MultiWorkerMirroredStrategy())

    def check_batch(self, batch_size: int, parts: int = 1) -> None:
        """Raises `ValueError` unless a batch falls into equal parts for all replicas."""
        if batch_size % (self.num_replicas * parts):
            raise ValueError(
                f"a batch must fall into equal parts, {self.num_replicas} devices times "
                f"accumulation={parts}; got batch_size={batch_size}."
            )

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Variables made under it have a replica on each device."""
        return contextlib.nullcontext() if self._strategy is None else self._mirroring()

    def adopt(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """Has an optimiser take gradients as they are, and returns it.

        Under a strategy Keras would clip the gradients of a replica first, and then sum them over
        replicas; ours are averaged before, so that clipping means what it means on one device.
        """
        if self._strategy is not None:
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            if not callable(getattr(inner, "_all_reduce_sum_gradients", None)):
                raise RuntimeError("this version of Keras sums gradients in a way not known to us.")
            inner._all_reduce_sum_gradients = list
        return optimizer

    def share(self, batch: Any) -> Any:
        """Splits a batch (nested tensors, first axis) into what `run` gives to each replica."""
        if self._strategy is None:
            return batch

        def of_replica(context: Any) -> Any:
            return part_of(batch, context.replica_id_in_sync_group, self.num_replicas)

        return self._strategy.experimental_distribute_values_from_function(of_replica)

    def run(self, step: Callable[..., Any], shares: tuple[Any, ...] = ()) -> Any:
        """Runs `step(*shares)` on each replica."""
        return step(*shares) if self._strategy is None else self._strategy.run(step, args=shares)

    def mean(self, tensors: Any) -> Any:
        """Within a step: the mean over replicas of nested float tensors."""
        if self.num_replicas == 1:
            return tensors
        flat = [tf.identity(tensor) for tensor in tf.nest.flatten(tensors)]  # on this device
        reduced = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, flat)
        return tf.nest.pack_sequence_as(tensors, reduced)

    def average(self, variables: Iterable[Any]) -> None:
        """Within a step: replaces variables that are not trained by their mean over replicas."""
        floats = [v for v in variables if keras.backend.is_float_dtype(v.dtype)]
        if self.num_replicas > 1 and floats:
            values = self.mean([tf.convert_to_tensor(variable.value) for variable in floats])
            for variable, value in zip(floats, values, strict=True):
                variable.assign(value)

    def first(self, results: Any) -> Any:
        """What `run` returned on this worker's first replica."""
        if self._strategy is None:
            return results
        return tf.nest.map_structure(lambda result: self._local(result)[0], results)

    def copies(self, variable: Any) -> tuple[Any, ...]:
        """The replicas of a Keras variable on this worker; all hold the same between steps."""
        return self._local(variable.value)

    def assign(self, variable: Any, value: Any) -> None:
        """Sets the replicas of a Keras variable on this worker; outside of a step."""
        for copy in self.copies(variable):
            copy.assign(value)

    def take_up(self, variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Sets Keras variables by name from the arrays of a checkpoint; outside of a step.

        Raises:
            ValueError: If names or shapes differ.
        """
        expected = {name: tuple(variable.shape) for name, variable in variables.items()}
        found = {name: array.shape for name, array in arrays.items()}
        if expected != found:
            odd = sorted(expected.items() ^ found.items())[:2]
            raise ValueError(
                f"the checkpoint is of another network or optimiser; they differ in {odd}."
            )
        for name, variable in variables.items():
            self.assign(variable, arrays[name])

    def require_same(self, what: str, content: Any) -> None:
        """Raises `ValueError` on all workers unless plain `content` is the same on all of them."""
        if self.num_workers == 1:
            return
        digest = zlib.crc32(json.dumps(content, sort_keys=True).encode())
        digests = np.unique(self._gather(digest))
        if len(digests) > 1:
            raise ValueError(
                f"the workers of the cluster do not agree on {what}; give all of them the same "
                "settings, the same records, and an output folder that they share."
            )

    def wait(self) -> None:
        """Returns when all workers have come here."""
        if self.num_workers > 1:
            self._gather(0)

    def _gather(self, value: int) -> np.ndarray:
        def gather() -> Any:
            context = tf.distribute.get_replica_context()
            return context.all_gather(tf.constant([value], tf.int64), axis=0)

        return self.first(tf.function(lambda: self.run(gather))()).numpy()

    def _local(self, value: Any) -> tuple[Any, ...]:
        if self._strategy is None:
            return (value,)
        return tuple(self._strategy.experimental_local_results(value))

    @contextlib.contextmanager
    def _mirroring(self) -> Iterator[None]:
        with self._strategy.scope(), tf.variable_creator_scope(_statistics_of_each_replica):
            yield


def _statistics_of_each_replica(make: Callable[..., Any], **options: Any) -> Any:
    # Keras does not say how replicas should update moving statistics, and TensorFlow then refuses.
    # Each replica keeps its own during a step, and `Devices.average` joins them.
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
        function: From (a part of) the batch to a flat list of tensors whose shapes do not depend
            on it.
        batch: Nested tensors, cut along their first axis.
        parts: Their number; memory falls with it.
    """
    if parts == 1:
        return function(*batch)

    def add(number: Any, sums: Any) -> Any:
        values = function(*part_of(batch, number, parts))
        return number + 1, [total + value for total, value in zip(sums, values, strict=True)]

    # The first part lies outside of the loop and tells how many tensors there are, of which shape.
    state = (tf.constant(1), [tf.convert_to_tensor(v) for v in function(*part_of(batch, 0, parts))])
    _, sums = tf.while_loop(lambda number, _: number < parts, add, state, parallel_iterations=1)
    return [total / parts for total in sums]


def check_cluster(text: str | None) -> None:
    """Raises `ValueError` if `TF_CONFIG` does not describe a cluster and this worker's place."""
    example = (
        '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
    )
    if not text:
        raise ValueError(
            f"devices=cluster needs the environment variable {CLUSTER}, for instance {example}."
        )
    try:
        content = json.loads(text)
        task = content["task"]
        content["cluster"][task["type"]][task["index"]]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"the environment variable {CLUSTER} must name a cluster and a task in it, for "
            f"instance {example}; got {text!r}."
        ) from error


@contextlib.contextmanager
def naming_lost_workers() -> Iterator[None]:
    """Says in one line that the cluster lost a worker, which TensorFlow does in many."""
    try:
        yield
    except LOST as error:
        if not os.environ.get(CLUSTER):
            raise
        raise ConnectionError(
            "a worker of the cluster stopped or cannot be reached; start all workers again by the "
            "same commands to go on from the last checkpoint."
        ) from error
