"""Regions by name: windows of latitude and longitude for which statistics are computed.

The tropics and extratropics are those for which WMO's Commission for Basic Systems has forecasts
verified; the oceans and continents are rough boxes around what they are named after.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from atmodist.fields.grid import Grid
from evaluation.contract.units_text import words
from evaluation.numerics.setting import GLOBE, Region, Setting

LEAST_POINTS = 2  # rows, and columns, that a region must have


def _box(south: float, north: float, west: float = -180.0, east: float = 180.0) -> Region:
    return Region(south=south, north=north, west=west, east=east)


REGIONS: dict[str, Region] = {
    "tropics": _box(-20, 20),
    "northern_extratropics": _box(20, 90),
    "southern_extratropics": _box(-90, -20),
    "northern_midlatitudes": _box(30, 60),
    "southern_midlatitudes": _box(-60, -30),
    "arctic": _box(60, 90),
    "antarctic": _box(-90, -60),
    "europe": _box(35, 75, -12.5, 42.5),
    "north_america": _box(25, 60, -120, -75),
    "south_america": _box(-55, 12, -82, -34),
    "africa": _box(-35, 37, -18, 52),
    "asia": _box(25, 65, 60, 145),
    "australia": _box(-45, -12, 110, 155),
    "north_atlantic": _box(25, 65, -70, -10),
    "south_atlantic": _box(-55, -5, -50, 12),
    "north_pacific": _box(25, 60, 145, -130),
    "south_pacific": _box(-55, -5, 160, -80),
    "tropical_pacific": _box(-20, 20, 140, -90),
    "indian_ocean": _box(-35, 20, 45, 110),
    "southern_ocean": _box(-70, -45),
}
DEFAULT = ("tropics", "northern_extratropics", "southern_extratropics")
_OWN = re.compile(r"\s*([\w .-]+?)\s*=\s*(.+)")


def named_regions(given: Mapping[str, Any] | Sequence[str]) -> dict[str, Region]:
    """Regions as written in YAML (`name: [south, north, west, east]`, or null) or as flags.

    Raises:
        ValueError: If there is no such region, or numbers make none.
    """
    if not isinstance(given, Mapping):
        words: dict[str, Any] = {}
        for word in given:
            match = _OWN.fullmatch(word)
            words[match[1] if match else word] = match[2].strip("[]").split(",") if match else None
        given = words
    regions = {str(name): _region(str(name), bounds) for name, bounds in given.items()}
    return {name: region for name, region in regions.items() if region is not None}


def region_title(name: str) -> str:
    """A region as people read it; numbers without a region, too, are those of the whole grid."""
    return words(name) if name not in (GLOBE, "") else "whole grid"


def with_globe(regions: Mapping[str, Region] | None, grid: Grid) -> dict[str, Region | None]:
    """All regions of an evaluation, the globe first.

    Args:
        regions: Those that were asked for; None for the usual ones, of a global grid.
        grid: Of the fields.

    Raises:
        ValueError: If the grid has no points in one of them.
    """
    if regions is None:
        regions = {name: REGIONS[name] for name in DEFAULT} if grid.is_global else {}
    setting = Setting(grid=grid, channels=(), regions=regions)
    for name in regions:
        rows, columns = setting.window(name)
        if min(len(rows), len(columns)) < LEAST_POINTS:
            raise ValueError(
                f"region {name} has {len(rows)} rows and {len(columns)} columns of {grid}; "
                f"it needs {LEAST_POINTS} of each"
            )
    return {GLOBE: None, **regions}


def _region(name: str, bounds: Any) -> Region | None:
    """None for the globe, which is always there."""
    if bounds is None:
        if name in REGIONS or name == GLOBE:
            return REGIONS.get(name)
        raise ValueError(
            f"there is no region {name!r}; there are {', '.join(REGIONS)}, or your own: "
            "name=south,north,west,east"
        )
    if name == GLOBE:
        raise ValueError(f"{GLOBE} is the whole grid; call your region something else")
    try:
        south, north, west, east = (float(number) for number in bounds)
    except (TypeError, ValueError):
        raise ValueError(
            f"region {name} must be south,north,west,east in degrees; got {bounds!r}"
        ) from None
    fits = -90 <= south < north <= 90 and np.abs([west, east]).max() <= 540 and west != east
    if not fits:
        raise ValueError(
            f"region {name}: south < north must lie in -90..90, and west and east differ, in "
            f"degrees east; got {south:g},{north:g},{west:g},{east:g}"
        )
    return Region(south=south, north=north, west=west, east=east)
