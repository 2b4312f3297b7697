"""How good a generator is on the evaluation patches, beside bicubic interpolation.

Of normalised fields, y true and p generated, over all evaluation patches:

    loss                    of the phase that is being trained, without penalty and discriminator
    mse, mae                mean squared, mean absolute error
    and every other part of the content loss
    correlation             of p and y, mean over channels
    small_scale_power       Σ P_p / Σ P_y over the wavenumbers that the coarse grid cannot hold,
                            mean over channels; 1 is right, an interpolation is far below
    log_spectral_distance   root mean square over wavenumbers and channels of
                            10 log10(P_p / P_y), in dB, of spectra averaged over patches
    consistency             root mean square difference of block means and the coarse field, in
                            standard deviations of the channel

Spectra are those of `srgan.losses.spectral`: windowed, isotropic.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from keras import ops

from atmodist.fields.grid import Grid
from atmodist.fields.normalization import Normalization
from atmodist.training.devices import Devices
from atmodist.training.gradient_step import make_backend
from atmodist.training.roles import Scores
from srgan.losses.consistency import ConsistencyPenalty
from srgan.losses.pixel import mean_absolute_error, mean_squared_error
from srgan.losses.spectral import SpectralLoss
from srgan.restoration.degradation import Alignment
from srgan.restoration.geometry import Refinement
from srgan.restoration.interpolation import interpolate
from srgan.training.losses import Losses

SPACING = 0.01  # degrees, of the made-up grid on which patches are interpolated
STATISTICS = ("correlation", "small_scale_power", "log_spectral_distance", "consistency")


class PatchScores:
    """Accumulates the scores of generated patches.

    Args:
        losses: Whose parts are scores.
        penalty: Compares block means.
    """

    def __init__(self, losses: Losses, penalty: ConsistencyPenalty):
        self._losses, self._penalty = losses, penalty
        self._spectrum = SpectralLoss()
        self._terms = {term.name: term.loss for term in (*losses.content, *losses.pretraining)}
        self._terms |= {"mse": mean_squared_error, "mae": mean_absolute_error}
        self._measure = make_backend(Devices()).compiled(self._measures)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all scores."""
        parts = [name for name in self._terms if name not in ("mse", "mae")]
        return ("loss", "mse", "mae", *parts, *STATISTICS)

    def of(
        self, batches: Iterable[tuple[dict[str, Any], dict[str, Any], Any]], phase: str
    ) -> Scores:
        """Scores of batches (inputs, targets, generated), for a phase.

        Raises:
            ValueError: If there are no batches.
        """
        sums: dict[str, Any] = {}
        count = 0
        for inputs, targets, generated in batches:
            size = len(targets["high"])
            found = self._measure(inputs["low"], targets["high"], targets["row_weights"], generated)
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + size * np.asarray(value, np.float64)
            count += size
        if not count:
            raise ValueError("there are no patches to evaluate on.")
        means = {name: value / count for name, value in sums.items()}
        return self._scores(means, phase)

    def _measures(self, low: Any, true: Any, weights: Any, generated: Any) -> dict[str, Any]:
        """Means over a batch from which scores are made."""
        measures = {name: loss(true, generated) for name, loss in self._terms.items()}
        measures["consistency"] = self._penalty(low, generated, weights)
        for name, field in (("true", true), ("generated", generated)):
            measures[f"{name}_mean"] = ops.mean(field, axis=(0, 1, 2))
            measures[f"{name}_square"] = ops.mean(field**2, axis=(0, 1, 2))
            measures[f"{name}_power"] = ops.mean(self._spectrum.power(field), axis=0)
        measures["product"] = ops.mean(true * generated, axis=(0, 1, 2))
        return measures

    def _scores(self, means: dict[str, Any], phase: str) -> Scores:
        scores = {name: float(means[name]) for name in self._terms}
        terms = self._losses.of_phase(phase)
        loss = sum(term.weight * scores[term.name] for term in terms)
        m = means
        covariance = m["product"] - m["true_mean"] * m["generated_mean"]
        variances = [m[f"{k}_square"] - m[f"{k}_mean"] ** 2 for k in ("true", "generated")]
        scale = np.sqrt(np.maximum(variances[0], 1e-30) * np.maximum(variances[1], 1e-30))
        true, generated = m["true_power"] + 1e-12, m["generated_power"] + 1e-12
        bins = true.shape[-1]
        small = slice(bins // self._penalty.factor, None)  # bin b is number b - 1
        ratio = generated[:, small].sum(-1) / true[:, small].sum(-1)
        decibels = 10.0 * np.log10(generated / true)
        scores |= {
            "loss": float(loss),
            "correlation": float(np.mean(covariance / scale)),
            "small_scale_power": float(np.mean(ratio)),
            "log_spectral_distance": float(np.sqrt(np.mean(decibels**2))),
            "consistency": float(np.sqrt(m["consistency"])),
        }
        return {name: scores[name] for name in self.names}


def bicubic(
    low: np.ndarray, factor: int, alignment: Alignment, normalization: Normalization | None
) -> np.ndarray:
    """Interpolates normalised patches, in physical units where the normalisation is known.

    Args:
        low: (batch, latitude, longitude, channel).
        factor: Fine points per coarse cell, along each axis.
        alignment: How the coarse grid lies to the fine one.
        normalization: Of the patches.

    Returns:
        (batch, factor * latitude, factor * longitude, channel) float32.
    """
    rows, columns = low.shape[1:3]
    fine = [SPACING * np.arange(factor * extent) for extent in (rows, columns)]
    first = (factor - 1) / 2 if alignment == "centred" else 0.0
    coarse = [SPACING * (first + factor * np.arange(extent)) for extent in (rows, columns)]
    coarse_grid, fine_grid = (Grid(latitude=10.0 - y, longitude=x) for y, x in (coarse, fine))
    refinement = Refinement(coarse_grid, fine_grid, factor, alignment)
    physical = low if normalization is None else normalization.inverse(low)
    found = np.moveaxis(interpolate(np.moveaxis(physical, -1, 1), refinement, "bicubic"), 1, -1)
    return np.asarray(found if normalization is None else normalization(found), np.float32)
