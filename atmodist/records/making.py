"""Makes a folder of records of any kind out of archives.

Because the plan (`patch_places.py`) and the place of every record (`shard_layout.py`) are known
before a field is read, the archives are read once in time order (`streaming.py`) and yet the result
is shuffled as a whole. Its bytes depend on the seed and the configuration alone: work done twice
writes the same bytes to the same places, whoever does it, and a killed run goes on after the steps
noted in its journal. Everything is made in a folder beside the target, which is renamed at the end.

What the records are, a subclass of `Making` says (`recipe.py`).
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from atmodist.fields.archive import Archive
from atmodist.fields.described_grid import described_grid
from atmodist.fields.normalization import Normalization
from atmodist.fields.statistics import compute_statistics
from atmodist.files.outputs import read_json, remove, replace, write_json, write_manifest
from atmodist.records.configuration import SamplerConfig
from atmodist.records.frames import SHARD_NAME, RecordsDigest, compress_shard
from atmodist.records.recipe import Making, Split, given_normalization
from atmodist.records.shard import Shard
from atmodist.records.shard_layout import reserve
from atmodist.records.streaming import StepWork, stream_records
from atmodist.records.tfds_metadata import write_tfds_metadata

# Files in the folder that is being filled; neither of them is part of the result.
LABEL = "identity.json"  # what is being made
JOURNAL = "journal"  # what is done
JOURNAL_ENTRY = np.dtype("<i8")  # a step whose records are all written
NORMALIZATION = "normalization.json"


def make_records(making: Making) -> str:
    """Draws and writes all records; does nothing if they are there already.

    Returns:
        A summary of what was made and what to run next.

    Raises:
        ValueError: If the archives, the patches, the latitudes or the split do not fit each other,
            if fields have missing values, or if the target holds other records.
        OSError: If the output cannot be written, or does not fit the disk.
    """
    target = making.folder
    partial = target.with_name(f".{target.name}.partial")
    identity = making.identity()
    if target.exists():
        return _existing(making, identity)
    splits = making.splits(partial)
    _prepare(partial, identity, making.archives())
    journal = partial / JOURNAL
    try:
        work = [unit for split in splits for unit in split.work()]
        done = set(read_journal(journal))
        remaining = [unit for unit in work if unit.step not in done]
        if remaining:  # else shards may be compressed already, and must not be touched
            reserve(_sizes(splits))
        normalization = _normalization(making, splits[0].steps, partial)
        _stream(making, normalization, work, remaining, journal)
        _finish(making, normalization, splits, partial, identity)
    except (ValueError, OSError):
        if not read_journal(journal):  # nothing worth keeping, and it may fill the disk
            remove(partial)
        raise
    for name in (LABEL, JOURNAL):
        (partial / name).unlink()
    replace(partial, target)
    return _summary(making)


def read_journal(journal: Path) -> list[int]:
    """The steps that are done; an entry that was cut off by a kill is removed."""
    if not journal.is_file():
        return []
    content = journal.read_bytes()
    whole = len(content) // JOURNAL_ENTRY.itemsize * JOURNAL_ENTRY.itemsize
    if whole < len(content):
        os.truncate(journal, whole)
    return [int(step) for step in np.frombuffer(content[:whole], JOURNAL_ENTRY)]


def _existing(making: Making, identity: str) -> str:
    """What to say of a target that is there already."""
    target = making.folder
    try:
        records = making.records_class.load(target)
    except ValueError:
        raise ValueError(
            f"{target} exists and is no folder of records; choose another --output"
        ) from None
    if records.metadata.get("identity") != identity:
        raise ValueError(
            f"{target} holds records made from another archive or with other settings; choose "
            "another --output, --dataset or --version, or remove it"
        )
    return f"These records exist already.\n{_summary(making)}"


def _prepare(partial: Path, identity: str, archives: Sequence[Archive]) -> None:
    """Keeps what an interrupted run of the same making has written; removes anything else.

    A fingerprint looks at some fields only, so archives must also be the same files as before.
    """
    label, statuses = partial / LABEL, [archive.path.stat() for archive in archives]
    files = [[status.st_size, status.st_mtime_ns] for status in statuses]
    making = {"identity": identity, "files": files}
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


def _normalization(making: Making, steps: range, partial: Path) -> Normalization:
    """The normalisation given, or made from the steps of training and kept in `partial`."""
    path, given = partial / NORMALIZATION, making.config.normalization
    if given is not None:
        given_normalization(given, making.archive).save(path)
    elif not path.is_file():
        compute_statistics(making.archive, steps).normalization.save(path)
    return Normalization.load(path)


def _stream(
    making: Making,
    normalization: Normalization,
    work: list[StepWork],
    remaining: list[StepWork],
    journal: Path,
) -> None:
    """Writes the records of the remaining steps; notes each step in the journal."""
    counts = {unit.step: len(unit.index) for unit in work}
    total = sum(counts.values())
    with (
        journal.open("ab", buffering=0) as log,
        tqdm(
            desc=making.plural,
            total=total,
            initial=total - sum(len(unit.index) for unit in remaining),
            unit=making.noun,
            disable=None,
        ) as bar,
    ):

        def on_written(step: int) -> None:
            log.write(np.array(step, JOURNAL_ENTRY).tobytes())
            bar.update(counts[step])

        recipe = making.recipe(normalization)
        stream_records(recipe, remaining, _num_workers(making.config), on_written)


def _num_workers(config: SamplerConfig) -> int:
    # Of a shared machine, a job may use fewer cores than it has.
    return config.workers or len(os.sched_getaffinity(0))


def _finish(
    making: Making,
    normalization: Normalization,
    splits: list[Split],
    partial: Path,
    identity: str,
) -> None:
    """Compresses the shards if asked to, and describes them; may be repeated after a kill."""
    config, archive = making.config, making.archive
    records = making.records_class(
        folder=partial,
        dataset=making.dataset,
        version=config.version,
        splits=_shards(config, splits),
        patch_shape=making.patch_shape,
        channels=normalization.channels,
        compression=config.compression,
        normalization=normalization.identity,
        metadata={
            "identity": identity,
            "step_seconds": archive.time.step,
            "calendar": archive.time.calendar,
            "grid": described_grid(archive.grid),
            "periods": {split.name: _period(archive, split.steps) for split in splits},
        },
        **making.facts(),
    )
    records.save()
    making.finish(partial)
    write_tfds_metadata(records)
    write_manifest(
        partial / "manifest.json",
        command=records.command,
        config=config,
        seed=config.seed,
        inputs=making.inputs(),
        splits=records.metadata["periods"],
        normalization=normalization.identity,
    )


def _shards(config: SamplerConfig, splits: list[Split]) -> dict[str, tuple[Shard, ...]]:
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


def _summary(making: Making) -> str:
    folder = making.folder
    records = making.records_class.load(folder)
    periods = records.metadata["periods"]
    lines = [f"records    {folder}"]
    for name, shards in records.splits.items():
        size = sum(shard.num_bytes for shard in shards)
        files = f"{len(shards)} shard{'' if len(shards) == 1 else 's'}"
        lines.append(
            f"{name:<10} {records.num_records(name):,} {making.plural}, {files}, "
            f"{size / 1e6:,.1f} MB, {periods[name]['start']} .. {periods[name]['end']}"
        )
    if making.has_chosen:
        lines.append(
            f"drawn      {making.patches_per_step} from each step, to suit the "
            f"{making.archive.shape[1]} that there are; --patches_per_step sets another number"
        )
    return "\n".join([*lines, making.closing_lines(folder)])
