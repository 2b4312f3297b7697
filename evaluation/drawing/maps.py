"""Maps of fields: robust colour scales, coastlines, degrees; in plate carree.

Maps that go around the globe are centred on Greenwich. Scales end at robust percentiles; those of
signed fields are symmetric about zero, which is white. Use these inside `with plotting.style():`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.files.figures import cell_edges, new_canvas
from evaluation.contract.units_text import labelled, power_of_ten
from evaluation.drawing import coastlines
from evaluation.drawing.plotting import text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

PERCENTILE = 99.5  # of absolute or signed values, where colour scales end
SIGNED, UNSIGNED = "RdBu_r", "viridis"


def limits(
    *fields: np.ndarray, signed: bool | None = None, percentile: float = PERCENTILE
) -> tuple[float, float]:
    """Ends of a colour scale that a few wild points do not stretch.

    Args:
        fields: All that share the scale; values that are not finite are left out.
        signed: Whether zero is in the middle; by default if the robust range has both signs.
        percentile: Of |values| if signed, else `100 - percentile` and `percentile` of the values.
    """
    values = np.concatenate([np.ravel(field) for field in fields]) if fields else np.zeros(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return (-1.0, 1.0) if signed else (0.0, 1.0)
    least, most = np.percentile(values, [100 - percentile, percentile])
    if signed is None:
        signed = bool(least < 0 < most and min(-least, most) > 0.1 * max(-least, most))
    if signed:
        end = float(np.percentile(np.abs(values), percentile)) or float(np.abs(values).max())
        end = end if end > 0 else 1.0
        return -end, end
    if least == most:
        least, most = values.min(), values.max()
    if least == most:
        spread = abs(least) * 0.05 or 0.5
        least, most = least - spread, most + spread
    return float(least), float(most)


def side_by_side(
    fields: Mapping[str, np.ndarray],
    latitude: np.ndarray,
    longitude: np.ndarray,
    *,
    name: str,
    units: str = "1",
    signed: bool | None = None,
    bounds: tuple[float, float] | None = None,
    columns: int = 2,
    width: float = 7.6,
    points: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> "Figure":
    """Maps beside each other with one colour scale.

    Args:
        fields: By title; each (latitude, longitude).
        latitude: Degrees north, in order, (latitude,).
        longitude: Degrees east, eastwards, may cross the date line, (longitude,).
        name: Of the quantity, for the colour bar.
        units: CF's.
        signed: See `limits`; signed fields are white at zero.
        bounds: Ends of the scale instead of robust ones.
        columns: Maps in a row, at most.
        width: Inches.
        points: Places to mark on each map, by title: degrees north and east.
    """
    low, high = bounds or limits(*fields.values(), signed=signed)
    power = power_of_ten((low, high))
    factor = 10.0**-power
    wanted = max(1, columns)
    columns = min(wanted, len(fields))
    rows = -(-len(fields) // columns)
    panel = width / wanted  # inches
    if columns < wanted:
        panel = min(1.2 * panel, width / columns)
    width = max(columns * panel, 4.2)
    height = min(rows * ((panel - 0.35) / _extent_aspect(latitude, longitude) + 0.45) + 0.75, 12.0)
    longest = int((panel - 0.2) / 0.078)  # characters of a title
    figure = new_canvas(figsize=(width, height), layout="compressed")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    image = None
    for axes, (title, values) in zip(grid, fields.items(), strict=False):
        image = draw_map(
            axes, latitude, longitude, values * factor, bounds=(low * factor, high * factor)
        )
        axes.set_title(text(title, longest), fontsize=9)
        if points and title in points:
            north, east = points[title]
            axes.plot(_same_turn(east, axes.get_xlim()[0]), north, "k.", markersize=2)
    for axes in grid[len(fields) :]:
        axes.set_visible(False)
    for i, axes in enumerate(grid[: len(fields)]):
        axes.tick_params(labelbottom=i + columns >= len(fields), labelleft=i % columns == 0)
    if image is not None:
        extend = _extend(fields.values(), low, high)
        label = labelled(text(name, 60), units, power)
        bar = figure.colorbar(
            image, ax=list(grid), location="bottom", shrink=0.6, aspect=40, extend=extend
        )
        bar.set_label(label)
    return figure


def draw_map(
    axes: "Axes",
    latitude: np.ndarray,
    longitude: np.ndarray,
    values: np.ndarray,
    *,
    bounds: tuple[float, float],
    colormap: str | None = None,
) -> "AxesImage | Any":
    """Draws a field with coastlines; returns what a colour bar needs.

    The colour map has white at zero where the scale is symmetric about it. Rasterised in PDF.
    """
    longitude, order = unwrapped(longitude)
    values = np.asarray(values, dtype=np.float64)[:, order]
    if latitude[0] < latitude[-1]:
        latitude, values = latitude[::-1], values[::-1]
    symmetric = np.isclose(bounds[0], -bounds[1])
    options: dict[str, Any] = {
        "cmap": colormap or (SIGNED if symmetric else UNSIGNED),
        "vmin": bounds[0],
        "vmax": bounds[1],
        "rasterized": True,
        "zorder": 1,
    }
    east, north = cell_edges(longitude), np.clip(cell_edges(latitude), -91, 91)
    steps = np.abs(np.diff(latitude))
    image: Any
    if steps.max() - steps.min() < 0.03 * steps.mean():
        # an image is drawn faster than cells, and is filtered where it has more points than pixels
        extent = (east[0], east[-1], cell_edges(latitude)[-1], cell_edges(latitude)[0])
        image = axes.imshow(
            values, extent=extent, origin="upper", interpolation_stage="data", **options
        )
    else:
        image = axes.pcolormesh(east, north, values, **options)
    map_axes(axes, latitude, longitude)
    return image


def columns_for(latitude: np.ndarray, longitude: np.ndarray) -> int:
    """Maps in a row that leave each legible: few for wide ones, up to three for upright ones."""
    aspect = _extent_aspect(latitude, longitude)
    return 1 if aspect > 3.2 else 2 if aspect > 1.2 else 3


def map_axes(axes: "Axes", latitude: np.ndarray, longitude: np.ndarray) -> None:
    """Makes axes a map of these points: limits, aspect, degrees, coastlines, grey where no data.

    Args:
        axes: To be made a map.
        latitude: Degrees north.
        longitude: Degrees east, eastwards; as `unwrapped` returns them.
    """
    longitude, _ = unwrapped(longitude)
    west, east = cell_edges(longitude)[[0, -1]]
    south, north = np.clip(np.sort(cell_edges(np.asarray(latitude, float))[[0, -1]]), -90, 90)
    coastlines.draw(axes, west, east, south, north)
    axes.set(xlim=(west, east), ylim=(south, north), facecolor="0.88")
    axes.set_aspect(_stretch(latitude))
    axes.set_xticks(_ticks(west, east), labels=[_degrees_east(x) for x in _ticks(west, east)])
    axes.set_yticks(_ticks(south, north), labels=[_degrees_north(y) for y in _ticks(south, north)])
    axes.tick_params(labelsize=7, length=2)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_linewidth(0.6)


def unwrapped(longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes that increase without a jump, and the order of columns that goes with them.

    A grid around the globe begins at the date line; the window of a region stays in its order.
    """
    longitude = np.unwrap(np.asarray(longitude, dtype=np.float64), period=360.0)
    spacing = np.diff(longitude).mean() if len(longitude) > 1 else 360.0
    around = len(longitude) > 1 and abs(longitude[-1] - longitude[0] + spacing - 360) < spacing / 2
    if around:
        west = (np.round(longitude, 9) + 180) % 360 - 180
        order = np.argsort(west, kind="stable")
        return west[order], order
    if longitude[0] >= 180:
        longitude = longitude - 360
    return longitude, np.arange(len(longitude))


