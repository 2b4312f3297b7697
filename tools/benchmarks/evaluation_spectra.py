"""Time and memory of spectra and semivariograms of one field, beside the way of the reference.

Ours starts from vorticity and divergence in memory, float32, and includes the transforms. The naive
way is: make the wind from vorticity and divergence, transform u and v as scalars with pyshtools,
and take the sum of their powers; and, for semivariograms, a Python loop over great circles that
finds for each pair the nearest points of the grid. All take turns in one process. Times are medians
of wall clock and of processor time of all threads; the latter stays meaningful while other programs
run. Memory is that of a process of its own at its highest, above what it had when the field was
there.

    python tools/benchmarks/evaluation_spectra.py [--rows 1280] [--repeats 7]
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import machine, print_table

from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS
from evaluation.contract.statistic import Sample
from evaluation.numerics import spherical
from evaluation.numerics.setting import GLOBE, Region, Setting
from evaluation.numerics.spherical import analysis, degrees, power_per_degree
from evaluation.scores.semivariogram import (
    PointPairs,
    draw_pairs,
    isotropic_semivariogram,
    sampled_semivariogram,
)
from evaluation.scores.spectra import energy_per_degree
from evaluation.statistics import kinetic_energy, power_spectrum, semivariogram

LAGS = np.array([50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 4000.0])  # km
REGION = Region(south=30, north=60, west=-20, east=40)
LOOPED, MANY = 300, 100_000  # pairs


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1280)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    options = parser.parse_args()
    grid = make_grid("driscoll-healy", options.rows)
    field = np.random.default_rng(0).normal(0.0, 1e-5, (2, *grid.shape)).astype(np.float32)
    if options.memory:
        print(json.dumps(_memory(cases(field, grid)[options.memory])))
        return
    print(machine())
    print(f"{grid}, 2 channels, float32; {options.repeats} repeats\n")
    rows = []
    measured = {name: [] for name in cases(field, grid)}
    for turn in range(options.repeats + 1):
        for name, run in cases(field, grid).items():
            if turn > 2 and name.startswith(("naive", "transform, ")):
                continue
            wall, used = time.perf_counter(), time.process_time()
            run()
            if turn:
                measured[name].append((time.perf_counter() - wall, time.process_time() - used))
    for name, values in measured.items():
        wall, used = np.median(values, axis=0)
        slowest = max(value[0] for value in values)
        rows.append([name, *(f"{x:.4f}" for x in (wall, slowest, used)), _child(name, options)])
    print_table(["what", "wall s", "slowest", "CPU s", "memory MB"], rows)
    ours = float(np.median([v[1] for v in measured["energy spectrum"]]))
    naive = float(np.median([v[1] for v in measured["naive energy spectrum"]]))
    print(f"\nenergy spectrum: naive / ours, CPU: {naive / ours:.0f}")
    for num, name in ((LOOPED, "300 pairs"), (MANY, "100000 pairs")):
        sampled = float(np.median([v[1] for v in measured[f"semivariogram, {name}"]]))
        loop = float(np.median([v[1] for v in measured["naive semivariogram, 300 pairs"]]))
        ratio = loop / LOOPED / sampled * num
        print(f"semivariogram, {name}: per pair, naive / ours, CPU: {ratio:.0f}")


def cases(field: np.ndarray, grid: Grid) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    return {
        "transform of both channels": lambda: analysis(field, grid),
        "transform, without ducc0": lambda: _without_ducc0(field, grid),
        "energy spectrum": lambda: _energy(field, grid),
        "exact semivariogram of a spectrum": lambda: isotropic_semivariogram(_spectrum(grid), LAGS),
        "semivariogram, 300 pairs": lambda: sampled_semivariogram(field, _pairs(grid, LOOPED)),
        "semivariogram, 100000 pairs": lambda: sampled_semivariogram(field, _pairs(grid, MANY)),
        "all three statistics, globe": lambda: _statistics(field, grid, {GLOBE: None}),
        "all three, globe and a region": lambda: _statistics(
            field, grid, {GLOBE: None, "europe": REGION}
        ),
        "naive energy spectrum": lambda: _naive_energy(field, grid),
        "naive semivariogram, 300 pairs": lambda: _naive_semivariogram(field, grid),
    }


def _energy(field: np.ndarray, grid: Grid) -> np.ndarray:
    return energy_per_degree(power_per_degree(analysis(field, grid))).sum(axis=0)


def _without_ducc0(field: np.ndarray, grid: Grid) -> np.ndarray:
    """Ours where ducc0 is not installed: Fortran's, one thread."""
    kept = spherical._ducc0
    spherical._ducc0 = lambda: None
    try:
        return analysis(field, grid)
    finally:
        spherical._ducc0 = kept


