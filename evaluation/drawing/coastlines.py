"""Coastlines for maps in plate carree, from a file of this package; nothing is ever downloaded.

Longitudes of a map may be any that follow each other: 0 to 360, -180 to 180, or 150 to 210 across
the date line. Lines end at the date line in the file, and are repeated every 360 degrees here, so
that none jumps across a map.

Source: Natural Earth 1:110m, public domain; see `tools/coastlines.py`.
"""

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@cache
def world() -> tuple[np.ndarray, ...]:
    """All lines, each (point, 2): degrees east in -180..180, degrees north."""
    text = resources.files("evaluation").joinpath("data/coastlines.json").read_text("utf-8")
    lines = tuple(np.reshape(line, (-1, 2)) / 100.0 for line in json.loads(text)["lines"])
    for line in lines:
        line.flags.writeable = False
    return lines


def within(west: float, east: float, south: float = -90.0, north: float = 90.0) -> list[np.ndarray]:
    """Lines that may be seen in a window, in its longitudes.

    Args:
        west: Degrees east, of any turn (-180..180, 0..360, 170..190).
        east: The same, larger than `west`.
        south: Degrees north.
        north: Degrees north, larger than `south`.
    """
    if not (west < east and south < north):
        raise ValueError(
            "a window of a map must have west < east and south < north; got "
            f"west={west:g}, east={east:g}, south={south:g}, north={north:g}"
        )
    turns = range(int(np.floor((west - 180) / 360)), int(np.ceil((east + 180) / 360)) + 1)
    found = []
    for line in world():
        least, most = line.min(axis=0), line.max(axis=0)
        if most[1] < south or least[1] > north:
            continue
        shifts = [360.0 * k for k in turns]
        found += [
            line + np.array([shift, 0.0])
            for shift in shifts
            if most[0] + shift >= west and least[0] + shift <= east
        ]
    return found


def draw(
    axes: "Axes", west: float, east: float, south: float, north: float, **options: Any
) -> None:
    """Adds the coastlines of a window; `options` are those of a `LineCollection`."""
    from matplotlib.collections import LineCollection

    defaults: dict[str, Any] = {"colors": "black", "linewidths": 0.5, "alpha": 0.65, "zorder": 3}
    axes.add_collection(
        LineCollection(within(west, east, south, north), **(defaults | options)), autolim=False
    )
