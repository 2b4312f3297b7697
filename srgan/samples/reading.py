"""Reads what `phire-data` made, for training and evaluation: patches at two resolutions.

A batch is a dictionary of float32 tensors, fields normalised as in the records:

    "low"          (batch, h, w, channel)
    "high"         (batch, H, W, channel)
    "row_weights"  (batch, H): areas of the rows of "high" relative to the mean of their block, so
                   that block means with them are means over area
    "static"       (batch, H, W, static channel), only if there are any

The order is a function of (seed, epoch) alone. Records of the reference implementation do not say
where they lie, so that their row weights are one.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from atmodist.fields.grid import Grid
from atmodist.fields.normalization import Normalization
from atmodist.records.frames import read_payloads
from atmodist.records.reading import SHUFFLE_BUFFER, naming_damage, read_batches
from atmodist.records.record_set import BARE_SPLIT
from srgan.restoration.degradation import Alignment, block_weights
from srgan.samples.record_set import LowResolution, PatchRecords, open_patch_records
from srgan.samples.static import StaticChannels, load_grid

SHUFFLE_BYTES = 256e6  # at most, of records in the shuffle buffer


class PatchSet:
    """Records of patches at two resolutions, with all that belongs to them.

    Attributes:
        records: The shards and what they have in common.
        normalization: Of both resolutions; None for bare files.
        grid: The HR grid; None for bare files.
        static: Static channels on the HR grid; None if there are none.
    """

    def __init__(
        self,
        records: PatchRecords,
        normalization: Normalization | None = None,
        grid: Grid | None = None,
        static: StaticChannels | None = None,
    ):
        self.records = records
        self.normalization = normalization
        self.grid = grid
        self.static = static
        self._counts: dict[str, int] = {}

    @property
    def folder(self) -> Path:
        """Where the shards lie."""
        return self.records.folder

    @property
    def hr_shape(self) -> tuple[int, int]:
        """(H, W), grid points."""
        return self.records.patch_shape

    @property
    def lr_shape(self) -> tuple[int, int]:
        """(h, w), grid points."""
        return self.records.low_shape[:2]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in order."""
        return self.records.channels

    @property
    def num_channels(self) -> int:
        """How many channels the fields have, static ones apart."""
        return len(self.records.channels)

    @property
    def factor(self) -> int:
        """HR points per LR cell, in each direction."""
        return self.records.factor

    @property
    def factors(self) -> tuple[int, ...]:
        """Prime steps of the factor."""
        return self.records.factors

    @property
    def alignment(self) -> Alignment:
        """How the LR grid lies to the HR grid."""
        return self.records.alignment

    @property
    def degradation(self) -> LowResolution:
        """How LR was made; only "physical" is the mean that `row_weights` give."""
        return self.records.degradation

    @property
    def static_names(self) -> tuple[str, ...]:
        """Names of the static channels, in order; empty if there are none."""
        return () if self.static is None else self.static.names

    @property
    def spacing_degrees(self) -> tuple[float, float] | None:
        """Spacing of the HR grid in latitude and longitude; None for bare files."""
        if self.grid is None:
            return None
        latitude, longitude = (
            float(np.abs(np.diff(values)).mean())
            for values in (self.grid.latitude, self.grid.longitude)
        )
        return latitude, longitude

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits there are."""
        return tuple(self.records.splits)

    @property
    def num_train(self) -> int:
        """Records for training; bare files are read once to count them."""
        return self._count(self._train_split)

    @property
    def num_evaluation(self) -> int:
        """Records for evaluation."""
        return self._count("evaluation")

    def training_batches(
        self,
        seed: int,
        epoch: int,
        batch_size: int,
        *,
        drop_remainder: bool = True,
        shuffle_buffer: int | None = None,
    ) -> tf.data.Dataset:
        """One pass over the records for training, in an order that (seed, epoch) decides.

        Args:
            seed: Seed of the order.
            epoch: Number of the pass; each has its own order.
            batch_size: Records per batch.
            drop_remainder: Whether to drop a last batch that is not full.
            shuffle_buffer: Records to draw from; as many as fit 256 MB, at most 512, by default.
        """
        if drop_remainder and 0 < self.num_train < batch_size:
            raise ValueError(
                f"{self.folder} has {self.num_train} records for training, fewer than one batch "
                f"of {batch_size}; use smaller batches"
            )
        if shuffle_buffer is None:
            size = 4 * sum(math.prod(shape) for shape in self.records.tensor_shapes().values())
            shuffle_buffer = max(1, min(SHUFFLE_BUFFER, int(SHUFFLE_BYTES / size)))
        return read_batches(
            self.records,
            self._train_split,
            self._parser(),
            batch_size=batch_size,
            seed=seed,
            epoch=epoch,
            drop_remainder=drop_remainder,
            shuffle_buffer=shuffle_buffer,
        )

    def evaluation_batches(self, batch_size: int, *, split: str = "evaluation") -> tf.data.Dataset:
        """The records for evaluation in the order of the files; the last batch may be smaller."""
        return read_batches(
            self.records, split, self._parser(), batch_size=batch_size, shuffle=False
        )

    @contextmanager
    def naming_damage(self, *splits: str) -> Iterator[None]:
        """Turns errors about unreadable data into one that names shard and record.

        Wrap whatever consumes the batches of these splits (all splits by default).
        """
        with naming_damage(self.records, *(splits or self.splits)):
            yield

    @property
    def _train_split(self) -> str:
        bare = self.splits == (BARE_SPLIT,)
        return BARE_SPLIT if bare else "train"

    def _count(self, split: str) -> int:
        if split not in self.records.splits:
            return 0
        if split not in self._counts:
            count = self.records.num_records(split)
            if count is None:
                count = sum(
                    1
                    for path in self.records.paths(split)
                    for _ in read_payloads(path, compression=self.records.compression)
                )
            self._counts[split] = count
        return self._counts[split]

    def _parser(self) -> Callable[[Any], dict[str, Any]]:
        shapes = {"low": self.records.low_shape, "high": self.records.shape}
        names = {"low": "data_LR", "high": "data_HR"}
        sizes = ("h_LR", "w_LR", "h_HR", "w_HR", "c")
        expected = tf.constant([*shapes["low"][:2], *shapes["high"]], tf.int64)
        spec = {name: tf.io.FixedLenFeature([], tf.string) for name in names.values()}
        spec |= {name: tf.io.FixedLenFeature([], tf.int64) for name in sizes}
        places = self.grid is not None
        if places:
            spec |= {name: tf.io.FixedLenFeature([], tf.int64) for name in ("row", "column")}
        weights = None if self.grid is None else _weights_by_row(self.grid, self.records)
        static = None if self.static is None else tf.constant(self.static.values)

        def parse(serialized: Any) -> dict[str, Any]:
            features = tf.io.parse_example(serialized, spec)
            found = tf.stack([features[name] for name in sizes], axis=1)
            complaint = tf.debugging.Assert(
                tf.reduce_all(found == expected),
                ["(h, w, H, W, C) not as in the set; it is", found],
            )
            batch = {}
            with tf.control_dependencies([complaint]):
                for name, shape in shapes.items():
                    values = tf.io.decode_raw(features[names[name]], tf.float32, little_endian=True)
                    values = tf.reshape(values, (-1, *shape))
                    batch[name] = tf.ensure_shape(values, (serialized.shape[0], *shape))
            if weights is None:
                rows = tf.ones((tf.size(serialized), shapes["high"][0]), tf.float32)
                batch["row_weights"] = tf.ensure_shape(rows, (serialized.shape[0], None))
            else:
                batch["row_weights"] = tf.gather(weights, features["row"])
            if static is not None:
                batch["static"] = _cut_static(
                    static, features["row"], features["column"], self.hr_shape
                )
            return batch

        return parse


def open_patches(source: str | Path | Iterable[str | Path]) -> PatchSet:
    """Opens a folder made by `phire-data`, or bare TFRecord files of the reference implementation.

    Raises:
        ValueError: If it is no such folder, holds other records, or lacks a file.
    """
    records = open_patch_records(source)
    if any(shard.num_records is None for shards in records.splits.values() for shard in shards):
        return PatchSet(records)  # bare files
    normalization = Normalization.load(records.folder / "normalization.json")
    if normalization.identity != records.normalization:
        raise ValueError(
            f"{records.folder}/normalization.json is not the one the records were made with; "
            "restore it or make the records again"
        )
    static = StaticChannels.load(records.folder) if records.static else None
    return PatchSet(records, normalization, load_grid(records.folder), static)


def _weights_by_row(grid: Grid, records: PatchRecords) -> tf.Tensor:
    # (first row, H) for all first rows a patch can have.
    rows = records.patch_shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(grid.band_areas, rows)
    return tf.constant(block_weights(windows, records.factor), tf.float32)


def _cut_static(static: Any, row: Any, column: Any, shape: tuple[int, int]) -> Any:
    # Patches of (H, W, s) at each first row and column, wrapped around the date line.
    height, width, num = static.shape
    rows = row[:, None, None] + tf.range(shape[0], dtype=tf.int64)[:, None]
    columns = (column[:, None, None] + tf.range(shape[1], dtype=tf.int64)) % width
    return tf.gather(tf.reshape(static, (height * width, num)), rows * width + columns)
