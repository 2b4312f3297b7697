"""Making one step of an archive: reading its fields, transforming winds, cropping, checking.

A wind and the vorticity that comes with it must agree. The threshold rests on what was measured
(area-weighted correlation of the vorticity of the winds, by differences, with the one given): 0.89
to 1.00 where one comes from the other, 0.93 to 0.96 where both come from one model, 0.59 where the
vorticity is an untruncated field subsampled tenfold; but 0.28 to 0.31 for the wind of another level
(300 against 700 hPa), and at most 0.03 where rows run the wrong way, u and v are exchanged, or
longitudes are shifted.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from atmodist.fields.channels import Channel
from atmodist.fields.grid import Grid, gaps
from atmodist.fields.orientation import canonical_longitude
from atmodist.fields.plausibility import require_plausible
from atmodist.fields.time_axis import format_seconds
from atmodist.fields.winds import POLE, Method, vorticity_divergence
from atmodist.files.constants import EARTH_RADIUS
from atmodist.ingestion.plan import Step
from atmodist.ingestion.sources import FieldReader
from atmodist.ingestion.variables import channel

LOWEST_AGREEMENT = 0.4  # correlation; between the worst right pair, 0.59, and the best wrong, 0.31


class MissingValuesError(ValueError):
    """A field with missing values: it may be left out by request."""


@dataclass(frozen=True, eq=False)
class Crop:
    """A region of a grid.

    Attributes:
        grid: The whole grid.
        rows: Indices of the rows kept, increasing.
        columns: Indices of the columns kept, from west to east.
    """

    grid: Grid
    rows: np.ndarray
    columns: np.ndarray

    @cached_property
    def region(self) -> Grid:
        """The grid of what is kept."""
        if len(self.rows) == self.grid.shape[0] and self.keeps_all_columns:
            return self.grid
        longitude = self.grid.longitude[self.columns]
        return Grid(self.grid.latitude[self.rows], canonical_longitude(longitude))

    @property
    def keeps_all_columns(self) -> bool:
        """Whether longitudes are not cropped."""
        return np.array_equal(self.columns, np.arange(self.grid.shape[1]))

    def apply(self, field: np.ndarray) -> np.ndarray:
        """Crops (..., latitude, longitude)."""
        return field[..., self.rows[:, None], self.columns]

    def widened(self) -> tuple["Crop", np.ndarray, np.ndarray]:
        """The region with one more point on each side, where there is one.

        Returns:
            The wider crop, and which of its rows and columns are those of this one.
        """
        num_rows, num_columns = self.grid.shape
        jumps = gaps(self.grid.latitude), gaps(self.grid.longitude)  # no neighbours lie beyond
        first = self.rows[0] if self.rows[0] - 1 in jumps[0] else max(self.rows[0] - 1, 0)
        last = self.rows[-1] if self.rows[-1] in jumps[0] else min(self.rows[-1] + 1, num_rows - 1)
        rows = np.arange(first, last + 1)
        columns = self.columns
        if not self.keeps_all_columns:
            around = np.concatenate([[columns[0] - 1], columns, [columns[-1] + 1]])
            if self.grid.is_periodic:
                around %= num_columns
            inside = (around >= 0) & (around < num_columns)
            inside[0] &= columns[0] - 1 not in jumps[1]
            inside[-1] &= columns[-1] not in jumps[1]
            inside[[0, -1]] &= ~np.isin(around[[0, -1]], columns)
            around = around[inside]
            if len(around) == num_columns:  # nothing is left to crop: the seam may stay where it is
                around = np.arange(num_columns)
            columns = around
        order = np.array([np.flatnonzero(columns == c)[0] for c in self.columns])
        return Crop(self.grid, rows, columns), self.rows - rows[0], order


@dataclass(frozen=True)
class StepRecipe:
    """How fields become those of an archive; the same for all steps.

    Attributes:
        crop: The region kept.
        channels: What is made, in order.
        from_winds: Whether it is computed from winds; else taken as it is.
        calendar: Of the times, for messages.
        radius: Of the sphere, in metres.
        truncation: Largest degree kept in transforms.
        method: "harmonics" or "differences".
        nthreads: Threads of a transform.
        unusual_values: Whether values that no atmosphere has are taken.
    """

    crop: Crop
    channels: tuple[Channel, ...]
    from_winds: bool
    calendar: str = "standard"
    radius: float = EARTH_RADIUS
    truncation: int | None = None
    method: Method = "auto"
    nthreads: int = 1
    unusual_values: bool = False

    @property
    def by_harmonics(self) -> bool:
        """Whether winds are transformed on the whole globe."""
        return self.method != "differences" and self.crop.grid.is_global


def crop_grid(
    grid: Grid,
    latitude_range: tuple[float, float] | None,
    longitude_range: tuple[float, float] | None,
) -> Crop:
    """Finds the points of a region.

    Args:
        grid: The whole grid.
        latitude_range: (south, north) in degrees north, both included; None for all.
        longitude_range: (west, east) in degrees east, both included; may cross 0° or 180°.

    Raises:
        ValueError: If fewer than 2 x 2 points remain, or they are not connected.
    """
    rows, columns = np.arange(grid.shape[0]), np.arange(grid.shape[1])
    slack = 1e-4  # degrees; coordinates in files are rounded
    if latitude_range is not None:
        south, north = latitude_range
        rows = rows[(grid.latitude >= south - slack) & (grid.latitude <= north + slack)]
    if longitude_range is not None and longitude_range[1] - longitude_range[0] < 360:
        west, east = longitude_range
        offset = (grid.longitude - west + slack) % 360.0
        inside = offset <= (east - west) % 360.0 + 2 * slack
        columns = columns[inside][np.argsort(offset[inside])]
        gaps = np.diff(columns) != 1
        if gaps.any() and not (grid.is_periodic and gaps.sum() == 1):
            raise ValueError(
                f"`longitude_range` {longitude_range} takes both ends of {grid}, which are not "
                "neighbours"
            )
    if min(len(rows), len(columns)) < 2:
        raise ValueError(
            f"latitude_range={latitude_range}, longitude_range={longitude_range} leaves "
            f"{len(rows)} x {len(columns)} points of {grid}; at least 2 x 2 are needed"
        )
    return Crop(grid, rows, columns)


def make_step(step: Step, recipe: StepRecipe, reader: FieldReader) -> np.ndarray:
    """Reads and computes one step.

    Returns:
        (channel, latitude, longitude), float32, in s⁻¹, on the grid of the region.

    Raises:
        BrokenFileError: If a file is damaged.
        MissingValuesError: If values are missing in the region, or anywhere on the globe where
            harmonics are used; if no atmosphere has them, they stand for missing ones.
        ValueError: If its winds contradict its vorticity.
    """
    needed = ("eastward_wind", "northward_wind") if recipe.from_winds else ()
    names = needed or tuple(channel.name for channel in recipe.channels)
    every = step.fields if step.check else names
    values = {name: reader.read(*step.fields[name][:3]) for name in every}
    if not recipe.unusual_values:
        _require_plausible({name: values[name] for name in names}, step, recipe)
    if recipe.from_winds:
        if recipe.by_harmonics:
            for name in names:
                _require_finite(values[name], step, name, recipe, "globe")
        vorticity, divergence = _from_winds(
            values["eastward_wind"], values["northward_wind"], recipe
        )
        made = {"vorticity": vorticity, "divergence": divergence}
    else:
        made = {name: recipe.crop.apply(values[name]) for name in names}
    result = np.stack([made[channel.name] for channel in recipe.channels]).astype(np.float32)
    if not np.isfinite(result).all():
        for name in names:
            _require_finite(recipe.crop.apply(values[name]), step, name, recipe, "region")
        bad = ~np.isfinite(result).all(axis=0)
        raise MissingValuesError(
            f"{step.fields[names[0]].path}: at {format_seconds(step.seconds, recipe.calendar)}, "
            f"{int(bad.sum())} points of the region are next to missing values; crop it by "
            "one more row or column, or give --skip-broken to leave such steps out"
        )
    if step.check:
        check_winds(step, values, recipe)
    return result


def check_winds(step: Step, values: dict[str, np.ndarray], recipe: StepRecipe) -> None:
    """Compares winds with the vorticity given for the same time.

    Raises:
        ValueError: If they contradict each other; says so if turning the rows over helps.
    """
    u, v, vorticity = (values[n] for n in ("eastward_wind", "northward_wind", "vorticity"))
    agreement = _agreement(u, v, vorticity, recipe)
    if np.isnan(agreement) or agreement >= LOWEST_AGREEMENT:
        return
    winds, given = step.fields["eastward_wind"], step.fields["vorticity"]
    time = format_seconds(step.seconds, recipe.calendar)
    text = (
        f"the vorticity of the winds in {winds.path} correlates only {agreement:.2f} with "
        f"{given.name} in {given.path} at {time}"
    )
    for name, address, turned in (
        ("u, v", winds, _agreement(u[::-1], v[::-1], vorticity, recipe)),
        (given.name, given, _agreement(u, v, vorticity[::-1], recipe)),
    ):
        if turned >= LOWEST_AGREEMENT:
            ways = ("south to north", "north to south")
            said, seen = ways if address.flipped else ways[::-1]
            raise ValueError(
                f"{text}, but {turned:.2f} if the rows of {name} are turned over: "
                f"rows of {name} in {address.path} seem to run {seen} although latitude says "
                f"{said}; correct that file, or leave it out"
            )
    raise ValueError(
        f"{text} (at least {LOWEST_AGREEMENT} expected): they seem to belong to different levels, "
        "times or orientations; leave one of the files out"
    )


def _agreement(u: np.ndarray, v: np.ndarray, vorticity: np.ndarray, recipe: StepRecipe) -> float:
    """Area-weighted correlation over the whole grid of ζ(u, v), by differences, and a given ζ."""
    grid = recipe.crop.grid
    rows = (np.abs(grid.latitude) <= POLE) | grid.is_periodic
    part = Grid(grid.latitude[rows], grid.longitude)
    own, _ = vorticity_divergence(u[rows], v[rows], part, method="differences")
    theirs = vorticity[rows].astype(np.float64)
    weights = np.broadcast_to(grid.area_weights[rows], own.shape) * np.isfinite(own * theirs)
    a, b = np.where(weights > 0, own, 0.0), np.where(weights > 0, theirs, 0.0)
    total = weights.sum()
    if total == 0:
        return float("nan")
    a, b = a - (a * weights).sum() / total, b - (b * weights).sum() / total
    size = np.sqrt((a * a * weights).sum() * (b * b * weights).sum())
    return float((a * b * weights).sum() / size) if size > 0 else float("nan")


def _from_winds(u: np.ndarray, v: np.ndarray, recipe: StepRecipe) -> tuple[np.ndarray, np.ndarray]:
    if recipe.by_harmonics:
        fields = vorticity_divergence(
            u,
            v,
            recipe.crop.grid,
            radius=recipe.radius,
            truncation=recipe.truncation,
            nthreads=recipe.nthreads,
        )
        return recipe.crop.apply(fields[0]), recipe.crop.apply(fields[1])
    wide, rows, columns = recipe.crop.widened()
    fields = vorticity_divergence(
        wide.apply(u), wide.apply(v), wide.region, radius=recipe.radius, method="differences"
    )
    return fields[0][rows[:, None], columns], fields[1][rows[:, None], columns]


def _require_plausible(values: dict[str, np.ndarray], step: Step, recipe: StepRecipe) -> None:
    """Looks at what goes into a step: the globe where it is transformed, else what is kept."""
    whole = recipe.from_winds and recipe.by_harmonics
    crop = recipe.crop.widened()[0] if recipe.from_winds else recipe.crop
    for name, field in values.items():
        part = field if whole else crop.apply(field)
        try:
            require_plausible(
                part[None],
                [channel(name)],
                format_seconds(step.seconds, recipe.calendar),
                step.fields[name].path,
            )
        except ValueError as error:
            raise MissingValuesError(str(error)) from None


def _require_finite(
    field: np.ndarray, step: Step, name: str, recipe: StepRecipe, where: str
) -> None:
    bad = int(field.size - np.isfinite(field).sum())
    if not bad:
        return
    address = step.fields[name]
    advice = "crop a region without them by --latitude_range and --longitude_range"
    if where == "globe":
        advice += " together with --method differences"
    raise MissingValuesError(
        f"{address.path}: {bad} of {field.size} values of {address.name} are missing at "
        f"{format_seconds(step.seconds, recipe.calendar)}; {advice}, or give --skip-broken to "
        "leave such steps out"
    )
