"""Pictures of the fields themselves: reference and candidates, what differs, and zooms.

All fields of a picture share one colour scale; those of differences are symmetric about zero, which
is white. Scales end at robust percentiles, so that one storm does not make the rest pale.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.channels import Channel
from evaluation.contract.regions import region_title
from evaluation.contract.statistic import Picture
from evaluation.contract.units_text import words
from evaluation.drawing import maps
from evaluation.drawing.plotting import text
from evaluation.numerics.setting import GLOBE, REFERENCE, Region, Setting

if TYPE_CHECKING:
    import xarray as xr

WIDEST_ZOOM = 120.0  # degrees of longitude; wider regions are seen well enough on the globe
USUAL_ZOOM = ("north Atlantic", Region(south=25, north=65, west=-70, east=-10))
LEAST_POINTS = 4  # rows and columns of a zoom


def choose_times(num_times: int) -> list[int]:
    """First, middle and last of so many times; what is shown unless others are asked for."""
    return sorted({0, num_times // 2, num_times - 1}) if num_times > 0 else []


def zooms(setting: Setting) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of the regions to look at closely.

    Those of the setting that are not wider than 120 degrees; of a global grid that has none, the
    north Atlantic.
    """
    regions = {name: bounds for name, bounds in setting.regions.items() if bounds is not None}
    narrow = {name: r for name, r in regions.items() if 0 < _width(r) <= WIDEST_ZOOM}
    if not narrow and setting.grid.is_global:
        narrow = dict([USUAL_ZOOM])
    inner = Setting(grid=setting.grid, channels=setting.channels, regions=narrow)
    windows = {name: inner.window(name) for name in narrow}
    return {
        name: (rows, columns)
        for name, (rows, columns) in windows.items()
        if min(len(rows), len(columns)) >= LEAST_POINTS
    }


def draw_time(fields: "xr.Dataset", setting: Setting, index: int) -> Iterator[Picture]:
    """Pictures of one of the chosen times.

    Args:
        fields: A variable for each channel, (candidate, time, latitude, longitude); the reference
            is called `REFERENCE`.
        setting: Of the run.
        index: Of the time.
    """
    step = fields.isel(time=index).transpose("candidate", "latitude", "longitude")
    values = {
        str(name): np.stack([step[c.name].values[j] for c in setting.channels])
        for j, name in enumerate(fields["candidate"].values)
    }
    return draw_fields(values, setting, format_time(fields["time"].values[index]))


def draw_fields(fields: Mapping[str, np.ndarray], setting: Setting, when: str) -> Iterator[Picture]:
    """Pictures of one time: for each channel the fields, what they differ by, and zooms.

    Args:
        fields: By candidate, the reference called `REFERENCE`; each (channel, latitude, longitude).
        setting: Of the run.
        when: The time, for titles.
    """
    names = sorted(fields, key=lambda name: name != REFERENCE)  # the reference first
    whole = tuple(np.arange(size) for size in setting.grid.shape)
    windows: dict[str, tuple[np.ndarray, ...]] = {"": whole} | dict(zooms(setting))
    for c, channel in enumerate(setting.channels):
        for region, (rows, columns) in windows.items():
            cut = {name: fields[name][c][np.ix_(rows, columns)] for name in names}
            place = (setting.grid.latitude[rows], setting.grid.longitude[columns])
            where = f", {region_title(region)}" if region else ""
            yield from _pair(cut, channel, place, f"{where}, {when}", region or GLOBE)


def _pair(
    fields: Mapping[str, np.ndarray],
    channel: Channel,
    place: tuple[np.ndarray, np.ndarray],
    suffix: str,
    prefix: str,
) -> Iterator[Picture]:
    columns = maps.columns_for(*place)
    name = words(channel.name)
    options: dict[str, Any] = {"name": name, "units": channel.units, "columns": columns}
    what = name.capitalize()
    yield Picture(
        name=f"{prefix}_{channel.name}",
        title=f"{what}{suffix}",
        caption="All fields have the same colours, which end at the 99.5th percentile.",
        figure=maps.side_by_side(dict(fields), *place, **options),
    )
    if REFERENCE not in fields or len(fields) < 2:
        return
    reference = np.asarray(fields[REFERENCE], dtype=np.float64)
    differences = {
        f"{text(name, 28)} − {REFERENCE}": values - reference
        for name, values in fields.items()
        if name != REFERENCE
    }
    yield Picture(
        name=f"{prefix}_{channel.name}_difference",
        title=f"{what}: candidate minus reference{suffix}",
        caption=(
            "White is no difference, red too high, blue too low; colours end at the 99.5th "
            "percentile of absolute differences."
        ),
        figure=maps.side_by_side(
            differences,
            *place,
            name=f"difference of {name}",
            units=channel.units,
            signed=True,
            columns=columns,
        ),
    )


def format_time(when: "np.datetime64 | object") -> str:
    """A time to the minute: 2018-10-06 18:00. Calendars of their own print themselves."""
    if isinstance(when, np.datetime64):
        return str(when.astype("datetime64[m]")).replace("T", " ")
    if isinstance(when, int | np.integer):
        return f"step {when}"  # of a series without dates
    return str(when)[:16].replace("T", " ")


def _width(region: Region) -> float:
    return (region.east - region.west) % 360.0 or 360.0