_CACHE: dict[object, object] = {}


def _kept(key: object, make: Callable[[], object]) -> object:
    if key not in _CACHE:
        _CACHE[key] = make()
    return _CACHE[key]


def _spectrum(grid: Grid) -> np.ndarray:
    return _kept("spectrum", lambda: np.ones((2, grid.max_truncation + 1)))


def _pairs(grid: Grid, num: int) -> PointPairs:
    window = np.arange(grid.shape[0]), np.arange(grid.shape[1])
    return _kept(num, lambda: draw_pairs(grid, window, LAGS, num, [0]))


def _statistics(field: np.ndarray, grid: Grid, regions: dict[str, Region | None]) -> None:
    """One time step of a candidate that is not the reference: both are transformed."""
    modules = (power_spectrum, kinetic_energy, semivariogram)
    setting = Setting(grid=grid, channels=(DIVERGENCE, VORTICITY), regions=regions)
    accumulators = _kept(
        tuple(regions), lambda: [module.STATISTIC.accumulator(setting) for module in modules]
    )
    reference = _kept("reference", lambda: field[:, :, ::-1].copy())
    sample = Sample(setting=setting, candidate=field, reference=reference, seconds=0)
    for accumulator in accumulators:
        accumulator.update(sample)


def _naive_energy(field: np.ndarray, grid: Grid) -> np.ndarray:
    """A wind synthesis, a scalar transform of u and v each, and the sum of their powers."""
    import pyshtools

    modal = analysis(field, grid)
    lmax = grid.max_truncation
    degree = degrees(lmax)
    scale = -(EARTH_RADIUS**2) / np.maximum(degree * (degree + 1.0), 1.0)
    divergence, vorticity = (_coefficients(values * scale, lmax) for values in modal)
    chi, psi = (
        x.gradient(grid="DH2", radius=EARTH_RADIUS, extend=False) for x in (divergence, vorticity)
    )
    u = psi.theta.data + chi.phi.data
    v = psi.phi.data - chi.theta.data
    power = 0.0
    for wind in (u, v):
        made = pyshtools.SHGrid.from_array(wind, grid="DH").expand()
        power = power + made.spectrum(convention="power", unit="per_l")
    return power / 2


def _coefficients(modal: np.ndarray, lmax: int) -> object:
    import pyshtools

    cilm = np.zeros((2, lmax + 1, lmax + 1))
    start = 0
    for m in range(lmax + 1):
        values = modal[start : start + lmax + 1 - m] * (-1) ** m / np.sqrt(4 * np.pi)
        values = values * (np.sqrt(2) if m else 1.0)
        cilm[0, m:, m], cilm[1, m:, m] = values.real, -values.imag
        start += lmax + 1 - m
    return pyshtools.SHCoeffs.from_array(cilm)


def _naive_semivariogram(field: np.ndarray, grid: Grid) -> np.ndarray:
    """For each channel, lag and pair: a great circle, two nearest points, one difference."""
    rng = np.random.default_rng(0)
    latitude, longitude = np.radians(grid.latitude), np.radians(grid.longitude)
    gamma = np.zeros((len(field), len(LAGS)))
    for channel in range(len(field)):
        for k, lag in enumerate(1000 * LAGS / EARTH_RADIUS):
            total = 0.0
            for _ in range(LOOPED):
                phi, lam = np.arcsin(rng.uniform(-1, 1)), rng.uniform(0, 2 * np.pi)
                bearing = rng.uniform(0, 2 * np.pi)
                sine = np.sin(phi) * np.cos(lag) + np.cos(phi) * np.sin(lag) * np.cos(bearing)
                east = lam + np.arctan2(
                    np.sin(bearing) * np.sin(lag) * np.cos(phi), np.cos(lag) - np.sin(phi) * sine
                )
                values = [
                    field[
                        channel,
                        np.argmin(np.abs(latitude - north)),
                        np.argmin(np.abs(longitude - turn % (2 * np.pi))),
                    ]
                    for north, turn in ((phi, lam), (np.arcsin(sine), east))
                ]
                total += (values[0] - values[1]) ** 2
            gamma[channel, k] = total / (2 * LOOPED)
    return gamma


def _memory(run: Callable[[], object]) -> float:
    import pyshtools  # noqa: F401 - what importing it takes is not counted

    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _resident("VmRSS")
    run()
    return _resident("VmHWM") - before


def _resident(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def _child(name: str, options: argparse.Namespace) -> str:
    command = [sys.executable, str(Path(__file__)), "--rows", str(options.rows), "--memory", name]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return f"{json.loads(found.stdout.splitlines()[-1]):.0f}"


if __name__ == "__main__":
    main()
