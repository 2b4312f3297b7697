"""4D-Var in a page: which state of the atmosphere a day ago explains what was observed since?

The model is the shallow-water equations. A "truth" with eddies runs for a day; now and then its
height is observed at a few places, with errors. All we know otherwise is the zonal flow without
eddies (the background) and how large eddies usually are (its errors). 4D-Var looks for the initial
state x that makes

    J(x) = |(x - background) / usual size|² / 2 + Σ |(modelled - observed height) / error|² / 2

smallest. The gradient of J with respect to x, through all time steps, is what differentiability
gives; nobody wrote an adjoint model. Winds are never observed: balance and dynamics find them.
If all is well, J ends near half the number of observations.

    python examples/four_d_var.py         # a minute or two on two cores; writes four_d_var.png

Needs this package and TensorFlow.
"""

import argparse
import os
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow keeps most notes to itself

import numpy as np
import tensorflow as tf
from keras import optimizers

from atmodist.files.figures import new_canvas, save_figure, style
from dynamics.constants import PhysicalConstants
from dynamics.integrators import imex_rk_sil3, with_filters
from dynamics.spectral.filters import hyperdiffusion
from dynamics.spectral.shallow_water import ShallowWater, State
from dynamics.spectral.spherical_harmonics import SphericalHarmonics

CONSTANTS = PhysicalConstants()
DEPTH = 8000.0  # m, of the fluid
STEP = 1800.0  # s
OBSERVED_EVERY = 6  # steps: three hours
ERROR = 10.0  # m, of each observation


def make_model(
    truncation: int, xla: bool
) -> tuple[ShallowWater, tf.types.experimental.GenericFunction]:
    """The equations, and a compiled function from a state to that one step later."""
    sphere = SphericalHarmonics(truncation)
    equation = ShallowWater(sphere, mean_geopotential=CONSTANTS.gravity * DEPTH)
    smooth = hyperdiffusion(sphere, STEP, time_scale=12 * 3600.0)
    step = with_filters(lambda state: imex_rk_sil3(equation, state, STEP), smooth)
    return equation, tf.function(step, jit_compile=xla)


def zonal_flow(equation: ShallowWater) -> State:
    """The background: a westerly jet in each hemisphere, in balance."""
    sphere = equation.sphere
    latitude = np.radians(sphere.latitude)[:, None]
    u = 35.0 * np.sin(2 * latitude) ** 2 + 0 * sphere.longitude  # m s⁻¹
    return equation.balanced(sphere.vorticity_divergence(u, 0 * u)[0])


def eddy_size(equation: ShallowWater) -> np.ndarray:
    """Usual size of a vorticity coefficient of each degree, s⁻¹: most at degrees near 8."""
    degree = equation.sphere.degrees
    return 1.5e-6 * (degree > 0) * (degree / 8) / (1 + (degree / 8) ** 4)


def state_of(equation: ShallowWater, background: State, control: tf.Tensor) -> State:
    """From dimensionless numbers of size one, (2, order, degree), to a balanced initial state."""
    size = equation.sphere.constant(eddy_size(equation) * equation.sphere.mask)
    return equation.balanced(background["vorticity"] + size * control)


def height(equation: ShallowWater, state: State) -> tf.Tensor:
    """Height of the surface, m, (latitude, longitude)."""
    return equation.sphere.to_nodal(state["geopotential"]) / CONSTANTS.gravity


def assimilate(
    *,
    truncation: int = 21,
    num_hours: int = 24,
    num_places: int = 150,
    iterations: int = 80,
    xla: bool = True,
) -> dict[str, np.ndarray]:
    """Makes a truth, observes it, and recovers it.

    Returns:
        Vorticity (s⁻¹) and height (m) on the grid at the start of the "truth", "background" and
        "analysis", as "vorticity truth" and so on; the "cost" J of each iteration; which places
        are "observed".
    """
    rng = np.random.default_rng(0)
    equation, step = make_model(truncation, xla)
    sphere, background = equation.sphere, zonal_flow(equation)
    num_steps = round(num_hours * 3600 / STEP)
    if num_places > sphere.weights.size * sphere.num_longitudes:
        raise ValueError(f"num_places={num_places} is more than the grid's {sphere.nodal_shape}")

    def observe(state: State) -> list[tf.Tensor]:
        """Heights at all grid points at the times of observation, from the start on."""
        heights = [height(equation, state)]
        for i in range(1, num_steps + 1):
            state = step(state)
            if i % OBSERVED_EVERY == 0:
                heights.append(height(equation, state))
        return heights

    # The truth, and what is seen of it: other places each time.
    truth = state_of(equation, background, sphere.constant(rng.standard_normal(sphere.modal_shape)))
    seen, observations = [], []
    for true_height in observe(truth):
        # as many in each km², hence fewer columns of the grid near the poles
        chance = np.repeat(sphere.weights, sphere.num_longitudes)
        places = np.zeros(chance.size, "float32")
        places[rng.choice(chance.size, num_places, replace=False, p=chance / chance.sum())] = 1.0
        places = places.reshape(sphere.nodal_shape)
        errors = ERROR * rng.standard_normal(sphere.nodal_shape)
        seen.append(places)
        observations.append(places * (true_height + sphere.constant(errors)))

    def cost_of(control: tf.Tensor) -> tf.Tensor:
        cost = tf.reduce_sum(control**2) / 2
        heights = observe(state_of(equation, background, control))
        for modelled, observed, places in zip(heights, observations, seen, strict=True):
            cost += tf.reduce_sum(((places * modelled - observed) / ERROR) ** 2) / 2
        return cost

    control = tf.Variable(np.zeros(sphere.modal_shape), dtype=sphere.dtype)
    optimizer = optimizers.Adam(optimizers.schedules.CosineDecay(0.2, iterations))
    costs = []
    for iteration in range(iterations):
        with tf.GradientTape() as tape:
            cost = cost_of(control)
        optimizer.apply([tape.gradient(cost, control)], [control])
        costs.append(float(cost))
        if iteration % 10 == 0 or iteration == iterations - 1:
            print(f"iteration {iteration:3d}   J = {costs[-1]:10.1f}")

    analysis = state_of(equation, background, control)
    result = {"cost": np.array(costs), "observed": np.array(seen)}
    result |= {"observed latitude": sphere.latitude, "observed longitude": sphere.longitude}
    return result | compare(truncation, truth=truth, background=background, analysis=analysis)


