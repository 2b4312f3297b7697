"""Makes what a super-resolution network learns from: patches at two resolutions, and whole fields.

Training and evaluation patches are one dataset; whole fields, for the statistics of an evaluation,
are a second one with the same features, whose patches are the grid.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from atmodist.fields.archive import Archive
from atmodist.fields.labelled import require_units
from atmodist.fields.normalization import Normalization
from atmodist.fields.time_axis import NO_CALENDAR, TimeAxis
from atmodist.records.making import NORMALIZATION, make_records
from atmodist.records.patch_places import (
    PatchPlan,
    PatchPositions,
    shuffled_positions,
    split_steps,
)
from atmodist.records.recipe import Making
from srgan.restoration.degradation import Alignment, alignment_of, check_seamless
from srgan.samples.configuration import FIELDS_SUFFIX, PatchSamplerConfig
from srgan.samples.format import framed_patch_size
from srgan.samples.patch_writer import PatchRecipe
from srgan.samples.record_set import LowResolution, PatchRecords
from srgan.samples.static import LATITUDE, StaticChannels, file_of, read_static, save_grid

GAP_SECONDS = 3 * 86_400  # between training and evaluation, unless given
UNDATED_GAP = 24  # steps, where they have no dates
FEW_STEPS = 4  # evaluation on fewer times than these says little


class PatchMaking(Making):
    """Patches at two resolutions, for training and evaluation."""

    noun: ClassVar[str] = "patch"
    plural: ClassVar[str] = "patches"
    records_class = PatchRecords
    method: ClassVar[int] = 1
    incidental: ClassVar[tuple[str, ...]] = (
        *("archive", "output", "workers"),
        *("low_archive", "static", "whole_fields", "whole_field_stride"),
    )
    config: PatchSamplerConfig

    def __init__(self, config: PatchSamplerConfig, archive: Archive, low: Archive | None):
        super().__init__(config, archive)
        self._low = low
        self._alignment: Alignment = "centred"
        if low is not None:
            self._alignment = _check_same(archive, low, config.total_factor)
        self._static: StaticChannels | None = read_static(config.static, archive.grid)

    @property
    def degradation(self) -> LowResolution:
        """How the low resolution is made."""
        return self.config.degradation if self._low is None else "archive"

    def steps(self) -> Mapping[str, range]:
        """Training and evaluation, three days apart unless said otherwise."""
        time, config = self.archive.time, self.config
        gap = config.gap or _default_gap(time)
        steps = split_steps(time, evaluation_fraction=config.evaluation_fraction, gap=gap)
        for name, span in steps.items():
            if not len(span):
                raise ValueError(
                    f"the {name} split has no steps: {self.archive.path} has {len(time)}, of "
                    f"which --evaluation_fraction {config.evaluation_fraction:g} and a --gap of "
                    f"{gap} steps leave none; change them, or use a longer archive"
                )
        return steps

    def plan(self, split: str, steps: range) -> PatchPlan:
        """Draws all patches of a split."""
        config = self.config
        positions = PatchPositions(
            self.archive.grid,
            config.patch_shape,
            config.latitude_range,
            config.position_sampling,
            stride=1 if self._low is None else config.total_factor,
        )
        count = self.patches_per_step
        row, column = (np.empty((len(steps), count), np.int64) for _ in range(2))
        for i, step in enumerate(steps):
            row[i], column[i] = positions.draw(np.random.default_rng([config.seed, step]), count)
        return PatchPlan(
            step=np.repeat(steps, count),
            row=row.ravel(),
            column=column.ravel(),
            position=shuffled_positions(config.seed, split, len(steps) * count),
        )

    def sizes(self, plan: PatchPlan) -> np.ndarray:
        """Bytes of the frame of each patch."""
        channels, factor = self.archive.shape[0], self.config.total_factor
        rows, columns = (-(-size // factor) for size in self.patch_shape)
        return framed_patch_size(
            (rows, columns, channels),
            (*self.patch_shape, channels),
            index=np.arange(len(plan)),
            time=self.archive.time.seconds[plan.step],
            step=plan.step,
            row=plan.row,
            column=plan.column,
        )

    def recipe(self, normalization: Normalization) -> PatchRecipe:
        """What patches are made of."""
        return PatchRecipe(
            archives=tuple(str(archive.path) for archive in self.archives()),
            patch_shape=self.patch_shape,
            factor=self.config.total_factor,
            degradation=self.degradation,
            normalization=normalization,
        )

    def facts(self) -> dict[str, Any]:
        """Factor, alignment, degradation and static channels."""
        return {
            "factors": self.config.factors,
            "alignment": self._alignment,
            "degradation": self.degradation,
            "static": () if self._static is None else self._static.names,
        }

    def archives(self) -> Sequence[Archive]:
        """The high resolution, and the low one if it has an archive."""
        return [self.archive] if self._low is None else [self.archive, self._low]

    def inputs(self) -> list[str]:
        """The archives, and files of static channels."""
        sources = [source for source in self.config.static if source != LATITUDE]
        files = dict.fromkeys(file_of(source)[0] for source in sources)
        return [*super().inputs(), *files]

    def identifying(self) -> dict[str, Any]:
        """The low resolution and the static channels, by what they hold."""
        static: dict[str, Any] | None = None
        if self._static is not None:
            content = hashlib.sha256(self._static.values.tobytes()).hexdigest()
            static = {"names": self._static.names, "values": content}
        low = None if self._low is None else self._low.fingerprint()
        return {"kind": PatchRecords.kind, "low_archive": low, "static_channels": static}

    def finish(self, folder: Path) -> None:
        """Writes the grid and the static channels."""
        save_grid(folder, self.archive.grid)
        if self._static is not None:
            self._static.save(folder)

    def closing_lines(self, folder: Path) -> str:
        """What to run next; before it, whether there is little to evaluate on."""
        count = len(self.steps().get("evaluation", range(FEW_STEPS)))
        few = (
            f"note       only {count} of {len(self.archive.time)} times are for evaluation; a "
            "larger --evaluation_fraction or a smaller --gap gives more\n"
        )
        return (few if count < FEW_STEPS else "") + f"Next: phire-train {folder}"


class FieldMaking(PatchMaking):
    """Whole fields of the evaluation steps: all rows and columns, in time order."""

    noun: ClassVar[str] = "field"
    plural: ClassVar[str] = "fields"
    incidental: ClassVar[tuple[str, ...]] = (
        *("archive", "output", "workers", "low_archive", "static", "whole_fields", "patch_shape"),
        *("patches_per_step", "latitude_range", "position_sampling", "seed"),
    )

    def __init__(self, config: PatchSamplerConfig, archive: Archive, low: Archive | None):
        super().__init__(config, archive, low)
        self.has_chosen = False  # every step is one field
        try:
            check_seamless(archive.grid, config.total_factor)
        except ValueError as error:
            raise ValueError(f"{archive.path}: {error}, or do without --whole_fields") from None

    @property
    def folder(self) -> Path:
        """Beside that of the patches."""
        return Path(self.config.output) / self.dataset / self.config.version

    @property
    def dataset(self) -> str:
        """Named after the patches."""
        return self.config.dataset + FIELDS_SUFFIX

    @property
    def patch_shape(self) -> tuple[int, int]:
        """The whole grid."""
        return self.archive.grid.shape

    def steps(self) -> Mapping[str, range]:
        """Evaluation only."""
        return {"evaluation": super().steps()["evaluation"][:: self.config.whole_field_stride]}

    def plan(self, split: str, steps: range) -> PatchPlan:
        """One patch, the grid, for each step."""
        nothing = np.zeros(len(steps), np.int64)
        return PatchPlan(
            step=np.array(steps), row=nothing, column=nothing, position=np.arange(len(steps))
        )

    def closing_lines(self, folder: Path) -> str:
        """The patches are what to train with."""
        return f"Next: phire-train {self.config.folder}"


def sample_patches(config: PatchSamplerConfig) -> str:
    """Draws and writes all patches, and whole fields if asked to.

    Returns:
        A summary of what was made and what to run next.

    Raises:
        ValueError: If the archives, the patches, the latitudes or the split do not fit each other,
            if fields have missing values, or if the target holds other records.
        OSError: If the output cannot be written, or does not fit the disk.
    """
    with ExitStack() as stack:
        archive = stack.enter_context(Archive(config.archive))
        low = None
        if config.low_archive is not None:
            low = stack.enter_context(Archive(config.low_archive))
        patches = PatchMaking(config, archive, low)
        fields = FieldMaking(config, archive, low) if config.whole_fields else None
        summary = make_records(patches)
        if fields is None:
            return summary
        fields.config = replace(config, normalization=str(config.folder / NORMALIZATION))
        described, _ = summary.rsplit("\n", 1)  # only the last line says what to run next
        return f"{described}\n{make_records(fields)}"


def _default_gap(time: TimeAxis) -> int:
    if time.calendar == NO_CALENDAR or not time.step:
        return UNDATED_GAP
    return max(1, -(-GAP_SECONDS // time.step))


def _check_same(high: Archive, low: Archive, factor: int) -> Alignment:
    """The alignment of two archives that must hold the same channels, units and times."""
    names = [tuple(c.name for c in archive.channels) for archive in (high, low)]
    if names[0] != names[1]:
        raise ValueError(
            f"both archives must have the same channels in the same order; {high.path} has "
            f"{', '.join(names[0])}, {low.path} has {', '.join(names[1])}"
        )
    for ours, theirs in zip(high.channels, low.channels, strict=True):
        try:
            require_units(ours.name, theirs.units, ours.units)
        except ValueError:
            raise ValueError(
                f"both archives must have the same units; {ours.name} is in {ours.units!r} in "
                f"{high.path}, in {theirs.units!r} in {low.path}: convert one of them"
            ) from None
    if len(high.time) != len(low.time) or high.time.calendar != low.time.calendar:
        raise ValueError(
            f"both archives must have the same times; {high.path} has {high.time}, {low.path} "
            f"has {low.time}"
        )
    different = np.flatnonzero(high.time.seconds != low.time.seconds)
    if len(different):
        step = int(different[0])
        raise ValueError(
            f"both archives must have the same times; at step {step} {high.path} has "
            f"{high.time.isoformat(step)}, {low.path} has {low.time.isoformat(step)}"
        )
    try:
        return alignment_of(low.grid, high.grid, factor)
    except ValueError as error:
        raise ValueError(f"{low.path} does not belong to {high.path}: {error}") from None
