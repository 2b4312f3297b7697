"""Time and memory of all default statistics of `phire-eval`, by statistic.

One time step of a candidate that is not the reference, 2 channels, float32, over the globe and the
three usual bands, as `phire-eval` does it: what several statistics share (spherical-harmonic
coefficients and gradients of both) is computed once and stands by itself. Times are medians of
processor time of all threads, which stays meaningful while other programs run; steps are spread
over processes, so that on two cores a field takes half of it. Memory is that of a process of its
own at its highest, after different numbers of steps.

    python tools/benchmarks/evaluation_statistics.py [--rows 1280] [--repeats 3] [--steps 4 16]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("DUCC0_NUM_THREADS", "1")  # as in a worker of phire-eval

import numpy as np
from common import machine, print_table

from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from evaluation.contract.regions import with_globe
from evaluation.contract.statistic import Accumulator, Sample
from evaluation.numerics.setting import Setting
from evaluation.numerics.shared import coefficients, slopes
from evaluation.statistics import STATISTICS

SHARED = {
    f"{function.__name__} of the {whose}": (function, whose == "reference")
    for function in (coefficients, slopes)
    for whose in ("candidate", "reference")
}


def main() -> None:
    """Measures and prints tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1280)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    grid = make_grid("driscoll-healy", options.rows)
    if options.memory:
        print(json.dumps(_memory(grid, options.memory)))
        return
    print(machine())
    print(f"{grid}, 2 channels, float32; {options.repeats} repeats\n")
    setting, accumulators = _start(grid)
    measured: dict[str, list[float]] = {name: [] for name in (*SHARED, *accumulators)}
    for sample in _samples(setting, options.repeats + 1):
        for name in measured:
            used = time.process_time()
            if name in SHARED:
                function, of_reference = SHARED[name]
                sample.shared(function, of_reference=of_reference)
            else:
                accumulators[name].update(sample)
            measured[name].append(time.process_time() - used)
    rows = [[name, f"{np.median(values[1:]):.2f}"] for name, values in measured.items()]
    total = sum(float(np.median(values[1:])) for values in measured.values())
    rows += [["all", f"{total:.2f}"], ["all, per field on two cores", f"{total / 2:.2f}"]]
    print_table(["what", "CPU s"], rows)
    print()
    found = [[steps, f"{_child(steps, options):.0f}"] for steps in options.steps]
    print_table(["steps", "highest memory MB"], found)


def _start(grid: Grid) -> tuple[Setting, dict[str, Accumulator]]:
    setting = Setting(
        grid=grid, channels=(DIVERGENCE, VORTICITY), regions=with_globe(None, grid), seed=0
    )
    chosen = {
        name: s
        for name, s in STATISTICS.items()
        if s.default and not {"encoder", "members"} & set(s.needs)
    }
    return setting, {name: s.accumulator(setting) for name, s in chosen.items()}


def _samples(setting: Setting, num: int) -> Iterator[Sample]:
    """Smooth noise; each step another, the candidate the reference two steps earlier."""
    rng = np.random.default_rng(0)
    base = rng.normal(0.0, 1e-5, (2, *setting.grid.shape)).astype(np.float32)
    base = base + np.roll(base, 1, axis=-1) + np.roll(base, 1, axis=-2)
    for step in range(num):
        fields = [np.roll(base, 7 * (step + shift), axis=-1) for shift in (0, 2)]
        yield Sample(
            setting=setting, candidate=fields[0], reference=fields[1], seconds=10_800 * step
        )


def _memory(grid: Grid, num: int) -> float:
    setting, accumulators = _start(grid)
    for sample in _samples(setting, num):
        for accumulator in accumulators.values():
            accumulator.update(sample)
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _child(steps: int, options: argparse.Namespace) -> float:
    command = [sys.executable, str(Path(__file__)), "--rows", str(options.rows)]
    found = subprocess.run(
        [*command, "--memory", str(steps)], capture_output=True, text=True, check=True
    )
    return float(json.loads(found.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
