"""The content loss: the squared learned distance, for training other networks.

Of a sample,

    L(a, b) = Σ_s w_s α_s mean (f_s(a) - f_s(b))² + w_pixel mean (a - b)²,

with means over space and channels, so that w_s α_s mean(...)² is what the metric's square is on a
patch without area weights. The encoder is a copy with frozen weights and runs in inference mode,
whoever calls: its batch statistics neither change nor depend on the batch.
"""

import base64
import hashlib
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import keras
import numpy as np
from keras import ops

from atmodist.fields.normalization import Normalization
from atmodist.fields.signed_log import signed_log1p
from atmodist.metric.receptive_field import adapted
from atmodist.metric.stages import default_stage

Inputs = Literal["normalized", "physical"]


@keras.saving.register_keras_serializable(package="atmodist")
class ContentLoss(keras.losses.Loss):
    """Compares fields by the features of a frozen encoder.

    It is saved whole, weights included, inside whatever is compiled with it, and loads in Keras'
    safe mode.

    Args:
        encoder: From (batch, latitude, longitude, channel) to a dictionary of features by stage.
            It is copied: later training of it changes nothing here.
        stages: One stage, or weights w_s by stage; by default "stage3" or the deepest.
        scales: α_s by stage; one where not given.
        pixel_weight: w_pixel, not negative.
        inputs: "normalized" for fields as the encoder was trained with, which is what generators
            work on; "physical" for fields in the units of `normalization`.
        normalization: For "physical" inputs. The pixel term compares normalised fields always.
        reduction: As of any Keras loss.
        name: Of the loss.

    Call arguments:
        y_true, y_pred: (batch, latitude, longitude, channel), extents of any size.
    """

    def __init__(
        self,
        encoder: keras.Model,
        stages: str | Mapping[str, float] | None = None,
        *,
        scales: Mapping[str, float] | None = None,
        pixel_weight: float = 0.0,
        inputs: Inputs = "normalized",
        normalization: Normalization | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "content_loss",
        **kwargs: Any,
    ):
        # Physical fields, 1e-5 s⁻¹, do not fit into the float16 of some keras.json.
        super().__init__(reduction=reduction, name=name, **{"dtype": "float32", **kwargs})
        if not isinstance(encoder.output, dict):
            raise ValueError("the encoder must have a dictionary of outputs, by stage")
        self.stages = _checked_stages(stages, tuple(encoder.output))
        self.scales = _checked_scales(scales or {}, self.stages)
        self.pixel_weight = _not_negative("pixel_weight", pixel_weight)
        if inputs not in ("normalized", "physical"):
            raise ValueError(f"`inputs` must be 'normalized' or 'physical'; got {inputs!r}")
        if inputs == "physical" and normalization is None:
            raise ValueError("`inputs='physical'` needs the `normalization` of the encoder")
        self.inputs = inputs
        self.normalization = normalization
        self.num_channels = int(encoder.input.shape[-1])
        self._encoder = adapted(encoder, tuple(self.stages)).model

    @property
    def identity(self) -> str:
        """Short hex digest of what changes numbers: weights, stages, scales, the pixel term.

        The normalisation is part of it where it is applied, to physical inputs.
        """
        settings: list[Any] = [self.stages, self.scales, self.pixel_weight, self.inputs]
        if self.inputs == "physical" and self.normalization is not None:
            settings.append(self.normalization.identity)
        digest = hashlib.sha256(json.dumps(settings).encode())
        for weight in self._encoder.get_weights():
            digest.update(np.asarray(weight).tobytes())
        return digest.hexdigest()[:12]

    @classmethod
    def from_package(cls, path: str | Path, **options: Any) -> Self:
        """Makes the loss of an encoder package or a folder of `rplearn-train`, with its α.

        Args:
            path: A folder, or an hf:// address.
            **options: As of the class.
        """
        from atmodist.metric.package import load_package

        package = load_package(path)
        options.setdefault("normalization", package.normalization)
        if package.calibration is not None and "scales" not in options:
            calibrated = package.calibration
            options["scales"] = {stage: calibrated.alpha(stage) for stage in calibrated.stages}
        return cls(package.encoder, **options)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample; shape (batch,)."""
        for name, x in (("y_true", y_true), ("y_pred", y_pred)):
            if len(x.shape) != 4 or x.shape[-1] != self.num_channels:
                raise ValueError(
                    f"`{name}` must be (batch, latitude, longitude, {self.num_channels}); "
                    f"got shape {tuple(x.shape)}"
                )
        y_true, y_pred = self._normalized(y_true), self._normalized(y_pred)
        wanted = self._encoder(y_true, training=False)
        given = self._encoder(y_pred, training=False)
        loss = ops.zeros_like(y_pred[:, 0, 0, 0])
        for stage, weight in self.stages.items():
            difference = ops.subtract(given[stage], ops.stop_gradient(wanted[stage]))
            factor = weight * self.scales.get(stage, 1.0)
            loss = ops.add(loss, factor * ops.mean(ops.square(difference), axis=(1, 2, 3)))
        if self.pixel_weight:
            pixels = ops.mean(ops.square(ops.subtract(y_pred, y_true)), axis=(1, 2, 3))
            loss = ops.add(loss, self.pixel_weight * pixels)
        return loss

    def get_config(self) -> dict[str, Any]:
        """All that is needed to make the loss again, weights of the encoder included."""
        return {
            **super().get_config(),
            "encoder": _packed(self._encoder),
            "stages": dict(self.stages),
            "scales": dict(self.scales),
            "pixel_weight": self.pixel_weight,
            "inputs": self.inputs,
            "normalization": None if self.normalization is None else self.normalization.as_dict(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Undoes `get_config`."""
        config = dict(config)
        config["encoder"] = _unpacked(config["encoder"])
        if config["normalization"] is not None:
            config["normalization"] = Normalization.from_dict(config["normalization"])
        return cls(**config)

    def _normalized(self, x: Any) -> Any:
        n = self.normalization
        if self.inputs == "normalized" or n is None:  # physical inputs have one, by __init__
            return x
        mean, scale, log_mean, log_std = (
            ops.cast(values, x.dtype) for values in (n.mean, n.alpha / n.std, n.log_mean, n.log_std)
        )
        z = (x - mean) * scale
        return (signed_log1p(z, ops) - log_mean) / log_std


