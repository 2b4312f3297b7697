"""What a training runs on: one device, all of a machine, or all of several machines.

Every device holds a replica of the trained networks and takes an equal share of each batch. Every
worker (process) reads the same batches and leaves to the others what is not its share: the order of
the data is that of one device, whatever the number of workers. One worker, the chief, writes files;
the others read the same folders.

Several devices are TensorFlow's (`tensorflow_step` says how a step runs on them), and TensorFlow is
imported for them alone: what one device does is for any backend.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from atmodist.training.settings import DevicesName, require_backend

CLUSTER = "TF_CONFIG"


class Devices:
    """The devices of a run; see the module. Make them first: a cluster forms before all else.

    Args:
        strategy: TensorFlow's; None for one device.

    Attributes:
        strategy: The same.
        num_replicas: Number of devices, all workers taken together.
        num_workers: Number of processes.
        is_chief: Whether this worker writes files.
    """

    def __init__(self, strategy: Any = None):
        self.strategy = strategy
        self.num_replicas = 1 if strategy is None else int(strategy.num_replicas_in_sync)
        resolver: Any = None if strategy is None else strategy.cluster_resolver
        spec = {} if resolver is None else resolver.cluster_spec().as_dict()
        self.num_workers = max(1, sum(len(tasks) for tasks in spec.values()))
        self.is_chief = self.num_workers == 1 or (
            resolver.task_type == "chief" or ("chief" not in spec and resolver.task_id == 0)
        )

    @classmethod
    def of(cls, name: DevicesName) -> "Devices":
        """Finds the devices that a configuration names; waits for all workers of a cluster.

        Raises:
            ValueError: If the backend of Keras cannot train on them.
        """
        backend = require_backend()
        if name != "one" and backend != "tensorflow":
            raise ValueError(
                f"devices={name} is for KERAS_BACKEND=tensorflow; under {backend} networks train "
                "on one device: use devices=one."
            )
        if backend != "tensorflow":
            _leave_accelerators_to_others()
        if name == "one":
            return cls()
        if name == "cluster":
            check_cluster(os.environ.get(CLUSTER))
        import tensorflow as tf

        if name == "machine":
            return cls(tf.distribute.MirroredStrategy())
        return cls(tf.distribute.MultiWorkerMirroredStrategy())

    def check_batch(self, batch_size: int, parts: int = 1) -> None:
        """Raises `ValueError` unless a batch falls into equal parts for all replicas."""
        if batch_size % (self.num_replicas * parts):
            raise ValueError(
                f"a batch must fall into equal parts, {self.num_replicas} devices times "
                f"accumulation={parts}; got batch_size={batch_size}."
            )

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
        import tensorflow as tf

        def gather() -> Any:
            context = tf.distribute.get_replica_context()
            return context.all_gather(tf.constant([value], tf.int64), axis=0)

        gathered = tf.function(lambda: self.strategy.run(gather))()
        return self.strategy.experimental_local_results(gathered)[0].numpy()


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
    except Exception as error:
        if not os.environ.get(CLUSTER) or not _tells_of_a_lost_worker(error):
            raise
        raise ConnectionError(
            "a worker of the cluster stopped or cannot be reached; start all workers again by the "
            "same commands to go on from the last checkpoint."
        ) from error


def _tells_of_a_lost_worker(error: Exception) -> bool:
    from tensorflow import errors

    lost = (
        errors.UnavailableError,
        errors.AbortedError,
        errors.CancelledError,
        errors.DeadlineExceededError,
        errors.FailedPreconditionError,
    )
    return isinstance(error, lost)


def _leave_accelerators_to_others() -> None:
    """Has TensorFlow, which only reads records here, leave accelerators to another backend."""
    try:
        import tensorflow as tf
    except ImportError:
        return
    with contextlib.suppress(RuntimeError):  # it has been at work in this process already
        tf.config.set_visible_devices([], "GPU")
