"""Small archives for tests of the sampler, and a way to read what it made without TensorFlow."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
from atmodist.fields.grid import Grid, make_grid
from atmodist.pairs.pair_format import decode_pair
from atmodist.pairs.pair_records import PairRecords
from atmodist.records.frames import read_payloads

STEP = 10_800  # seconds


def hourly(*runs: int) -> np.ndarray:
    """Seconds of runs of consecutive steps, with a hole of two steps between them."""
    starts = np.cumsum([0, *(run + 2 for run in runs[:-1])])
    steps = [start + np.arange(run) for start, run in zip(starts, runs, strict=True)]
    return np.concatenate(steps) * STEP


def write_archive(
    path: Path,
    *,
    seconds: np.ndarray,
    grid: Grid | None = None,
    channels: Sequence[Channel] = (DIVERGENCE, VORTICITY),
    seed: int = 0,
) -> Path:
    """Writes an archive of noise: no value occurs twice, so that any mix-up shows."""
    grid = grid or make_grid("regular", 13)
    rng = np.random.default_rng(seed)
    writer = ArchiveWriter(path, channels=channels, grid=grid, compression="none")
    with writer:
        for second in seconds:
            writer.append(int(second), rng.normal(0, 1e-5, (len(channels), *grid.shape)))
    return path


def read_pairs(folder: Path, split: str) -> list[dict[str, Any]]:
    """All pairs of a split in the order of the files, each with the number of its shard."""
    records = PairRecords.load(folder)
    return [
        {**decode_pair(payload), "shard": i}
        for i, path in enumerate(records.paths(split))
        for payload in read_payloads(path, compression=records.compression)
    ]


def shard_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each shard."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*.tfrecord*"))
    }