def _packed(encoder: keras.Model) -> dict[str, Any]:
    buffer = io.BytesIO()
    weights = {str(number): array for number, array in enumerate(encoder.get_weights())}
    np.savez_compressed(buffer, **weights)
    return {
        "architecture": keras.saving.serialize_keras_object(encoder),
        "weights": base64.b64encode(buffer.getvalue()).decode("ascii"),
    }


def _unpacked(packed: Mapping[str, Any]) -> keras.Model:
    encoder = keras.saving.deserialize_keras_object(packed["architecture"])
    with np.load(io.BytesIO(base64.b64decode(packed["weights"])), allow_pickle=False) as weights:
        encoder.set_weights([weights[str(number)] for number in range(len(weights.files))])
    return encoder


def _checked_stages(
    stages: str | Mapping[str, float] | None, known: tuple[str, ...]
) -> dict[str, float]:
    if stages is None:
        stages = default_stage(known)
    weights = {stages: 1.0} if isinstance(stages, str) else dict(stages)
    for stage in weights:
        if stage not in known:
            raise ValueError(f"there is no stage {stage!r}; there are {', '.join(known)}")
    checked = {stage: _not_negative(f"weight of {stage}", w) for stage, w in weights.items()}
    if not any(checked.values()):
        raise ValueError(f"at least one stage must have a positive weight; got {weights}")
    return checked


def _checked_scales(scales: Mapping[str, float], stages: Mapping[str, float]) -> dict[str, float]:
    return {s: _not_negative(f"scale of {s}", scales[s]) for s in stages if s in scales}


def _not_negative(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"`{name}` must be a number; got {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"`{name}` must be finite and not negative; got {value}")
    return float(value)
