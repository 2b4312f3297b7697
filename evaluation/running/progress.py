"""The sums of one candidate: merged in the order of time, and kept every now and then.

What an earlier run has kept is gone on from: only the units that are left are asked for. Memory
holds the sums of the candidate that is under way alone.
"""

import time as clock
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from evaluation.contract.statistic import Accumulator
from evaluation.running.partial_sums import Parts
from evaluation.running.work_units import Arrays, Unit, WorkPlan

if TYPE_CHECKING:
    import xarray as xr

SAVE_SECONDS = 30.0  # between two times that sums are kept
SAVE_SHARE = 0.1  # of the run that may be spent on keeping them


class Tasks:
    """The statistics of one candidate: what is done, and what is left to do.

    Args:
        plan: Of the evaluation.
        candidate: Its name.
        identities: Of the statistics to be computed, digests of all that decides them, by name.
        parts: Where sums are kept.
    """

    def __init__(self, plan: WorkPlan, candidate: str, identities: dict[str, str], parts: Parts):
        self.plan = plan
        self.candidate = candidate
        self.identities = identities
        self.parts = parts
        self.sums: dict[str, Accumulator] = {}
        self.done: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.saved_at, self.save_took = clock.monotonic(), 0.0
        for name, identity in identities.items():
            self.done[name] = self.kept[name] = parts.done(name, identity)

    def units(self) -> list[Unit]:
        """What is left, in the order of time."""
        found = []
        for block in range(len(self.plan.blocks)):
            names = tuple(name for name, done in self.done.items() if done <= block)
            found += [Unit(self.candidate, block, names)] if names else []
        return found

    def add(self, unit: Unit, arrays: Mapping[str, Arrays]) -> None:
        """Merges the next block, and keeps what there is every now and then."""
        for name in unit.names:
            later = self._restored(name, arrays[name])
            if name not in self.sums and self.done[name]:
                _, before = self.parts.load(name, self.identities[name])
                self.sums[name] = self._restored(name, before)
            if name in self.sums:
                self.sums[name].merge(later)
            else:
                self.sums[name] = later
            self.done[name] = unit.block + 1
        is_last = unit.block + 1 == len(self.plan.blocks)
        pause = max(SAVE_SECONDS, self.save_took / SAVE_SHARE)
        if is_last or clock.monotonic() - self.saved_at > pause:
            self.save()
        if is_last:
            self.sums.clear()

    def save(self) -> None:
        """Keeps what is not kept yet."""
        start = clock.monotonic()
        for name, sums in self.sums.items():
            if self.kept[name] < self.done[name]:
                self.parts.save(name, self.identities[name], self.done[name], sums.arrays())
                self.kept[name] = self.done[name]
        self.saved_at = clock.monotonic()
        self.save_took = self.saved_at - start

    def result(self, name: str) -> "xr.Dataset":
        """The result of a statistic that is done."""
        return self._restored(name, self.parts.load(name, self.identities[name])[1]).result()

    def _restored(self, name: str, arrays: Mapping[str, np.ndarray]) -> Accumulator:
        accumulator = self.plan.accumulator(name)
        accumulator.restore(arrays)
        return accumulator
