"""Two small statistics and archives to run them on."""

import os
from pathlib import Path

import numpy as np

from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.synthetic import generate_archive
from evaluation.contract.statistic import Statistic

CALLS = "ATMODIST_TEST_CALLS"  # names a file to which every update writes, from any process


class MeanSquare:
    """Series of the mean square difference, and of the candidate's own mean square."""

    def __init__(self, setting):
        unknown = set(setting.options) - {"power"}
        if unknown:
            raise ValueError(f"there is no option {unknown.pop()!r}")
        self.setting = setting
        self.power = setting.options.get("power", 2)
        self.seconds, self.errors, self.squares = [], [], []

    def update(self, sample):
        if CALLS in os.environ:
            with Path(os.environ[CALLS]).open("a") as file:
                file.write(f"{sample.candidate is sample.reference} {sample.seconds}\n")
        error = np.abs(sample.candidate - np.float64(sample.reference)) ** self.power
        self.seconds.append(sample.seconds)
        self.errors.append([self._means(error)])
        self.squares.append([self._means(sample.candidate.astype(np.float64) ** 2)])

    def _means(self, field):
        return (field * self.setting.grid.area_weights).sum(axis=(-2, -1))

    def merge(self, later):
        self.seconds += later.seconds
        self.errors += later.errors
        self.squares += later.squares

    def arrays(self):
        return {
            "file": np.array(self.seconds),  # a name that np.savez has for itself
            "errors": np.array(self.errors),
            "squares": np.array(self.squares),
        }

    def restore(self, arrays):
        self.seconds = arrays["file"].tolist()
        self.errors, self.squares = list(arrays["errors"]), list(arrays["squares"])

    def result(self):
        import xarray as xr

        axes = ("time", "region", "channel")
        about = {"units": "s-2", "long_name": "mean square error", "better": "lower"}
        own = {"units": "s-2", "long_name": "mean square", "better": "reference"}
        return xr.Dataset(
            {
                "error": (axes, np.array(self.errors), about),
                "square": (axes, np.array(self.squares), own),
            },
            coords={
                "time": np.array(self.seconds),
                "region": ["globe"],
                "channel": [channel.name for channel in self.setting.channels],
            },
        )


class MeanMap:
    """Map of the mean over time; float sums, so that the order of merging would be seen."""

    def __init__(self, setting):
        self.setting = setting
        self.sum, self.count = np.zeros((len(setting.channels), *setting.grid.shape)), 0

    def update(self, sample):
        self.sum += sample.candidate
        self.count += 1

    def merge(self, later):
        self.sum = self.sum + later.sum
        self.count += later.count

    def arrays(self):
        return {"sum": self.sum, "count": np.array(self.count)}

    def restore(self, arrays):
        self.sum, self.count = arrays["sum"], int(arrays["count"])

    def result(self):
        import xarray as xr

        axes = ("channel", "latitude", "longitude")
        return xr.Dataset(
            {"mean": (axes, self.sum / self.count, {"units": "s-1"})},
            coords={
                "channel": [channel.name for channel in self.setting.channels],
                "latitude": self.setting.grid.latitude,
                "longitude": self.setting.grid.longitude,
            },
        )


class MemberSpread(MeanMap):
    """Mean over time of the members' variance."""

    def update(self, sample):
        self.sum += sample.members.var(axis=0)
        self.count += 1


class MadeUp(Statistic):
    """A statistic made of an accumulator."""

    def __init__(self, name, accumulator, needs=(), of_reference=True, default=True):
        self.name, self.title, self.version = name, name.replace("_", " "), 1
        self.needs, self.of_reference, self.default = frozenset(needs), of_reference, default
        self._accumulator = accumulator

    def accumulator(self, setting):
        return self._accumulator(setting)


STATISTICS = {
    statistic.name: statistic
    for statistic in (
        MadeUp("mean_square", MeanSquare),
        MadeUp("mean_map", MeanMap),
        MadeUp("member_spread", MemberSpread, needs=["members"]),
        MadeUp("learned", MeanMap, needs=["encoder"], default=False),
    )
}


def made_archive(path, *, num_steps=20, num_rows=16, **options):
    """A made-up archive."""
    generate_archive(path, num_steps=num_steps, num_rows=num_rows, truncation=6, **options)
    return path


def changed_archive(source, path, change, *, steps=None):
    """A copy of an archive, of which `change` makes each field (channel, latitude, longitude)."""
    with (
        Archive(source) as archive,
        ArchiveWriter(
            path, channels=archive.channels, grid=archive.grid, calendar=archive.time.calendar,
            identity={"made": str(path)},
        ) as writer,
    ):  # fmt: skip
        for step in steps if steps is not None else range(len(archive.time)):
            field = change(archive.read(step))
            writer.append(int(archive.time.seconds[step]), field.astype(np.float32))
    return path
