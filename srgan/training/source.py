"""Batches for the training of a generator: what it takes, and what it should make.

A batch is (inputs, targets). Inputs are what the generator takes by name: "low", and where it wants
them "static", "noise" and "row_weights". Targets are "high" and "row_weights". Noise is a pure
function of (seed, epoch, number of the batch).
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import tensorflow as tf

from atmodist.fields.normalization import Normalization
from srgan.samples.reading import PatchSet, open_patches
from srgan.training.configuration import GeneratorTrainingConfig

SIDECAR = "records.json"


class PatchSource:
    """Patches for training and evaluation.

    Args:
        config: What is trained.
        patches: By default the records that `config` names.

    Attributes:
        patches: The records.
        num_train: Patches for training.
        num_evaluation: Patches for evaluation.
        normalization: What the fields were normalised with; None for bare files.
        files: What to fingerprint.
    """

    def __init__(self, config: GeneratorTrainingConfig, patches: PatchSet | None = None):
        self.patches = patches = patches or open_patches(config.records)
        self._config = config
        self.num_train, self.num_evaluation = patches.num_train, patches.num_evaluation
        self.normalization: Normalization | None = patches.normalization
        described = patches.folder / SIDECAR
        shards = [path for split in patches.splits for path in patches.records.paths(split)]
        self.files: tuple[Path, ...] = (described,) if described.is_file() else tuple(shards)

    @property
    def means_in(self) -> Normalization | None:
        """What block means of the fine field are taken in: None for the normalised field."""
        return None if self.patches.degradation == "normalized" else self.normalization

    def training_batches(self, epoch: int) -> tf.data.Dataset:
        """One pass over the patches for training in the order of this epoch (from 0)."""
        config = self._config
        batches = self.patches.training_batches(config.seed, epoch, config.batch_size)
        return self._prepared(batches, epoch + 1)

    def evaluation_batches(self) -> tf.data.Dataset:
        """One pass over the patches for evaluation; noise is the same every time."""
        return self._prepared(self.patches.evaluation_batches(self._config.batch_size), 0)

    def guard(self) -> AbstractContextManager[None]:
        """Names the damaged record if reading fails inside."""
        return self.patches.naming_damage()

    def _prepared(self, batches: tf.data.Dataset, stream: int) -> tf.data.Dataset:
        config, plain = self._config, self.patches.degradation == "normalized"
        seed = tf.constant([config.seed, stream], tf.int64)

        def prepare(number: Any, batch: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
            weights = batch["row_weights"]
            weights = tf.ones_like(weights) if plain else weights
            inputs: dict[str, Any] = {k: batch[k] for k in ("low", "static") if k in batch}
            if config.consistency == "projection":
                inputs["row_weights"] = weights
            if config.noise_channels:
                shape = (*tf.unstack(tf.shape(batch["low"])[:3]), config.noise_channels)
                drawn = tf.random.experimental.stateless_fold_in(seed, number)
                noise = tf.random.stateless_normal(shape, drawn)
                extents = (*batch["low"].shape[:3], config.noise_channels)
                inputs["noise"] = tf.ensure_shape(noise, extents)
            return inputs, {"high": batch["high"], "row_weights": weights}

        return (
            batches.enumerate()
            .map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .prefetch(1)
        )
