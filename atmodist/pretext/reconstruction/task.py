"""The tasks that AtmoDist is compared with: autoencoder and inpainting.

Both give a field back from its deepest features: the autoencoder a field it saw whole, inpainting
the part that was hidden, set to the mean (zero, fields being normalised). Labels play no part; both
fields of a pair are samples. With y the truth, ŷ the output, m = 1 where hidden (everywhere for the
autoencoder), the losses of a sample are

    pixel    L_p = Σ m (ŷ - y)² / Σ m,   sums over space and channels,
    content  L_c = content loss of y and m ŷ + (1 - m) y, by the encoder of another run,
    mixed    L_p + content_weight · L_c,

so that what a network says outside of the hole counts in none of them.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from atmodist.fields.normalization import Normalization
from atmodist.pretext.reconstruction.decoder import reconstruction_model
from atmodist.pretext.reconstruction.masks import Masks, key_of, make_masks
from atmodist.pretext.reconstruction.options import InpaintingOptions
from atmodist.pretext.task import Scores, TaskSettings

PICTURE = "reconstruction.png"
FIELDS_PER_PAIR = 2


class Reconstruction:
    """See the module; implements `Task`.

    Inputs are fields (batch, latitude, longitude, channel), hidden points zero. Targets are the
    whole fields, with m as one channel more.

    Args:
        config: With no setting left open.
        input_shape: (latitude, longitude, channel) of one field.
        channels: Their names; by default those of the normalisation, or numbers.
        normalization: Of the fields; a content loss needs it.
        masks: What inpainting hides; by default the masks that `config` names.
    """

    scores: tuple[str, ...] = ("loss", "rmse", "baseline_rmse", "explained")
    next_commands: tuple[str, ...] = ("atmodist calibrate",)  # rplearn-eval judges labels

    def __init__(
        self,
        config: TaskSettings,
        input_shape: tuple[int, int, int],
        *,
        channels: Sequence[str] | None = None,
        normalization: Normalization | None = None,
        masks: Masks | None = None,
    ):
        self._options = options = config.options
        hides = isinstance(options, InpaintingOptions)
        if masks is not None and not hides:
            raise ValueError(f"`masks` are for the task inpainting; got task={config.task!r}.")
        self._config, self._input_shape = config, input_shape
        if channels is None and normalization is not None:
            channels = normalization.channels
        names = range(input_shape[-1]) if channels is None else channels
        self._channels = [str(name) for name in names]
        self._masks = masks
        if masks is None and hides:
            self._masks = make_masks(options.mask, input_shape[:2], options.mask_fraction)
        self._content = None
        if options.content_from is not None:
            self._content = _content_loss(options.content_from, len(self._channels), normalization)
        self.measures: tuple[str, ...] = ("rmse",) + (("content",) if self._content else ())

    def network(self) -> keras.Model:
        """From fields to fields; see `reconstruction_model`."""
        config = self._config
        return reconstruction_model(config.architecture, self._input_shape, config.task)

    def prepare(self, batches: tf.data.Dataset, epoch: int | None) -> tf.data.Dataset:
        """Turns (pairs, labels) into (fields, targets), hiding what shall be hidden."""
        key = key_of(self._config.seed, epoch)
        stride = FIELDS_PER_PAIR * int(self._config.batch_size or 1)

        def prepared(number: Any, batch: Any) -> tuple[Any, Any]:
            fields = tf.reshape(batch[0], (-1, *self._input_shape))
            numbers = number * stride + tf.range(tf.shape(fields)[0], dtype=tf.int64)
            hidden = self._hidden(key, numbers)
            inputs = fields
            if self._masks is not None:
                inputs = tf.where(hidden, tf.zeros_like(fields), fields)
            return inputs, tf.concat([fields, tf.cast(hidden, fields.dtype)], axis=-1)

        return (
            batches.enumerate()
            .map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .prefetch(1)
        )

    def loss(self, outputs: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
        """The loss of the configuration; measures are the errors where something was hidden.

        The loss is a mean over samples, so that batches in equal parts (devices, accumulation) have
        the loss of the whole. `rmse` is a root, told for each part: its mean is a little smaller.
        """
        outputs = ops.cast(outputs, targets.dtype)
        truth, hidden = targets[..., :-1], targets[..., -1:]
        error = ops.where(hidden > 0, ops.subtract(outputs, truth), 0.0)
        points = ops.maximum(ops.sum(hidden, axis=(1, 2, 3)), 1.0) * truth.shape[-1]
        pixel = ops.mean(ops.sum(ops.square(error), axis=(1, 2, 3)) / points)
        measures = {"rmse": ops.sqrt(pixel)}
        if self._content is None:
            return pixel, measures
        content = self._content(truth, ops.add(truth, error))
        measures["content"] = content
        if self._options.reconstruction_loss == "content":
            return content, measures
        return pixel + float(self._options.content_weight or 1.0) * content, measures

    def evaluate(self, batches: Iterable[tuple[np.ndarray, Any]]) -> Scores:
        """Scores what was hidden (all of the field for the autoencoder).

        Returns:
            `loss`; `rmse`, over all hidden points, of normalised fields; `baseline_rmse`, the same
            for who answers with the mean of the visible part of each field (of all of it where
            nothing is hidden), channel by channel; `explained`, 1 - (rmse / baseline_rmse)²;
            `rmse_by_channel`, `baseline_rmse_by_channel`; `count` of fields.
        """
        loss, count, points = 0.0, 0, 0.0
        squared = np.zeros((2, len(self._channels)))
        for outputs, targets in batches:
            loss += len(outputs) * float(self.loss(outputs, targets)[0])
            count += len(outputs)
            values = np.asarray(targets, np.float64)
            truth, hidden = values[..., :-1], values[..., -1:]
            points += hidden.sum()
            for row, guess in enumerate((outputs, visible_mean(truth, hidden))):
                squared[row] += (hidden * (guess - truth) ** 2).sum(axis=(0, 1, 2))
        by_channel = np.sqrt(squared / points)
        rmse, baseline = np.sqrt((by_channel**2).mean(axis=1)).tolist()
        return {
            "loss": loss / count,
            "rmse": rmse,
            "baseline_rmse": baseline,
            "explained": 1.0 - (rmse / baseline) ** 2 if baseline else 0.0,
            "rmse_by_channel": by_channel[0].tolist(),
            "baseline_rmse_by_channel": by_channel[1].tolist(),
            "count": count,
        }

    def mean_scores(self, evaluations: list[Scores]) -> Scores:
        """Averages every number."""
        names = (*self.scores, "rmse_by_channel", "baseline_rmse_by_channel")
        return {
            name: np.mean([scores[name] for scores in evaluations], axis=0).tolist()
            for name in names
        }

    def describe(self) -> dict[str, Any]:
        """The task and its channels."""
        return {"task": self._config.task, "channels": self._channels}

    def provenance(self) -> dict[str, str]:
        """The encoder that a content loss compares features by, wherever it lies."""
        return {} if self._content is None else {"content": self._content.identity}

    def report(self, last: Scores, num_last: int) -> str:
        """The error beside that of a constant."""
        what = "what was hidden" if self._masks is not None else "the field"
        constant = "visible part's mean" if self._masks is not None else "field's own mean"
        pairs = zip(self._channels, last["rmse_by_channel"], strict=True)
        by_channel = ", ".join(f"{name} {rmse:.3f}" for name, rmse in pairs)
        verdict = "" if last["explained"] > 0 else "; nothing was learnt"
        return (
            f"rmse      {last['rmse']:.3f} of {what}, normalised (mean of the last {num_last} "
            f"evaluations); the {constant} gives {last['baseline_rmse']:.3f}: "
            f"{last['explained']:.1%} explained{verdict}\n"
            f"by channel {by_channel}"
        )

    def illustrate(self, network: keras.Model, batches: tf.data.Dataset, folder: Path) -> None:
        """Draws a few fields: what the network was given, what it answered, the truth."""
        from atmodist.pretext.reconstruction.picture import draw_reconstructions

        for inputs, targets in batches.take(1):
            chosen = slice(0, None, max(1, len(inputs) // 3))
            given, wanted = inputs.numpy()[chosen][:3], targets.numpy()[chosen][:3]
            truth, hidden = wanted[..., :-1], wanted[..., -1:] > 0
            answer = np.asarray(network.predict_on_batch(given))
            if self._masks is not None:
                given = np.where(hidden, np.nan, given)
                answer = np.where(hidden, answer, truth)
            draw_reconstructions(folder / PICTURE, given, answer, truth, self._channels)

    def _hidden(self, key: int, numbers: Any) -> Any:
        """m, (batch, latitude, longitude, 1), as booleans."""
        height, width = self._input_shape[:2]
        if self._masks is None:
            return tf.ones((tf.shape(numbers)[0], height, width, 1), tf.bool)
        masks = self._masks
        drawn = tf.numpy_function(lambda n: np.asarray(masks(key, n), bool), [numbers], tf.bool)
        return tf.ensure_shape(drawn, (None, height, width))[..., None]


def visible_mean(fields: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Mean of the visible points of each field and channel; of all points if none is visible.

    Args:
        fields: (batch, latitude, longitude, channel).
        hidden: 1 where hidden, else 0. (batch, latitude, longitude, 1).

    Returns:
        (batch, 1, 1, channel).
    """
    visible = 1.0 - hidden
    nothing = visible.sum(axis=(1, 2, 3), keepdims=True) == 0
    visible = np.where(nothing, 1.0, visible)
    mean: np.ndarray = (visible * fields).sum(axis=(1, 2), keepdims=True)
    return mean / visible.sum(axis=(1, 2), keepdims=True)


def _content_loss(path: str, num_channels: int, normalization: Normalization | None) -> Any:
    from atmodist.metric.content_loss import ContentLoss

    loss = ContentLoss.from_package(path)
    if normalization is None or loss.normalization is None:
        raise ValueError(
            f"a content loss by {path} needs to know how the fields of the records are normalised, "
            "and there is no normalization.json; --normalization tells it."
        )
    normalization.require_same(
        loss.normalization, ours="the records", theirs=f"the network in {path}"
    )
    if loss.num_channels != num_channels:
        raise ValueError(
            f"the encoder in {path} takes {loss.num_channels} channels, the records hold "
            f"{num_channels}."
        )
    return loss
