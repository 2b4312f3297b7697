"""Whether structures are in the right place: fractions skill score, SSIM and PSNR.

The fractions skill score (Roberts and Lean, 2008) compares how often an event happens within a
neighbourhood, so that a storm slightly out of place is not punished twice. With the share F of the
area of a neighbourhood in which the event happens, in the field f and the reference r,

    FSS = 1 - ⟨(F_f - F_r)²⟩ / (⟨F_f²⟩ + ⟨F_r²⟩),

where ⟨⟩ is the mean over the area and, for the score of all steps, over time. It is 1 where both
shares are equal everywhere (also where the event happens in neither), 0 where no neighbourhood
has the event in both. An event is |x| (or x, see `Options`) above a quantile, by area, of the
reference at the same time: a field that lacks extremes has too few.

A neighbourhood of L km has all rows within L/2 of its centre, ending at the poles, and in each of
them the columns within L/2 of the centre as counted on the circle of latitude of the centre, across
the date line, at most the whole circle.

SSIM and PSNR are those of `atmodist.metric.pixel_measures` for each channel, with the range of the
values of the reference at the same time for L. SSIM continues periodic fields over the date line;
the windows within 5 rows of the first and the last are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.metric.pixel_measures import SSIM_RADIUS, ssim_map
from evaluation.contract.accumulation import StepSeries
from evaluation.contract.statistic import Picture, Sample, Statistic
from evaluation.numerics.averages import Window, area_mean
from evaluation.numerics.setting import Setting

if TYPE_CHECKING:
    import xarray as xr

KILOMETRE = 1000.0  # m
SSIM_ROWS = 64  # windows computed at a time, so that temporaries stay in a core's cache
CENTRES = 4  # rows of centres in the height of a neighbourhood
LEAST_CENTRES = 8  # of a window
HISTOGRAM_BINS = 1 << 12
NOTHING = 1e-28  # mean square share: of one event far more, of the rounding of sums far less


@dataclass(frozen=True, kw_only=True)
class Options:
    """Settings of the fractions skill score.

    Attributes:
        quantiles: Of the reference, by area; events are what lies above.
        neighbourhoods: Their sizes L, km.
        values: Whether events are strong ("magnitude", |x|) or large ("value", x).
    """

    quantiles: tuple[float, ...] = (0.9, 0.99)
    neighbourhoods: tuple[float, ...] = (100.0, 300.0, 1000.0)
    values: Literal["magnitude", "value"] = "magnitude"

    def __post_init__(self) -> None:
        for name in ("quantiles", "neighbourhoods"):
            given = getattr(self, name)
            listed = tuple(given) if isinstance(given, list | tuple) else (given,)
            if not listed or any(
                isinstance(x, bool) or not isinstance(x, int | float) for x in listed
            ):
                raise ValueError(f"`{name}` must be one or more numbers; got {given!r}")
            object.__setattr__(self, name, tuple(sorted({float(x) for x in listed})))
        if not all(0 < q < 1 for q in self.quantiles):
            raise ValueError(f"`quantiles` must lie between 0 and 1; got {self.quantiles}")
        if not all(0 <= size < np.inf for size in self.neighbourhoods):
            raise ValueError(f"`neighbourhoods` are sizes in km; got {self.neighbourhoods}")
        if self.values not in ("magnitude", "value"):
            raise ValueError(f"`values` must be 'magnitude' or 'value'; got {self.values!r}")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Options by name; unknown ones are refused."""
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(given) - set(known)):
            raise ValueError(f"structure has no option {unknown[0]!r}; it has {', '.join(known)}")
        return cls(**given)


