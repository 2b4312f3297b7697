"""The spectral loss: how far log power spectra of patches are apart.

A generator trained by squared error is too smooth at small scales, where the power spectrum falls
by orders of magnitude; the logarithm makes all scales count alike. Of each sample and channel, a
plane is subtracted (least squares) and a Hann window applied, because a patch is not periodic and
the jump at its edges would leak into all wavenumbers. Then

    x̂_km = 1/(H W) Σ_ij h_ij x_ij exp(-2πi (k i / H + m j / W)),    Σ |x̂|² = mean (h x)²,
    P_b  = Σ |x̂_km|² over the wavenumbers (k, m) of bin b,
    L    = mean over samples, channels and bins of (log(P_b + ε) - log(Q_b + ε))²,

P of the generated, Q of the true field. It sees no phases: it is a companion of another loss, never
a loss by itself. A field twice as large costs (2 log 2)², wherever P and Q are well above ε.

Wavenumbers are in cycles per grid point, κ² = (k/H)² + (m/W)². Isotropic bin b holds
b - ½ <= κ N < b + ½ with N = min(H, W), zonal bin b all k of |m| = b; b = 1, 2, ... up to the
Nyquist wavenumber. The corners beyond it and the mean are left out. A patch on a
latitude-longitude grid is narrower than it is high (cos of latitude); wavenumbers follow the grid,
for both fields alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from keras import ops

Binning = Literal["isotropic", "zonal"]

EPSILON = 1e-8  # of the variance one of a normalised field; float32 transforms err by 1e-14


@dataclass(frozen=True, kw_only=True)
class SpectralLoss:
    """Mean squared difference of log power spectra.

    Attributes:
        binning: "isotropic", or "zonal" for spectra over longitude alone.
        windowed: Whether to subtract a plane and apply the window. Without, only the mean goes, and
            fields must be periodic along both axes.
        epsilon: ε > 0, a power in units of the normalised field squared.
    """

    binning: Binning = "isotropic"
    windowed: bool = True
    epsilon: float = EPSILON

    def __post_init__(self) -> None:
        if self.binning not in ("isotropic", "zonal"):
            raise ValueError(f"`binning` must be 'isotropic' or 'zonal'; got {self.binning!r}")
        if not self.epsilon > 0:
            raise ValueError(f"`epsilon` must be positive; got {self.epsilon}")

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        """The mean loss of a batch (batch, latitude, longitude, channel) of known extents."""
        true, pred = self.power(y_true), self.power(y_pred)
        difference = ops.log(pred + self.epsilon) - ops.log(true + self.epsilon)
        return ops.mean(ops.square(difference))

    def power(self, field: Any) -> Any:
        """Returns P_b, b = 1, 2, ..., of a batch; shape (batch, channel, bin), float32."""
        rows, columns = _extents(field.shape)
        x = ops.transpose(ops.cast(field, "float32"), (0, 3, 1, 2))
        x = ops.subtract(x, ops.mean(x, axis=(2, 3), keepdims=True))
        if self.windowed:
            x = _without_slopes(x, rows, columns) * np.outer(_hann(rows), _hann(columns))
        real, imaginary = ops.fft2((x, ops.zeros_like(x)))
        power = ops.square(real / (rows * columns)) + ops.square(imaginary / (rows * columns))
        members = _membership(rows, columns, self.binning)
        return ops.matmul(ops.reshape(power, (-1, field.shape[-1], rows * columns)), members)


def _extents(shape: Sequence[int | None]) -> tuple[int, int]:
    if len(shape) != 4 or shape[1] is None or shape[2] is None or min(shape[1], shape[2]) < 4:
        raise ValueError(
            "the spectral loss needs (batch, latitude, longitude, channel) with known extents of "
            f"at least 4; got shape {tuple(shape)}"
        )
    return shape[1], shape[2]


def _without_slopes(x: Any, rows: int, columns: int) -> Any:
    """Subtracts the least-squares plane from fields (..., rows, columns) of mean zero."""
    for axis, extent in ((2, rows), (3, columns)):
        ramp = (np.arange(extent) - (extent - 1) / 2).astype(np.float32)
        ramp = ramp.reshape((-1, 1) if axis == 2 else (1, -1))
        slope = ops.mean(x * ramp, axis=(2, 3), keepdims=True) / np.mean(ramp**2)
        x = x - slope * ramp
    return x


def _hann(extent: int) -> np.ndarray:
    return np.sin(np.pi * (np.arange(extent, dtype=np.float32) + 0.5) / extent) ** 2


@lru_cache(maxsize=16)
def _membership(rows: int, columns: int, binning: Binning) -> np.ndarray:
    """One where a wavenumber (row · columns + column of the transform) belongs to a bin, else zero.

    Shape (rows * columns, bin).
    """
    meridional, zonal = np.abs(np.fft.fftfreq(rows))[:, None], np.abs(np.fft.fftfreq(columns))
    if binning == "zonal":
        number, bins = zonal * columns + 0 * meridional, columns // 2
    else:
        smaller = min(rows, columns)
        number, bins = np.hypot(meridional, zonal) * smaller, smaller // 2
    number = np.floor(number + 0.5 + 1e-9).astype(int).ravel()  # fftfreq is off by rounding
    return (number[:, None] == np.arange(1, bins + 1)).astype(np.float32)
