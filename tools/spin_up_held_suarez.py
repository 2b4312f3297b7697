"""Makes the state that `SpunUpState` ships: a Held-Suarez climate, from rest to its weather.

    python tools/spin_up_held_suarez.py dynamics/data/held_suarez_t42l10.npz

takes some minutes on two cores. The climate starts at rest at 264 K with noise of 1 K.
"""

import argparse

import numpy as np

from dynamics.simulation.simulation import Simulation, default_step, largest_wind
from dynamics.spectral.spun_up import SpunUpState
from dynamics.vertical import SigmaLevels

DAY = 86400.0  # s


def main() -> None:
    """Runs the climate; prints winds on the way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output")
    parser.add_argument("--truncation", type=int, default=42)
    parser.add_argument("--num_levels", type=int, default=10)
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    step = default_step(options.truncation, DAY)
    simulation = Simulation(
        "held-suarez", truncation=options.truncation, num_levels=options.num_levels, step=step
    )
    state = simulation.perturbed(simulation.start(), seed=options.seed, member=0, amplitude=1.0)
    for day in range(1, options.days + 1):
        state = simulation.advance(state, round(DAY / step))
        if day % 10 == 0 or day == options.days:
            seen = simulation.observe(state)
            deviation = np.std(seen["vorticity"].values, axis=(-2, -1)).max()
            print(
                f"day {day}: {largest_wind(seen):.1f} m/s, vorticity {deviation:.2e} s-1",
                flush=True,
            )
    boundaries = SigmaLevels.equidistant(options.num_levels).boundaries
    SpunUpState(state=state, boundaries=boundaries).save(options.output)


if __name__ == "__main__":
    main()
