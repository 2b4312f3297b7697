"""Steps on a CPU with and without TensorFlow's oneDNN kernels, in one run.

    python tools/benchmarks/onednn.py

TensorFlow reads TF_ENABLE_ONEDNN_OPTS once, so that two processes take turns: one with 1, as
`import atmodist` sets it, one with 0, which TensorFlow chooses by itself on processors without
AVX-512-VNNI or AMX. What is measured:

- `resnet-small`: a training step of `rplearn-train`, pairs of 160 x 160
- `generator`: 4 x, from 24 x 24, forward and backward
- `stem 8x8/2`, `first 9x9`, `last 9x9`: convolutions with few channels, forward and backward
- `last 9x9, columns`: the last one as a 9 x 1 convolution with nine times the filters, whose
  results are shifted along the circle and added: the same kernel, the same numbers to rounding
- `last 9x9, padded`: the last one with filters of zeros up to 16
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from common import machine, print_table

FLAG = "TF_ENABLE_ONEDNN_OPTS"
Job = Callable[[], Any]  # does the work, and returns what must be waited for


def main() -> None:
    """Lets both processes take turns and prints a table, and JSON for the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        serve(jobs(options.batch_size, options.threads))
        return
    workers = {flag: start(flag, options) for flag in ("0", "1")}
    names, _ = (json.loads(worker.stdout.readline()) for worker in workers.values())
    seconds: dict[str, dict[str, list[float]]] = {n: {f: [] for f in workers} for n in names}
    for name in names:
        for turn in range(options.warmup + options.repeats):
            for flag, worker in workers.items():
                worker.stdin.write(f"{name}\n")
                worker.stdin.flush()
                taken = float(worker.stdout.readline())
                if turn >= options.warmup:
                    seconds[name][flag].append(taken)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    rows = []
    for name, found in seconds.items():
        off, on = (1e3 * statistics.median(found[flag]) for flag in ("0", "1"))
        ratio = statistics.median(a / b for a, b in zip(found["0"], found["1"], strict=True))
        rows.append([name, f"{off:.1f}", f"{on:.1f}", f"{ratio:.2f}"])
    print_table(["what", "without, ms", "with, ms", "times as fast"], rows)
    print(f"{machine()}, {options.threads} threads, batch {options.batch_size}")
    print(f"instructions: {instructions()}")
    print(json.dumps(seconds))


def instructions() -> str:
    """Which of the instructions that TensorFlow's default depends on the processor has."""
    from pathlib import Path

    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set()
    known = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_tile")
    return ", ".join(name for name in known if name in flags) or "unknown"


def start(flag: str, options: argparse.Namespace) -> subprocess.Popen:
    """Starts a process with the kernels on or off."""
    command = [sys.executable, __file__, "--worker", "--threads", str(options.threads)]
    return subprocess.Popen(
        [*command, "--batch_size", str(options.batch_size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, FLAG: flag, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def serve(known: dict[str, Job]) -> None:
    """Says the names of the jobs, then does one for every line that comes in."""
    print(json.dumps(list(known)), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for tensor in known[line.strip()]():
            tensor.numpy()
        print(time.perf_counter() - start, flush=True)


def jobs(batch_size: int, threads: int) -> dict[str, Job]:
    """What is measured, by name."""
    import tensorflow as tf
    from training import tensorflow_steps

    from srgan.networks.generator import generator

    steps = tensorflow_steps(batch_size, argparse.Namespace(threads=threads, xla=False))

    def training() -> list[Any]:
        steps["ours"]()
        return []

    def convolution(shape: tuple[int, ...], kernel: tuple[int, ...], stride: int = 1) -> Job:
        x = tf.Variable(tf.random.normal((batch_size, *shape)))
        w = tf.Variable(tf.random.normal(kernel))
        return backward(lambda: tf.nn.conv2d(x, w, stride, "SAME"), [x, w])

    network = generator()
    low = tf.random.normal((batch_size, 24, 24, 2))
    x = tf.Variable(tf.random.normal((batch_size, 96, 96, 64)))
    w = tf.Variable(tf.random.normal((9, 9, 64, 2)))
    return {
        "resnet-small": training,
        "generator": backward(lambda: network({"low": low}), network.trainable_variables),
        "stem 8x8/2": convolution((160, 160, 2), (8, 8, 2, 16), 2),
        "first 9x9": convolution((24, 24, 2), (9, 9, 2, 64)),
        "last 9x9": convolution((96, 96, 64), (9, 9, 64, 2)),
        "last 9x9, columns": backward(lambda: by_columns(x, w), [x, w]),
        "last 9x9, padded": backward(lambda: padded(x, w), [x, w]),
    }


def backward(function: Callable[[], Any], variables: list[Any]) -> Job:
    """Computes a function and the gradient of its sum."""
    import tensorflow as tf

    @tf.function
    def compiled() -> Any:
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(tf.square(function()))
        return [y, *tape.gradient(y, variables)]

    return lambda: [tensor for tensor in compiled() if tensor is not None][:2]


def by_columns(x: Any, kernel: Any) -> Any:
    """A convolution with "same" padding as a sum over the columns of its (odd) kernel."""
    import tensorflow as tf

    height, width, channels, filters = kernel.shape
    half = width // 2
    columns = tf.reshape(tf.transpose(kernel, (0, 2, 1, 3)), (height, 1, channels, width * filters))
    y = tf.nn.conv2d(x, columns, 1, "SAME")
    y = tf.pad(y, [[0, 0], [0, 0], [half, half], [0, 0]])
    number = x.shape[2]
    parts = [y[:, :, k : k + number, k * filters : (k + 1) * filters] for k in range(width)]
    return tf.add_n(parts)


def padded(x: Any, kernel: Any, filters: int = 16) -> Any:
    """A convolution with filters of zeros, for kernels that work on 16 at a time."""
    import tensorflow as tf

    more = tf.pad(kernel, [[0, 0], [0, 0], [0, 0], [0, filters - kernel.shape[3]]])
    return tf.nn.conv2d(x, more, 1, "SAME")[..., : kernel.shape[3]]


if __name__ == "__main__":
    main()
