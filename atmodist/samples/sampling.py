"""Draws pairs of patches from an archive and writes them, shuffled, as TFRecord shards.

Because the plan (`pairs.py`) and the place of every record (`shards.py`) are known before a field
is read, the archive is read once in time order (`pair_writer.py`) and yet the result is shuffled
as a whole. Its bytes depend on the seed and the configuration alone: work done twice writes the
same bytes to the same places, whoever does it, and a killed run goes on after the steps noted in
its journal. Everything is made in a folder beside the target, which is renamed at the end.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from atmodist.fields.archive import Archive
from atmodist.outputs import (
    digest,
    plain_config,
    read_json,
    remove,
    replace,
    write_json,
    write_manifest,
)
from atmodist.records.files import SHARD_NAME, RecordsDigest, compress_shard, shard_name
from atmodist.records.format import framed_pair_size
from atmodist.records.record_set import RecordSet, Shard
from atmodist.records.tfds_metadata import write_tfds_metadata
from atmodist.samples.configuration import PairSamplerConfig
from atmodist.samples.normalization import Normalization
from atmodist.samples.pair_writer import StepPairs, stream_pairs
from atmodist.samples.pairs import PairPlan, plan_pairs, split_steps
from atmodist.samples.shards import ShardLayout, lay_out_shards, reserve
from atmodist.samples.statistics import compute_statistics

# Files in the folder that is being filled; neither of them is part of the result.
LABEL = "identity.json"  # what is being made
JOURNAL = "journal"  # what is done
JOURNAL_ENTRY = np.dtype("<i8")  # a step whose pairs are all written
NORMALIZATION = "normalization.json"

METHOD = 1  # raised when the same settings would give other bytes


@dataclass(frozen=True)
class Split:
    """One split of the records that are being made."""

    name: str
    steps: range
    plan: PairPlan
    layout: ShardLayout
    paths: tuple[Path, ...]

    def work(self) -> Iterator[StepPairs]:
        """Units of work, one for each step, in time order."""
        starts = np.flatnonzero(np.diff(self.plan.step, prepend=-1))
        for start, end in zip(starts, np.append(starts[1:], len(self.plan)), strict=True):
            part = slice(start, end)
            yield StepPairs(
                step=int(self.plan.step[start]),
                index=np.arange(start, end),
                label=self.plan.label[part],
                row=self.plan.row[part],
                column=self.plan.column[part],
                path=tuple(str(self.paths[i]) for i in self.layout.shard[part]),
                offset=self.layout.offset[part],
            )


def write_pairs(config: PairSamplerConfig) -> str:
    """Draws and writes all pairs.

    Returns:
        A summary of what was made and what to run next.

    Raises:
        ValueError: If the archive, the patches, the latitudes or the split do not fit each other,
            if fields have missing values, or if the target holds other records.
        OSError: If the output cannot be written, or does not fit the disk.
    """
    target = config.folder
    partial = target.with_name(f".{target.name}.partial")
    with Archive(config.archive) as archive:
        identity = _identity(config, archive)
        if target.exists():
            return _existing(target, identity)
        splits = make_splits(config, archive, partial)
        _prepare(partial, identity, archive.path)
        journal = partial / JOURNAL
        try:
            work = [unit for split in splits for unit in split.work()]
            done = set(_read_journal(journal))
            remaining = [unit for unit in work if unit.step not in done]
            if remaining:  # else shards may be compressed already, and must not be touched
                reserve(_sizes(splits))
            normalization = _normalization(config, archive, splits[0].steps, partial)
            _stream(config, normalization, remaining, len(work), journal)
            _finish(config, archive, normalization, splits, partial, identity)
        except (ValueError, OSError):
            if not _read_journal(journal):  # nothing worth keeping, and it may fill the disk
                remove(partial)
            raise
    for name in (LABEL, JOURNAL):
        (partial / name).unlink()
    replace(partial, target)
    return _summary(target)


def make_splits(config: PairSamplerConfig, archive: Archive, folder: Path) -> list[Split]:
    """Plans the pairs of each split, and where in `folder` each record goes."""
    _check_channels(archive)
    ranges = split_steps(
        archive.time,
        evaluation_fraction=config.evaluation_fraction,
        gap=config.gap or config.max_temporal_distance,
    )
    splits = []
    for name, steps in ranges.items():
        plan = plan_pairs(archive.time, archive.grid, steps, split=name, config=config)
        sizes = framed_pair_size(
            (*config.patch_shape, archive.shape[0]),
            max_label=config.max_temporal_distance,
            index=np.arange(len(plan)),
            label=plan.label,
            time=archive.time.seconds[plan.step],
            step=plan.step,
        )
        layout = lay_out_shards(plan.position, sizes, config.shard_megabytes * 1e6)
        count = len(layout.sizes)
        paths = tuple(folder / shard_name(config.dataset, name, i, count) for i in range(count))
        splits.append(Split(name, steps, plan, layout, paths))
    return splits


def _identity(config: PairSamplerConfig, archive: Archive) -> str:
    """A digest of all that decides the bytes of the records, and of nothing else."""
    settings = plain_config(config)
    for name in ("archive", "output", "workers"):  # where and by whom changes nothing
        del settings[name]
    if config.normalization is not None:
        settings["normalization"] = _given_normalization(config.normalization, archive).identity
    return digest({"method": METHOD, "archive": archive.fingerprint(), **settings})


def _existing(target: Path, identity: str) -> str:
    """What to say of a target that is there already."""
    try:
        records = RecordSet.load(target)
    except ValueError:
        raise ValueError(
            f"{target} exists and is no folder of records; choose another --output"
        ) from None
    if records.metadata.get("identity") != identity:
        raise ValueError(
            f"{target} holds records made from another archive or with other settings; choose "
            "another --output, --dataset or --version, or remove it"
        )
    return f"These records exist already.\n{_summary(target)}"


def _prepare(partial: Path, identity: str, archive: Path) -> None:
    """Keeps what an interrupted run of the same making has written; removes anything else.

    A fingerprint looks at some fields only, so the archive must also be the same file as before.
    """
    label, status = partial / LABEL, archive.stat()
    making = {"identity": identity, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    if not label.is_file() or read_json(label) != making:
        remove(partial)
        partial.mkdir(parents=True)
        write_json(label, making)
    for path in partial.iterdir():
        kept = (LABEL, JOURNAL, NORMALIZATION)
        if path.name not in kept and not SHARD_NAME.fullmatch(path.name):
            remove(path)  # half a file, or metadata that will be written again


def _sizes(splits: list[Split]) -> dict[Path, int]:
    return {
        path: int(size)
        for split in splits
        for path, size in zip(split.paths, split.layout.sizes, strict=True)
    }


def _check_channels(archive: Archive) -> None:
    names = [channel.name for channel in archive.channels]
    if len(set(names)) < len(names):
        raise ValueError(f"{archive.path}: channels must have different names; got {names}")


def _normalization(
    config: PairSamplerConfig, archive: Archive, steps: range, partial: Path
) -> Normalization:
    """The normalisation given, or made from the steps of training and kept in `partial`."""
    path = partial / NORMALIZATION
    if config.normalization is not None:
        _given_normalization(config.normalization, archive).save(path)
    elif not path.is_file():
        compute_statistics(archive, steps).normalization.save(path)
    return Normalization.load(path)


def _given_normalization(path: str, archive: Archive) -> Normalization:
    normalization = Normalization.load(path)
    names = tuple(channel.name for channel in archive.channels)
    if normalization.channels != names:
        raise ValueError(
            f"{path} is for the channels {', '.join(normalization.channels)}; "
            f"{archive.path} has {', '.join(names)}"
        )
    return normalization


def _stream(
    config: PairSamplerConfig,
    normalization: Normalization,
    remaining: list[StepPairs],
    num_steps: int,
    journal: Path,
) -> None:
    """Writes the pairs of the remaining of `num_steps` steps; notes each in the journal."""
    with (
        journal.open("ab", buffering=0) as log,
        tqdm(
            desc="pairs",
            total=num_steps * config.patches_per_step,
            initial=(num_steps - len(remaining)) * config.patches_per_step,
            unit="pair",
            disable=None,
        ) as bar,
    ):

        def on_written(step: int) -> None:
            log.write(np.array(step, JOURNAL_ENTRY).tobytes())
            bar.update(config.patches_per_step)

        stream_pairs(config, normalization, remaining, _num_workers(config), on_written)


def _num_workers(config: PairSamplerConfig) -> int:
    # Of a shared machine, a job may use fewer cores than it has.
    return config.workers or len(os.sched_getaffinity(0))


def _read_journal(journal: Path) -> list[int]:
    if not journal.is_file():
        return []
    content = journal.read_bytes()
    whole = len(content) // JOURNAL_ENTRY.itemsize * JOURNAL_ENTRY.itemsize
    if whole < len(content):  # the run was killed within an entry
        os.truncate(journal, whole)
    return [int(step) for step in np.frombuffer(content[:whole], JOURNAL_ENTRY)]


def _finish(
    config: PairSamplerConfig,
    archive: Archive,
    normalization: Normalization,
    splits: list[Split],
    partial: Path,
    identity: str,
) -> None:
    """Compresses the shards if asked to, and describes them; may be repeated after a kill."""
    records = RecordSet(
        folder=partial,
        dataset=config.dataset,
        version=config.version,
        splits=_shards(config, splits),
        patch_shape=config.patch_shape,
        channels=normalization.channels,
        max_label=config.max_temporal_distance,
        compression=config.compression,
        normalization=normalization.identity,
        metadata={
            "identity": identity,
            "step_seconds": archive.time.step,
            "calendar": archive.time.calendar,
            "grid": str(archive.grid),
            "periods": {split.name: _period(archive, split.steps) for split in splits},
        },
    )
    records.save()
    write_tfds_metadata(records)
    write_manifest(
        partial / "manifest.json",
        command="rplearn-data",
        config=config,
        seed=config.seed,
        inputs=[config.archive],
        splits=records.metadata["periods"],
        normalization=normalization.identity,
    )


def _shards(config: PairSamplerConfig, splits: list[Split]) -> dict[str, tuple[Shard, ...]]:
    """Compresses and measures all shards, as many at once as there are workers."""

    def finish(path: Path, count: int) -> Shard:
        records_digest = RecordsDigest.of(path)  # the same before compression, and quicker
        if config.compression != "none":
            compress_shard(path, config.compression)
        return Shard.measure(path, int(count), records_digest)

    with ThreadPoolExecutor(_num_workers(config)) as pool:
        return {
            split.name: tuple(pool.map(finish, split.paths, split.layout.counts))
            for split in splits
        }


def _period(archive: Archive, steps: range) -> dict[str, Any]:
    return {
        "first_step": steps[0],
        "last_step": steps[-1],
        "start": archive.time.isoformat(steps[0]),
        "end": archive.time.isoformat(steps[-1]),
    }


def _summary(folder: Path) -> str:
    records = RecordSet.load(folder)
    periods = records.metadata["periods"]
    lines = [f"records    {folder}"]
    for name, shards in records.splits.items():
        size = sum(shard.num_bytes for shard in shards)
        files = f"{len(shards)} shard{'' if len(shards) == 1 else 's'}"
        lines.append(
            f"{name:<10} {records.num_records(name):,} pairs, {files}, {size / 1e6:,.1f} MB, "
            f"{periods[name]['start']} .. {periods[name]['end']}"
        )
    return "\n".join([*lines, f"Next: rplearn-train {folder}"])