def _stretch(latitude: np.ndarray) -> float:
    """Height of a degree of latitude over the width of one of longitude, in the middle."""
    south, north = np.min(latitude), np.max(latitude)
    if north - south > 90:
        return 1.0
    return float(1 / np.cos(np.radians(np.clip((south + north) / 2, -75, 75))))


def _extent_aspect(latitude: np.ndarray, longitude: np.ndarray) -> float:
    unrolled, _ = unwrapped(longitude)
    width = abs(np.diff(cell_edges(unrolled)[[0, -1]])[0])
    height = abs(np.diff(cell_edges(np.asarray(latitude, float))[[0, -1]])[0])
    return float(width / height / _stretch(latitude))


def _extend(fields: Iterable[np.ndarray], low: float, high: float) -> str:
    below = any(np.nanmin(x, initial=np.inf) < low for x in fields)
    above = any(np.nanmax(x, initial=-np.inf) > high for x in fields)
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (below, above), "neither"
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round degrees within an interval, three to seven of them."""
    for step in (60, 45, 30, 20, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1):
        first = np.ceil((low - 1e-6) / step)
        ticks = [step * k for k in range(int(first), int(np.floor((high + 1e-6) / step)) + 1)]
        if len(ticks) >= 4 or (len(ticks) == 3 and high - low > 100):
            return ticks[:: -(-len(ticks) // 7)]
    return [round((low + high) / 2, 2)]


def _degrees_east(x: float) -> str:
    x = (x + 180) % 360 - 180
    if x in (0, -180):
        return f"{abs(x):g}°"
    return f"{abs(x):g}°{'E' if x > 0 else 'W'}"


def _degrees_north(y: float) -> str:
    return f"{abs(y):g}°{'N' if y > 0 else 'S'}" if y else "0°"


def _same_turn(longitude: Sequence[float] | np.ndarray, west: float) -> np.ndarray:
    """Longitudes moved by full turns to lie east of `west`."""
    return (np.asarray(longitude, dtype=np.float64) - west) % 360 + west