def compare(truncation: int, **states: State) -> dict[str, np.ndarray]:
    """Fields of the states on a grid fine enough to draw, and their errors (area-weighted rms)."""
    fine = SphericalHarmonics(truncation, num_latitudes=96)
    result = {"latitude": fine.latitude, "longitude": fine.longitude}
    for name, state in states.items():
        result[f"vorticity {name}"] = np.asarray(fine.to_nodal(state["vorticity"]))
        result[f"height {name}"] = np.asarray(
            fine.to_nodal(state["geopotential"]) / CONSTANTS.gravity
        )
    for field in ("vorticity", "height"):
        for name in ("background", "analysis"):
            difference = result[f"{field} {name}"] - result[f"{field} truth"]
            result[f"{field} {name} error"] = np.sqrt(fine.mean(difference**2))
    return result


def draw(result: dict[str, np.ndarray], path: str) -> None:
    """Vorticity at the start, what is wrong with it, and how J fell; `path` gets .png."""
    truth = result["vorticity truth"]
    panels = {
        "Truth (dots: heights seen at the start)": truth,
        "Analysis": result["vorticity analysis"],
        "Background − truth": result["vorticity background"] - truth,
        "Analysis − truth": result["vorticity analysis"] - truth,
    }
    with style():
        figure = new_canvas(figsize=(9, 6.4))
        grid = figure.add_gridspec(3, 2, height_ratios=(1, 1, 0.8))
        axes = [figure.add_subplot(grid[i // 2, i % 2]) for i in range(4)]
        limit = np.abs(truth).max() * 1e5
        for axis, (title, field) in zip(axes, panels.items(), strict=True):
            mesh = axis.pcolormesh(
                result["longitude"], result["latitude"], field * 1e5,
                cmap="RdBu_r", vmin=-limit, vmax=limit, shading="nearest", rasterized=True,
            )  # fmt: skip
            axis.set(title=title, xticks=range(0, 361, 90), yticks=range(-60, 61, 30))
            axis.autoscale(False)  # dots do not move the limits
        for axis in axes[2:]:
            axis.set_xlabel("longitude (°E)")
        for axis in axes[::2]:
            axis.set_ylabel("latitude (°N)")
        row, column = np.nonzero(result["observed"][0])
        places = result["observed longitude"][column], result["observed latitude"][row]
        axes[0].plot(*places, "k.", markersize=2)
        figure.colorbar(mesh, ax=axes, label="vorticity (10⁻⁵ s⁻¹)")
        axis = figure.add_subplot(grid[2, :])
        axis.semilogy(result["cost"], label="J")
        half = result["observed"].sum() / 2
        axis.axhline(half, color="0.4", linestyle="--", label="half the number of observations")
        axis.set(xlabel="iteration", ylabel="cost J")
        axis.legend()
        save_figure(figure, path, suffixes=("png",))


def main(argv: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Runs the experiment; prints the errors before and after, and draws them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--figure", default="four_d_var", help="path without its suffix .png")
    parser.add_argument("--truncation", type=int, default=21)
    parser.add_argument("--hours", type=int, default=24, help="length of the window")
    parser.add_argument("--places", type=int, default=150, help="observations at each time")
    parser.add_argument("--iterations", type=int, default=80)
    parser.add_argument("--no_xla", action="store_true", help="starts sooner, runs slower")
    args = parser.parse_args(argv)
    try:
        result = assimilate(
            truncation=args.truncation,
            num_hours=args.hours,
            num_places=args.places,
            iterations=args.iterations,
            xla=not args.no_xla,
        )
    except ValueError as error:  # a truncation below 1, more places than grid points
        parser.error(str(error))
    for field, unit, scale in (("vorticity", "10⁻⁵ s⁻¹", 1e5), ("height", "m", 1.0)):
        before, after = (result[f"{field} {name} error"] for name in ("background", "analysis"))
        print(
            f"error of {field:9s} at the start: {before * scale:8.3f} {unit} before, "
            f"{after * scale:8.3f} after ({1 - after / before:.0%} less)"
        )
    draw(result, args.figure)
    print(f"Figure: {args.figure}.png")
    return result


if __name__ == "__main__":
    main()
