"""Time and peak memory of super-resolution of a global field, tiled and not.

The generator of the design (64 filters, 16 blocks, factors 2 x 2, fresh weights: time and memory do
not depend on them) refines a 320 x 640 field to 1280 x 2560. Each row is a process of its own, so
that peak memory is its alone: that of the process, less what it had when network and field were
ready. The first field compiles the network for its tile shape and is not counted; the figure is the
median of the fields after it, with the fastest and the slowest beside it.

    python tools/benchmarks/super_resolution_inference.py [--rows 320] [--gigabytes 0.5 1 2]
        [--repeats 3]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import machine, print_table

UNTILED = 1e6  # gigabytes: everything fits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.5, 1.0, 2.0, UNTILED])
    parser.add_argument("--repeats", type=int, default=3, help="fields that are timed")
    parser.add_argument("--one", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(options.rows, options.one, options.repeats)))
        return
    print(machine())
    rows = []
    for gigabytes in options.gigabytes:
        command = [sys.executable, __file__, "--one", str(gigabytes)]
        command += ["--rows", str(options.rows), "--repeats", str(options.repeats)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        name = "not tiled" if gigabytes >= UNTILED else f"{gigabytes:g} GB"
        if done.returncode:
            rows.append([name, *["-"] * 6, f"failed ({done.returncode})"])
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        rows.append(
            [
                name,
                " x ".join(map(str, found["tile"])),
                found["tiles"],
                f"{found['overlap']:.2f}",
                f"{found['seconds']:.1f}",
                f"{found['fastest']:.1f} to {found['slowest']:.1f}",
                f"{found['cpu']:.1f}",
                f"{found['peak']:.2f}",
            ]
        )
    head = ["tile_gigabytes", "tile", "tiles", "cells / field", "s", "range", "CPU s", "peak GB"]
    print_table(head, rows)


def measure(rows: int, gigabytes: float, repeats: int) -> dict[str, object]:
    """Seconds and memory of one process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import numpy as np

    from atmodist.fields.grid import make_grid
    from atmodist.fields.normalization import Normalization
    from srgan.generators.facts import GeneratorFacts
    from srgan.generators.generator import Generator
    from srgan.generators.tiles import tiles
    from srgan.networks.generator import generator, receptive_radius

    channels, ones = ("divergence", "vorticity"), np.ones(2)
    network = generator()
    normalization = Normalization(
        channels=channels, mean=0 * ones, std=ones, log_mean=0 * ones, log_std=0.2 * ones
    )
    facts = GeneratorFacts(
        factors=(2, 2), channels=channels, receptive_radius=receptive_radius(network)
    )
    made = Generator(network, normalization, facts, tile_bytes=gigabytes * 1e9)
    grid = make_grid("cell-centred", rows)
    field = np.random.default_rng(0).normal(size=(2, *grid.shape)).astype(np.float32)
    refinement = made.refinement(grid)
    tile, window = made.tiling(refinement)
    number = sum(1 for _ in tiles(refinement, facts.receptive_radius, tile))
    before = resident("VmRSS")
    seconds, cpu = [], []
    for _ in range(1 + repeats):
        start, start_cpu = time.perf_counter(), time.process_time()
        made.field(field, refinement)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    del seconds[0], cpu[0]
    return {
        "tile": tile,
        "tiles": number,
        "overlap": number * window[0] * window[1] / field[0].size,
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "cpu": statistics.median(cpu),
        "peak": resident("VmHWM") - before,
    }


def resident(name: str) -> float:
    """Memory of this process in GB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e9


if __name__ == "__main__":
    main()
