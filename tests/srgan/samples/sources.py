"""Records of two resolutions made by hand, for tests that need no sampler."""

from pathlib import Path

import numpy as np

from atmodist.fields.grid import make_grid
from atmodist.fields.normalization import Normalization
from atmodist.records.frames import shard_name
from atmodist.records.record_set import records_folder
from atmodist.records.shard import Shard
from srgan.samples.format import encode_patch
from srgan.samples.record_set import PatchRecords
from srgan.samples.static import read_static, save_grid

GRID = make_grid("cell-centred", 24, 48)
NORMALIZATION = Normalization(
    channels=("divergence", "vorticity"),
    mean=np.zeros(2),
    std=np.full(2, 1e-5),
    log_mean=np.zeros(2),
    log_std=np.ones(2),
)


def write_records(
    root: Path,
    *,
    counts: dict[str, tuple[int, ...]] | None = None,
    factors: tuple[int, ...] = (2, 2),
    patch_shape: tuple[int, int] = (8, 12),
    static: tuple[str, ...] = (),
) -> PatchRecords:
    """Writes records numbered from 0, of noise, and all that lies beside them."""
    folder = records_folder(root, "sr")
    folder.mkdir(parents=True)
    factor = int(np.prod(factors))
    rng, index, splits = np.random.default_rng(0), 0, {}
    for split, lengths in (counts or {"train": (5, 6), "evaluation": (4,)}).items():
        shards = []
        for i, length in enumerate(lengths):
            path = folder / shard_name("sr", split, i, len(lengths))
            with path.open("wb") as file:
                for _ in range(length):
                    high = rng.normal(size=(*patch_shape, 2)).astype(np.float32)
                    low = high[::factor, ::factor]
                    row = int(rng.integers(GRID.shape[0] - patch_shape[0] + 1))
                    column = int(rng.integers(GRID.shape[1]))
                    buffers = encode_patch(
                        low, high, index=index, time=3600 * index, step=index, row=row,
                        column=column, latitudes=(0.0, 0.0), longitudes=(0.0, 0.0),
                    )  # fmt: skip
                    file.write(b"".join(buffers))
                    index += 1
            shards.append(Shard.measure(path, length))
        splits[split] = tuple(shards)
    NORMALIZATION.save(folder / "normalization.json")
    save_grid(folder, GRID)
    channels = read_static(static, GRID)
    if channels is not None:
        channels.save(folder)
    records = PatchRecords(
        folder=folder,
        dataset="sr",
        splits=splits,
        patch_shape=patch_shape,
        channels=NORMALIZATION.channels,
        normalization=NORMALIZATION.identity,
        factors=factors,
        static=static,
    )
    records.save()
    return records
