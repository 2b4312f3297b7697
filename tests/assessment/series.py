"""A made-up series in which hour and date are written into the fields, and networks to read them.

Channel 0 holds the steps since midnight, channel 1 the number of the step: a network that looks at
channel 0 alone is a clock, one that looks at channel 1 alone knows the elapsed time.
"""

import numpy as np

from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import make_grid
from atmodist.fields.normalization import Normalization
from atmodist.pairs.configuration import PairSamplerConfig
from atmodist.pairs.sampling import write_pairs

STEP = 10_800
NUM_CLASSES = 8
PATCH = (8, 8)


def write_series(folder, num_days=24):
    """Writes the archive and records drawn from it; returns both paths."""
    grid = make_grid("regular", 13)
    path = folder / "archive.h5"
    with ArchiveWriter(
        path, channels=(DIVERGENCE, VORTICITY), grid=grid, compression="none"
    ) as writer:
        for step in range(8 * num_days):
            hour = np.full(grid.shape, step % 8, np.float32)
            number = np.full(grid.shape, step, np.float32)
            writer.append(step * STEP, np.stack([hour, number]))
    identity().save(folder / "normalization.json")
    config = PairSamplerConfig(
        archive=str(path),
        output=str(folder / "records"),
        patch_shape=PATCH,
        patches_per_step=8,
        max_temporal_distance=NUM_CLASSES,
        evaluation_fraction=0.4,
        normalization=str(folder / "normalization.json"),
        workers=1,
    )
    write_pairs(config)
    return path, folder / "records"


def identity():
    """A normalisation that is merely monotone."""
    return Normalization(
        channels=("divergence", "vorticity"),
        mean=(0.0, 0.0),
        std=(1.0, 1.0),
        log_mean=(0.0, 0.0),
        log_std=(1.0, 1.0),
    )


def _read(pairs):
    """Hours and numbers of both fields, each (pair, 2)."""
    values = identity().inverse(np.asarray(pairs, np.float64)).mean(axis=(2, 3))
    return values[..., 0], values[..., 1]


def _answer(steps):
    return 50.0 * np.eye(NUM_CLASSES)[np.clip(np.rint(steps).astype(int), 1, NUM_CLASSES) - 1]


def clock_reader(pairs):
    """Knows the hours alone."""
    hours, _ = _read(pairs)
    steps = np.mod(np.rint(hours[:, 1] - hours[:, 0]), 8)
    return _answer(np.where(steps == 0, 8, steps))


def parity_reader(pairs):
    """Knows only whether the hours differ by an odd number of steps."""
    hours, _ = _read(pairs)
    odd = np.mod(np.rint(hours[:, 1] - hours[:, 0]), 2) == 1
    return np.where(odd[:, None] == (np.arange(NUM_CLASSES) % 2 == 0), 3.0, 0.0)


def dynamics_reader(pairs):
    """Knows the elapsed time, whatever the order, as far as it goes."""
    _, numbers = _read(pairs)
    return _answer(np.abs(numbers[:, 1] - numbers[:, 0]))


def open_series(path):
    """The archive."""
    return Archive(path)
