"""Runs the Held-Suarez case to its climate, and compares that with other models'.

    python tools/held_suarez_climate.py --output climate --truncation 42 --levels 10 --days 600

is the model of `atmodist simulate` (`dynamics.Simulation`), from rest with noise of 1 K. After a
spin-up it averages over time and longitude, every second day. Written to the output folder:

    zonal_means.npz         "<field>" (level, latitude): wind, temperature, and their eddy variances
                            and fluxes, that is, of what departs from the mean over longitude;
                            "energy_spectrum" (level, degree): kinetic energy, m2/s2 per degree
    state_day0600.npz       every 50 days: the modal state, and what is needed to read it

Last it prints the climate beside the ranges that models with this forcing keep to, and ends with
status 1 if one is missed. T42 with 10 levels takes ten minutes of one core for 600 days.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

DAY = 86400
# Jets, temperature and its variance: Held & Suarez (1994), figs. 1-3 (a spectral and a grid-point
# model with 20 levels), read from the figures and widened for other resolutions. Heat flux and
# variance of wind, which they do not show: usual values.
RANGES = {
    "jet speed, m/s": (26.0, 36.0),
    "jet latitude, degrees": (38.0, 50.0),
    "jet level, sigma": (0.15, 0.35),
    "largest temperature variance below sigma 0.5, K2": (25.0, 50.0),
    "its latitude, degrees": (36.0, 52.0),
    "largest poleward heat flux below sigma 0.5, K m/s": (12.0, 26.0),
    "largest variance of northward wind, m2/s2": (200.0, 520.0),
    "lowest temperature of the zonal mean, K": (187.0, 202.0),
    "temperature at the equator near the ground, K": (296.0, 310.0),
    "strongest surface easterlies, m/s": (-13.0, -4.0),
}
# Quasi-geostrophic turbulence cascades enstrophy with a slope of -3 (Charney 1971), which models of
# this resolution show between the storms and what is damped.
SLOPE = "slope of the kinetic-energy spectrum, degrees 10 to 0.6 T"
SLOPE_RANGE = (-3.5, -2.5)


def main() -> int:
    """Integrates, averages, compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    parser.add_argument("--truncation", type=int, default=42)
    parser.add_argument("--levels", type=int, default=10)
    parser.add_argument("--days", type=int, default=600)
    parser.add_argument("--spin_up", type=int, default=200, help="days left out of the means")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    means = integrate(options)
    return report(means)


def integrate(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """The zonal means; writes them, and states on the way."""
    if options.days < options.spin_up + 2:
        raise SystemExit("No day is left to average over; --days must exceed --spin_up by two.")
    from dynamics.simulation.simulation import Simulation, default_step

    step = default_step(options.truncation, DAY)
    simulation = Simulation(
        "held-suarez", truncation=options.truncation, num_levels=options.levels, step=step
    )
    sphere, levels = simulation.core.sphere, simulation.core.sigma
    state = simulation.perturbed(simulation.start(), seed=options.seed, member=0, amplitude=1.0)
    options.output.mkdir(parents=True, exist_ok=True)
    sums: dict[str, np.ndarray] = {}
    count, begun = 0, time.monotonic()
    for number in range(1, options.days + 1):
        state = simulation.advance(state, round(DAY / step))
        if number > options.spin_up and number % 2 == 0:
            for name, value in statistics(simulation, state).items():
                sums[name] = sums.get(name, 0.0) + value
            count += 1
        if number % 50 == 0 or number == options.days:
            simulation.observe(state)  # complains if the run became unstable
            print(f"day {number}, {time.monotonic() - begun:.0f} s", flush=True)
            np.savez_compressed(
                options.output / f"state_day{number:04d}.npz",
                **state,
                boundaries=levels.boundaries,
                reference_temperature=simulation.core.equation.reference_temperature,
                truncation=options.truncation,
                radius=sphere.radius,
                day=number,
                seed=options.seed,
            )
    means = {name: value / count for name, value in sums.items()}
    means |= {"latitude": sphere.latitude, "sigma": levels.centers}
    np.savez(options.output / "zonal_means.npz", **means)
    return means


def statistics(simulation: Any, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of one day: means over longitude of fields and of products of their departures, spectra."""
    fields = simulation.core.observe(state)
    names = {"u": "eastward_wind", "v": "northward_wind", "t": "temperature"}
    values = {short: fields[name].values for short, name in names.items()}
    eddy = {short: x - x.mean(-1, keepdims=True) for short, x in values.items()}
    products = {a + b: (eddy[a] * eddy[b]).mean(-1) for a, b in ("uu", "vv", "tt", "uv", "vt")}
    means = {short: x.mean(-1) for short, x in values.items()}
    return means | products | {"energy_spectrum": energy_spectrum(simulation.core.sphere, state)}


def energy_spectrum(sphere: Any, state: dict[str, np.ndarray]) -> np.ndarray:
    """Kinetic energy of each level and degree, m2/s2: ½ a² / (l (l + 1)) Σ_m (ζ² + δ²)."""
    power = sum((state[name] ** 2).sum(axis=(-3, -2)) for name in ("vorticity", "divergence"))
    power[..., 1:] /= -2.0 * sphere.laplacian_eigenvalues[1:]
    power[..., 0] = 0.0  # no wind has a mean vorticity
    return power


def slope(spectrum: np.ndarray) -> float:
    """Exponent of the degree, from degree 10 to 0.6 T (25 at T42), by least squares of logarithms.

    Not a number where there are no two such degrees.
    """
    degrees = np.arange(10, round(0.6 * (len(spectrum) - 1)) + 1)
    if len(degrees) < 2:
        return float("nan")
    return float(np.polyfit(np.log(degrees), np.log(spectrum[degrees]), 1)[0])


def report(means: dict[str, np.ndarray]) -> int:
    """Prints the climate beside the ranges; 1 if it lies outside, else 0."""
    latitude, low = means["latitude"], means["sigma"] > 0.5
    missed = 0
    for side, half in (("northern", latitude > 0), ("southern", latitude < 0)):
        print(f"{side} hemisphere")
        u, t, vv = (means[name][:, half] for name in ("u", "t", "vv"))
        tt = means["tt"][low][:, half]
        heat_flux = means["vt"][low][:, half] * np.sign(latitude[half])
        level, row = np.unravel_index(u.argmax(), u.shape)
        found = [
            u.max(),
            abs(latitude[half][row]),
            means["sigma"][level],
            tt.max(),
            abs(latitude[half][tt.max(0).argmax()]),
            heat_flux.max(),
            vv.max(),
            t.min(),
            t[-1, np.abs(latitude[half]).argmin()],
            u[-1].min(),
        ]
        for (name, limits), value in zip(RANGES.items(), found, strict=True):
            missed += tell(name, limits, value)
    print("both")
    missed += tell(SLOPE, SLOPE_RANGE, slope(means["energy_spectrum"].mean(axis=0)))
    return int(missed > 0)


def tell(name: str, limits: tuple[float, float], value: float) -> bool:
    """Prints a value beside its range; whether it lies outside."""
    missed = not limits[0] <= value <= limits[1]
    print(f"  {name}: {value:.4g} ({limits[0]:g} to {limits[1]:g}){'  MISSED' if missed else ''}")
    return missed


if __name__ == "__main__":
    sys.exit(main())
