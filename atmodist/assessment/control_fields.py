"""Fields for the audit's controls: from the archive at the very place, or from other records.

With an archive, a field of any time is cut at the very place of a pair. With records alone, the
field of another record is taken whose centre is nearest (a degree or two off, by chance, hence
independent of the label).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from atmodist.assessment.predictions import JudgedPairs, join, stream_pairs
from atmodist.fields.archive import Archive
from atmodist.fields.grid import Grid
from atmodist.fields.normalization import Normalization
from atmodist.pairs.pair_records import PairRecords

DAY = 86_400  # seconds
COMPOSITE_DAYS = 64  # averaged at most for each mean


class ClockTimes:
    """Time of day, in whole steps: `phase` counts steps since midnight.

    Args:
        step_seconds: The archive's step; a whole part of a day, at most half of it.
    """

    def __init__(self, step_seconds: int):
        if step_seconds < 1 or DAY % step_seconds or DAY // step_seconds < 2:
            raise ValueError(f"a step of {step_seconds} s is no whole part of a day")
        self.step_seconds = step_seconds
        self.num_phases = DAY // step_seconds

    def phase(self, time: np.ndarray) -> np.ndarray:
        """Steps since midnight of times in seconds."""
        return np.mod(time, DAY) // self.step_seconds


class RecordDonors:
    """Fields of other records, as near as there are.

    Args:
        records: Where from.
        splits: In this order.
        limit: Records looked at in each split; their order is random already.
        num_classes: Records with larger labels are left out.
        clock: The clock of the series.
    """

    source = "records, nearest place"

    def __init__(
        self,
        records: PairRecords,
        splits: Sequence[str],
        *,
        limit: int,
        num_classes: int,
        clock: ClockTimes,
    ):
        self._records, self._splits, self._clock = records, splits, clock
        self._limit, self._num_classes = limit, num_classes
        self._pairs = join([pairs for _, pairs in self._stream()])
        lag = (self._pairs.label + 1) * clock.step_seconds
        self._time = np.stack([self._pairs.time, self._pairs.time + lag], axis=1).ravel()
        self._place = np.repeat(_unit_vectors(self._pairs), 2, axis=0)

    def find(
        self, pairs: JudgedPairs, phase: np.ndarray, *, apart: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Numbers of fields at this time of day, more than `apart` seconds from each pair.

        Returns:
            Shape (pair,); -1 where there is none.
        """
        found = np.full(len(pairs), -1)
        places = _unit_vectors(pairs)
        cells = np.stack([phase, pairs.time], axis=1)
        for cell in np.unique(cells, axis=0):
            inside = np.flatnonzero((cells == cell).all(axis=1))
            longest = (int(pairs.label.max()) + 1) * self._clock.step_seconds
            before, after = cell[1] - apart, cell[1] + longest + apart
            fits = np.flatnonzero(
                (self._clock.phase(self._time) == cell[0])
                & ((self._time <= before) | (self._time >= after))
            )
            if len(fits):
                nearness = places[inside] @ self._place[fits].T
                found[inside] = fits[nearness.argmax(axis=1)]
        return found

    def read(self, pairs: JudgedPairs, numbers: np.ndarray) -> np.ndarray:
        """The fields of these numbers. Shape (pair, latitude, longitude, channel)."""
        result = np.empty((len(numbers), *self._records.shape), np.float32)
        start = 0
        for patches, part in self._stream():
            stop = start + len(part)
            wanted = np.flatnonzero((numbers >= 2 * start) & (numbers < 2 * stop))
            local = numbers[wanted] - 2 * start
            result[wanted] = patches[local // 2, local % 2]
            start = stop
        return result

    def _stream(self) -> Iterator[tuple[np.ndarray, JudgedPairs]]:
        for split in self._splits:
            seen = 0
            for patches, pairs in stream_pairs(
                self._records,
                split,
                num_classes=self._num_classes,
                batch_size=128,
                desc=f"looking through {split}",
            ):
                yield patches, pairs
                seen += len(pairs)
                if seen >= self._limit:
                    break


class ArchiveDonors:
    """Fields of the archive at the very place of a pair.

    Args:
        archive: The one that the records were drawn from.
        normalization: Of the records.
        patch_shape: (latitude, longitude) grid points.
        clock: The clock of the series.
    """

    source = "archive, same place"

    def __init__(
        self,
        archive: Archive,
        normalization: Normalization,
        patch_shape: tuple[int, int],
        clock: ClockTimes,
    ):
        self.archive, self.normalization = archive, normalization
        self._shape, self._clock = patch_shape, clock

    def find(
        self, pairs: JudgedPairs, phase: np.ndarray, *, apart: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Steps at this time of day, more than `apart` seconds from each pair; -1 for none."""
        time = self.archive.time.seconds
        phases = self._clock.phase(time)
        longest = (int(pairs.label.max()) + 1) * self._clock.step_seconds
        found = np.full(len(pairs), -1)
        for i, (start, wanted) in enumerate(zip(pairs.time, phase, strict=True)):
            apart_enough = (time <= start - apart) | (time >= start + longest + apart)
            fits = np.flatnonzero((phases == wanted) & apart_enough)
            if len(fits):
                found[i] = rng.choice(fits)
        return found

    def at(self, time: np.ndarray) -> np.ndarray:
        """Steps of these times; -1 where the archive has none."""
        seconds = self.archive.time.seconds
        step = np.minimum(np.searchsorted(seconds, time), len(seconds) - 1)
        return np.where(seconds[step] == time, step, -1)

    def read(self, pairs: JudgedPairs, numbers: np.ndarray) -> np.ndarray:
        """The fields of these steps, normalised. Shape (pair, latitude, longitude, channel)."""
        return self._cut(pairs, numbers, lambda step: self.archive.read(int(step)))

    def composites(self, pairs: JudgedPairs, steps: range, *, by_hour: bool) -> np.ndarray:
        """Both fields of each pair as means over dates, with no weather of one date in common.

        The first field is a mean over the earlier half of the days, the second over the later
        half, so that what is left of the weather does not tell how far apart they are.

        Args:
            pairs: Where, and at what time of day.
            steps: Steps of the archive to average.
            by_hour: Averages steps of the pair's time of day; otherwise all.

        Returns:
            Shape (pair, 2, latitude, longitude, channel).
        """
        lag = (pairs.label + 1) * self._clock.step_seconds
        times = (pairs.time, pairs.time + lag)
        fields = []
        for half, time in zip(self._half_days(steps), times, strict=True):
            cells = self._clock.phase(time) if by_hour else np.zeros(len(pairs), np.int64)
            means = self._means(half, by_hour)
            fields.append(self._cut(pairs, cells, lambda cell, means=means: means[int(cell)]))
        return np.stack(fields, axis=1)

    def _half_days(self, steps: range) -> list[np.ndarray]:
        chosen = np.arange(steps.start, steps.stop)
        day = self.archive.time.seconds[chosen] // DAY
        days = np.unique(day)
        result = []
        for half in np.array_split(days, 2):
            thinned = half[np.unique(np.linspace(0, len(half) - 1, COMPOSITE_DAYS).astype(int))]
            result.append(chosen[np.isin(day, thinned)])
        return result

    def _means(self, steps: np.ndarray, by_hour: bool) -> dict[int, np.ndarray]:
        sums: dict[int, Any] = {}
        counts: dict[int, int] = {}
        phases = self._clock.phase(self.archive.time.seconds[steps])
        for step, phase in zip(steps, phases, strict=True):
            cell = int(phase) if by_hour else 0
            sums[cell] = sums.get(cell, 0.0) + self.archive.read(int(step)).astype(np.float64)
            counts[cell] = counts.get(cell, 0) + 1
        if by_hour and len(sums) < self._clock.num_phases:
            raise ValueError("too few days for a mean of each time of day")
        return {cell: (sums[cell] / counts[cell]).astype(np.float32) for cell in sums}

    def _cut(self, pairs: JudgedPairs, cells: np.ndarray, field_of: Any) -> np.ndarray:
        row, column = locate(self.archive.grid, pairs)
        shape = (len(pairs), *self._shape, len(self.archive.channels))
        result = np.empty(shape, np.float32)
        for cell in np.unique(cells):
            field = self.normalization.network_input(field_of(cell))
            for i in np.flatnonzero(cells == cell):
                result[i] = window(field, row[i], column[i], self._shape)
        return result


def window(field: np.ndarray, row: int, column: int, shape: tuple[int, int]) -> np.ndarray:
    """Cuts a patch out of (latitude, longitude, channel), around the date line if need be."""
    columns = np.arange(column, column + shape[1]) % field.shape[1]
    return field[row : row + shape[0]][:, columns]


def locate(grid: Grid, pairs: JudgedPairs) -> tuple[np.ndarray, np.ndarray]:
    """First row and column of each pair.

    Raises:
        ValueError: If the pairs do not lie on the grid.
    """
    row = np.abs(grid.latitude[None, :] - pairs.north[:, None]).argmin(axis=1)
    turn = np.abs(np.mod(grid.longitude[None, :] - pairs.west[:, None] + 180, 360) - 180)
    column = turn.argmin(axis=1)
    spacing = np.abs(np.diff(grid.latitude)).min()
    off = np.abs(grid.latitude[row] - pairs.north).max()
    off = max(off, turn[np.arange(len(pairs)), column].max())
    if off > 0.1 * spacing:
        raise ValueError(
            f"the pairs lie up to {off:.3g} degrees beside the points of the archive's grid "
            f"({grid}); were the records drawn from another archive?"
        )
    return row, column


def _unit_vectors(pairs: JudgedPairs) -> np.ndarray:
    phi, lam = np.radians(pairs.latitude), np.radians(pairs.longitude)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=1)
