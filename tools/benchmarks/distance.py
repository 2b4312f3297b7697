"""Time and memory of the global distance, beside the bare forward pass of the same encoder.

Each case runs in a process of its own, so that peak memory is its own. "forward" encodes two
fields of noise, normalised already, in two calls, with zeros around them; "distance" is
`metric(a, b)`. Both run the encoder up to the deepest of `--stages`. The first call builds and is
not timed; the median of the others is reported. Memory is that of the process at its highest,
TensorFlow included; "above start" is what fields and encoder add. Run it on a quiet machine: the
two cases are timed one after the other.

    python tools/benchmarks/distance.py [--encoder resnet-small] [--repeats 5] [--stages stage3]
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import machine, print_table

GRIDS = {"721x1440": ("regular", 721, 1440), "1280x2560": ("driscoll-healy", 1280, 2560)}


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="resnet-small")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--stages", nargs="+", default=["stage1", "stage2", "stage3", "stage4"])
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.case:
        print(json.dumps(measure(*options.case, options)))
        return
    print(machine())
    rows = []
    for grid in GRIDS:
        plain = run(grid, "forward", options)
        ours = run(grid, "distance", options)
        for name, found in (("forward", plain), ("distance", ours)):
            rows.append(
                [
                    grid,
                    name,
                    f"{found['seconds']:.2f} ({found['fastest']:.2f}-{found['slowest']:.2f})",
                    f"{found['seconds'] / plain['seconds']:.2f}",
                    f"{found['peak'] / 1e9:.2f}",
                    f"{found['above'] / 1e9:.2f}",
                ]
            )
    print_table(["grid", "", "seconds", "x forward", "peak GB", "above start GB"], rows)


def run(grid: str, case: str, options: argparse.Namespace) -> dict[str, float]:
    """Runs one case in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--case", grid, case]
    command += ["--encoder", options.encoder, "--repeats", str(options.repeats)]
    command += ["--stages", *options.stages]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, case: str, options: argparse.Namespace) -> dict[str, float]:
    """Times one case in this process."""
    import numpy as np

    from atmodist.fields.grid import make_grid
    from atmodist.learning.networks import encoder
    from atmodist.metric.distance import Metric
    from atmodist.metric.features import StageFeatures
    from atmodist.metric.receptive_field import adapted
    from atmodist.samples.normalization import Normalization

    ones = np.ones(2)
    normalization = Normalization(
        channels=("divergence", "vorticity"), mean=0 * ones, std=ones, log_mean=0 * ones,
        log_std=ones,
    )  # fmt: skip
    grid = make_grid(*GRIDS[name])
    rng = np.random.default_rng(0)
    fields = rng.normal(size=(2, 2, *grid.shape)).astype(np.float32)
    network = encoder(options.encoder, (160, 160, 2))
    stages = dict.fromkeys(options.stages, 1.0)
    if case == "forward":
        bare = adapted(network, options.stages)
        bare.model.compile(jit_compile=False)
        inputs = np.ascontiguousarray(np.moveaxis(fields, 1, -1))

        def call() -> None:
            for field in inputs:
                bare.model.predict_on_batch(field[None])
    else:
        metric = Metric(StageFeatures(network, normalization), stages=stages, grid=grid)

        def call() -> None:
            metric(*fields)

    start = peak_memory()
    call()
    seconds = []
    for _ in range(options.repeats):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return {
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "peak": peak_memory(),
        "above": peak_memory() - start,
    }


def peak_memory() -> int:
    """The most memory this process ever had, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
