"""Made-up patches with structure that a generator can learn, for tests of its training."""

from pathlib import Path

import numpy as np

from atmodist.fields.grid import make_grid
from atmodist.fields.normalization import Normalization
from atmodist.records.frames import shard_name
from atmodist.records.record_set import Shard, records_folder
from srgan.restoration.degradation import coarsen
from srgan.samples.format import encode_patch
from srgan.samples.record_set import PatchRecords
from srgan.samples.static import read_static, save_grid

GRID = make_grid("cell-centred", 48, 96)
NORMALIZATION = Normalization(
    channels=("divergence", "vorticity"),
    mean=np.zeros(2),
    std=np.array([1e-5, 2e-5]),
    log_mean=np.zeros(2),
    log_std=np.full(2, 0.16),
)
OTHER = Normalization(
    channels=NORMALIZATION.channels,
    mean=np.zeros(2),
    std=np.full(2, 3e-5),
    log_mean=np.zeros(2),
    log_std=np.full(2, 0.16),
)


def textured(rng, shape, factor):
    """Waves on the coarse grid, each block of which carries a checkerboard as strong as itself.

    All of it can be told from the block means, but not by interpolation.
    """
    coarse = waves(rng, (shape[0] // factor, shape[1] // factor))
    board = 1 - 2 * (np.add.outer(*map(np.arange, shape)) % 2)
    return np.kron(coarse, np.ones((factor, factor))) * (1.0 + 0.7 * board)


def waves(rng, shape, num_waves=12, shortest=4.0):
    """Random waves no shorter than so many grid points, standard deviation about one."""
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
    field = np.zeros(shape)
    for _ in range(num_waves):
        wavenumber = rng.uniform(0.3, 1.0) / shortest
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        k, m = wavenumber * np.sin(angle), wavenumber * np.cos(angle)
        field += rng.normal() * np.cos(2 * np.pi * (k * rows + m * columns) + phase)
    return field * np.sqrt(2 / num_waves)


def write_records(
    root: Path,
    *,
    num_train: int = 32,
    num_evaluation: int = 8,
    patch_shape: tuple[int, int] = (16, 16),
    factors: tuple[int, ...] = (2,),
    static: tuple[str, ...] = (),
    degradation: str = "physical",
    normalization: Normalization = NORMALIZATION,
    seed: int = 0,
    **changes,
) -> Path:
    """Writes records of waves and of their block means; returns the folder."""
    folder = records_folder(root, "sr")
    folder.mkdir(parents=True)
    rng, factor, splits, index = np.random.default_rng(seed), int(np.prod(factors)), {}, 0
    for split, count in (("train", num_train), ("evaluation", num_evaluation)):
        path = folder / shard_name("sr", split, 0, 1)
        with path.open("wb") as file:
            for _ in range(count):
                row = int(rng.integers((GRID.shape[0] - patch_shape[0]) // factor + 1)) * factor
                column = int(rng.integers(GRID.shape[1]))
                high = np.stack(
                    [textured(rng, patch_shape, factor) * std for std in normalization.std]
                )
                if degradation == "normalized":
                    fields = np.moveaxis(normalization(np.moveaxis(high, 0, -1)), -1, 0)
                    low = coarsen(fields, factor, np.ones(patch_shape[0]))
                    low = np.moveaxis(low, 0, -1)
                else:
                    areas = GRID.band_areas[row : row + patch_shape[0]]
                    low = normalization(np.moveaxis(coarsen(high, factor, areas), 0, -1))
                buffers = encode_patch(
                    np.ascontiguousarray(low, np.float32),
                    np.ascontiguousarray(normalization(np.moveaxis(high, 0, -1)), np.float32),
                    index=index, time=3600 * index, step=index, row=row, column=column,
                    latitudes=(0.0, 0.0), longitudes=(0.0, 0.0),
                )  # fmt: skip
                file.write(b"".join(map(bytes, buffers)))
                index += 1
        splits[split] = (Shard.measure(path, count),)
    normalization.save(folder / "normalization.json")
    save_grid(folder, GRID)
    channels = read_static(static, GRID)
    if channels is not None:
        channels.save(folder)
    PatchRecords(
        **{
            "folder": folder,
            "dataset": "sr",
            "splits": splits,
            "patch_shape": patch_shape,
            "channels": normalization.channels,
            "normalization": normalization.identity,
            "factors": factors,
            "static": static,
            "degradation": degradation,
            **changes,
        }
    ).save()
    return folder
