"""How often small scales are strong, and where: exceedance maps of the high-passed field.

The field is high-passed: on the sphere all spherical harmonics up to the degree `truncation` are
taken out; on a regional grid, the mean over a box of `width` km around each point, weighted by
area. At each step the threshold is `deviations` times the area-weighted root mean square of the
reference's high-passed field over the whole grid, channel by channel: the same for all candidates,
known without a pass in advance, and free of the seasons. Counted is
    |high-passed candidate| > threshold,
on maps as the share of steps, and at each step as the share of the area. A field that lacks small
scales hardly ever exceeds it; one with noise does so at the wrong places.

Options:
    truncation: Largest degree taken out; a quarter of what the grid resolves by default, which is
        what a field of a quarter of its points still holds.
    width: Of the box on regional grids, km; by default eight spacings of latitude.
    deviations: 2 by default.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from atmodist.fields.grid import Grid
from evaluation.contract.accumulation import StepSeries, checked_options
from evaluation.contract.statistic import Picture, Sample, Statistic
from evaluation.numerics.averages import area_mean
from evaluation.numerics.setting import REFERENCE, Setting
from evaluation.numerics.shared import coefficients

if TYPE_CHECKING:
    import xarray as xr

OPTIONS = ("truncation", "width", "deviations")


def without_large_scales(
    field: np.ndarray, modal: np.ndarray, truncation: int, grid: Grid
) -> np.ndarray:
    """A field less its spherical harmonics up to the degree `truncation`.

    Args:
        field: (channel, latitude, longitude).
        modal: Its coefficients, as `spherical.analysis` returns them.
        truncation: Largest degree that is taken out.
        grid: Of the field.

    Returns:
        The same shape as `field`, in its units.
    """
    from evaluation.numerics.spherical import degrees, synthesis, truncation_of

    low = modal[..., degrees(truncation_of(modal)) <= truncation]
    high: np.ndarray = field - synthesis(low, grid)
    return high


def box_mean(field: np.ndarray, grid: Grid, width: float, radius: float) -> np.ndarray:
    """Mean over the points within width / 2 of each, along the meridian and along its circle.

    Every row is first averaged along its circle, over as many columns as the width takes there,
    then rows are, weighted by their areas. Columns wrap around where the grid is periodic; at other
    edges the box is cut off.

    Args:
        field: (..., latitude, longitude).
        grid: Of the field.
        width: Of the box, km.
        radius: Of the sphere, m.

    Returns:
        The same shape and units.
    """
    rows, columns = grid.shape
    half = np.degrees(width * 1000.0 / radius) / 2
    spacing = np.diff(grid.longitude).mean()
    cosine = np.maximum(np.cos(np.radians(grid.latitude)), 1e-6)
    most = (columns - 1) // 2 if grid.is_periodic else columns - 1
    reach = np.minimum(half / (spacing * cosine) + 1e-9, most).astype(int)
    place = np.arange(columns)
    means = np.empty(field.shape)
    for row in range(rows):
        r = reach[row]
        values = field[..., row, :].astype(np.float64)
        if grid.is_periodic:
            values = np.concatenate([values[..., columns - r :], values, values[..., :r]], axis=-1)
            first, last = place, place + 2 * r + 1
        else:
            first, last = np.maximum(place - r, 0), np.minimum(place + r + 1, columns)
        means[..., row, :] = _window_sums(values, first, last) / (last - first)
    weights = grid.area_weights[:, 0]
    near = (np.abs(grid.latitude[:, None] - grid.latitude) <= half + 1e-9) * weights
    near /= near.sum(axis=1, keepdims=True)
    return np.matmul(near, means)


def _window_sums(values: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    total: np.ndarray = sums[..., last] - sums[..., first]
    return total


class ExceedanceAccumulator(StepSeries):
    """Counts at each point, and shares of the area at each step."""

    def __init__(
        self, setting: Setting, *, truncation: int | None, width: float, deviations: float
    ):
        super().__init__(("exceedance",), setting)
        self._truncation, self._width, self._deviations = truncation, width, deviations
        self._counts = np.zeros((len(setting.channels), *setting.grid.shape))

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        reference = self._high(sample, of_reference=True)
        own = reference
        if sample.candidate is not sample.reference:
            own = self._high(sample, of_reference=False)
        square = area_mean(reference.astype(np.float64) ** 2, self.setting.grid.area_weights)
        threshold = self._deviations * np.sqrt(square)
        exceeds = np.abs(own) > threshold[:, None, None]
        self._counts += exceeds
        shares = [area_mean(window.of(exceeds), window.weights) for window in self.windows]
        self.append(sample.seconds, np.array(shares)[None])

    def _high(self, sample: Sample, *, of_reference: bool) -> np.ndarray:
        grid = self.setting.grid
        field = sample.reference if of_reference else sample.candidate
        if self._truncation is None:
            return field - box_mean(field, grid, self._width, self.setting.radius)
        modal = sample.shared(coefficients, of_reference=of_reference)
        return without_large_scales(field, modal, self._truncation, grid)

    def merge(self, later: Self) -> None:
        """Adds what another one has seen later in time."""
        super().merge(later)
        self._counts += later._counts

    def arrays(self) -> dict[str, np.ndarray]:
        """For `restore`."""
        return super().arrays() | {"counts": self._counts}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `arrays` returned."""
        super().restore(arrays)
        self._counts = np.array(arrays["counts"], dtype=np.float64)

    def result(self) -> "xr.Dataset":
        """Shares of the area per step, and of the steps at each point."""
        removed = f"box means over {self._width:.4g} km removed"
        if self._truncation is not None:
            removed = f"degrees up to {self._truncation} removed"
        what = f"|high-passed field| > {self._deviations:g} rms of the reference's ({removed})"
        dataset = self.dataset()
        grid = self.setting.grid
        dataset.coords.update({"latitude": grid.latitude, "longitude": grid.longitude})
        dataset["exceedance"] = (
            ("time", "region", "channel"),
            self.values("exceedance"),
            {"long_name": "share of the area with strong small-scale features", "units": "1"}
            | {"better": "reference", "comment": what, "main": 6}
            | {"short_name": "area with strong small scales"},
        )
        dataset["exceedance_map"] = (
            ("channel", "latitude", "longitude"),
            (self._counts / max(self.num_steps, 1)).astype(np.float32),
            {
                "long_name": "share of times with strong small scales",
                "units": "1",
                "comment": what,
            },
        )
        return dataset


