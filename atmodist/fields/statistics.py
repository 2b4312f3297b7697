"""Statistics of an archive in one pass: each field is read once and then forgotten.

Means are over area (the grid's weights) and over time (every step alike). Per field we take mean
and variance, and merge them over steps (Chan, Golub and LeVeque, 1983), so that neither the length
of the archive nor a mean far from zero costs digits.

The second stage of the normalisation needs the moments of y = sign(z) log(1 + α|z|), z = (x-μ)/σ,
before μ and σ are known. So we keep a histogram of x, with the mean of each bin, and integrate y
over it at the end. Bins are the floating-point numbers with 6 bits of mantissa, counted from the
mean of the first field: 1.6 % wide relative to the distance from there, over all 76 decades of
float32. Two errors, in units of the standard deviation of y:
- Bins: the curvature of y within one is neglected. Below 2e-5, unless the mean of the first field
  is many σ from μ.
- Sampling: up to `WHOLE_HISTOGRAM` values per channel all are counted. In longer archives one in
  `HISTOGRAM_STRIDE` is, evenly spread and shifted from step to step, since counting costs more
  than all else: N > 5e5 values, an error near 1/√N < 1.5e-3, and soon far less.
"""

import os
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atmodist.fields.archive import Archive, check_finite
from atmodist.fields.normalization import ALPHA, Normalization, check_alpha

WHOLE_HISTOGRAM = 1 << 24  # values per channel
HISTOGRAM_STRIDE = 31  # prime, so that a row's columns differ from the next row's
DROPPED_BITS = 17  # of the 23 bits of a float32's mantissa; 6 remain
BLOCK_VALUES = 1 << 16  # converted to float64 at a time, so that they stay in a core's cache
STEPS_AT_ONCE = 32  # results waiting to be merged, 1 MB each with two channels
MAX_THREADS = 4  # reading is serial (HDF5 has one lock), and only it is slow

_thread = threading.local()


@dataclass(frozen=True, kw_only=True, eq=False)
class Statistics:
    """What is known of an archive after one pass.

    Attributes:
        normalization: Means and standard deviations, raw and compressed.
        minimum: Smallest value, in the units of the channels. Shape (channel,).
        maximum: Largest value, in the units of the channels. Shape (channel,).
        num_steps: Fields read.
        num_values: Values per channel; all of them are finite.
    """

    normalization: Normalization
    minimum: np.ndarray
    maximum: np.ndarray
    num_steps: int
    num_values: int

    def summary(self) -> str:
        """A table with one line per channel."""
        ours, labels = self.normalization, _labels(self.normalization)
        heads = ("mean", "std", "minimum", "maximum", "log mean", "log std")
        columns = (ours.mean, ours.std, self.minimum, self.maximum, ours.log_mean, ours.log_std)
        width = max(len(label) for label in ("channel", *labels))
        lines = ["channel".ljust(width) + "".join(head.rjust(13) for head in heads)]
        for label, *values in zip(labels, *columns, strict=True):
            lines.append(label.ljust(width) + "".join(f"{value:13.5g}" for value in values))
        return "\n".join(lines)


