"""What a kind of records says of itself, so that `making.py` can make a folder of them."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from atmodist.fields.archive import Archive
from atmodist.fields.normalization import Normalization
from atmodist.files.outputs import digest, plain_config
from atmodist.records.configuration import SamplerConfig, suitable_patches_per_step
from atmodist.records.frames import shard_name
from atmodist.records.patch_places import PatchPlan
from atmodist.records.record_set import RecordSet
from atmodist.records.shard_layout import ShardLayout, lay_out_shards
from atmodist.records.streaming import RecordRecipe, StepWork


@dataclass(frozen=True)
class Split:
    """One split of the records that are being made."""

    name: str
    steps: range
    plan: PatchPlan
    layout: ShardLayout
    paths: tuple[Path, ...]

    def work(self) -> Iterator[StepWork]:
        """Units of work, one for each step, in time order."""
        starts = np.flatnonzero(np.diff(self.plan.step, prepend=-1))
        for start, end in zip(starts, np.append(starts[1:], len(self.plan)), strict=True):
            part = slice(start, end)
            yield StepWork(
                step=int(self.plan.step[start]),
                index=np.arange(start, end),
                draws=self.plan.draws(part),
                path=tuple(str(self.paths[i]) for i in self.layout.shard[part]),
                offset=self.layout.offset[part],
            )


class Making(ABC):
    """One folder of records to be made: what a kind of record has to say.

    Args:
        config: The settings.
        archive: The archive the records are drawn from, open.
    """

    noun: ClassVar[str]  # what a record is: "pair"
    plural: ClassVar[str]
    records_class: ClassVar[type[RecordSet]]
    method: ClassVar[int]  # raised when the same settings would give other bytes
    incidental: ClassVar[tuple[str, ...]] = ("archive", "output", "workers")  # change no byte

    def __init__(self, config: SamplerConfig, archive: Archive):
        self.archive = archive
        self.has_chosen = config.patches_per_step is None  # which is worth a line
        if config.patches_per_step is None:
            shape = archive.shape
            count = suitable_patches_per_step(shape[1], archive.grid.shape, config.patch_shape)
            config = dataclasses.replace(config, patches_per_step=count)
        self.config = config
        self.patches_per_step: int = config.patches_per_step or 1
        names = [channel.name for channel in archive.channels]
        if len(set(names)) < len(names):
            raise ValueError(f"{archive.path}: channels must have different names; got {names}")

    @abstractmethod
    def steps(self) -> Mapping[str, range]:
        """Steps of each split, training first."""

    @abstractmethod
    def plan(self, split: str, steps: range) -> PatchPlan:
        """Draws all records of a split."""

    @abstractmethod
    def sizes(self, plan: PatchPlan) -> np.ndarray:
        """Bytes of the frame of each record of a plan."""

    @abstractmethod
    def recipe(self, normalization: Normalization) -> RecordRecipe:
        """What the records are made of."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What the kind of records has besides: arguments of its class."""

    @abstractmethod
    def closing_lines(self, folder: Path) -> str:
        """What to say of the finished folder, besides what is in it: what to run next."""

    @property
    def folder(self) -> Path:
        """Where the result goes."""
        return self.config.folder

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.config.dataset

    @property
    def patch_shape(self) -> tuple[int, int]:
        """Rows and columns of a patch."""
        return self.config.patch_shape

    def archives(self) -> Sequence[Archive]:
        """All archives that are read."""
        return [self.archive]

    def inputs(self) -> list[str]:
        """Files that are read, for the manifest."""
        return [str(archive.path) for archive in self.archives()]

    def identifying(self) -> dict[str, Any]:
        """What decides the bytes besides the settings."""
        return {}

    def finish(self, folder: Path) -> None:  # noqa: B027  most kinds need no more
        """Writes what lies beside the shards, if anything."""

    def identity(self) -> str:
        """A digest of all that decides the bytes of the records, and of nothing else."""
        settings = plain_config(self.config)
        for name in self.incidental:
            del settings[name]
        if self.config.normalization is not None:
            given = given_normalization(self.config.normalization, self.archive)
            settings["normalization"] = given.identity
        archive = self.archive.fingerprint()
        return digest({"method": self.method, "archive": archive, **settings, **self.identifying()})

    def splits(self, folder: Path) -> list[Split]:
        """Plans the records of each split, and where in `folder` each goes."""
        splits = []
        for name, steps in self.steps().items():
            plan = self.plan(name, steps)
            layout = lay_out_shards(
                plan.position, self.sizes(plan), self.config.shard_megabytes * 1e6
            )
            count = len(layout.sizes)
            paths = tuple(folder / shard_name(self.dataset, name, i, count) for i in range(count))
            splits.append(Split(name, steps, plan, layout, paths))
        return splits


def given_normalization(path: str, archive: Archive) -> Normalization:
    """Loads a normalisation that must have the channels of an archive."""
    normalization = Normalization.load(path)
    names = tuple(channel.name for channel in archive.channels)
    if normalization.channels != names:
        raise ValueError(
            f"{path} is for the channels {', '.join(normalization.channels)}; "
            f"{archive.path} has {', '.join(names)}"
        )
    return normalization
