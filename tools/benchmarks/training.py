"""Training steps per second of the reference network, beside the same network in PyTorch.

    python tools/benchmarks/training.py --torch_python /path/to/an/environment/with/torch/bin/python

Contenders take turns, one step each, so that a noisy machine is unfair to none; the first steps are
not counted. A step is forward, backward, L2 penalty, clipping of each gradient and SGD with
momentum. PyTorch runs in a process of its own, channels last, on the same number of threads. Where
other work shares the cores, use --threads 1: PyTorch's threads wait for each other at every layer
and suffer far more from company than TensorFlow's do.

- `keras`: the network as it is saved, batch normalisation from elementary operations
- `ours`: what `rplearn-train` runs, with fused batch normalisation
- `xla`: `ours`, compiled by XLA (only with --xla; slow on CPUs)
- `before`: `ours` as another working tree of this project has it (only with --before)
- `jax`: `ours` under JAX (only with --jax)
- `torch`: the same network in PyTorch

With --accumulation N it measures instead the peak memory of a process that takes steps in N parts.
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import resource
import statistics
import sys
from pathlib import Path
from typing import Any

from common import Step, Worker, machine, of_this_project, serve, take_turns, timed

NUM_CLASSES = 23
SHAPE = (160, 160, 2)
NUM_PARAMETERS = 2_747_856


def main() -> None:
    """Runs the contenders and prints a table, and JSON for the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--xla", action="store_true", help="also with XLA")
    parser.add_argument("--torch_python", default=sys.executable, help="Python that has torch")
    parser.add_argument("--jax", action="store_true", help="also under JAX")
    parser.add_argument("--before", type=Path, help="another tree of this project to compare with")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--torch_worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--accumulation", type=int, nargs="+", help="parts of a batch: memory")
    options = parser.parse_args()
    if options.accumulation:
        measure_memory(options)
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.worker:
        serve(our_steps(options.worker, options)["ours"])
        return
    if options.torch_worker:
        serve(torch_step(options.torch_worker, options.threads))
        return
    results = [measure(batch_size, options) for batch_size in options.batch_sizes]
    print(machine())
    print(json.dumps({"threads": options.threads, "results": results}))


