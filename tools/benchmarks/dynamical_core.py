"""Steps per second of the Held-Suarez case, beside the same case in dinosaur.

    python tools/benchmarks/dynamical_core.py --dinosaur_python /path/to/env/bin/python

where that environment has `dinosaur`, JAX and Keras. The same truncation, grid, levels, step and
precision (float32), both with Whitaker & Kar's SIL3 and a filter of the shortest waves. Each
contender has a process of its own; they take turns, so that a noisy machine is unfair to none. What
compiles is compiled before the clock starts.

- `tensorflow`, `xla`, `jax`: ours under TensorFlow as a graph, the same compiled by XLA, under JAX
- `dinosaur`: the reference (JAX)
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import machine, print_table

STEP_MINUTES = {21: 60, 42: 30, 85: 15, 170: 7.5}
FILTER_HOURS = 2.4
NEED_JAX = {"jax", "dinosaur"}
ERROR_LINES = 15  # of a worker that failed
ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Measures, prints a table, and JSON for the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--truncations", type=int, nargs="+", default=[42, 85, 170])
    parser.add_argument("--levels", type=int, nargs="+", default=[8, 20])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn, about")
    parser.add_argument("--contenders", nargs="+", default=["tensorflow", "xla", "jax", "dinosaur"])
    parser.add_argument("--dinosaur_python", help="Python that has dinosaur, JAX and Keras")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        name, truncation, levels = options.worker
        serve(name, int(truncation), int(levels))
        return
    print(machine())
    if options.dinosaur_python is None and (absent := NEED_JAX & set(options.contenders)):
        print(f"left out without --dinosaur_python: {', '.join(sorted(absent))}")
        options.contenders = [name for name in options.contenders if name not in NEED_JAX]
    results = [
        measure(truncation, levels, options)
        for truncation in options.truncations
        for levels in options.levels
    ]
    rows = [
        [
            f"T{result['truncation']} L{result['levels']}",
            name,
            f"{1000 * seconds:.1f}",
            f"{100 * result['spread'][name]:.0f} %",
            f"{1 / seconds:.1f}",
            f"{60 / seconds * result['step'] / 86400:.1f}",
            f"{result['seconds'].get('dinosaur', float('nan')) / seconds:.2f}",
        ]
        for result in results
        for name, seconds in result["seconds"].items()
    ]
    print_table(
        ["size", "contender", "ms a step", "spread", "steps/s", "days/min", "x dinosaur"], rows
    )
    print(json.dumps(results))


def measure(truncation: int, levels: int, options: argparse.Namespace) -> dict[str, Any]:
    """Lets the contenders take turns at one size; median seconds a step and relative spread."""
    workers: dict[str, Worker] = {}
    taken: dict[str, list[float]] = {name: [] for name in options.contenders}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name in options.contenders:
                python = options.dinosaur_python if name in NEED_JAX else sys.executable
                workers[name] = Worker(python, name, truncation, levels, Path(folder))
                workers[name].ask(1)  # compiles
            counts = {n: max(1, int(options.seconds / w.ask(1))) for n, w in workers.items()}
            for _ in range(options.repeats):
                for name, worker in workers.items():
                    taken[name].append(worker.ask(counts[name]) / counts[name])
        finally:
            for worker in workers.values():
                worker.stop()
    median = {name: statistics.median(values) for name, values in taken.items()}
    return {
        "truncation": truncation,
        "levels": levels,
        "step": step_seconds(truncation),
        "seconds": median,
        "spread": {name: (max(v) - min(v)) / median[name] for name, v in taken.items()},
    }


def step_seconds(truncation: int) -> float:
    """The step that suits a truncation, s."""
    return 60.0 * STEP_MINUTES.get(truncation, 30 * 42 / truncation)


class Worker:
    """A process that steps when asked; what it says on stderr goes to a file in the folder."""

    def __init__(self, python: str, name: str, truncation: int, levels: int, folder: Path):
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KERAS_BACKEND": "jax" if name == "jax" else "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.name = f"{name} at T{truncation} L{levels}"
        self._errors = folder / name  # a pipe that nobody reads would fill up
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [python, __file__, "--worker", name, str(truncation), str(levels)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )

    def ask(self, times: int) -> float:
        """Seconds that it takes for so many steps; ends the benchmark if the worker has ended."""
        asked, answers = self._process.stdin, self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            print(times, file=asked, flush=True)
        while line := answers.readline():
            if line.startswith("seconds "):
                return float(line.split()[1])
        self._process.wait()
        end = "\n".join(self._errors.read_text().splitlines()[-ERROR_LINES:])
        raise SystemExit(f"{self.name} ended with status {self._process.returncode}:\n{end}")

    def stop(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


def serve(name: str, truncation: int, levels: int) -> None:
    """Steps as often as each line of stdin says, and answers with the seconds taken."""
    make = dinosaur_steps if name == "dinosaur" else our_steps
    advance = make(name, truncation, levels)
    for line in sys.stdin:
        begun = time.perf_counter()
        advance(int(line))
        print(f"seconds {time.perf_counter() - begun}", flush=True)


def our_steps(name: str, truncation: int, levels: int) -> Callable[[int], None]:
    """Ours, by one of the backends."""
    import numpy as np

    from dynamics.cases import CASES
    from dynamics.integrators import SIL3
    from dynamics.spectral.core import equation_of, start_of
    from dynamics.spectral.filters import hyperdiffusion
    from dynamics.spectral.noise import noise
    from dynamics.spectral.spherical_harmonics import SphericalHarmonics
    from dynamics.vertical import SigmaLevels

    case = CASES["held-suarez"]
    sphere = SphericalHarmonics(truncation, radius=case.constants.radius)
    equations = equation_of(case, sphere, SigmaLevels.equidistant(levels))
    step = step_seconds(truncation)
    damp = hyperdiffusion(sphere, step, time_scale=3600 * FILTER_HOURS, order=8)

    def one(state: Any) -> Any:
        return damp(SIL3(equations, state, step))

    if name == "jax":
        import jax

        many = jax.jit(lambda state, n: jax.lax.fori_loop(0, n, lambda _, x: one(x), state))
    else:
        import tensorflow as tf

        @tf.function(jit_compile=name == "xla")
        def graph(state: Any, n: Any) -> Any:
            done = tf.constant(0)
            while done < n:  # a range would be compiled again for each n
                state, done = one(state), done + 1
            return state

        def many(state: Any, n: int) -> Any:
            return graph(state, tf.constant(n))

    start_state = start_of(case, equations)
    disturbed = noise(sphere, seed=0, member=0, amplitude=1.0)  # K
    start_state["temperature"] = start_state["temperature"] + sphere.constant(disturbed)

    def advance(times: int) -> None:
        np.asarray(many(start_state, times)["vorticity"])

    return advance


def dinosaur_steps(name: str, truncation: int, levels: int) -> Callable[[int], None]:
    """The reference."""
    import jax
    from dinosaur import (
        coordinate_systems,
        held_suarez,
        primitive_equations,
        primitive_equations_states,
        scales,
        sigma_coordinates,
        spherical_harmonic,
        time_integration,
        units,
    )

    grid = getattr(spherical_harmonic.Grid, f"T{truncation}")()
    vertical = sigma_coordinates.SigmaCoordinates.equidistant(levels)
    coords = coordinate_systems.CoordinateSystem(grid, vertical)
    specs = units.SimUnits.from_si()
    start_state, aux = primitive_equations_states.isothermal_rest_atmosphere(
        coords, specs, p0=1e5 * scales.units.pascal, p1=5e3 * scales.units.pascal
    )
    state = start_state(jax.random.PRNGKey(0))
    reference = aux["ref_temperatures"]
    orography = primitive_equations.truncated_modal_orography(aux["orography"], coords)
    dry = primitive_equations.PrimitiveEquationsSigma(reference, orography, coords, specs)
    forcing = held_suarez.HeldSuarezForcingSigma(coords, specs, reference)
    equation = time_integration.compose_equations([dry, forcing])
    step = specs.nondimensionalize(step_seconds(truncation) * scales.units.s)
    damping = time_integration.horizontal_diffusion_step_filter(
        grid, step, specs.nondimensionalize(3600 * FILTER_HOURS * scales.units.s), order=4
    )
    one = time_integration.step_with_filters(
        time_integration.imex_rk_sil3(equation, step), [damping]
    )
    many = jax.jit(lambda state, n: jax.lax.fori_loop(0, n, lambda _, x: one(x), state))

    def advance(times: int) -> None:
        jax.block_until_ready(many(state, times))

    return advance


if __name__ == "__main__":
    main()