class Exceedance(Statistic):
    """See the module."""

    name = "exceedance"
    title = "Exceedance of small scales"
    of_reference = True

    def accumulator(self, setting: Setting) -> ExceedanceAccumulator:
        """Starts to accumulate; see the module for the options."""
        grid = setting.grid
        options = checked_options(setting, dict.fromkeys(OPTIONS), self.name)
        given = {name: value for name, value in options.items() if value is not None}
        truncation = None
        if grid.is_global:
            most = grid.max_truncation
            truncation = int(_positive("truncation", given.get("truncation", max(1, most // 4))))
            if truncation >= most:
                raise ValueError(
                    f"`exceedance`: `truncation` must be below {most}, what the grid resolves; "
                    f"got {truncation}"
                )
        elif "truncation" in given:
            raise ValueError("`exceedance`: `truncation` needs a global grid; give `width` instead")
        spacing = np.radians(-np.diff(grid.latitude).mean()) * setting.radius / 1000.0
        return ExceedanceAccumulator(
            setting,
            truncation=truncation,
            width=_positive("width", given.get("width", 8 * spacing)),
            deviations=_positive("deviations", given.get("deviations", 2.0)),
        )

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """Maps beside the reference's."""
        from evaluation.contract.units_text import words
        from evaluation.drawing.shared_figures import maps_beside_reference

        for channel in result.channel.values:
            part = result.exceedance_map.sel(channel=channel)
            yield Picture(
                name=f"exceedance_{channel}",
                title=f"Strong small scales of {words(channel)}",
                caption=(
                    f"Share of {result.sizes['time']} steps with {part.attrs.get('comment', '')}: "
                    "of the reference, and candidates minus reference."
                ),
                figure=maps_beside_reference(part, "share of steps", REFERENCE),
            )


def _positive(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not 0 < number < np.inf:
        raise ValueError(f"`exceedance`: `{name}` must be a positive number; got {value!r}")
    return number


STATISTIC = Exceedance()
