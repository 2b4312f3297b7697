"""Runs the Held-Suarez case to its climate, and compares that with other models'.

    python tools/held_suarez_climate.py --output climate --truncation 42 --levels 10 --days 600

starts from rest with a little noise, takes 30-minute steps at T42 (in proportion elsewhere), and
after a spin-up averages over time and longitude, every second day. Written to the output folder:

    zonal_means.npz         "<field>" (level, latitude): wind, temperature, and their eddy variances
                            and fluxes, that is, of what departs from the mean over longitude
    state_day0600.npz       every 50 days: the modal state, and what is needed to read it

Last it prints the climate beside the ranges that models with this forcing keep to, and ends with
status 1 if one is missed. T42 with 10 levels takes ten minutes of one core for 600 days.
The shortest waves are damped by e in 2.4 hours at T42, in proportion to 1 / T elsewhere.
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


def main() -> int:
    """Integrates, averages, compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    parser.add_argument("--truncation", type=int, default=42)
    parser.add_argument("--levels", type=int, default=10)
    parser.add_argument("--days", type=int, default=600)
    parser.add_argument("--spin_up", type=int, default=200, help="days left out of the means")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no_xla", action="store_true", help="starts sooner, runs slower")
    options = parser.parse_args()
    means = integrate(options)
    return report(means)


def integrate(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """The zonal means; writes them, and states on the way."""
    if options.days < options.spin_up + 2:
        raise SystemExit("No day is left to average over; --days must exceed --spin_up by two.")
    import tensorflow as tf

    from dynamics.cases import held_suarez
    from dynamics.filters import hyperdiffusion
    from dynamics.integrators import SIL3
    from dynamics.primitive_equations import MassFixer
    from dynamics.spherical_harmonics import SphericalHarmonics
    from dynamics.vertical import SigmaLevels

    sphere = SphericalHarmonics(options.truncation, radius=held_suarez.CONSTANTS.radius)
    levels = SigmaLevels.equidistant(options.levels)
    equations = held_suarez.equation(sphere, levels)
    steps = round(48 * options.truncation / 42)  # a day
    names = ("vorticity", "divergence", "temperature")
    time_scale = 0.1 * DAY * 42 / options.truncation
    damp = hyperdiffusion(sphere, DAY / steps, time_scale=time_scale, order=8, names=names)
    fixer = MassFixer(sphere, 1e5)

    @tf.function(jit_compile=not options.no_xla)
    def day(state: Any) -> Any:
        for _ in tf.range(steps):
            state = fixer(damp(SIL3(equations, state, DAY / steps)))
        return state

    options.output.mkdir(parents=True, exist_ok=True)
    state = held_suarez.initial_state(equations, seed=options.seed)
    sums: dict[str, np.ndarray] = {}
    count, begun = 0, time.monotonic()
    for number in range(1, options.days + 1):
        state = day(state)
        if number > options.spin_up and number % 2 == 0:
            for name, value in zonal_means(equations, state).items():
                sums[name] = sums.get(name, 0.0) + value
            count += 1
        if number % 50 == 0 or number == options.days:
            if not np.isfinite(np.asarray(state["vorticity"])).all():
                raise SystemExit(f"The run became unstable before day {number}.")
            print(f"day {number}, {time.monotonic() - begun:.0f} s", flush=True)
            np.savez_compressed(
                options.output / f"state_day{number:04d}.npz",
                **{name: np.asarray(value) for name, value in state.items()},
                boundaries=levels.boundaries,
                reference_temperature=equations.reference_temperature,
                truncation=options.truncation,
                radius=sphere.radius,
                day=number,
                seed=options.seed,
            )
    means = {name: value / count for name, value in sums.items()}
    means |= {"latitude": sphere.latitude, "sigma": levels.centers}
    np.savez(options.output / "zonal_means.npz", **means)
    return means


def zonal_means(equations: Any, state: Any) -> dict[str, np.ndarray]:
    """Means over longitude of fields, and of products of their departures from that mean."""
    fields = equations.nodal_fields(state)
    u, v = (np.asarray(fields[name]) for name in ("eastward_wind", "northward_wind"))
    t = np.asarray(equations.total_temperature(fields["temperature"]))
    eddy = {name: x - x.mean(-1, keepdims=True) for name, x in (("u", u), ("v", v), ("t", t))}
    products = {a + b: (eddy[a] * eddy[b]).mean(-1) for a, b in ("uu", "vv", "tt", "uv", "vt")}
    return {"u": u.mean(-1), "v": v.mean(-1), "t": t.mean(-1)} | products


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
        for (name, (least, most)), value in zip(RANGES.items(), found, strict=True):
            inside = least <= value <= most
            missed += not inside
            print(f"  {name}: {value:.4g} ({least:g} to {most:g}){'' if inside else '  MISSED'}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
