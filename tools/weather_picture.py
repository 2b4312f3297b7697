"""Draws the weather of the simulated atmosphere, as on the first page of the documentation.

    python tools/weather_picture.py                     # docs/figures/weather.png; two minutes

The climate of Held and Suarez, from the state that comes with the package, put on a finer grid;
three days of vorticity as seen from above 40° north.
"""

import argparse
from pathlib import Path

import numpy as np

DAY = 86400
DRAWN = Path(__file__).parents[1] / "docs" / "figures" / "weather"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", default=str(DRAWN), help="path without its suffix .png")
    parser.add_argument("--truncation", type=int, default=85)
    parser.add_argument("--days", type=int, nargs="+", default=[20, 21, 22])
    options = parser.parse_args()
    days = sorted(options.days)
    draw(*simulate(options.truncation, days), days, options.figure)
    print(f"Figure: {options.figure}.png")


def simulate(truncation: int, days: list[int]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Vorticity near the ground after so many days.

    Returns:
        Latitude from north to south and longitude (degrees), and a field for each of the days
        (latitude, longitude), in s⁻¹.
    """
    import dynamics

    step = dynamics.default_step(truncation, DAY)
    simulation = dynamics.Simulation("held-suarez", truncation=truncation, num_levels=10, step=step)
    state = simulation.start(spun_up=True)
    fields = []
    for wait in np.diff([0, *days]):
        state = simulation.advance(state, int(wait) * DAY // round(step))
        fields.append(simulation.observe(state)["vorticity"].values[-2])  # σ = 0.85
    grid = simulation.core.grid
    return grid.latitude, grid.longitude, fields


def draw(
    latitude: np.ndarray,
    longitude: np.ndarray,
    fields: list[np.ndarray],
    days: list[int],
    path: str,
) -> None:
    """One globe for each field, in one scale of colours."""
    from atmodist.files.figures import new_canvas, save_figure, style

    limit = float(np.percentile(np.abs(fields), 99.7)) * 1e5
    with style():
        figure = new_canvas(figsize=(2.9 * len(fields), 3.4))
        axes = figure.subplots(1, len(fields), squeeze=False)[0]
        for axis, field, day in zip(axes, fields, days, strict=True):
            image = axis.imshow(
                on_globe(latitude, longitude, field) * 1e5,
                extent=(-1, 1, -1, 1), origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit,
            )  # fmt: skip
            angle = np.linspace(0, 2 * np.pi, 400)
            axis.plot(np.cos(angle), np.sin(angle), color="0.3", linewidth=0.8)
            axis.set(title=f"day {day}", xlim=(-1.02, 1.02), ylim=(-1.02, 1.02))
            axis.set_axis_off()
        figure.colorbar(
            image, ax=axes, orientation="horizontal", shrink=0.4, aspect=30, pad=0.02,
            extend="both", label="vorticity at σ = 0.85 (10⁻⁵ s⁻¹)",
        )  # fmt: skip
        save_figure(figure, path, suffixes=("png",))


def on_globe(
    latitude: np.ndarray,
    longitude: np.ndarray,
    field: np.ndarray,
    *,
    above: float = 40.0,
    num_points: int = 720,
) -> np.ndarray:
    """A field as seen from far above longitude 0: the orthographic projection.

    A point (x, y) of the disc, with z = √(1 − x² − y²) towards the eye, lies at
        sin φ = y cos φ₀ + z sin φ₀,    tan λ = x / (z cos φ₀ − y sin φ₀).

    Args:
        latitude: From north to south, degrees.
        longitude: From 0, evenly around the circle, degrees.
        field: (latitude, longitude).
        above: φ₀, degrees north.
        num_points: Of the picture, along each side.

    Returns:
        (y, x), upwards and to the right; NaN beside the disc.
    """
    from scipy.ndimage import map_coordinates

    side = np.linspace(-1, 1, num_points)
    x, y = np.meshgrid(side, side)
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    tilt = np.deg2rad(above)
    phi = np.arcsin(np.clip(y * np.cos(tilt) + z * np.sin(tilt), -1, 1))
    lam = np.arctan2(x, z * np.cos(tilt) - y * np.sin(tilt))
    rows = np.interp(-np.rad2deg(phi), -latitude, np.arange(len(latitude)))
    columns = np.rad2deg(lam) % 360 / 360 * len(longitude)
    closed = np.concatenate([field, field[:, :1]], axis=1)
    seen = map_coordinates(closed, [rows, columns], order=1, mode="nearest")
    return np.where(x**2 + y**2 <= 1, seen, np.nan)


if __name__ == "__main__":
    main()