def measure(batch_size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Lets the contenders take turns at one batch size."""
    threads = ["--threads", options.threads]
    steps = our_steps(batch_size, options)
    command = ["--worker", batch_size, *threads]
    steps |= of_this_project(__file__, command, before=options.before, jax=options.jax)
    try:
        torch = [options.torch_python, __file__, "--torch_worker", batch_size, *threads]
        steps["torch"] = Worker(torch)
    except RuntimeError:
        print("no PyTorch to compare with; name a Python that has it by --torch_python")
    times = take_turns(steps, warmup=options.warmup, repeats=options.repeats)
    seconds = {name: [taken for taken, _ in values] for name, values in times.items()}
    report = {}
    for name, values in seconds.items():
        quartiles = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
        report[name] = {
            "pairs_per_second": round(batch_size / statistics.median(values), 1),
            "quartiles": [round(batch_size / q, 1) for q in (quartiles[2], quartiles[0])],
        }
    print(f"batch {batch_size}, {len(values)} steps each, {options.threads} threads")
    for name, row in report.items():
        low, high = row["quartiles"]
        line = f"  {name:<6} {row['pairs_per_second']:7.1f} pairs/s (quartiles {low} to {high})"
        processor = statistics.median(p for _, p in times[name])
        line += f", {processor:.3f} s of processors"
        for other in ("torch", "before"):
            if other in seconds and name != other:
                pairs = zip(times[other], times[name], strict=True)
                ratios = [[o / m for o, m in zip(*pair, strict=True)] for pair in pairs]
                speed, cheap = (statistics.median(column) for column in zip(*ratios, strict=True))
                row[f"speed_against_{other}"] = round(speed, 2)
                line += f"; {speed:.2f} times {other} turn by turn ({cheap:.2f} by processors)"
        print(line, flush=True)
    return {"batch_size": batch_size, **report}


def our_steps(batch_size: int, options: argparse.Namespace, parts: int = 1) -> dict[str, Step]:
    """Returns a step of each of our contenders."""
    import keras
    import numpy as np

    from atmodist.pretext import optimization
    from atmodist.pretext.configuration import TrainingConfig
    from atmodist.pretext.tasks.temporal_distance import TemporalDistance

    limit_threads(options.threads)
    under_tensorflow = keras.backend.backend() == "tensorflow"
    config = TrainingConfig(
        records=Path("unused"),
        architecture="resnet-small",
        batch_size=batch_size,
        accumulation=parts,
    ).resolved()
    rng = np.random.default_rng(0)
    pairs = keras.ops.convert_to_tensor(rng.standard_normal((batch_size, 2, *SHAPE)), "float32")
    labels = keras.ops.convert_to_tensor(rng.integers(0, NUM_CLASSES, batch_size), "int32")

    def contender(config: TrainingConfig, *, fused: bool = True) -> Step:
        task = TemporalDistance(config, SHAPE, NUM_CLASSES)
        network = task.network()
        if network.count_params() != NUM_PARAMETERS:
            raise RuntimeError(f"the network has {network.count_params()} parameters")
        trained = optimization.Optimization(network, task, config, fused=fused)

        def step() -> None:
            trained.step(pairs, labels, number=0, learning_rate=0.01)
            trained.losses()  # waits for the end of the step

        return timed(step)

    steps = {"ours": contender(config)}
    if under_tensorflow and not options.worker:
        steps = {"keras": contender(config, fused=False), **steps}
    if options.xla:
        steps["xla"] = contender(dataclasses.replace(config, xla=True))
    return steps


def limit_threads(count: int) -> None:
    """Has TensorFlow and JAX use so many threads; before either computes."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])  # JAX asks for no number


def measure_memory(options: argparse.Namespace) -> None:
    """Prints the peak memory of steps in several numbers of parts, each in a new process."""
    for batch_size in options.batch_sizes:
        for parts in options.accumulation:
            context = multiprocessing.get_context("spawn")
            with context.Pool(1) as pool:
                before, peak, seconds = pool.apply(peak_memory, (batch_size, parts, options))
            print(
                f"batch {batch_size} in {parts} parts: peak {peak:.2f} GB, {before:.2f} GB of them "
                f"before the first step; {batch_size / seconds:.1f} pairs/s",
                flush=True,
            )
    print(machine())


def peak_memory(
    batch_size: int, parts: int, options: argparse.Namespace
) -> tuple[float, float, float]:
    """Returns GB of resident memory before the first step, at most after, and seconds of a step."""
    steps = our_steps(batch_size, options, parts)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = [steps["ours"]()[0] for _ in range(options.warmup + options.repeats)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return before * 1024 / 1e9, peak * 1024 / 1e9, statistics.median(seconds[options.warmup :])


def torch_step(batch_size: int, threads: int) -> Step:
    """Builds the same network in PyTorch and returns its step."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(0)

    class Same(nn.Module):
        """An operation after padding as "same" does, which is uneven for even strides."""

        def __init__(self, operation: nn.Module, kernel: int, stride: int):
            super().__init__()
            self.operation, self.kernel, self.stride = operation, kernel, stride

        def forward(self, x: Any) -> Any:
            padding = []
            for extent in (x.shape[3], x.shape[2]):
                total = max((-(-extent // self.stride) - 1) * self.stride + self.kernel - extent, 0)
                padding += [total // 2, total - total // 2]
            return self.operation(functional.pad(x, padding))

    def convolution(inputs: int, filters: int, kernel: int, stride: int, bias: bool) -> nn.Module:
        if stride == 1:
            return nn.Conv2d(inputs, filters, kernel, padding=kernel // 2, bias=bias)
        return Same(nn.Conv2d(inputs, filters, kernel, stride, bias=bias), kernel, stride)

    def convolved(inputs: int, filters: int, kernel: int, stride: int, bias: bool) -> list:
        norm = nn.BatchNorm2d(filters, eps=1.001e-5, momentum=0.01)
        return [convolution(inputs, filters, kernel, stride, bias), norm]

    class Block(nn.Module):
        def __init__(self, inputs: int, filters: int, stride: int):
            super().__init__()
            self.body = nn.Sequential(
                *convolved(inputs, filters, 3, stride, False),
                nn.ReLU(inplace=True),
                *convolved(filters, filters, 3, 1, False),
            )
            self.shortcut = nn.Identity()
            if inputs != filters:
                self.shortcut = nn.Conv2d(inputs, filters, 1, stride, bias=False)

        def forward(self, x: Any) -> Any:
            return functional.relu(self.body(x) + self.shortcut(x), inplace=True)

    layers = [*convolved(2, 16, 8, 2, True), nn.ReLU(inplace=True), Same(nn.MaxPool2d(3, 2), 3, 2)]
    inputs = 16
    for stage, filters in enumerate((16, 32, 64, 128)):
        for block in range(6):
            layers.append(Block(inputs, filters, 2 if stage and not block else 1))
            inputs = filters
    encoder = nn.Sequential(*layers)
    head = nn.Sequential(
        *convolved(256, 128, 3, 2, True),
        nn.ReLU(inplace=True),
        *convolved(128, 128, 3, 1, True),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(1152, NUM_CLASSES, bias=False),
    )
    model = nn.ModuleList([encoder, head]).to(memory_format=torch.channels_last)
    buffers = [b for name, b in model.named_buffers() if name.endswith(("mean", "var"))]
    count = sum(array.numel() for array in [*model.parameters(), *buffers])
    if count != NUM_PARAMETERS:
        raise RuntimeError(f"the network in PyTorch has {count} parameters")
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    kernels = [p for p in model.parameters() if p.dim() > 1]
    fields = torch.randn(2 * batch_size, 2, 160, 160).to(memory_format=torch.channels_last)
    labels = torch.randint(0, NUM_CLASSES, (batch_size,))

    def step() -> None:
        optimizer.zero_grad()
        features = encoder(fields).reshape(batch_size, 256, 5, 5)
        loss = functional.cross_entropy(head(features), labels)
        loss = loss + 1e-4 * sum((kernel**2).sum() for kernel in kernels)
        loss.backward()
        for parameter in model.parameters():
            nn.utils.clip_grad_norm_([parameter], 5.0)
        optimizer.step()
        loss.item()

    return timed(step)


if __name__ == "__main__":
    main()
