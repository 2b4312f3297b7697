"""Where training gets its pairs from: batches that depend on (seed, epoch) and nothing else.

`PairSource` is all that the training loop knows about data. Batches are (pairs, labels): pairs
(batch, 2, latitude, longitude, channel) float32, normalised, the earlier field first; labels
(batch,) int32, from 0.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf
from tqdm import tqdm

from atmodist.fields.normalization import NAMED, Normalization, normalization_of
from atmodist.pairs.pair_records import SIDECAR, PairRecords, open_records
from atmodist.pairs.reading import read_pairs
from atmodist.pretext.augmentation import (
    PSEUDO_SCALARS,
    mirror_north_south,
    random_symmetries,
    require_known_symmetries,
    reverse_time,
)
from atmodist.pretext.configuration import TrainingConfig
from atmodist.records.reading import naming_damage


class PairSource(Protocol):
    """Pairs for training and evaluation.

    Attributes:
        input_shape: (latitude, longitude, channel) of one field.
        num_classes: Number of labels.
        normalization: What the fields were normalised with; None if unknown.
        num_train: Pairs for training.
        num_evaluation: Pairs for evaluation.
        files: What to fingerprint in the manifest.
    """

    input_shape: tuple[int, int, int]
    num_classes: int
    normalization: Normalization | None
    num_train: int
    num_evaluation: int
    files: tuple[Path, ...]

    def training_batches(self, epoch: int) -> tf.data.Dataset:
        """One pass over the training pairs in the order of this epoch (from 0), whole batches."""

    def evaluation_batches(self) -> tf.data.Dataset:
        """One pass over the evaluation pairs."""

    def guard(self) -> AbstractContextManager[None]:
        """Names the damaged record if reading fails inside."""


class RecordSource:
    """Pairs from a folder of records.

    Args:
        config: With no setting left open.
    """

    def __init__(self, config: TrainingConfig):
        self._config = config
        self._records = records = open_records(config.records)
        self.input_shape = records.shape
        self.num_classes = config.max_label or records.max_label
        if self.num_classes > records.max_label:
            raise ValueError(
                f"`max_label` is {config.max_label}, but the largest label of the records in "
                f"{records.folder} is {records.max_label}."
            )
        self.normalization = _normalization_of(records, config.normalization)
        self._transformations = self._chosen_transformations()
        described = records.folder / SIDECAR
        self._train, self._evaluation = config.train_split, config.evaluation_split
        _require_splits(records, *self._splits())
        files = [path for split in self._splits() for path in records.paths(split)]
        self.files = (described,) if described.is_file() else tuple(files)
        self.num_train = self._count(self._train)
        self.num_evaluation = self._count(self._evaluation)

    def training_batches(self, epoch: int) -> tf.data.Dataset:
        """See `PairSource`."""
        batches = self._read(self._train, shuffle=True, epoch=epoch, drop_remainder=True)
        if not self._transformations:
            return batches
        augment = random_symmetries(self._transformations, seed=self._config.seed, epoch=epoch)
        return numbered_map(batches, augment)

    def evaluation_batches(self) -> tf.data.Dataset:
        """See `PairSource`."""
        return self._read(self._evaluation, shuffle=False)

    def guard(self) -> AbstractContextManager[None]:
        """See `PairSource`."""
        return naming_damage(self._records, *self._splits())

    def _splits(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self._train, self._evaluation)))

    def _chosen_transformations(self) -> list[Callable[[Any], Any]]:
        channels, scheme = self._records.channels, self.normalization
        mirror, reverse = bool(self._config.mirror), bool(self._config.reverse)
        require_known_symmetries(channels, mirror=mirror, reverse=reverse)
        if mirror and scheme is None and set(channels) & PSEUDO_SCALARS:
            tqdm.write(
                f"note: {self._records.folder} has no normalization.json, so that the sign of "
                "normalised fields cannot be changed; training goes on without mirroring. "
                f"--normalization tells it: a file, or a name ({', '.join(NAMED)})."
            )
            mirror = False
        transformations: list[Callable[[Any], Any]] = []
        if mirror:
            transformations.append(lambda pairs: mirror_north_south(pairs, channels, scheme))
        if reverse:
            transformations.append(reverse_time)
        return transformations

    def _read(self, split: str, **options: Any) -> tf.data.Dataset:
        return read_pairs(
            self._records,
            split,
            batch_size=int(self._config.batch_size or 1),
            seed=self._config.seed,
            max_label=self._config.max_label,
            **options,
        )

    def _count(self, split: str) -> int:
        count = self._records.num_records(split)
        filtered = self.num_classes < self._records.max_label
        if count is not None and not filtered:
            return count
        batches = self._read(split, shuffle=False)
        counting = tqdm(batches, desc=f"counting {split}", leave=False, disable=None)
        with naming_damage(self._records, split):
            return sum(len(labels) for _, labels in counting)


def numbered_map(batches: tf.data.Dataset, augment: Callable[[Any, Any], Any]) -> tf.data.Dataset:
    """Applies `augment(number of the batch, pairs)` to every batch, in order."""
    return (
        batches.enumerate()
        .map(
            lambda number, batch: (augment(number, batch[0]), batch[1]),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .prefetch(1)
    )


def open_source(config: TrainingConfig) -> PairSource:
    """Opens the records that a resolved configuration names."""
    return RecordSource(config)


def _require_splits(records: PairRecords, *splits: str) -> None:
    for split in splits:
        try:
            records.shards(split)
        except ValueError as error:
            raise ValueError(
                f"{error} Or choose by --train_split and --evaluation_split."
            ) from None


def _normalization_of(records: PairRecords, named: str | None) -> Normalization | None:
    path = records.folder / "normalization.json"
    normalization = normalization_of(records.folder, named)
    if normalization is None:
        if records.normalization is not None:
            raise ValueError(
                f"{path} is missing, although the records were made with normalisation "
                f"{records.normalization}; restore it."
            )
        return None
    if not path.is_file():
        path = Path(str(named))
    if records.normalization not in (None, normalization.identity):
        raise ValueError(
            f"{path} is normalisation {normalization.identity}, but the records in "
            f"{records.folder} were made with {records.normalization}; was it replaced?"
        )
    if _names(normalization.channels) != _names(records.channels):
        raise ValueError(
            f"{path} is for channels {normalization.channels}, the records in {records.folder} "
            f"hold {records.channels}."
        )
    return normalization


def _names(channels: Iterable[str]) -> list[str]:
    return [str(channel) for channel in channels]
