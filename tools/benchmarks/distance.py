"""Time and memory of the global distance, beside the bare forward pass of the same encoder.

"forward" encodes two fields of noise, normalised already, in two calls, with zeros around them;
"distance" is `metric(a, b)`. Both run the encoder up to the deepest of `--stages`. They take turns
in one process, so that both see the same noise of the machine; the first turn builds and is not
timed. Reported are medians, and median and quartiles of the ratio turn by turn; the ratio of
processor time, of all threads, stays meaningful while other programs run. Memory is that of a
process of its own at its highest, TensorFlow included; "above start" is what fields and encoder
add.

    python tools/benchmarks/distance.py [--encoder resnet-small] [--repeats 15] [--stages stage3]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, peak_memory, print_table

GRIDS = {
    "181x360": ("regular", 181, 360),
    "721x1440": ("regular", 721, 1440),
    "1280x2560": ("driscoll-healy", 1280, 2560),
}


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="resnet-small")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--stages", nargs="+", default=["stage1", "stage2", "stage3", "stage4"])
    parser.add_argument("--grids", nargs="+", choices=GRIDS, default=list(GRIDS))
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.case:
        grid, name = options.case
        cases = make_cases(grid, options)
        print(json.dumps(turns(cases, options.repeats) if name == "time" else memory(cases[name])))
        return
    print(machine())
    rows = []
    for grid in options.grids:
        found = run(grid, "time", options)
        for name in ("forward", "distance"):
            used = run(grid, name, options)
            rows.append(
                [
                    grid,
                    name,
                    f"{found['forward' if name == 'forward' else 'ours']:.3f}",
                    found["ratio"] if name == "distance" else "1",
                    found["cpu ratio"] if name == "distance" else "1",
                    f"{used['peak'] / 1e9:.2f}",
                    f"{used['above'] / 1e9:.2f}",
                ]
            )
    print_table(["grid", "", "seconds", "x forward", "x CPU", "peak GB", "above start GB"], rows)


def run(grid: str, case: str, options: argparse.Namespace) -> dict[str, Any]:
    """Runs one case in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--case", grid, case]
    command += ["--encoder", options.encoder, "--repeats", str(options.repeats)]
    command += ["--stages", *options.stages]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def turns(cases: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Any]:
    """Times two cases in turns, the plain one first: medians, and their ratio with quartiles."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for turn in range(repeats + 1):
        for name, case in cases.items():
            begin = time.perf_counter(), time.process_time()
            case()
            if turn:
                end = time.perf_counter(), time.process_time()
                seconds[name].append((end[0] - begin[0], end[1] - begin[1]))
    plain, ours = (np.array(found) for found in seconds.values())
    low, middle, high = np.quantile(ours / plain, (0.25, 0.5, 0.75), axis=0)
    wall, cpu = (f"{middle[i]:.2f} ({low[i]:.2f} to {high[i]:.2f})" for i in (0, 1))
    medians = {"forward": np.median(plain[:, 0]), "ours": np.median(ours[:, 0])}
    return {**medians, "ratio": wall, "cpu ratio": cpu}


def memory(case: Callable[[], object]) -> dict[str, int]:
    """Bytes that this process has at its highest, and those above what it has now."""
    start = peak_memory()
    case()
    case()
    return {"peak": peak_memory(), "above": peak_memory() - start}


def make_cases(name: str, options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """What is to be compared, on one grid."""
    from atmodist.fields.grid import make_grid
    from atmodist.fields.normalization import Normalization
    from atmodist.metric.distance import Metric
    from atmodist.metric.features import StageFeatures
    from atmodist.metric.receptive_field import adapted
    from atmodist.pretext.networks import encoder

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
    metric = Metric(StageFeatures(network, normalization), stages=stages, grid=grid)
    inputs = np.ascontiguousarray(np.moveaxis(fields, 1, -1))
    bare = adapted(network, options.stages)
    bare.model.compile(jit_compile=False)

    def forward() -> None:
        for field in inputs:
            bare.model.predict_on_batch(field[None])

    return {"forward": forward, "distance": lambda: metric(*fields)}


if __name__ == "__main__":
    main()