class FieldMoments:
    """Moments, extremes and a histogram of fields; parts of a series merge without loss.

    Args:
        field: The first field, (channel, latitude, longitude), float32.
        row_weights: Area of one grid point on each row, which over all points sums to 1.
            Shape (latitude,).
        origin: Where the histogram's bins are counted from. Shape (channel,), float32.
        start: First value that goes into the histogram, 0 to `stride` - 1.
        stride: One value in how many goes into the histogram.

    Attributes:
        num_steps: Fields merged so far.
        mean: Mean over area and time. Shape (channel,).
        variance: Mean over area and time of (x - mean)². Shape (channel,).
        minimum: Smallest value. Shape (channel,).
        maximum: Largest value. Shape (channel,).
    """

    def __init__(
        self,
        field: np.ndarray,
        row_weights: np.ndarray,
        *,
        origin: np.ndarray,
        start: int = 0,
        stride: int = 1,
    ):
        self.num_steps = 1
        self._origin = origin
        sums, squares, self.minimum, self.maximum = _row_sums(field)
        self.mean = np.vecdot(sums, row_weights)
        self.variance = np.maximum(np.vecdot(squares, row_weights) - self.mean**2, 0.0)
        rows = np.arange(start, field[0].size, stride) // field.shape[2]
        weights = row_weights[rows]
        self._histograms = [
            _histogram(values.reshape(-1)[start::stride] - zero, weights)
            for values, zero in zip(field, origin, strict=True)
        ]

    def merge(self, other: "FieldMoments") -> None:
        """Adds the fields of `other`, whose histogram has the same origin."""
        share = other.num_steps / (self.num_steps + other.num_steps)
        difference = other.mean - self.mean
        self.num_steps += other.num_steps
        self.variance += share * (other.variance - self.variance)
        self.variance += share * (1 - share) * difference**2
        self.mean += share * difference
        self.minimum = np.minimum(self.minimum, other.minimum)
        self.maximum = np.maximum(self.maximum, other.maximum)
        for ours, theirs in zip(self._histograms, other._histograms, strict=True):
            ours += theirs

    def log_moments(self, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of y = sign(z) log(1 + α|z|), z = (x - mean) / std."""
        moments = []
        for c, histogram in enumerate(self._histograms):
            weights, sums = histogram[:, histogram[0] > 0]
            x = sums / weights + self._origin[c]
            z = (x - self.mean[c]) / np.sqrt(self.variance[c])
            y = np.sign(z) * np.log1p(alpha * np.abs(z))
            mean = np.average(y, weights=weights)
            variance = np.average((y - mean) ** 2, weights=weights)
            moments.append((mean, np.sqrt(variance)))
        log_mean, log_std = np.array(moments).T
        return log_mean, log_std


def compute_statistics(
    archive: Archive,
    steps: Sequence[int] | None = None,
    *,
    alpha: float = ALPHA,
    progress: bool = True,
) -> Statistics:
    """Reads each field once and returns its statistics and the normalisation made from them.

    Memory does not grow with the archive: at most `MAX_THREADS` fields and `STEPS_AT_ONCE`
    histograms (1 MB) are held. The result does not depend on the number of threads.

    Args:
        archive: An archive open for reading.
        steps: Which steps, for instance `archive.time.select("1979", "2000")`; all by default.
        alpha: α > 0 of the normalisation, dimensionless.
        progress: Whether to show a progress bar (on a terminal only).

    Raises:
        ValueError: If a value is NaN or infinite (names the time, the channel and how many), or
            if a channel is constant.
    """
    import dask
    from tqdm import tqdm

    alpha = check_alpha(alpha)
    steps = range(archive.shape[1]) if steps is None else steps
    if not len(steps):
        raise ValueError("statistics need at least one step; `steps` is empty")
    row_weights = np.ascontiguousarray(archive.grid.area_weights[:, 0])
    num_threads = max(1, min(MAX_THREADS, os.cpu_count() or 1))
    num_points = archive.shape[2] * archive.shape[3]
    stride = 1 if len(steps) * num_points <= WHOLE_HISTOGRAM else HISTOGRAM_STRIDE

    first = archive.read(steps[0])
    origin = first.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)

    def moments(step: int, field: np.ndarray) -> FieldMoments:
        with np.errstate(invalid="ignore"):
            result = FieldMoments(
                field, row_weights, origin=origin, start=step % stride, stride=stride
            )
        if not np.isfinite(result.mean).all():  # a sum is finite only if every value is
            check_finite(field, archive.channels, archive.time.isoformat(step), archive.path)
        return result

    # Reused: to get fresh memory for every field takes longer than to read it.
    buffers: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
    for _ in range(num_threads):
        buffers.put(np.empty_like(first))

    def read_moments(step: int) -> FieldMoments:
        field = buffers.get()
        try:
            return moments(step, archive.read(step, out=field))
        finally:
            buffers.put(field)

    total = moments(steps[0], first)
    del first
    with tqdm(total=len(steps), initial=1, unit="field", disable=None if progress else True) as bar:
        for i in range(1, len(steps), STEPS_AT_ONCE):
            tasks = [dask.delayed(read_moments)(step) for step in steps[i : i + STEPS_AT_ONCE]]
            # Merged in the order of time, whichever thread was first.
            for part in dask.compute(*tasks, scheduler="threads", num_workers=num_threads):
                total.merge(part)
            bar.update(len(tasks))
    return _statistics(archive, steps, total, alpha)


def _statistics(
    archive: Archive, steps: Sequence[int], moments: FieldMoments, alpha: float
) -> Statistics:
    names = tuple(channel.name for channel in archive.channels)
    varies = (moments.variance > 0) & (moments.minimum < moments.maximum)
    constant = [name for name, it_varies in zip(names, varies, strict=True) if not it_varies]
    if constant:
        raise ValueError(
            f"{archive.path}: {', '.join(constant)} has the same value everywhere in these "
            f"{len(steps)} steps; what does not vary cannot be normalised"
        )
    log_mean, log_std = moments.log_moments(alpha)
    normalization = Normalization(
        channels=names,
        units=tuple(channel.units for channel in archive.channels),
        mean=moments.mean,
        std=np.sqrt(moments.variance),
        log_mean=log_mean,
        log_std=log_std,
        alpha=alpha,
        source={
            "archive": archive.path.name,
            "fingerprint": archive.fingerprint(),
            "start": archive.time.isoformat(steps[0]),
            "end": archive.time.isoformat(steps[-1]),
            "num_steps": len(steps),
        },
    )
    return Statistics(
        normalization=normalization,
        minimum=moments.minimum,
        maximum=moments.maximum,
        num_steps=len(steps),
        num_values=len(steps) * archive.shape[2] * archive.shape[3],
    )


def _row_sums(field: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums of x and x² along each row, (channel, latitude); extremes, (channel,); all float64.

    In float64 no shift is needed before squaring: what cancels in Σx² - (Σx)²/N, about
    1e-16 (mean / std)² of the variance, is less than what rounding x to float32 had cost.
    """
    num_channels, num_latitudes, num_longitudes = field.shape
    sums, squares = np.empty((2, num_channels, num_latitudes))
    minimum, maximum = np.full(num_channels, np.inf), np.full(num_channels, -np.inf)
    num_rows = max(1, BLOCK_VALUES // num_longitudes)
    buffer, ones = _float64_buffer(num_rows, num_longitudes), np.ones(num_longitudes)
    for c in range(num_channels):
        for start in range(0, num_latitudes, num_rows):
            rows = field[c, start : start + num_rows]
            x = buffer[: len(rows)]
            x[...] = rows
            np.vecdot(x, ones, out=sums[c, start : start + num_rows])
            np.vecdot(x, x, out=squares[c, start : start + num_rows])
            minimum[c] = min(minimum[c], rows.min())
            maximum[c] = max(maximum[c], rows.max())
    return sums, squares, minimum, maximum


def _float64_buffer(num_rows: int, num_longitudes: int) -> np.ndarray:
    # One for each thread, kept: fresh memory costs as much as the sums that are made in it.
    size = num_rows * num_longitudes
    buffer = getattr(_thread, "buffer", None)
    if buffer is None or buffer.size < size:
        buffer = _thread.buffer = np.empty(size)
    return buffer[:size].reshape(num_rows, num_longitudes)


def _histogram(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weight, and weight times value, of float32 values alike in sign, exponent and 6 bits more.

    Returns:
        Sums per bin, float64. Shape (2, 32768).
    """
    bins = (values.view(np.uint32) >> np.uint32(DROPPED_BITS)).astype(np.intp)
    size = 1 << (32 - DROPPED_BITS)
    return np.stack([np.bincount(bins, w, size) for w in (weights, weights * values)])


def _labels(normalization: Normalization) -> list[str]:
    pairs = zip(normalization.channels, normalization.units, strict=True)
    return [f"{name} ({unit})" if unit else name for name, unit in pairs]