def area_quantiles(field: np.ndarray, row_weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Smallest value v of a field such that values up to v cover a share `levels` of the area.

    Args:
        field: (latitude, longitude).
        row_weights: Weight of each point of a row, not negative. Shape (latitude,).
        levels: Between 0 and 1, increasing.

    Returns:
        One value of the field for each level.
    """
    lowest, highest = float(field.min()), float(field.max())
    if not highest > lowest:
        return np.full(len(levels), lowest)
    # The histogram finds the bin of each quantile; only what lies in that bin is sorted.
    scale = HISTOGRAM_BINS / (highest - lowest)
    bins = ((field - field.dtype.type(lowest)) * field.dtype.type(scale)).astype(np.int32)
    np.clip(bins, 0, HISTOGRAM_BINS - 1, out=bins)
    weights = np.broadcast_to(row_weights[:, None], field.shape)
    shares = np.bincount(bins.ravel(), weights.ravel(), HISTOGRAM_BINS)
    below = np.concatenate([[0.0], np.cumsum(shares)])
    found = []
    for level in levels:
        target = level * below[-1]
        chosen = min(int(np.searchsorted(below[1:], target)), HISTOGRAM_BINS - 1)
        inside = bins == chosen
        values, share = field[inside], weights[inside]
        order = np.argsort(values)
        covered = below[chosen] + np.cumsum(share[order])
        found.append(values[order][min(np.searchsorted(covered, target), len(values) - 1)])
    return np.array(found)


def half_widths(grid: Grid, size: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """How far the neighbourhood of a point reaches.

    Args:
        grid: Of the field.
        size: L, km.
        radius: Of the sphere, m.

    Returns:
        The first row, and one past the last, for each row, (latitude, 2); and the columns on each
        side, (latitude,), where half a circle stands for the whole.
    """
    angle = np.degrees(size * KILOMETRE / radius) / 2 * (1 + 1e-9)  # rounding keeps ends inside
    first = np.searchsorted(-grid.latitude, -grid.latitude - angle, "left")
    last = np.searchsorted(-grid.latitude, -grid.latitude + angle, "right")
    spacing = np.diff(grid.longitude).mean() * np.cos(np.radians(grid.latitude))
    columns = angle / np.maximum(spacing, 1e-9)
    most = grid.shape[1] // 2 if grid.is_periodic else grid.shape[1] - 1
    return np.stack([first, last], axis=1), np.minimum(columns, most).astype(int)


def fraction_rows(
    events: np.ndarray, grid: Grid, size: float, radius: float, step: int = 1
) -> Iterator[tuple[int, Any]]:
    """Shares F of the neighbourhoods in which an event happens, row by row.

    Args:
        events: (..., latitude, longitude), bool.
        grid: Of the events.
        size: L of the neighbourhoods, km.
        radius: Of the sphere, m.
        step: Between rows of centres.

    Yields:
        Every so many rows: its number, and F of the neighbourhoods with centres in it,
        (..., longitude) float64.
    """
    num_columns = grid.shape[1]
    rows, columns = half_widths(grid, size, radius)
    areas = grid.band_areas
    total = np.zeros((*events.shape[:-2], num_columns))
    first = last = 0
    for row, width in enumerate(columns):
        while last < rows[row, 1]:
            total += areas[last] * events[..., last, :]
            last += 1
        while first < rows[row, 0]:
            total -= areas[first] * events[..., first, :]
            first += 1
        if row % step == step // 2:
            divisor = areas[first:last].sum()
            yield row, _running_mean(total, int(width), grid.is_periodic, divisor)


def _running_mean(
    values: np.ndarray, half_width: int, periodic: bool, divisor: float
) -> np.ndarray:
    """Mean over 2 half_width + 1 neighbours along the last axis, over the ends if periodic."""
    count = values.shape[-1]
    if not half_width:
        return values / divisor
    if periodic and 2 * half_width + 1 >= count:
        return np.broadcast_to(values.mean(axis=-1, keepdims=True) / divisor, values.shape)
    sums = np.empty((*values.shape[:-1], count + 2 * half_width + 1))
    sums[..., 0] = 0.0
    if periodic:
        sums[..., half_width + 1 : count + half_width + 1] = values
        sums[..., 1 : half_width + 1] = values[..., -half_width:]
        sums[..., count + half_width + 1 :] = values[..., :half_width]
        np.cumsum(sums, axis=-1, out=sums)
        found = sums[..., 2 * half_width + 1 :] - sums[..., :count]
        found *= 1 / ((2 * half_width + 1) * divisor)
        return found
    np.cumsum(values, axis=-1, out=sums[..., 1 : count + 1])
    high = np.minimum(np.arange(count) + half_width + 1, count)
    low = np.maximum(np.arange(count) - half_width, 0)
    return (sums[..., high] - sums[..., low]) / ((high - low) * divisor)


def squared_fractions(
    candidate: np.ndarray,
    reference: np.ndarray,
    grid: Grid,
    size: float,
    radius: float,
    parts: tuple[Window, ...],
) -> np.ndarray:
    """What the score is made of: ⟨(F_f - F_r)²⟩ and ⟨F_f²⟩ + ⟨F_r²⟩ over windows.

    Large neighbourhoods overlap much: their centres lie in every `_centre_step`-th row only.

    Args:
        candidate: Where its events happen, (..., latitude, longitude), bool.
        reference: The same.
        grid: Of both.
        size: L, km.
        radius: Of the sphere, m.
        parts: Windows over which to take the mean; neighbourhoods reach beyond them.

    Returns:
        (2, window, ...).
    """
    sums = np.zeros((2, len(parts), *candidate.shape[:-2]))
    whole = len(grid.longitude)
    step = _centre_step(grid, size, radius, parts)
    row_weights = []
    for part in parts:
        chosen = part.rows % step == step // 2
        weights = part.weights[chosen, 0] * (part.weights.sum() / part.weights[chosen].sum())
        row_weights.append(dict(zip(part.rows[chosen], weights, strict=True)))
    events = np.stack([candidate, reference])
    for row, both in fraction_rows(events, grid, size, radius, step):
        difference = both[0] - both[1]
        along = None
        for number, (part, weights) in enumerate(zip(parts, row_weights, strict=True)):
            if row not in weights:
                continue
            if len(part.columns) < whole:
                squares = _squares(difference[..., part.columns], both[..., part.columns])
            else:
                squares = along = _squares(difference, both) if along is None else along
            sums[:, number] += weights[row] * squares
    return sums


def _centre_step(grid: Grid, size: float, radius: float, parts: tuple[Window, ...]) -> int:
    """Rows between centres: a quarter of a neighbourhood; at least eight in each window."""
    reach, _ = half_widths(grid, size, radius)
    height = int(np.median(reach[:, 1] - reach[:, 0]))
    least = min(len(part.rows) for part in parts)
    return max(1, min(height // CENTRES, least // LEAST_CENTRES))


def _squares(difference: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Sums of squares along a row: of the difference, and of both together."""
    return np.stack(
        [
            np.einsum("...n,...n->...", difference, difference),
            np.einsum("s...n,s...n->...", both, both),
        ]
    )


def skill(difference: np.ndarray, both: np.ndarray) -> np.ndarray:
    """FSS of sums as `squared_fractions` returns; 1 where there are no events at all."""
    happens = both > NOTHING
    return np.where(happens, 1.0 - difference / np.where(happens, both, 1.0), 1.0)


def similarity(candidate: np.ndarray, reference: np.ndarray, periodic: bool) -> np.ndarray:
    """SSIM of all places but the `SSIM_RADIUS` outermost rows, and columns unless periodic.

    Args:
        candidate: (latitude, longitude).
        reference: The same; L is the range of its values.
        periodic: Whether the last column is the neighbour of the first.
    """
    ranges = np.array([[float(np.ptp(reference))]])
    scale = np.float32(ranges[0, 0]) or np.float32(1)  # squares of vorticity underflow float32
    pair = [(x / scale)[None, ..., None] for x in (candidate, reference)]
    if periodic:
        padding = [(0, 0), (0, 0), (SSIM_RADIUS, SSIM_RADIUS), (0, 0)]
        pair = [np.pad(x, padding, mode="wrap") for x in pair]
    count = candidate.shape[0] - 2 * SSIM_RADIUS
    pieces = []
    for first in range(0, max(count, 1), SSIM_ROWS):
        rows = slice(first, min(first + SSIM_ROWS, count) + 2 * SSIM_RADIUS)
        pieces.append(ssim_map(pair[0][:, rows], pair[1][:, rows], ranges / scale)[0, ..., 0])
    return np.concatenate(pieces)


def peak_ratio(error: Any, ranges: Any) -> Any:
    """PSNR = 10 log10(L² / mean squared error), dB; +∞ for equal fields."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0, 10 * np.log10(ranges**2 / error), np.inf)


class StructureSums(StepSeries):
    """Scores of each step, and the sums behind the fractions skill score."""

    def __init__(self, setting: Setting):
        self._options = Options.of(setting.options)
        if setting.grid.shape[0] <= 2 * SSIM_RADIUS:
            raise ValueError(
                f"SSIM needs more than {2 * SSIM_RADIUS} rows; the grid is {setting.grid}"
            )
        num = len(self._options.quantiles), len(self._options.neighbourhoods)
        self._pairs = [
            [(f"difference {q} {n}", f"both {q} {n}") for n in range(num[1])] for q in range(num[0])
        ]
        names = [name for row in self._pairs for pair in row for name in pair]
        super().__init__(("ssim", "psnr", *names), setting)

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        happens, expected = self._events(sample)
        grid, radius = self.setting.grid, self.setting.radius
        scores = [*self._pixels(sample)]
        sums = np.stack(
            [
                squared_fractions(happens, expected, grid, size, radius, self.windows)
                for size in self._options.neighbourhoods
            ]
        )  # (neighbourhood, 2, region, channel, quantile)
        by_name = np.moveaxis(sums, -1, 0).reshape(-1, *sums.shape[2:4])
        self.append(sample.seconds, np.concatenate([np.stack(scores), by_name]))

    def result(self) -> "xr.Dataset":
        """Scores by step; `fss_by_scale` of all steps together."""
        options, dims = self._options, ("time", "region", "channel")
        result = self.dataset()
        middle = (len(options.neighbourhoods) - 1) // 2
        sums = [[[self.values(name) for name in pair] for pair in row] for row in self._pairs]
        size = options.neighbourhoods[middle]
        result["fss"] = (dims, skill(*sums[0][middle]))
        result["fss"].attrs = {
            "long_name": f"fractions skill score (FSS) of {self._event(options.quantiles[0])} "
            f"within {size:g} km",
            "units": "1",
            "better": "higher",
            "main": 6,
            "short_name": f"FSS within {size:g} km",
        }
        result["ssim"] = (dims, self.values("ssim"))
        result["ssim"].attrs = {
            "long_name": "structural similarity (SSIM)",
            "units": "1",
            "better": "higher",
        }
        result["psnr"] = (dims, self.values("psnr"))
        result["psnr"].attrs = {
            "long_name": "peak signal-to-noise ratio (PSNR)",
            "units": "dB",
            "better": "higher",
        }
        pooled = [[skill(*(part.sum(axis=0) for part in pair)) for pair in row] for row in sums]
        result["fss_by_scale"] = (
            ("quantile", "neighbourhood", "region", "channel"),
            np.array(pooled),
        )
        result["fss_by_scale"].attrs = {
            "long_name": "fractions skill score of all time steps",
            "units": "1",
            "values": options.values,
        }
        result["quantile"] = ("quantile", list(options.quantiles))
        result["neighbourhood"] = ("neighbourhood", list(options.neighbourhoods), {"units": "km"})
        return result

    def _event(self, quantile: float) -> str:
        what = "the strongest" if self._options.values == "magnitude" else "the largest"
        return f"{what} {100 * (1 - quantile):.3g} %"

    def _events(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """Where events happen in the candidate and the reference, (channel, quantile, ...)."""
        levels = np.array(self._options.quantiles)
        rows = self.setting.grid.area_weights[:, 0]
        events: list[list[np.ndarray]] = [[], []]
        for candidate, reference in zip(sample.candidate, sample.reference, strict=True):
            if self._options.values == "magnitude":
                candidate, reference = np.abs(candidate), np.abs(reference)
            thresholds = area_quantiles(reference, rows, levels)[:, None, None]
            events[0].append(candidate > thresholds)
            events[1].append(reference > thresholds)
        return np.stack(events[0]), np.stack(events[1])

    def _pixels(self, sample: Sample) -> Iterator[np.ndarray]:
        """SSIM and PSNR, each (region, channel)."""
        periodic = self.setting.grid.is_periodic
        shape = len(self.windows), len(self.setting.channels)
        scores = np.empty((2, *shape))
        whole = np.full(self.setting.grid.shape, np.nan)
        columns = slice(None) if periodic else slice(SSIM_RADIUS, -SSIM_RADIUS)
        for c, (candidate, reference) in enumerate(
            zip(sample.candidate, sample.reference, strict=True)
        ):
            whole[SSIM_RADIUS:-SSIM_RADIUS, columns] = similarity(candidate, reference, periodic)
            ranges = np.float64(reference.max()) - np.float64(reference.min())
            for number, part in enumerate(self.windows):
                difference = part.of(candidate).astype(np.float64) - part.of(reference)
                error = area_mean(np.square(difference, out=difference), part.weights)
                scores[1, number, c] = peak_ratio(error, ranges)
                scores[0, number, c] = _mean_of_known(part.of(whole), part.weights)
        yield from scores


def _mean_of_known(values: np.ndarray, weights: np.ndarray) -> float:
    """Mean over the area of what is not NaN."""
    known = np.isfinite(values)
    area = (known * weights).sum()
    return float((np.where(known, values, 0.0) * weights).sum() / area) if area > 0 else np.nan


class Structure(Statistic):
    """See the module."""

    name = "structure"
    title = "Structure: fractions skill score, SSIM, PSNR"
    version = 2

    def accumulator(self, setting: Setting) -> StructureSums:
        """Starts to accumulate."""
        return StructureSums(setting)

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """Draws the fractions skill score against the size of the neighbourhood."""
        from evaluation.contract.units_text import words
        from evaluation.drawing import plotting

        scores = result["fss_by_scale"].isel(region=0)
        sizes, quantiles = (result[name].values for name in ("neighbourhood", "quantile"))
        names = [str(name) for name in result["candidate"].values]
        what = "strongest" if scores.attrs.get("values") == "magnitude" else "largest"
        for channel in (str(name) for name in result["channel"].values):
            figure, panels = plotting.new(
                3.4 * len(quantiles) + 0.4, 3.5, ncols=len(quantiles), sharey=True, squeeze=False
            )
            for axes, quantile in zip(panels[0], quantiles, strict=True):
                lines = scores.sel(channel=channel, quantile=quantile)
                for name, options in plotting.line_styles(names).items():
                    if name in names:
                        axes.plot(sizes, lines.sel(candidate=name), marker="o", ms=4, **options)
                axes.set(xlabel="size of the neighbourhood (km)", ylim=(-0.02, 1.04))
                axes.set_title(f"{what} {100 * (1 - quantile):.3g} %")
                if sizes[0] > 0:
                    axes.set_xscale("log")
                    axes.set_xticks(sizes, labels=[f"{size:g}" for size in sizes])
                    axes.minorticks_off()
                axes.grid(linewidth=0.4, alpha=0.6)
            panels[0, 0].set_ylabel("fractions skill score")
            plotting.legend(figure, names)
            yield Picture(
                name=f"fss_{channel}",
                title=f"Fractions skill score of {words(channel)}",
                caption=f"How well the places match where {words(channel)} is among the {what} "
                "values of the reference, within neighbourhoods of growing size, all time steps "
                "together. 1 is perfect, 0 means that events never share a neighbourhood.",
                figure=figure,
            )


STATISTIC = Structure()
